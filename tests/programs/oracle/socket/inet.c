/* TCP and UDP over loopback: connections, refusals, ends, options. */
#include "../tell.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>

static struct sockaddr_in address;
static socklen_t len;

static struct sockaddr_in *at(uint32_t host, uint16_t port) {
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(host)};
    return &address;
}

static uint16_t port_of(int fd) {
    struct sockaddr_in own;
    socklen_t size = sizeof own;
    must(getsockname(fd, (void *)&own, &size));
    return ntohs(own.sin_port);
}

static int listener(int backlog) {
    int fd = must(socket(AF_INET, SOCK_STREAM, 0));
    must(bind(fd, (void *)at(INADDR_LOOPBACK, 0), sizeof address));
    must(listen(fd, backlog));
    return fd;
}

static void connected(int ends[2]) {
    int fd = listener(5);
    ends[0] = must(socket(AF_INET, SOCK_STREAM, 0));
    must(connect(ends[0], (void *)at(INADDR_LOOPBACK, port_of(fd)), sizeof address));
    ends[1] = must(accept(fd, NULL, NULL));
    close(fd);
}

static void events(const char *what, int fd) {
    struct pollfd asked = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0};
    poll(&asked, 1, 0);
    printf("%s: events %#x\n", what, asked.revents);
}

static void await(int fd, short wanted) {
    struct pollfd asked = {fd, wanted, 0};
    poll(&asked, 1, 5000);
}

static void making(void) {
    call(socket, "raw", AF_INET, SOCK_SEQPACKET, 0);
    call(socket, "TCP of another protocol", AF_INET, SOCK_STREAM, IPPROTO_UDP);
    call(socket, "unknown protocol", AF_INET, SOCK_STREAM, 999);
    made(socket, "TCP", AF_INET, SOCK_STREAM, IPPROTO_TCP);
    made(socket, "UDP", AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    made(socket, "TCP over IPv6", AF_INET6, SOCK_STREAM, 0);
    int fd = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0);
    call(bind, "too short", fd, at(INADDR_LOOPBACK, 0), 4);
    at(INADDR_LOOPBACK, 0)->sin_family = AF_INET6;
    call(bind, "another family", fd, &address, sizeof address);
    call(bind, "an address that is not ours", fd, at(0x01020304, 0), sizeof address);
    call(bind, "any port", fd, at(INADDR_LOOPBACK, 0), sizeof address);
    printf("a port was given %d\n", port_of(fd) != 0);
    call(bind, "again", fd, &address, sizeof address);
    call(bind, "taken", other, at(INADDR_LOOPBACK, port_of(fd)), sizeof address);
    len = sizeof address;
    call(getpeername, "not connected", fd, &address, &len);
    call(accept, "not listening", fd, NULL, NULL);
    call(connect, "nobody listens", other, at(INADDR_LOOPBACK, port_of(fd)), sizeof address);
    call(connect, "too short", other, &address, 4);
    call(connect, "an unknown family", other, &(struct sockaddr){77}, sizeof(struct sockaddr));
    call(connect, "nowhere to go", socket(AF_INET, SOCK_STREAM, 0), at(0x01020304, 80), sizeof address);
    call(listen, "it", fd, 0);
    call(connect, "a listener", fd, at(INADDR_LOOPBACK, 9), sizeof address);
    call(listen, "again, more", fd, 100000);
    call(listen, "UDP", socket(AF_INET, SOCK_DGRAM, 0), 1);
}

static void connecting(void) {
    int fd = listener(5), other = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    call(accept4, "nobody", fd, NULL, NULL, SOCK_CLOEXEC);
    call(connect, "not waiting", other, at(INADDR_LOOPBACK, port_of(fd)), sizeof address);
    await(other, POLLOUT);
    len = sizeof error;
    call(getsockopt, "SO_ERROR", other, SOL_SOCKET, SO_ERROR, &error, &len);
    printf("error %d\n", error);
    call(connect, "again", other, &address, sizeof address);
    call(connect, "once more", other, &address, sizeof address);
    await(fd, POLLIN);
    len = sizeof address;
    int taken = call(accept4, "it", fd, &address, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    printf("peer is right %d, size %u, close-on-exec %d\n", ntohs(address.sin_port) == port_of(other), len, fcntl(taken, F_GETFD));
    call(getpeername, "it", taken, &address, &len);
    printf("the same %d\n", ntohs(address.sin_port) == port_of(other));
    int gone = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), free_port = socket(AF_INET, SOCK_STREAM, 0);
    bind(free_port, (void *)at(INADDR_LOOPBACK, 0), sizeof address);
    long answer = syscall(SYS_connect, gone, at(INADDR_LOOPBACK, port_of(free_port)), sizeof address);
    printf("refused or under way %d\n", answer == -1 && (errno == EINPROGRESS || errno == ECONNREFUSED));
    /* On loopback the refusal comes at once; it is told once. */
    await(gone, POLLOUT);
    len = sizeof error;
    getsockopt(gone, SOL_SOCKET, SO_ERROR, &error, &len);
    printf("told %s\n", error == 0 || error == ECONNREFUSED ? "refused" : strerrorname_np(error));
    events("after it", gone);
}

static void moving(void) {
    int ends[2];
    char text[32] = "";
    connected(ends);
    signal(SIGPIPE, SIG_IGN);
    events("fresh", ends[0]);
    call(sendto, "some", ends[0], "hello", 5ul, 0, NULL, 0);
    call(recvfrom, "peek", ends[1], text, 3ul, MSG_PEEK, NULL, NULL);
    call(ioctl, "FIONREAD", ends[1], FIONREAD, &len);
    printf("there %u\n", len);
    call(recvfrom, "thrown away", ends[1], text, 2ul, MSG_TRUNC, NULL, NULL);
    call(recvfrom, "the rest", ends[1], text, 32ul, 0, NULL, NULL);
    call(recvfrom, "nothing there", ends[1], text, 32ul, MSG_DONTWAIT, NULL, NULL);
    call(sendto, "urgent", ends[0], "ab!", 3ul, MSG_OOB, NULL, 0);
    await(ends[1], POLLPRI);
    events("urgent", ends[1]);
    call(recvfrom, "the urgent byte", ends[1], text, 1ul, MSG_OOB, NULL, NULL);
    call(recvfrom, "again", ends[1], text, 1ul, MSG_OOB, NULL, NULL);
    call(recvfrom, "up to it", ends[1], text, 32ul, 0, NULL, NULL);
    struct iovec parts[2] = {{"one", 3}, {"two", 3}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    call(sendmsg, "two parts", ends[0], &message, MSG_NOSIGNAL);
    call(recvfrom, "all of it", ends[1], text, 6ul, MSG_WAITALL, NULL, NULL);
    printf("%.6s\n", text);
    call(shutdown, "to write", ends[0], SHUT_WR);
    await(ends[1], POLLRDHUP);
    events("half closed", ends[1]);
    call(recvfrom, "half closed", ends[1], text, 6ul, 0, NULL, NULL);
    call(sendto, "half closed, own half", ends[0], "x", 1ul, MSG_NOSIGNAL, NULL, 0);
    call(sendto, "the other half", ends[1], "back", 4ul, 0, NULL, 0);
    call(recvfrom, "the other half", ends[0], text, 32ul, 0, NULL, NULL);
    call(shutdown, "unknown way", ends[0], 9);
    call(shutdown, "not connected", socket(AF_INET, SOCK_STREAM, 0), SHUT_RD);
    close(ends[1]);
    call(recvfrom, "closed", ends[0], text, 32ul, 0, NULL, NULL);
    /* Closed with unread data, or without lingering: a reset. */
    connected(ends);
    send(ends[0], "unread", 6, 0);
    await(ends[1], POLLIN);
    close(ends[1]);
    await(ends[0], POLLHUP);
    call(recvfrom, "reset", ends[0], text, 32ul, 0, NULL, NULL);
    call(recvfrom, "told once", ends[0], text, 32ul, 0, NULL, NULL);
    call(sendto, "after it", ends[0], "x", 1ul, MSG_NOSIGNAL, NULL, 0);
    connected(ends);
    setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    close(ends[1]);
    await(ends[0], POLLHUP);
    events("reset", ends[0]);
    call(read, "reset", ends[0], text, 32ul);
    call(sendto, "not connected", socket(AF_INET, SOCK_STREAM, 0), "x", 1ul, MSG_NOSIGNAL, NULL, 0);
    call(recvfrom, "not connected", socket(AF_INET, SOCK_STREAM, 0), text, 1ul, 0, NULL, NULL);
}

static void datagrams(void) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0), other = socket(AF_INET, SOCK_DGRAM, 0);
    char text[32] = "";
    bind(fd, (void *)at(INADDR_LOOPBACK, 0), sizeof address);
    uint16_t port = port_of(fd);
    call(sendto, "no destination", other, "x", 1ul, 0, NULL, 0);
    call(sendto, "it", other, "hello", 5ul, 0, at(INADDR_LOOPBACK, port), sizeof address);
    call(sendto, "empty", other, "", 0ul, 0, at(INADDR_LOOPBACK, port), sizeof address);
    call(sendto, "too large", other, calloc(1, 70000), 70000ul, 0, at(INADDR_LOOPBACK, port), sizeof address);
    call(sendto, "port 0", other, "x", 1ul, 0, at(INADDR_LOOPBACK, 0), sizeof address);
    call(sendto, "too short an address", other, "x", 1ul, 0, at(INADDR_LOOPBACK, port), 4);
    len = sizeof address;
    call(recvfrom, "cut", fd, text, 2ul, MSG_TRUNC, &address, &len);
    printf("from the right port %d, size %u\n", ntohs(address.sin_port) == port_of(other), len);
    call(recvfrom, "empty", fd, text, 32ul, 0, NULL, NULL);
    call(recvfrom, "nothing there", fd, text, 32ul, MSG_DONTWAIT, NULL, NULL);
    call(connect, "a port", other, at(INADDR_LOOPBACK, port), sizeof address);
    call(sendto, "connected", other, "x", 1ul, 0, NULL, 0);
    call(connect, "no more", other, &(struct sockaddr){AF_UNSPEC}, sizeof(struct sockaddr));
    call(getpeername, "no more", other, &address, &len);
    connect(other, (void *)at(INADDR_LOOPBACK, port), sizeof address);
    close(fd);
    call(sendto, "nobody there", other, "x", 1ul, 0, NULL, 0);
    await(other, POLLERR);
    call(sendto, "told of it", other, "x", 1ul, 0, NULL, 0);
    call(recvfrom, "told of it again", other, text, 1ul, MSG_DONTWAIT, NULL, NULL);
}

static void options(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), value, on = 1;
    struct { const char *name; int level, option; } flags[] = {
        {"SO_REUSEADDR", SOL_SOCKET, SO_REUSEADDR}, {"SO_REUSEPORT", SOL_SOCKET, SO_REUSEPORT},
        {"SO_KEEPALIVE", SOL_SOCKET, SO_KEEPALIVE}, {"SO_BROADCAST", SOL_SOCKET, SO_BROADCAST},
        {"SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE}, {"TCP_NODELAY", IPPROTO_TCP, TCP_NODELAY},
        {"TCP_CORK", IPPROTO_TCP, TCP_CORK}, {"TCP_QUICKACK", IPPROTO_TCP, TCP_QUICKACK},
    };
    for (unsigned each = 0; each < sizeof flags / sizeof *flags; each++) {
        value = 7, len = sizeof value;
        call(getsockopt, flags[each].name, fd, flags[each].level, flags[each].option, &value, &len);
        printf("  at first %d, size %u\n", value, len);
        call(setsockopt, flags[each].name, fd, flags[each].level, flags[each].option, &on, sizeof on);
        call(getsockopt, flags[each].name, fd, flags[each].level, flags[each].option, &value, &len);
        printf("  then %d\n", value);
    }
    struct { const char *name; int level, option, set; } numbers[] = {
        {"SO_PRIORITY", SOL_SOCKET, SO_PRIORITY, 5}, {"SO_RCVLOWAT", SOL_SOCKET, SO_RCVLOWAT, 10},
        {"SO_SNDBUF", SOL_SOCKET, SO_SNDBUF, 20000}, {"SO_RCVBUF", SOL_SOCKET, SO_RCVBUF, 20000},
        {"TCP_KEEPIDLE", IPPROTO_TCP, TCP_KEEPIDLE, 100}, {"TCP_KEEPINTVL", IPPROTO_TCP, TCP_KEEPINTVL, 20},
        {"TCP_KEEPCNT", IPPROTO_TCP, TCP_KEEPCNT, 4}, {"TCP_USER_TIMEOUT", IPPROTO_TCP, TCP_USER_TIMEOUT, 5000},
        {"TCP_DEFER_ACCEPT", IPPROTO_TCP, TCP_DEFER_ACCEPT, 0}, {"IP_TOS", IPPROTO_IP, IP_TOS, 16}, {"IP_TTL", IPPROTO_IP, IP_TTL, 33},
    };
    for (unsigned each = 0; each < sizeof numbers / sizeof *numbers; each++) {
        call(setsockopt, numbers[each].name, fd, numbers[each].level, numbers[each].option, &numbers[each].set, sizeof value);
        call(getsockopt, numbers[each].name, fd, numbers[each].level, numbers[each].option, &value, &len);
        printf("  %d\n", value);
    }
    struct { const char *name; int option; } told[] = {{"SO_TYPE", SO_TYPE}, {"SO_DOMAIN", SO_DOMAIN},
        {"SO_PROTOCOL", SO_PROTOCOL}, {"SO_ACCEPTCONN", SO_ACCEPTCONN}, {"SO_ERROR", SO_ERROR}};
    for (unsigned each = 0; each < sizeof told / sizeof *told; each++) {
        len = sizeof value;
        call(getsockopt, told[each].name, fd, SOL_SOCKET, told[each].option, &value, &len);
        printf("  %d\n", value);
        call(setsockopt, told[each].name, fd, SOL_SOCKET, told[each].option, &value, len);
    }
    struct timeval time = {1, 500000};
    call(setsockopt, "SO_RCVTIMEO", fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    time = (struct timeval){0, 0}, len = sizeof time;
    call(getsockopt, "SO_RCVTIMEO", fd, SOL_SOCKET, SO_RCVTIMEO, &time, &len);
    printf("  %ld %ld\n", time.tv_sec, time.tv_usec);
    time = (struct timeval){0, 1000000};
    call(setsockopt, "SO_SNDTIMEO, too many microseconds", fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
    struct linger linger = {1, 5};
    call(setsockopt, "SO_LINGER", fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    call(setsockopt, "too short", fd, SOL_SOCKET, SO_REUSEADDR, &on, 2);
    call(setsockopt, "nowhere", fd, SOL_SOCKET, SO_REUSEADDR, NOWHERE, 4);
    call(setsockopt, "unknown option", fd, SOL_SOCKET, 9999, &on, 4);
    call(setsockopt, "unknown level", fd, 9999, 1, &on, 4);
    call(setsockopt, "unknown TCP option", fd, IPPROTO_TCP, 9999, &on, 4);
    call(setsockopt, "not a socket", 0, SOL_SOCKET, SO_REUSEADDR, &on, 4);
    call(setsockopt, "TCP of UDP", socket(AF_INET, SOCK_DGRAM, 0), IPPROTO_TCP, TCP_NODELAY, &on, 4);
    len = 4;
    call(getsockopt, "unknown option", fd, SOL_SOCKET, 9999, &value, &len);
    call(getsockopt, "unknown level", fd, 9999, 1, &value, &len);
    call(getsockopt, "nowhere", fd, SOL_SOCKET, SO_TYPE, NOWHERE, &len);
    call(getsockopt, "size nowhere", fd, SOL_SOCKET, SO_TYPE, &value, NOWHERE);
    call(getsockopt, "not a socket", 0, SOL_SOCKET, SO_TYPE, &value, &len);
    len = -1;
    call(getsockopt, "negative size", fd, SOL_SOCKET, SO_TYPE, &value, &len);
    len = 2, value = -1;
    call(getsockopt, "cut", fd, SOL_SOCKET, SO_TYPE, &value, &len);
    printf("  %#x, size %u\n", value, len);
}

static void both_versions(void) {
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = in6addr_any}, found;
    int fd = socket(AF_INET6, SOCK_STREAM, 0), only = 1, off = 0;
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    call(bind, "any address of IPv6", fd, &any, sizeof any);
    call(listen, "it", fd, 5);
    uint16_t port = port_of(fd);
    int other = socket(AF_INET, SOCK_STREAM, 0);
    call(connect, "by IPv4", other, at(INADDR_LOOPBACK, port), sizeof address);
    len = sizeof found;
    int taken = must(accept(fd, (void *)&found, &len));
    printf("mapped %d, size %u\n", IN6_IS_ADDR_V4MAPPED(&found.sin6_addr), len);
    struct sockaddr_in6 own = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback, .sin6_port = htons(port)};
    other = socket(AF_INET6, SOCK_STREAM, 0);
    call(connect, "by IPv6", other, &own, sizeof own);
    call(setsockopt, "IPV6_V6ONLY after bind", fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    fd = socket(AF_INET6, SOCK_STREAM, 0);
    call(setsockopt, "IPV6_V6ONLY", fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof only);
    any.sin6_port = 0;
    bind(fd, (void *)&any, sizeof any), listen(fd, 5);
    call(connect, "by IPv4, IPv6 only", socket(AF_INET, SOCK_STREAM, 0), at(INADDR_LOOPBACK, port_of(fd)), sizeof address);
    close(taken);
}

int main(void) {
    making();
    connecting();
    moving();
    datagrams();
    options();
    both_versions();
    return 0;
}
