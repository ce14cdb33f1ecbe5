/* Connections to what lies outside: each command is one test's half, the other is played by the
   test as the node. Prints what each call answers. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static char buffer[1 << 17];

static long tell(const char *what, long answer) {
    if (answer < 0)
        printf("%s: %s\n", what, strerror(errno));
    else
        printf("%s: %ld\n", what, answer);
    return answer;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

/* An address as it is written, of either family. */
static socklen_t address(const char *host, const char *port, struct sockaddr_storage *into) {
    struct sockaddr_in *v4 = (void *)into;
    struct sockaddr_in6 *v6 = (void *)into;
    memset(into, 0, sizeof *into);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(atoi(port));
        return sizeof *v4;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1)
        fail(host);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(atoi(port));
    return sizeof *v6;
}

static void show(const char *what, const struct sockaddr_storage *name, int with_port) {
    const struct sockaddr_in *v4 = (const void *)name;
    const struct sockaddr_in6 *v6 = (const void *)name;
    char text[INET6_ADDRSTRLEN];
    int is_v4 = name->ss_family == AF_INET;
    inet_ntop(name->ss_family, is_v4 ? (const void *)&v4->sin_addr : &v6->sin6_addr, text,
              sizeof text);
    if (with_port)
        printf("%s: %s port %d\n", what, text, ntohs(is_v4 ? v4->sin_port : v6->sin6_port));
    else
        printf("%s: %s\n", what, text);
}

static void names(int fd) {
    struct sockaddr_storage name;
    socklen_t len = sizeof name;
    if (getsockname(fd, (void *)&name, &len) == 0)
        show("own", &name, 0);
    len = sizeof name;
    if (getpeername(fd, (void *)&name, &len) == 0)
        show("peer", &name, 1);
    else
        tell("getpeername", -1);
}

static int dial(int kind, const char *host, const char *port) {
    struct sockaddr_storage to;
    socklen_t len = address(host, port, &to);
    int fd = socket(to.ss_family, kind, 0);
    if (fd < 0)
        fail("socket");
    if (tell("connect", connect(fd, (void *)&to, len)) < 0)
        exit(1);
    return fd;
}

static int serve(const char *host, const char *port) {
    struct sockaddr_storage at;
    socklen_t len = address(host, port, &at);
    int fd = socket(at.ss_family, SOCK_STREAM, 0);
    if (bind(fd, (void *)&at, len) < 0)
        fail("bind");
    if (listen(fd, 4) < 0)
        fail("listen");
    printf("listening\n");
    return fd;
}

static void whole(int fd, const char *data, size_t len) {
    while (len > 0) {
        ssize_t sent = write(fd, data, len);
        if (sent < 0)
            fail("write");
        data += sent;
        len -= sent;
    }
}

/* HOST PORT TEXT: sends it, ends its direction, prints what comes until the end. */
static void talk(char **args) {
    int fd = dial(SOCK_STREAM, args[0], args[1]);
    names(fd);
    whole(fd, args[2], strlen(args[2]));
    tell("shutdown", shutdown(fd, SHUT_WR));
    for (;;) {
        ssize_t len = read(fd, buffer, sizeof buffer);
        if (len <= 0) {
            tell("read", len);
            break;
        }
        printf("got %.*s\n", (int)len, buffer);
    }
    tell("write", send(fd, "x", 1, MSG_NOSIGNAL));
}

/* HOST PORT: takes one connection, sends back what comes until the end. */
static void answer(char **args) {
    int listener = serve(args[0], args[1]);
    struct sockaddr_storage from;
    socklen_t from_len = sizeof from;
    int fd = accept(listener, (void *)&from, &from_len);
    if (fd < 0)
        fail("accept");
    show("from", &from, 1);
    names(fd);
    ssize_t len;
    while ((len = read(fd, buffer, sizeof buffer)) > 0)
        whole(fd, buffer, len);
    tell("read", len);
}

/* HOST PORT: computes without a pause until somebody connects, sleeps until that ends, and computes
   again. */
static void spins(char **args) {
    int listener = serve(args[0], args[1]);
    fcntl(listener, F_SETFL, O_NONBLOCK);
    volatile unsigned count = 0;
    int fd;
    do
        for (unsigned i = 0; i < 1000000; i++)
            count++;
    while ((fd = accept(listener, NULL, NULL)) < 0);
    read(fd, buffer, sizeof buffer);
    for (;;)
        count++;
}

static uint8_t pattern(uint64_t at) { return (uint8_t)(at * 2654435761u >> 13); }

/* HOST PORT BYTES: sends so many and checks that they come back. */
static void pump(char **args) {
    int fd = dial(SOCK_STREAM, args[0], args[1]);
    uint64_t total = strtoull(args[2], NULL, 10), sent = 0, got = 0;
    static char in[1 << 17];
    fcntl(fd, F_SETFL, O_NONBLOCK);
    while (got < total) {
        struct pollfd poll_fd = {fd, POLLIN | (sent < total ? POLLOUT : 0), 0};
        if (poll(&poll_fd, 1, -1) < 0)
            fail("poll");
        if (sent < total && poll_fd.revents & POLLOUT) {
            size_t len = total - sent < sizeof buffer ? total - sent : sizeof buffer;
            for (size_t at = 0; at < len; at++)
                buffer[at] = pattern(sent + at);
            ssize_t done = write(fd, buffer, len);
            if (done < 0 && errno != EAGAIN)
                fail("write");
            sent += done > 0 ? done : 0;
            if (sent == total)
                shutdown(fd, SHUT_WR);
        }
        if (poll_fd.revents & (POLLIN | POLLHUP | POLLERR)) {
            ssize_t len = read(fd, in, sizeof in);
            if (len == 0 || (len < 0 && errno != EAGAIN)) {
                tell("read", len);
                exit(1);
            }
            for (ssize_t at = 0; at < len; at++, got++)
                if ((uint8_t)in[at] != pattern(got)) {
                    printf("byte %llu is wrong\n", (unsigned long long)got);
                    exit(1);
                }
        }
    }
    fcntl(fd, F_SETFL, 0);
    tell("end", read(fd, in, sizeof in));
    printf("pumped %llu\n", (unsigned long long)got);
}

/* HOST PORT BYTES PART: sends so many, as fast as it goes, so many at once. */
static void flood(char **args) {
    int fd = dial(SOCK_STREAM, args[0], args[1]);
    size_t size = atoi(args[3]);
    char *part = calloc(1, size);
    for (long long left = atoll(args[2]); left > 0; left -= size)
        whole(fd, part, size);
    close(fd);
}

/* HOST PORT PART: takes one connection, throws away what comes until the end, so many bytes at once
   at most. */
static void drain(char **args) {
    int listener = serve(args[0], args[1]);
    int fd = accept(listener, NULL, NULL);
    if (fd < 0)
        fail("accept");
    size_t size = atoi(args[2]);
    char *part = calloc(1, size);
    long long total = 0;
    ssize_t len;
    while ((len = read(fd, part, size)) > 0)
        total += len;
    printf("drained %lld\n", total);
}

/* HOST PORT COUNT: so many connections at once, each gets back what it sends. */
static void many(char **args) {
    struct sockaddr_storage to;
    socklen_t len = address(args[0], args[1], &to);
    int count = atoi(args[2]), done = 0, set = epoll_create1(0);
    int *fds = calloc(count, sizeof *fds);
    for (int at = 0; at < count; at++) {
        fds[at] = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (fds[at] < 0)
            fail("socket");
        if (connect(fds[at], (void *)&to, len) == 0 || errno != EINPROGRESS)
            fail("connect");
        struct epoll_event event = {EPOLLOUT, {.u32 = at}};
        epoll_ctl(set, EPOLL_CTL_ADD, fds[at], &event);
    }
    while (done < count) {
        struct epoll_event events[64];
        int ready = epoll_wait(set, events, 64, -1);
        for (int i = 0; i < ready; i++) {
            int at = events[i].data.u32;
            uint32_t word = at;
            if (events[i].events & EPOLLOUT) {
                int error = 0;
                socklen_t size = sizeof error;
                getsockopt(fds[at], SOL_SOCKET, SO_ERROR, &error, &size);
                if (error) {
                    errno = error;
                    fail("connecting");
                }
                if (write(fds[at], &word, sizeof word) != sizeof word)
                    fail("write");
                struct epoll_event event = {EPOLLIN, {.u32 = at}};
                epoll_ctl(set, EPOLL_CTL_MOD, fds[at], &event);
            } else {
                if (read(fds[at], &word, sizeof word) != sizeof word || word != (uint32_t)at)
                    fail("read");
                struct epoll_event event = {0, {.u32 = at}};
                epoll_ctl(set, EPOLL_CTL_MOD, fds[at], &event);
                done++;
            }
        }
    }
    printf("done %d\n", done);
}

/* HOST PORT: says how connecting ends, blocking and not. */
static void refused(char **args) {
    struct sockaddr_storage to;
    socklen_t len = address(args[0], args[1], &to);
    int fd = socket(to.ss_family, SOCK_STREAM, 0);
    tell("connect", connect(fd, (void *)&to, len));
    names(fd);
    close(fd);
    fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connect(fd, (void *)&to, len) == 0)
        fail("connected");
    if (errno == EINPROGRESS) {
        struct pollfd poll_fd = {fd, POLLOUT, 0};
        poll(&poll_fd, 1, -1);
        printf("events %x\n", poll_fd.revents);
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
        errno = error;
    }
    tell("later", -1);
}

/* HOST PORT: what is told when the connection is broken off while it is read. */
static void broken(char **args) {
    int fd = dial(SOCK_STREAM, args[0], args[1]);
    whole(fd, "ready", 5);
    tell("read", read(fd, buffer, sizeof buffer));
    tell("again", read(fd, buffer, sizeof buffer));
    tell("write", send(fd, "x", 1, MSG_NOSIGNAL));
    close(fd);
}

/* HOST PORT: fills the connection until nothing more goes, then says how much that was, waits for a
   byte, and sends the rest of it. */
static void fill(char **args) {
    int fd = dial(SOCK_STREAM, args[0], args[1]);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    long long total = 0;
    struct pollfd poll_fd = {fd, POLLOUT, 0};
    while (poll(&poll_fd, 1, 300) > 0) {
        ssize_t sent = write(fd, buffer, sizeof buffer);
        if (sent < 0 && errno != EAGAIN)
            fail("write");
        total += sent > 0 ? sent : 0;
    }
    printf("filled %lld\n", total);
    fcntl(fd, F_SETFL, 0);
    shutdown(fd, SHUT_WR);
    tell("read", read(fd, buffer, sizeof buffer));
}

/* HOST PORT: datagrams of many sizes, each to come back as it was, connected and not. */
static void datagrams(char **args) {
    static const int sizes[] = {0, 1, 100, 1500, 9000, 65507};
    struct sockaddr_storage to, from;
    socklen_t len = address(args[0], args[1], &to), from_len = sizeof from;
    int fd = socket(to.ss_family, SOCK_DGRAM, 0);
    for (int connected = 0; connected < 2; connected++) {
        if (connected && tell("connect", connect(fd, (void *)&to, len)) < 0)
            exit(1);
        for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            for (int at = 0; at < sizes[i]; at++)
                buffer[at] = pattern(i + at);
            tell("send", connected ? send(fd, buffer, sizes[i], 0)
                                   : sendto(fd, buffer, sizes[i], 0, (void *)&to, len));
            ssize_t got = recvfrom(fd, buffer, sizeof buffer, 0, (void *)&from, &from_len);
            tell("receive", got);
            for (int at = 0; at < got; at++)
                if ((uint8_t)buffer[at] != pattern(i + at))
                    fail("another datagram");
        }
        show("from", &from, 1);
    }
    names(fd);
    tell("too long", send(fd, buffer, 65536, 0));
}

/* PORT: answers datagrams from anybody, three of them. */
static void echo_datagrams(char **args) {
    struct sockaddr_storage at, from;
    socklen_t len = address("0.0.0.0", args[0], &at);
    int fd = socket(at.ss_family, SOCK_DGRAM, 0);
    if (bind(fd, (void *)&at, len) < 0)
        fail("bind");
    printf("listening\n");
    for (int i = 0; i < 3; i++) {
        socklen_t from_len = sizeof from;
        ssize_t got = recvfrom(fd, buffer, sizeof buffer, 0, (void *)&from, &from_len);
        show("from", &from, 1);
        sendto(fd, buffer, got, 0, (void *)&from, from_len);
    }
}

/* HOST PORT: a refused datagram. */
static void unwanted(char **args) {
    int fd = dial(SOCK_DGRAM, args[0], args[1]);
    tell("send", send(fd, "x", 1, 0));
    tell("receive", recv(fd, buffer, sizeof buffer, 0));
}

/* NAME...: their addresses. */
static void resolve(char **args) {
    for (; *args; args++) {
        static const int flags[] = {0, AI_ADDRCONFIG};
        for (int i = 0; i < 2; i++) {
            struct addrinfo hints = {.ai_flags = flags[i], .ai_socktype = SOCK_STREAM}, *found;
            int error = getaddrinfo(*args, "80", &hints, &found);
            if (error) {
                printf("%s: no address (%d)\n", *args, error == EAI_NONAME);
                continue;
            }
            for (struct addrinfo *one = found; one; one = one->ai_next)
                show(*args, (void *)one->ai_addr, 1);
            freeaddrinfo(found);
        }
    }
}

/* The interfaces, by ioctl. */
static void interfaces(char **args) {
    (void)args;
    struct ifreq requests[8];
    struct ifconf list = {sizeof requests, {(void *)requests}};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (ioctl(fd, SIOCGIFCONF, &list) < 0)
        fail("SIOCGIFCONF");
    for (unsigned i = 0; i < list.ifc_len / sizeof *requests; i++) {
        struct ifreq request = requests[i];
        struct sockaddr_storage found = {0};
        memcpy(&found, &request.ifr_addr, sizeof request.ifr_addr);
        show(request.ifr_name, &found, 0);
        ioctl(fd, SIOCGIFNETMASK, &request);
        memcpy(&found, &request.ifr_addr, sizeof request.ifr_addr);
        show("mask", &found, 0);
        ioctl(fd, SIOCGIFFLAGS, &request);
        printf("flags %x index %u\n", request.ifr_flags, if_nametoindex(request.ifr_name));
    }
}

static const struct {
    const char *name;
    void (*run)(char **);
    int arguments;
} COMMANDS[] = {
    {"talk", talk, 3},           {"answer", answer, 2},
    {"spins", spins, 2},
    {"pump", pump, 3},           {"many", many, 3},
    {"refused", refused, 2},     {"broken", broken, 2},
    {"fill", fill, 2},           {"datagrams", datagrams, 2},
    {"unwanted", unwanted, 2},   {"echo-datagrams", echo_datagrams, 1},
    {"flood", flood, 4},         {"drain", drain, 3},
    {"resolve", resolve, 1},     {"interfaces", interfaces, 0},
};

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (unsigned i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++)
        if (argc > 1 + COMMANDS[i].arguments && strcmp(argv[1], COMMANDS[i].name) == 0) {
            COMMANDS[i].run(argv + 2);
            return 0;
        }
    fprintf(stderr, "no such command\n");
    return 2;
}
