/* TCP and UDP over loopback, IPv4 and IPv6: names and ports, connections from beginning to end,
   options, errors, readiness. Prints what each call answers. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

static int signals;

static void count(int signal) {
    (void)signal;
    signals++;
}

/* A socket that is connected to itself. */
static int own;

static void stay_on_one_processor(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(sched_getcpu(), &set);
    sched_setaffinity(0, sizeof set, &set);
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof name;
    own = socket(AF_INET, SOCK_DGRAM, 0);
    bind(own, (void *)&name, len);
    getsockname(own, (void *)&name, &len);
    connect(own, (void *)&name, len);
}

/* Waits until what was sent has arrived, and what came of that. Linux delivers over loopback at once,
   but leaves it to a thread of its own when there is much; of one processor, in order. */
static void settle(void) {
    char byte;
    int was = errno;
    for (int rounds = 0; rounds < 3; rounds++) {
        send(own, "", 1, 0);
        recv(own, &byte, 1, 0);
    }
    errno = was;
}

/* What a call answered, with its error if it failed. */
static long tell(const char *what, long answer) {
    if (answer < 0)
        printf("%s: %s\n", what, strerror(errno));
    else
        printf("%s: %ld\n", what, answer);
    settle();
    return answer;
}

static void events(const char *what, int fd) {
    struct pollfd asked = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0};
    settle();
    poll(&asked, 1, 0);
    printf("%s:%s%s%s%s%s%s\n", what, asked.revents & POLLIN ? " in" : "",
           asked.revents & POLLOUT ? " out" : "", asked.revents & POLLPRI ? " pri" : "",
           asked.revents & POLLRDHUP ? " rdhup" : "", asked.revents & POLLHUP ? " hup" : "",
           asked.revents & POLLERR ? " err" : "");
}

union name {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static socklen_t name_of(union name *name, const char *address, int port) {
    memset(name, 0, sizeof *name);
    if (strchr(address, ':')) {
        name->v6.sin6_family = AF_INET6;
        name->v6.sin6_port = htons(port);
        inet_pton(AF_INET6, address, &name->v6.sin6_addr);
        return sizeof name->v6;
    }
    name->v4.sin_family = AF_INET;
    name->v4.sin_port = htons(port);
    inet_pton(AF_INET, address, &name->v4.sin_addr);
    return sizeof name->v4;
}

static int bind_to(int fd, const char *address, int port) {
    union name name;
    socklen_t len = name_of(&name, address, port);
    return bind(fd, &name.any, len);
}

static int connect_to(int fd, const char *address, int port) {
    union name name;
    socklen_t len = name_of(&name, address, port);
    return connect(fd, &name.any, len);
}

static int send_to(int fd, const char *text, const char *address, int port) {
    union name name;
    socklen_t len = name_of(&name, address, port);
    return sendto(fd, text, strlen(text), 0, &name.any, len);
}

/* An address without its port. */
static void show(const char *what, union name *name, socklen_t len) {
    char text[64] = "";
    int port = ntohs(name->v4.sin_port);
    if (len == 0)
        strcpy(text, "nothing");
    else if (name->any.sa_family == AF_INET)
        inet_ntop(AF_INET, &name->v4.sin_addr, text, sizeof text);
    else
        inet_ntop(AF_INET6, &name->v6.sin6_addr, text, sizeof text);
    printf("%s: %s, %u bytes, %s\n", what, text, (unsigned)len, port ? "a port" : "no port");
}

static int port_of(int fd) {
    union name name;
    socklen_t len = sizeof name;
    getsockname(fd, &name.any, &len);
    return ntohs(name.v4.sin_port);
}

static void names(const char *what, int fd) {
    union name name;
    socklen_t len = sizeof name;
    char text[64];
    memset(&name, 0, sizeof name);
    snprintf(text, sizeof text, "%s: name", what);
    getsockname(fd, &name.any, &len);
    show(text, &name, len);
    len = sizeof name;
    snprintf(text, sizeof text, "%s: peer", what);
    if (getpeername(fd, &name.any, &len) == 0)
        show(text, &name, len);
    else
        tell(text, -1);
}

static int option(int fd, int level, int name) {
    int value = -1;
    socklen_t len = sizeof value;
    if (getsockopt(fd, level, name, &value, &len) < 0)
        return -errno;
    return value;
}

static int set(int fd, int level, int name, int value) {
    return setsockopt(fd, level, name, &value, sizeof value);
}

static int error(int fd) {
    return option(fd, SOL_SOCKET, SO_ERROR);
}

static int listener(const char *address, int backlog) {
    int fd = socket(strchr(address, ':') ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
    bind_to(fd, address, 0);
    listen(fd, backlog);
    return fd;
}

/* A connection: the client's end and the server's. */
static void connected(int *client, int *server) {
    int listens = listener("127.0.0.1", 5);
    *client = socket(AF_INET, SOCK_STREAM, 0);
    connect_to(*client, "127.0.0.1", port_of(listens));
    *server = accept(listens, NULL, NULL);
    close(listens);
}

static void making(void) {
    tell("tcp", socket(AF_INET, SOCK_STREAM, IPPROTO_TCP) >= 0);
    tell("udp", socket(AF_INET6, SOCK_DGRAM, IPPROTO_UDP) >= 0);
    tell("stream of udp", socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
    tell("datagrams of tcp", socket(AF_INET, SOCK_DGRAM, IPPROTO_TCP));
    tell("packets", socket(AF_INET, SOCK_SEQPACKET, 0));
    tell("no protocol", socket(AF_INET, SOCK_STREAM, 9999));
    tell("raw of no protocol", socket(AF_INET, SOCK_RAW, 0));
    tell("appletalk", socket(AF_APPLETALK, SOCK_DGRAM, 0));
    int pair[2];
    tell("socketpair", socketpair(AF_INET, SOCK_DGRAM, 0, pair));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    names("new", fd);
    events("new", fd);
    char byte;
    tell("read", read(fd, &byte, 1));
    tell("send", send(fd, "x", 1, MSG_NOSIGNAL));
    tell("shutdown", shutdown(fd, SHUT_RDWR));
    tell("accept", accept(fd, NULL, NULL));
    close(fd);
}

static void binding(void) {
    union name name;
    int one = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0);
    tell("bind to another host", bind_to(one, "192.0.2.1", 0));
    tell("bind a short address", bind(one, &name.any, 8));
    name_of(&name, "127.0.0.1", 0);
    name.any.sa_family = AF_UNIX;
    tell("bind another family", bind(one, &name.any, sizeof name.v4));
    name_of(&name, "0.0.0.0", 0);
    name.any.sa_family = AF_UNSPEC;
    tell("bind no family", bind(one, &name.any, sizeof name.v4));
    names("bound", one);
    tell("bind again", bind_to(one, "127.0.0.1", 0));
    tell("same port", bind_to(other, "127.0.0.1", port_of(one)));
    set(one, SOL_SOCKET, SO_REUSEADDR, 1);
    set(other, SOL_SOCKET, SO_REUSEADDR, 1);
    close(one);
    one = socket(AF_INET, SOCK_STREAM, 0);
    set(one, SOL_SOCKET, SO_REUSEADDR, 1);
    bind_to(one, "127.0.0.1", 0);
    tell("same port, both reuse", bind_to(other, "127.0.0.1", port_of(one)));
    tell("listen", listen(one, 1));
    tell("both listen", listen(other, 1));
    int third = socket(AF_INET, SOCK_STREAM, 0);
    set(third, SOL_SOCKET, SO_REUSEADDR, 1);
    tell("bind while one listens", bind_to(third, "0.0.0.0", port_of(one)));
    tell("bind another address", bind_to(third, "127.0.0.2", port_of(one)));
    close(one);
    close(other);
    close(third);
    one = socket(AF_INET, SOCK_STREAM, 0);
    other = socket(AF_INET, SOCK_STREAM, 0);
    set(one, SOL_SOCKET, SO_REUSEPORT, 1);
    set(other, SOL_SOCKET, SO_REUSEPORT, 1);
    bind_to(one, "127.0.0.1", 0);
    tell("shared port", bind_to(other, "127.0.0.1", port_of(one)));
    tell("listen", listen(one, 1));
    tell("both listen", listen(other, 1));
    close(one);
    close(other);
    one = socket(AF_INET, SOCK_STREAM, 0);
    tell("listen unbound", listen(one, 1));
    names("listening", one);
    tell("connect it", connect_to(one, "127.0.0.1", 1));
    close(one);
    one = socket(AF_INET6, SOCK_STREAM, 0);
    other = socket(AF_INET, SOCK_STREAM, 0);
    tell("IPv6", bind_to(one, "::", 0));
    tell("IPv4 on the same port", bind_to(other, "0.0.0.0", port_of(one)));
    tell("V6ONLY once bound", set(one, IPPROTO_IPV6, IPV6_V6ONLY, 1));
    close(one);
    one = socket(AF_INET6, SOCK_STREAM, 0);
    tell("V6ONLY", set(one, IPPROTO_IPV6, IPV6_V6ONLY, 1));
    printf("V6ONLY %d\n", option(one, IPPROTO_IPV6, IPV6_V6ONLY));
    tell("IPv6", bind_to(one, "::", 0));
    tell("IPv4 on the same port", bind_to(other, "0.0.0.0", port_of(one)));
    tell("mapped", connect_to(one, "::ffff:127.0.0.1", 1));
    close(one);
    close(other);
}

static void connecting(void) {
    int server = listener("127.0.0.1", 5), client = socket(AF_INET, SOCK_STREAM, 0);
    int port = port_of(server);
    char buffer[64];
    tell("set SO_KEEPALIVE", set(server, SOL_SOCKET, SO_KEEPALIVE, 1));
    tell("set TCP_NODELAY", set(server, IPPROTO_TCP, TCP_NODELAY, 1));
    events("listening", server);
    names("listening", server);
    tell("connect", connect_to(client, "127.0.0.1", port));
    names("client", client);
    events("connected", client);
    events("listening", server);
    tell("connect again", connect_to(client, "127.0.0.1", port));
    tell("bind", bind_to(client, "127.0.0.1", 0));
    tell("listen", listen(client, 1));
    tell("send before accept", send(client, "early", 5, 0));
    union name name;
    socklen_t len = sizeof name;
    int accepted = accept4(server, &name.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    tell("accept", accepted >= 0);
    show("from", &name, len);
    printf("flags %d %d\n", fcntl(accepted, F_GETFD), (fcntl(accepted, F_GETFL) & O_NONBLOCK) != 0);
    printf("inherited %d %d\n", option(accepted, SOL_SOCKET, SO_KEEPALIVE),
           option(accepted, IPPROTO_TCP, TCP_NODELAY));
    names("accepted", accepted);
    printf("same port %d\n", port_of(accepted) == port);
    tell("peek", recv(accepted, buffer, 2, MSG_PEEK));
    int unread = -1;
    ioctl(accepted, FIONREAD, &unread);
    printf("unread %d\n", unread);
    tell("throw away", recv(accepted, NULL, 2, MSG_TRUNC));
    len = sizeof name;
    tell("recvfrom", recvfrom(accepted, buffer, 10, 0, &name.any, &len));
    printf("%.3s from %u bytes\n", buffer, (unsigned)len);
    tell("empty", read(accepted, buffer, 1));
    tell("write", write(accepted, "answer", 6));
    tell("sendto", sendto(accepted, "more", 4, 0, &name.any, sizeof name.v4));
    tell("wait for all", recv(client, buffer, 10, MSG_WAITALL));
    tell("bad flags", recv(client, buffer, 1, MSG_OOB));
    tell("shut writing", shutdown(client, SHUT_WR));
    events("half closed", client);
    events("half closed, peer", accepted);
    tell("end", read(accepted, buffer, 1));
    tell("end again", read(accepted, buffer, 1));
    tell("the other way", write(accepted, "back", 4));
    tell("read", read(client, buffer, 10));
    signals = 0;
    tell("write", write(client, "x", 1));
    printf("signals %d\n", signals);
    tell("shut the rest", shutdown(accepted, SHUT_WR));
    events("both shut", client);
    names("both shut", client);
    tell("shut again", shutdown(client, SHUT_RDWR));
    printf("error %d\n", error(client));
    close(client);
    close(accepted);
    client = socket(AF_INET, SOCK_STREAM, 0);
    tell("connect", connect_to(client, "127.0.0.1", port));
    close(server);
    settle();
    events("server closed", client);
    tell("read", read(client, buffer, 1));
    tell("read", read(client, buffer, 1));
    close(client);
}

static void refused(void) {
    int client = socket(AF_INET, SOCK_STREAM, 0), spare = socket(AF_INET, SOCK_STREAM, 0);
    bind_to(spare, "127.0.0.1", 0);
    int port = port_of(spare);
    tell("nobody listens", connect_to(client, "127.0.0.1", port));
    printf("error %d\n", error(client));
    events("refused", client);
    tell("again", connect_to(client, "127.0.0.1", port));
    fcntl(client, F_SETFL, O_NONBLOCK);
    tell("without waiting", connect_to(client, "127.0.0.1", port));
    settle();
    events("refused", client);
    printf("error %d\n", error(client) == ECONNREFUSED);
    printf("error %d\n", error(client));
    tell("again", connect_to(client, "127.0.0.1", port));
    tell("again", connect_to(client, "127.0.0.1", port));
    settle();
    tell("again", connect_to(client, "127.0.0.1", port));
    listen(spare, 1);
    tell("somebody listens", connect_to(client, "127.0.0.1", port));
    settle();
    events("there", client);
    printf("error %d\n", error(client));
    tell("again", connect_to(client, "127.0.0.1", port));
    tell("again", connect_to(client, "127.0.0.1", port));
    union name name = {.any.sa_family = AF_UNSPEC};
    int accepted = accept(spare, NULL, NULL);
    tell("disconnect", connect(client, &name.any, sizeof name.v4));
    names("disconnected", client);
    char byte;
    tell("peer", read(accepted, &byte, 1));
    tell("connect another family", connect(client, &name.any, 1));
    tell("to many", connect_to(client, "224.0.0.1", 80));
    tell("to all", connect_to(client, "255.255.255.255", 80));
    tell("unspecified", connect_to(client, "0.0.0.0", port));
    settle();
    names("unspecified", client);
    close(accepted);
    close(client);
    client = socket(AF_INET, SOCK_STREAM, 0);
    name_of(&name, "::1", port);
    tell("IPv6 from IPv4", connect(client, &name.any, sizeof name.v6));
    close(client);
    close(spare);
}

static void breaking(void) {
    int client, server;
    char buffer[64];
    connected(&client, &server);
    write(client, "unread", 6);
    settle();
    close(server);
    settle();
    events("closed with bytes unread", client);
    printf("error %s\n", strerror(error(client)));
    tell("read", read(client, buffer, 1));
    signals = 0;
    tell("write", write(client, "x", 1));
    printf("signals %d\n", signals);
    close(client);

    connected(&client, &server);
    write(server, "last", 4);
    close(server);
    settle();
    events("closed", client);
    tell("first write", write(client, "x", 1));
    settle();
    events("written", client);
    tell("read", read(client, buffer, 10));
    tell("second write", send(client, "x", 1, MSG_NOSIGNAL));
    tell("third write", send(client, "x", 1, MSG_NOSIGNAL));
    tell("read", read(client, buffer, 10));
    close(client);

    connected(&client, &server);
    struct linger linger = {1, 0};
    tell("linger", setsockopt(server, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    write(server, "kept", 4);
    settle();
    close(server);
    settle();
    events("broken off", client);
    tell("read", read(client, buffer, 10));
    tell("read", read(client, buffer, 10));
    tell("read", read(client, buffer, 10));
    close(client);

    connected(&client, &server);
    tell("shut reading", shutdown(server, SHUT_RD));
    events("shut reading", server);
    tell("read", read(server, buffer, 1));
    tell("peer writes", write(client, "x", 1));
    settle();
    tell("read", read(server, buffer, 1));
    close(client);
    close(server);

    int listens = listener("127.0.0.1", 5);
    tell("stop listening", shutdown(listens, SHUT_RD));
    tell("accept", accept(listens, NULL, NULL));
    close(listens);
}

static void urgent(void) {
    int client, server, mark = -1;
    char buffer[16];
    connected(&client, &server);
    tell("nothing urgent", recv(server, buffer, 1, MSG_OOB));
    write(client, "abc", 3);
    tell("send urgent", send(client, "de!", 3, MSG_OOB));
    write(client, "fg", 2);
    settle();
    events("urgent", server);
    tell("read up to it", read(server, buffer, 10));
    ioctl(server, SIOCATMARK, &mark);
    printf("at the mark %d\n", mark);
    tell("peek", recv(server, buffer, 1, MSG_OOB | MSG_PEEK));
    tell("urgent", recv(server, buffer, 1, MSG_OOB));
    printf("%c\n", buffer[0]);
    events("read", server);
    tell("once", recv(server, buffer, 1, MSG_OOB));
    tell("go on", read(server, buffer, 10));
    ioctl(server, SIOCATMARK, &mark);
    printf("at the mark %d\n", mark);
    set(server, SOL_SOCKET, SO_OOBINLINE, 1);
    write(client, "x", 1);
    send(client, "!", 1, MSG_OOB);
    write(client, "y", 1);
    settle();
    tell("not beside the stream", recv(server, buffer, 1, MSG_OOB));
    tell("before it", read(server, buffer, 10));
    ioctl(server, SIOCATMARK, &mark);
    printf("at the mark %d\n", mark);
    tell("it and the rest", read(server, buffer, 10));
    close(client);
    close(server);
}

static void *drain(void *argument) {
    int fd = *(int *)argument;
    static char buffer[10000];
    long total = 0, part;
    while ((part = read(fd, buffer, sizeof buffer)) > 0)
        total += part;
    return (void *)total;
}

static void flowing(void) {
    enum { SIZE = 3000000 };
    static char data[SIZE];
    int client, server;
    pthread_t reader;
    void *total;
    connected(&client, &server);
    pthread_create(&reader, NULL, drain, &server);
    tell("send much", send(client, data, SIZE, 0));
    int file = open("/tmp/data", O_CREAT | O_RDWR | O_TRUNC, 0600);
    write(file, data, 100000);
    off_t at = 0;
    tell("sendfile", sendfile(client, file, &at, 100000));
    struct iovec pieces[] = {{data, 10}, {data, 20}, {data, 30}};
    tell("writev", writev(client, pieces, 3));
    close(client);
    pthread_join(reader, &total);
    printf("read %ld\n", (long)total);
    close(server);
    close(file);

    connected(&client, &server);
    fcntl(client, F_SETFL, O_NONBLOCK);
    long sent = 0, part;
    for (;;) {
        while ((part = send(client, data, SIZE, 0)) > 0)
            sent += part;
        usleep(5000);
        if ((part = send(client, data, SIZE, 0)) < 0)
            break;
        sent += part;
    }
    tell("full", part);
    events("full", client);
    int set = epoll_create1(0);
    struct epoll_event event = {EPOLLOUT | EPOLLIN | EPOLLET, {.fd = 1}};
    epoll_ctl(set, EPOLL_CTL_ADD, client, &event);
    tell("no edge", epoll_wait(set, &event, 1, 0));
    pthread_create(&reader, NULL, drain, &server);
    tell("edge", epoll_wait(set, &event, 1, -1));
    printf("events %x\n", event.events);
    shutdown(client, SHUT_WR);
    pthread_join(reader, &total);
    printf("all read %d\n", (long)total == sent);
    close(set);
    close(client);
    close(server);

    connected(&client, &server);
    struct timeval time = {0, 20000};
    setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    tell("in time", read(client, data, 1));
    int listens = listener("127.0.0.1", 1);
    setsockopt(listens, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    tell("accept in time", accept(listens, NULL, NULL));
    close(listens);
    close(client);
    close(server);
}

static void both_families(void) {
    char buffer[16];
    int server = listener("::", 5), port = port_of(server);
    int old = socket(AF_INET, SOCK_STREAM, 0), new = socket(AF_INET6, SOCK_STREAM, 0);
    int mapped = socket(AF_INET6, SOCK_STREAM, 0);
    tell("IPv4", connect_to(old, "127.0.0.1", port));
    int accepted = accept(server, NULL, NULL);
    names("accepted", accepted);
    close(accepted);
    tell("IPv6", connect_to(new, "::1", port));
    accepted = accept(server, NULL, NULL);
    names("accepted", accepted);
    close(accepted);
    tell("mapped", connect_to(mapped, "::ffff:127.0.0.1", port));
    names("mapped", mapped);
    accepted = accept(server, NULL, NULL);
    write(accepted, "hi", 2);
    tell("read", read(mapped, buffer, 10));
    close(accepted);
    close(server);
    close(old);
    close(new);
    close(mapped);
    server = listener("::1", 5);
    old = socket(AF_INET, SOCK_STREAM, 0);
    tell("IPv4 to IPv6 alone", connect_to(old, "127.0.0.1", port_of(server)));
    close(old);
    close(server);
}

static void datagrams(void) {
    union name name;
    socklen_t len = sizeof name;
    char buffer[64];
    static char big[70000];
    int one = socket(AF_INET, SOCK_DGRAM, 0), other = socket(AF_INET, SOCK_DGRAM, 0);
    events("new", one);
    tell("send to nobody", send(one, "x", 1, 0));
    bind_to(one, "127.0.0.1", 0);
    int port = port_of(one);
    tell("sendto", send_to(other, "hello", "127.0.0.1", port));
    names("sender", other);
    events("there", one);
    tell("recvfrom", recvfrom(one, buffer, sizeof buffer, 0, &name.any, &len));
    show("from", &name, len);
    tell("answer", sendto(one, "answer", 6, 0, &name.any, len));
    tell("cut", recv(other, buffer, 3, MSG_TRUNC));
    tell("empty", recv(other, buffer, 3, MSG_DONTWAIT));
    tell("empty datagram", send_to(other, "", "127.0.0.1", port));
    tell("read", read(one, buffer, 10));
    tell("too big", sendto(other, big, 65508, 0, &name.any, len));
    name_of(&name, "127.0.0.1", port);
    tell("biggest", sendto(other, big, 65507, 0, &name.any, len));
    tell("read", recv(one, big, sizeof big, 0));
    tell("to port 0", send_to(other, "x", "127.0.0.1", 0));
    tell("to all", send_to(other, "x", "255.255.255.255", 9));
    tell("connect", connect_to(other, "127.0.0.1", port));
    names("connected", other);
    tell("send", send(other, "connected", 9, 0));
    tell("sendto all the same", send_to(other, "elsewhere", "127.0.0.1", port));
    tell("read", read(one, buffer, 20));
    tell("read", read(one, buffer, 20));
    int third = socket(AF_INET, SOCK_DGRAM, 0);
    tell("from a third", send_to(third, "x", "127.0.0.1", port_of(other)));
    tell("not for who is connected", recv(other, buffer, 1, MSG_DONTWAIT));
    name.any.sa_family = AF_UNSPEC;
    tell("disconnect", connect(other, &name.any, sizeof name.v4));
    names("disconnected", other);
    connect_to(other, "127.0.0.1", port);
    close(one);
    tell("to nobody", send(other, "x", 1, 0));
    settle();
    events("refused", other);
    tell("read", recv(other, buffer, 1, MSG_DONTWAIT));
    tell("read", recv(other, buffer, 1, MSG_DONTWAIT));
    tell("to nobody", send(other, "x", 1, 0));
    settle();
    tell("to nobody", send(other, "x", 1, 0));
    settle();
    printf("error %s\n", strerror(error(other)));
    printf("error %d\n", error(other));
    tell("unconnected to nobody", send_to(third, "x", "127.0.0.1", port));
    settle();
    tell("and again", send_to(third, "x", "127.0.0.1", port));
    tell("listen", listen(third, 1));
    tell("shutdown", shutdown(third, SHUT_RD));
    tell("read", recv(third, buffer, 1, 0));
    tell("shut writing", shutdown(other, SHUT_WR));
    signals = 0;
    tell("send", send(other, "x", 1, 0));
    printf("signals %d\n", signals);
    close(other);
    close(third);

    one = socket(AF_INET6, SOCK_DGRAM, 0);
    other = socket(AF_INET, SOCK_DGRAM, 0);
    bind_to(one, "::", 0);
    send_to(other, "old", "127.0.0.1", port_of(one));
    len = sizeof name;
    tell("IPv4 to IPv6", recvfrom(one, buffer, 10, 0, &name.any, &len));
    show("from", &name, len);
    tell("and back", sendto(one, "back", 4, 0, &name.any, len));
    tell("read", read(other, buffer, 10));
    close(one);
    close(other);
    one = socket(AF_INET, SOCK_DGRAM, 0);
    other = socket(AF_INET, SOCK_DGRAM, 0);
    bind_to(one, "127.0.0.1", 0);
    tell("same port", bind_to(other, "127.0.0.1", port_of(one)));
    set(one, SOL_SOCKET, SO_REUSEADDR, 1);
    set(other, SOL_SOCKET, SO_REUSEADDR, 1);
    tell("same port, both reuse", bind_to(other, "127.0.0.1", port_of(one)));
    close(one);
    close(other);
}

/* Control messages of datagrams: where to, how far. */
static void notes(void) {
    int one = socket(AF_INET, SOCK_DGRAM, 0), other = socket(AF_INET, SOCK_DGRAM, 0);
    char buffer[16], control[256];
    bind_to(one, "0.0.0.0", 0);
    set(one, IPPROTO_IP, IP_PKTINFO, 1);
    set(one, IPPROTO_IP, IP_RECVTTL, 1);
    set(one, IPPROTO_IP, IP_RECVTOS, 1);
    set(other, IPPROTO_IP, IP_TTL, 17);
    set(other, IPPROTO_IP, IP_TOS, 0x10);
    send_to(other, "noted", "127.0.0.1", port_of(one));
    struct iovec piece = {buffer, sizeof buffer};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control,
                             .msg_controllen = sizeof control};
    tell("recvmsg", recvmsg(one, &message, 0));
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        printf("note %d %d %zu", header->cmsg_level, header->cmsg_type, (size_t)header->cmsg_len);
        if (header->cmsg_type == IP_TTL)
            printf(" ttl %d", *(int *)CMSG_DATA(header));
        if (header->cmsg_type == IP_TOS)
            printf(" tos %d", *CMSG_DATA(header));
        if (header->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(header), sizeof info);
            printf(" on %d to %s", info.ipi_ifindex, inet_ntoa(info.ipi_addr));
        }
        printf("\n");
    }
    close(one);
    close(other);
}

static void options(void) {
    static const struct {
        int level, name, value;
    } all[] = {
        {SOL_SOCKET, SO_REUSEADDR, 1}, {SOL_SOCKET, SO_REUSEPORT, 1}, {SOL_SOCKET, SO_KEEPALIVE, 1},
        {SOL_SOCKET, SO_BROADCAST, 1}, {SOL_SOCKET, SO_OOBINLINE, 1}, {SOL_SOCKET, SO_PRIORITY, 3},
        {SOL_SOCKET, SO_RCVLOWAT, 5}, {SOL_SOCKET, SO_SNDLOWAT, 5},
        {SOL_SOCKET, SO_SNDBUF, 50000}, {SOL_SOCKET, SO_RCVBUF, 50000}, {SOL_SOCKET, SO_TYPE, 1},
        {SOL_SOCKET, SO_PROTOCOL, 1}, {SOL_SOCKET, SO_DOMAIN, 1}, {SOL_SOCKET, SO_ACCEPTCONN, 1},
        {IPPROTO_TCP, TCP_NODELAY, 1}, {IPPROTO_TCP, TCP_CORK, 1}, {IPPROTO_TCP, TCP_KEEPIDLE, 77},
        {IPPROTO_TCP, TCP_KEEPIDLE, 0}, {IPPROTO_TCP, TCP_KEEPINTVL, 33}, {IPPROTO_TCP, TCP_KEEPCNT, 5},
        {IPPROTO_TCP, TCP_KEEPCNT, 128}, {IPPROTO_TCP, TCP_SYNCNT, 3}, {IPPROTO_TCP, TCP_QUICKACK, 1},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, 1234}, {IPPROTO_TCP, TCP_USER_TIMEOUT, -1},
        {IPPROTO_TCP, TCP_MAXSEG, 1000}, {IPPROTO_TCP, TCP_MAXSEG, 10}, {IPPROTO_TCP, 9999, 1},
        {IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 2},
        {IPPROTO_IP, IP_TTL, 33}, {IPPROTO_IP, IP_TTL, 0}, {IPPROTO_IP, IP_TTL, 256},
        {IPPROTO_IP, IP_TOS, 0x10}, {IPPROTO_IP, IP_MTU_DISCOVER, 2}, {IPPROTO_IP, IP_MTU_DISCOVER, 99},
        {IPPROTO_IP, IP_RECVERR, 1}, {IPPROTO_IP, IP_PKTINFO, 1}, {IPPROTO_IP, IP_FREEBIND, 1},
        {IPPROTO_IP, IP_MULTICAST_TTL, 9}, {IPPROTO_IP, IP_MULTICAST_LOOP, 0}, {IPPROTO_IP, 9999, 1},
        {IPPROTO_IPV6, IPV6_V6ONLY, 1}, {IPPROTO_IPV6, IPV6_UNICAST_HOPS, 9},
        {IPPROTO_IPV6, IPV6_UNICAST_HOPS, 256}, {IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 9},
        {IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0}, {IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 2},
        {IPPROTO_IPV6, IPV6_RECVPKTINFO, 1}, {IPPROTO_IPV6, IPV6_TCLASS, 256}, {IPPROTO_IPV6, 9999, 1},
        {IPPROTO_UDP, 1, 1}, {9999, 1, 1},
    };
    for (int kind = 0; kind < 4; kind++) {
        printf("-- options of %s over IPv%d\n", kind & 1 ? "UDP" : "TCP", kind & 2 ? 6 : 4);
        for (unsigned at = 0; at < sizeof all / sizeof *all; at++) {
            int fd = socket(kind & 2 ? AF_INET6 : AF_INET, kind & 1 ? SOCK_DGRAM : SOCK_STREAM, 0);
            printf("%d %d: %d", all[at].level, all[at].name, option(fd, all[at].level, all[at].name));
            int answer = set(fd, all[at].level, all[at].name, all[at].value);
            printf(", set %d: %s", all[at].value, answer < 0 ? strerror(errno) : "yes");
            printf(", then %d\n", option(fd, all[at].level, all[at].name));
            close(fd);
        }
    }
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    char text[16] = "";
    socklen_t len = sizeof text;
    tell("TCP_CONGESTION", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
    tell("no such", setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "none such", 9));
    tell("TCP_CONGESTION", getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, text, &len));
    printf("%s\n", text);
    struct tcp_info info;
    len = sizeof info;
    tell("TCP_INFO", getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
    printf("state %d\n", info.tcpi_state);
    tell("too short", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, text, 2));
    close(fd);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ip_mreqn group = {0};
    inet_aton("127.0.0.1", &group.imr_multiaddr);
    tell("join no group", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group));
    inet_aton("224.0.0.77", &group.imr_multiaddr);
    inet_aton("127.0.0.1", &group.imr_address);
    tell("join on lo", setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group));
    tell("leave", setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof group));
    tell("leave again", setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof group));
    tell("send from lo", setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &group.imr_address, 4));
    inet_aton("192.0.2.77", &group.imr_address);
    tell("send from elsewhere", setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &group.imr_address, 4));
    close(fd);
}

static void interfaces(void) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct ifreq request;
    memset(&request, 0, sizeof request);
    strcpy(request.ifr_name, "lo");
    tell("SIOCGIFINDEX", ioctl(fd, SIOCGIFINDEX, &request));
    printf("index %d\n", request.ifr_ifindex);
    tell("SIOCGIFNAME", ioctl(fd, SIOCGIFNAME, &request));
    printf("name %s\n", request.ifr_name);
    tell("SIOCGIFADDR", ioctl(fd, SIOCGIFADDR, &request));
    printf("address %s\n", inet_ntoa(((struct sockaddr_in *)&request.ifr_addr)->sin_addr));
    tell("SIOCGIFNETMASK", ioctl(fd, SIOCGIFNETMASK, &request));
    printf("mask %s\n", inet_ntoa(((struct sockaddr_in *)&request.ifr_addr)->sin_addr));
    tell("SIOCGIFFLAGS", ioctl(fd, SIOCGIFFLAGS, &request));
    printf("flags %x\n", request.ifr_flags & (IFF_UP | IFF_LOOPBACK | IFF_RUNNING | IFF_BROADCAST));
    tell("SIOCGIFMTU", ioctl(fd, SIOCGIFMTU, &request));
    printf("mtu %d\n", request.ifr_mtu);
    tell("SIOCGIFHWADDR", ioctl(fd, SIOCGIFHWADDR, &request));
    printf("hardware %d\n", request.ifr_hwaddr.sa_family);
    strcpy(request.ifr_name, "none0");
    tell("no such", ioctl(fd, SIOCGIFINDEX, &request));
    printf("if_nametoindex %u\n", if_nametoindex("lo"));
    tell("unknown", ioctl(fd, 0x1234, &request));
    int on = 1;
    tell("FIONBIO", ioctl(fd, FIONBIO, &on));
    printf("nonblocking %d\n", (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    close(fd);
}

static void *connect_later(void *argument) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    usleep(10000);
    connect_to(fd, "127.0.0.1", *(int *)argument);
    send(fd, "later", 5, 0);
    usleep(10000);
    close(fd);
    return NULL;
}

static void waiting(void) {
    int server = listener("127.0.0.1", 5), port = port_of(server);
    char buffer[16];
    pthread_t thread;
    pthread_create(&thread, NULL, connect_later, &port);
    int accepted = accept(server, NULL, NULL);
    tell("accepted", accepted >= 0);
    struct pollfd asked = {accepted, POLLIN, 0};
    tell("poll", poll(&asked, 1, -1));
    tell("read", read(accepted, buffer, 16));
    tell("end", read(accepted, buffer, 16));
    pthread_join(thread, NULL);
    close(accepted);
    /* As many as may wait, and one more. */
    int clients[6];
    listen(server, 3);
    for (int at = 0; at < 4; at++) {
        clients[at] = socket(AF_INET, SOCK_STREAM, 0);
        connect_to(clients[at], "127.0.0.1", port);
    }
    clients[4] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    tell("one more", connect_to(clients[4], "127.0.0.1", port));
    events("waits", clients[4]);
    tell("still", connect_to(clients[4], "127.0.0.1", port));
    for (int at = 0; at < 5; at++)
        close(clients[at]);
    close(server);
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, count);
    stay_on_one_processor();
    mkdir("/tmp", 0777);
    making();
    binding();
    connecting();
    refused();
    breaking();
    urgent();
    flowing();
    both_families();
    datagrams();
    notes();
    options();
    interfaces();
    waiting();
    return 0;
}
