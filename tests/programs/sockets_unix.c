/* Unix sockets: streams, datagrams, sequenced packets, names, options, errors, descriptors and
   credentials passed along, readiness. Prints what each call answers. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int signals;
/* An address where nothing is, which the compiler is not to know. */
static char *volatile nowhere = (char *)8;

static void count(int signal) {
    (void)signal;
    signals++;
}

/* What a call answered, with its error if it failed. */
static long tell(const char *what, long answer) {
    if (answer < 0)
        printf("%s: %s\n", what, strerror(errno));
    else
        printf("%s: %ld\n", what, answer);
    return answer;
}

static void events(const char *what, int fd) {
    struct pollfd asked = {fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0};
    poll(&asked, 1, 0);
    printf("%s:%s%s%s%s%s%s\n", what, asked.revents & POLLIN ? " in" : "",
           asked.revents & POLLOUT ? " out" : "", asked.revents & POLLPRI ? " pri" : "",
           asked.revents & POLLRDHUP ? " rdhup" : "", asked.revents & POLLHUP ? " hup" : "",
           asked.revents & POLLERR ? " err" : "");
}

static socklen_t name_of(struct sockaddr_un *address, const char *name) {
    memset(address, 0, sizeof *address);
    address->sun_family = AF_UNIX;
    if (name[0] == '@') {
        memcpy(address->sun_path + 1, name + 1, strlen(name) - 1);
        return offsetof(struct sockaddr_un, sun_path) + strlen(name);
    }
    strcpy(address->sun_path, name);
    return offsetof(struct sockaddr_un, sun_path) + strlen(name) + 1;
}

static int bind_to(int fd, const char *name) {
    struct sockaddr_un address;
    socklen_t len = name_of(&address, name);
    return bind(fd, (struct sockaddr *)&address, len);
}

static int connect_to(int fd, const char *name) {
    struct sockaddr_un address;
    socklen_t len = name_of(&address, name);
    return connect(fd, (struct sockaddr *)&address, len);
}

static void show(const char *what, struct sockaddr_un *address, socklen_t len) {
    printf("%s: %u bytes", what, (unsigned)len);
    if (len > offsetof(struct sockaddr_un, sun_path)) {
        if (address->sun_path[0])
            printf(" %s", address->sun_path);
        else
            printf(" @%.*s", (int)(len - offsetof(struct sockaddr_un, sun_path) - 1),
                   address->sun_path + 1);
    }
    printf("\n");
}

static void names(const char *what, int fd) {
    struct sockaddr_un address;
    socklen_t len = sizeof address;
    char text[64];
    memset(&address, 0, sizeof address);
    if (getsockname(fd, (struct sockaddr *)&address, &len) == 0) {
        snprintf(text, sizeof text, "%s: name", what);
        show(text, &address, len);
    }
    len = sizeof address;
    memset(&address, 0, sizeof address);
    snprintf(text, sizeof text, "%s: peer", what);
    if (getpeername(fd, (struct sockaddr *)&address, &len) == 0)
        show(text, &address, len);
    else
        tell(text, -1);
}

static int option(int fd, int name) {
    int value = -1;
    socklen_t len = sizeof value;
    if (getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0)
        return -errno;
    return value;
}

static void making(void) {
    tell("socket of no family", socket(9999, SOCK_STREAM, 0));
    tell("socket of AF_UNSPEC", socket(AF_UNSPEC, SOCK_STREAM, 0));
    tell("socket of no type", socket(AF_UNIX, 77, 0));
    tell("socket of type RDM", socket(AF_UNIX, SOCK_RDM, 0));
    tell("socket with unknown flags", socket(AF_UNIX, SOCK_STREAM | 0x100000, 0));
    tell("socket with a protocol", socket(AF_UNIX, SOCK_STREAM, 6));
    int pair[2];
    tell("socketpair of inet", socketpair(AF_INET, SOCK_STREAM, 0, pair));
    tell("socketpair of nothing", socketpair(AF_UNIX, 77, 0, pair));
    tell("socketpair to nowhere", socketpair(AF_UNIX, SOCK_STREAM, 0, NULL));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, PF_UNIX);
    printf("flags %d %d\n", fcntl(fd, F_GETFD), (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    struct stat status;
    fstat(fd, &status);
    printf("mode %o\n", status.st_mode);
    char link[64] = "", path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    tell("readlink", readlink(path, link, sizeof link) > 0);
    printf("link %.8s\n", link);
    tell("open a socket", open(path, O_RDWR));
    tell("seek", lseek(fd, 0, SEEK_SET));
    tell("pread", pread(fd, path, 1, 0));
    tell("read unconnected", read(fd, path, 1));
    tell("send unconnected", send(fd, "x", 1, MSG_NOSIGNAL));
    tell("accept unbound", accept(fd, NULL, NULL));
    tell("listen unbound", listen(fd, 1));
    tell("shutdown unconnected", shutdown(fd, SHUT_RDWR));
    tell("shutdown wrongly", shutdown(fd, 3));
    names("unconnected", fd);
    close(fd);
    fd = open("/dev/null", O_RDWR);
    tell("listen on a file", listen(fd, 1));
    tell("listen on nothing", listen(999, 1));
    tell("getsockopt on a file", getsockopt(fd, SOL_SOCKET, SO_TYPE, path, (socklen_t[]){4}));
    close(fd);
}

static void options(void) {
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0), value;
    printf("type %d domain %d protocol %d accepts %d error %d\n", option(fd, SO_TYPE),
           option(fd, SO_DOMAIN), option(fd, SO_PROTOCOL), option(fd, SO_ACCEPTCONN),
           option(fd, SO_ERROR));
    printf("buffers %d %d\n", option(fd, SO_SNDBUF), option(fd, SO_RCVBUF));
    value = 10000;
    tell("set SO_SNDBUF", setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, sizeof value));
    value = 1;
    tell("set SO_RCVBUF", setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &value, sizeof value));
    printf("buffers %d %d\n", option(fd, SO_SNDBUF), option(fd, SO_RCVBUF));
    int flags[] = {SO_REUSEADDR, SO_KEEPALIVE, SO_BROADCAST, SO_PASSCRED, SO_OOBINLINE,
                   SO_DONTROUTE, SO_TIMESTAMP};
    for (unsigned at = 0; at < sizeof flags / sizeof *flags; at++) {
        value = 5;
        printf("flag %d: %d", flags[at], option(fd, flags[at]));
        int set = setsockopt(fd, SOL_SOCKET, flags[at], &value, sizeof value);
        printf(" %d %d\n", set, option(fd, flags[at]));
    }
    tell("set SO_TYPE", setsockopt(fd, SOL_SOCKET, SO_TYPE, &value, sizeof value));
    tell("set too short", setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, 3));
    tell("set unknown", setsockopt(fd, SOL_SOCKET, 999, &value, sizeof value));
    tell("get unknown", getsockopt(fd, SOL_SOCKET, 999, &value, (socklen_t[]){4}));
    tell("get another level", getsockopt(fd, 6, 1, &value, (socklen_t[]){4}));
    tell("set another level", setsockopt(fd, 6, 1, &value, sizeof value));
    struct linger linger = {1, 7};
    socklen_t len = sizeof linger;
    tell("set SO_LINGER", setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
    linger.l_linger = 0;
    tell("get SO_LINGER", getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len));
    printf("linger %d %d\n", linger.l_onoff, linger.l_linger);
    struct timeval time = {1, 2000000};
    tell("set a wrong time", setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time));
    time.tv_usec = 500000;
    tell("set SO_SNDTIMEO", setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time));
    memset(&time, 0, sizeof time);
    len = sizeof time;
    tell("get SO_SNDTIMEO", getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, &len));
    printf("time %ld %ld %u\n", (long)time.tv_sec, (long)time.tv_usec, (unsigned)len);
    char byte = 0;
    len = 1;
    tell("get one byte", getsockopt(fd, SOL_SOCKET, SO_TYPE, &byte, &len));
    printf("byte %d of %u\n", byte, (unsigned)len);
    close(fd);
}

static void stream_pair(void) {
    int pair[2];
    char buffer[64] = "";
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    names("pair", pair[0]);
    events("idle", pair[0]);
    tell("send", send(pair[0], "hello", 5, 0));
    tell("write", write(pair[0], " world", 6));
    events("filled", pair[1]);
    int unread = -1;
    tell("FIONREAD", ioctl(pair[1], FIONREAD, &unread));
    printf("unread %d\n", unread);
    tell("peek", recv(pair[1], buffer, 3, MSG_PEEK));
    tell("read", read(pair[1], buffer, sizeof buffer));
    printf("read %.11s\n", buffer);
    tell("empty", recv(pair[1], buffer, 1, MSG_DONTWAIT));
    tell("recv OOB", recv(pair[0], buffer, 1, MSG_OOB | MSG_DONTWAIT) < 0);
    tell("sendto an address", sendto(pair[0], "x", 1, 0, (struct sockaddr *)&(struct sockaddr_un){AF_UNIX, "/x"}, 5));
    tell("send nothing", send(pair[0], "", 0, 0));
    tell("recv nothing", recv(pair[1], buffer, 0, MSG_DONTWAIT));
    tell("bad buffer", write(pair[0], nowhere, 4));
    tell("shut writing", shutdown(pair[0], SHUT_WR));
    events("half closed", pair[1]);
    events("half closed, own", pair[0]);
    tell("end", read(pair[1], buffer, 1));
    tell("the other way", write(pair[1], "back", 4));
    tell("read back", read(pair[0], buffer, 10));
    tell("write after shutdown", write(pair[0], "x", 1));
    printf("signals %d\n", signals);
    tell("no signal", send(pair[0], "x", 1, MSG_NOSIGNAL));
    printf("signals %d\n", signals);
    write(pair[1], "unread", 6);
    close(pair[0]);
    events("closed", pair[1]);
    tell("reset", read(pair[1], buffer, 1));
    tell("then end", read(pair[1], buffer, 1));
    tell("broken", send(pair[1], "x", 1, MSG_NOSIGNAL));
    close(pair[1]);

    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    write(pair[0], "last", 4);
    close(pair[0]);
    events("closed with bytes", pair[1]);
    tell("last bytes", read(pair[1], buffer, 10));
    tell("end", read(pair[1], buffer, 10));
    printf("error %d\n", option(pair[1], SO_ERROR));
    close(pair[1]);

    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    tell("shut reading", shutdown(pair[0], SHUT_RD));
    events("shut reading", pair[0]);
    events("shut reading, peer", pair[1]);
    tell("read", read(pair[0], buffer, 1));
    tell("peer sends", send(pair[1], "x", 1, MSG_NOSIGNAL));
    close(pair[0]);
    close(pair[1]);
}

static void *read_slowly(void *argument) {
    int fd = *(int *)argument;
    static char buffer[1000];
    long total = 0, part;
    while ((part = read(fd, buffer, sizeof buffer)) > 0)
        total += part;
    return (void *)total;
}

static void blocking(void) {
    enum { SIZE = 1000000 };
    int pair[2];
    static char data[SIZE];
    pthread_t reader;
    void *total;
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    pthread_create(&reader, NULL, read_slowly, &pair[1]);
    tell("send more than fits", send(pair[0], data, SIZE, 0));
    tell("write more than fits", write(pair[0], data, SIZE));
    close(pair[0]);
    pthread_join(reader, &total);
    printf("read %ld\n", (long)total);
    close(pair[1]);

    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair);
    long filled = 0, part;
    while ((part = write(pair[0], data, 4096)) > 0)
        filled += part;
    tell("full", part);
    printf("a good deal: %d\n", filled > 50000);
    events("full", pair[0]);
    while (read(pair[1], data, SIZE) > 0)
        ;
    events("emptied", pair[0]);
    close(pair[0]);
    close(pair[1]);

    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    struct timeval time = {0, 20000};
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
    tell("recv in time", recv(pair[0], data, 1, 0));
    tell("read in time", read(pair[0], data, 1));
    tell("send in time", send(pair[0], data, SIZE, 0) > 50000);
    tell("send again", send(pair[0], data, SIZE, 0));
    close(pair[0]);
    close(pair[1]);

    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    pid_t child = fork();
    if (child == 0) {
        write(pair[1], "first", 5);
        usleep(20000);
        write(pair[1], "second", 6);
        _exit(0);
    }
    close(pair[1]);
    tell("wait for all", recv(pair[0], data, 11, MSG_WAITALL));
    printf("got %.11s\n", data);
    tell("all until the end", recv(pair[0], data, 11, MSG_WAITALL));
    waitpid(child, NULL, 0);
    close(pair[0]);
}

static void named_stream(const char *name) {
    int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un address;
    socklen_t len;
    char buffer[64];
    printf("-- stream %s\n", name);
    tell("connect to nothing", connect_to(client, name));
    tell("bind", bind_to(server, name));
    tell("bind again", bind_to(server, "@another"));
    int other = socket(AF_UNIX, SOCK_STREAM, 0);
    tell("bind another", bind_to(other, name));
    tell("connect before listen", connect_to(client, name));
    tell("listen", listen(server, 1));
    printf("accepts %d\n", option(server, SO_ACCEPTCONN));
    events("listening", server);
    tell("connect", connect_to(client, name));
    events("somebody there", server);
    tell("connect again", connect_to(client, name));
    tell("second", connect_to(other, name));
    fcntl(other, F_SETFL, O_NONBLOCK);
    int third = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    tell("third", connect_to(third, name));
    tell("send before accept", send(client, "early", 5, 0));
    names("client", client);
    len = sizeof address;
    int accepted = accept4(server, (struct sockaddr *)&address, &len, SOCK_CLOEXEC);
    tell("accept", accepted >= 0);
    printf("from %u bytes, close-on-exec %d\n", (unsigned)len, fcntl(accepted, F_GETFD));
    names("accepted", accepted);
    tell("third again", connect_to(third, name));
    tell("read", read(accepted, buffer, 10));
    len = sizeof address;
    write(client, "x", 1);
    tell("recvfrom", recvfrom(accepted, buffer, 10, 0, (struct sockaddr *)&address, &len));
    printf("from %u bytes\n", (unsigned)len);
    tell("listen twice", listen(server, 5));
    tell("connect the server", connect_to(server, name));
    tell("read the server", read(server, buffer, 1));
    struct ucred who = {0};
    len = sizeof who;
    tell("SO_PEERCRED", getsockopt(client, SOL_SOCKET, SO_PEERCRED, &who, &len));
    printf("self %d %d %d\n", who.pid == getpid(), who.uid == getuid(), who.gid == getgid());
    fcntl(server, F_SETFL, O_NONBLOCK);
    close(accept(server, NULL, NULL));
    close(accept(server, NULL, NULL));
    tell("nobody left", accept(server, NULL, NULL));
    int late = socket(AF_UNIX, SOCK_STREAM, 0);
    tell("late", connect_to(late, name));
    close(server);
    events("server closed", late);
    tell("late reads", read(late, buffer, 1));
    tell("late reads again", read(late, buffer, 1));
    int again = socket(AF_UNIX, SOCK_STREAM, 0);
    tell("connect to what was closed", connect_to(again, name));
    tell("bind to what was closed", bind_to(again, name));
    if (name[0] != '@') {
        struct stat status;
        stat(name, &status);
        printf("mode %o\n", status.st_mode);
        tell("open", open(name, O_RDWR));
        tell("unlink", unlink(name));
        tell("connect to no file", connect_to(late, name));
    }
    int all[] = {client, other, third, accepted, late, again};
    for (unsigned at = 0; at < sizeof all / sizeof *all; at++)
        close(all[at]);
}

static void naming(void) {
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct sockaddr_un address = {AF_UNIX, ""};
    socklen_t len = sizeof address;
    tell("bind to any", bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)));
    getsockname(fd, (struct sockaddr *)&address, &len);
    printf("given %u bytes, %d\n", (unsigned)len, address.sun_path[0]);
    tell("bind to any again", bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)));
    close(fd);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    address.sun_family = AF_INET;
    tell("bind another family", bind(fd, (struct sockaddr *)&address, sizeof address));
    tell("bind a short address", bind(fd, (struct sockaddr *)&address, 1));
    tell("bind a long address", bind(fd, (struct sockaddr *)&address, 200));
    tell("bind in no directory", bind_to(fd, "/tmp/none/socket"));
    tell("bind to a directory", bind_to(fd, "/tmp"));
    tell("connect to a directory", connect_to(fd, "/tmp"));
    close(open("/tmp/file", O_CREAT | O_RDWR, 0644));
    tell("connect to a file", connect_to(fd, "/tmp/file"));
    address.sun_family = AF_UNIX;
    memset(address.sun_path, 'x', sizeof address.sun_path);
    memcpy(address.sun_path, "/tmp/", 5);
    tell("bind a full path", bind(fd, (struct sockaddr *)&address, sizeof address));
    char longer[sizeof address + 2] = "";
    len = sizeof longer;
    tell("its name", getsockname(fd, (struct sockaddr *)longer, &len));
    printf("%u bytes\n", (unsigned)len);
    len = 7;
    memset(longer, 0, sizeof longer);
    tell("its name cut", getsockname(fd, (struct sockaddr *)longer, &len));
    printf("%u bytes %s\n", (unsigned)len, longer + 2);
    len = -1;
    tell("no room", getsockname(fd, (struct sockaddr *)longer, &len));
    close(fd);
    mkdir("/tmp/dir", 0755);
    chdir("/tmp/dir");
    umask(077);
    fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    tell("bind relative", bind_to(fd, "here"));
    struct stat status;
    tell("stat", stat("/tmp/dir/here", &status));
    printf("mode %o\n", status.st_mode);
    int other = socket(AF_UNIX, SOCK_STREAM, 0);
    tell("connect another type", connect_to(other, "/tmp/dir/here"));
    rename("here", "there");
    int third = socket(AF_UNIX, SOCK_DGRAM, 0);
    tell("connect to what was renamed", connect_to(third, "there"));
    symlink("there", "link");
    tell("connect through a link", connect_to(third, "link"));
    names("renamed", fd);
    close(fd);
    close(other);
    close(third);
}

static void datagrams(int kind) {
    int pair[2];
    char buffer[64];
    printf("-- %s\n", kind == SOCK_DGRAM ? "datagrams" : "packets");
    socketpair(AF_UNIX, kind, 0, pair);
    events("idle", pair[0]);
    tell("send", send(pair[0], "first message", 13, 0));
    tell("send", send(pair[0], "second", 6, 0));
    tell("send nothing", send(pair[0], "", 0, 0));
    tell("write", write(pair[0], "third", 5));
    int unread = -1;
    ioctl(pair[1], FIONREAD, &unread);
    printf("unread %d\n", unread);
    tell("peek", recv(pair[1], buffer, 4, MSG_PEEK));
    tell("peek whole", recv(pair[1], buffer, 4, MSG_PEEK | MSG_TRUNC));
    struct iovec piece = {buffer, 5};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    tell("cut", recvmsg(pair[1], &message, 0));
    printf("flags %x\n", message.msg_flags);
    tell("read", read(pair[1], buffer, sizeof buffer));
    tell("nothing", recv(pair[1], buffer, sizeof buffer, 0));
    tell("read", read(pair[1], buffer, sizeof buffer));
    tell("empty", recv(pair[1], buffer, 1, MSG_DONTWAIT));
    static char big[500000];
    tell("too big", send(pair[0], big, sizeof big, 0));
    tell("big", send(pair[0], big, 100000, 0));
    tell("big read", recv(pair[1], big, sizeof big, 0));
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    int sent = 0;
    while (send(pair[0], "0123456789", 10, 0) == 10)
        sent++;
    printf("full: %s, many %d\n", strerror(errno), sent > 100);
    events("full", pair[0]);
    while (recv(pair[1], buffer, 10, MSG_DONTWAIT) > 0)
        ;
    events("emptied", pair[0]);
    close(pair[0]);
    events("closed", pair[1]);
    signals = 0;
    tell("send to what was closed", send(pair[1], "x", 1, 0));
    tell("and again", send(pair[1], "x", 1, 0));
    if (kind == SOCK_SEQPACKET)
        tell("read", recv(pair[1], buffer, 1, MSG_DONTWAIT));
    printf("signals %d\n", signals);
    close(pair[1]);
}

static void named_datagrams(void) {
    struct sockaddr_un address;
    socklen_t len;
    char buffer[64];
    int server = socket(AF_UNIX, SOCK_DGRAM, 0), client = socket(AF_UNIX, SOCK_DGRAM, 0);
    bind_to(server, "@server");
    tell("send unconnected", send(client, "x", 1, 0));
    len = name_of(&address, "@server");
    tell("sendto", sendto(client, "one", 3, 0, (struct sockaddr *)&address, len));
    len = sizeof address;
    tell("recvfrom", recvfrom(server, buffer, 10, 0, (struct sockaddr *)&address, &len));
    printf("from %u bytes\n", (unsigned)len);
    bind_to(client, "@client");
    tell("connect", connect_to(client, "@server"));
    tell("send", send(client, "two", 3, 0));
    len = sizeof address;
    memset(&address, 0, sizeof address);
    recvfrom(server, buffer, 10, 0, (struct sockaddr *)&address, &len);
    show("from", &address, len);
    names("client", client);
    int other = socket(AF_UNIX, SOCK_DGRAM, 0);
    bind_to(other, "@other");
    len = name_of(&address, "@client");
    tell("to one connected elsewhere", sendto(other, "x", 1, 0, (struct sockaddr *)&address, len));
    tell("connect to it", connect_to(other, "@client"));
    tell("from its peer", sendto(server, "x", 1, 0, (struct sockaddr *)&address, len));
    tell("read", read(client, buffer, 10));
    fcntl(client, F_SETFL, O_NONBLOCK);
    int sent = 0;
    while (send(client, "x", 1, 0) == 1)
        sent++;
    printf("queue holds %d: %s\n", sent, strerror(errno));
    events("queue full", client);
    read(server, buffer, 1);
    events("one read", client);
    tell("listen", listen(client, 1));
    tell("accept", accept(client, NULL, NULL));
    address.sun_family = AF_UNSPEC;
    tell("disconnect", connect(client, (struct sockaddr *)&address, sizeof address));
    tell("send", send(client, "x", 1, 0));
    connect_to(client, "@server");
    close(server);
    tell("to what was closed", send(client, "x", 1, 0));
    tell("and again", send(client, "x", 1, 0));
    close(client);
    close(other);
}

static ssize_t send_files(int to, const char *text, int *files, int count) {
    char control[CMSG_SPACE(300 * sizeof(int))];
    struct iovec piece = {(void *)text, strlen(text)};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control};
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(header), files, count * sizeof(int));
    return sendmsg(to, &message, 0);
}

/* Receives, prints what came, and returns the first descriptor. */
static int receive_files(const char *what, int from, size_t room, int flags) {
    char buffer[64], control[512];
    memset(control, 0, sizeof control);
    struct iovec piece = {buffer, sizeof buffer};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control};
    message.msg_controllen = room;
    ssize_t len = recvmsg(from, &message, flags);
    if (len < 0) {
        tell(what, len);
        return -1;
    }
    printf("%s: %.*s, flags %x, control %zu", what, (int)len, buffer, message.msg_flags,
           (size_t)message.msg_controllen);
    int first = -1;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_type == SCM_RIGHTS) {
            int count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int), fd;
            printf(", %d files", count);
            for (int at = 0; at < count; at++) {
                memcpy(&fd, CMSG_DATA(header) + at * sizeof(int), sizeof fd);
                if (first < 0)
                    first = fd;
                else
                    close(fd);
            }
            printf(" close-on-exec %d", fcntl(first, F_GETFD));
        } else if (header->cmsg_type == SCM_CREDENTIALS) {
            struct ucred who;
            memcpy(&who, CMSG_DATA(header), sizeof who);
            printf(", from self %d uid %d gid %d", who.pid == getpid(), who.uid, who.gid);
        }
    }
    printf("\n");
    return first;
}

static void passing(int kind) {
    int pair[2], pipes[2], file;
    char buffer[64];
    printf("-- passing, kind %d\n", kind);
    socketpair(AF_UNIX, kind, 0, pair);
    pipe(pipes);
    tell("send one", send_files(pair[0], "pipe", &pipes[1], 1));
    close(pipes[1]);
    file = receive_files("receive", pair[1], CMSG_SPACE(sizeof(int)), 0);
    tell("write to it", write(file, "through", 7));
    close(file);
    tell("read", read(pipes[0], buffer, 10));
    tell("end", read(pipes[0], buffer, 10));
    int many[] = {0, 1, 2};
    tell("send three", send_files(pair[0], "three", many, 3));
    close(receive_files("room for two", pair[1], CMSG_LEN(2 * sizeof(int)), MSG_CMSG_CLOEXEC));
    send_files(pair[0], "lost", many, 3);
    tell("read without control", read(pair[1], buffer, 10));
    send_files(pair[0], "none", many, 1);
    close(receive_files("no room", pair[1], 0, 0));
    send_files(pair[0], "peeked", many, 2);
    close(receive_files("peek", pair[1], 200, MSG_PEEK));
    close(receive_files("receive", pair[1], 200, 0));
    send(pair[0], "before ", 7, 0);
    send_files(pair[0], "with", many, 1);
    send(pair[0], " after", 6, 0);
    close(receive_files("around", pair[1], 200, 0));
    close(receive_files("around", pair[1], 200, MSG_DONTWAIT));
    close(receive_files("around", pair[1], 200, MSG_DONTWAIT));
    int wrong = 999;
    tell("send what is not open", send_files(pair[0], "x", &wrong, 1));
    int lots[254];
    for (int at = 0; at < 254; at++)
        lots[at] = 0;
    tell("send too many", send_files(pair[0], "x", lots, 254));
    int on = 1;
    setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    send(pair[0], "told", 4, 0);
    close(receive_files("credentials", pair[1], 200, 0));
    send_files(pair[0], "both", many, 1);
    close(receive_files("both", pair[1], 200, 0));
    send(pair[0], "cut", 3, 0);
    close(receive_files("cut", pair[1], 20, 0));
    /* Into itself: never to be received. */
    send_files(pair[0], "circle", pair, 2);
    close(pair[0]);
    close(pair[1]);
    close(pipes[0]);
}

static void credentials(void) {
    int pair[2];
    socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
    int on = 1;
    setsockopt(pair[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    for (int wrong = 0; wrong < 2; wrong++) {
        char control[CMSG_SPACE(sizeof(struct ucred))];
        struct iovec piece = {"who", 3};
        struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control,
                                 .msg_controllen = sizeof control};
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        struct ucred who = {wrong ? 4000000 : getpid(), getuid(), getgid()};
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_CREDENTIALS;
        header->cmsg_len = CMSG_LEN(sizeof who);
        memcpy(CMSG_DATA(header), &who, sizeof who);
        tell("claim", sendmsg(pair[0], &message, 0));
        header->cmsg_len = CMSG_LEN(4);
        tell("claim cut", sendmsg(pair[0], &message, 0));
    }
    close(receive_files("claimed", pair[1], 200, 0));
    close(pair[0]);
    close(pair[1]);
}

static void edges(void) {
    int pair[2], set = epoll_create1(0);
    char buffer[64];
    struct epoll_event event = {EPOLLIN | EPOLLRDHUP | EPOLLET, {.fd = 1}};
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    epoll_ctl(set, EPOLL_CTL_ADD, pair[0], &event);
    tell("nothing", epoll_wait(set, &event, 1, 0));
    write(pair[1], "12345", 5);
    tell("edge", epoll_wait(set, &event, 1, -1));
    printf("events %x\n", event.events);
    tell("no second", epoll_wait(set, &event, 1, 0));
    read(pair[0], buffer, 2);
    tell("none for reading", epoll_wait(set, &event, 1, 0));
    write(pair[1], "6", 1);
    tell("edge for more", epoll_wait(set, &event, 1, 0));
    read(pair[0], buffer, 10);
    shutdown(pair[1], SHUT_WR);
    tell("edge for the end", epoll_wait(set, &event, 1, 0));
    printf("events %x\n", event.events);
    close(pair[1]);
    tell("edge for closing", epoll_wait(set, &event, 1, 0));
    printf("events %x\n", event.events);
    close(pair[0]);
    close(set);
}

static void many(void) {
    int pair[2];
    char texts[3][8], control[3][64];
    struct iovec out[3] = {{"one", 3}, {"three", 5}, {"fifteen", 7}}, in[3];
    struct mmsghdr messages[3];
    memset(messages, 0, sizeof messages);
    for (int at = 0; at < 3; at++)
        messages[at].msg_hdr = (struct msghdr){.msg_iov = &out[at], .msg_iovlen = 1};
    socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
    tell("sendmmsg", sendmmsg(pair[0], messages, 3, 0));
    printf("lengths %u %u %u\n", messages[0].msg_len, messages[1].msg_len, messages[2].msg_len);
    for (int at = 0; at < 3; at++) {
        in[at] = (struct iovec){texts[at], 8};
        messages[at].msg_hdr = (struct msghdr){.msg_iov = &in[at], .msg_iovlen = 1,
                                               .msg_control = control[at], .msg_controllen = 64};
    }
    tell("recvmmsg two", recvmmsg(pair[1], messages, 2, 0, NULL));
    printf("lengths %u %u\n", messages[0].msg_len, messages[1].msg_len);
    tell("recvmmsg what there is", recvmmsg(pair[1], messages, 3, MSG_WAITFORONE, NULL));
    tell("recvmmsg nothing", recvmmsg(pair[1], messages, 3, MSG_DONTWAIT, NULL));
    struct iovec pieces[2] = {{"ab", 2}, {"cde", 3}};
    tell("writev", writev(pair[0], pieces, 2));
    tell("read", read(pair[1], texts[0], 8));
    close(pair[0]);
    close(pair[1]);
}

static void *accept_one(void *argument) {
    int accepted = accept(*(int *)argument, NULL, NULL);
    char buffer[16];
    ssize_t len = read(accepted, buffer, sizeof buffer);
    write(accepted, buffer, len);
    close(accepted);
    return NULL;
}

static void waiting(void) {
    int server = socket(AF_UNIX, SOCK_SEQPACKET, 0), client = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    pthread_t thread;
    char buffer[16];
    bind_to(server, "@packets");
    listen(server, 5);
    pthread_create(&thread, NULL, accept_one, &server);
    usleep(10000);
    tell("connect", connect_to(client, "@packets"));
    tell("send", send(client, "ping", 4, 0));
    tell("recv", recv(client, buffer, sizeof buffer, 0));
    tell("end", recv(client, buffer, sizeof buffer, 0));
    pthread_join(thread, NULL);
    close(client);
    int first = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    listen(server, 0);
    tell("first", connect_to(first, "@packets"));
    pid_t child = fork();
    if (child == 0) {
        int second = socket(AF_UNIX, SOCK_SEQPACKET, 0);
        int answer = connect_to(second, "@packets");
        _exit(answer == 0 && send(second, "x", 1, 0) == 1 ? 7 : 1);
    }
    usleep(20000);
    close(accept(server, NULL, NULL));
    int accepted = accept(server, NULL, NULL), status;
    waitpid(child, &status, 0);
    printf("child %d\n", WEXITSTATUS(status));
    tell("read", read(accepted, buffer, 5));
    close(accepted);
    close(first);
    close(server);
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGPIPE, count);
    mkdir("/tmp", 0777);
    making();
    options();
    stream_pair();
    blocking();
    named_stream("/tmp/stream");
    named_stream("@stream");
    naming();
    datagrams(SOCK_DGRAM);
    datagrams(SOCK_SEQPACKET);
    named_datagrams();
    passing(SOCK_STREAM);
    passing(SOCK_DGRAM);
    passing(SOCK_SEQPACKET);
    credentials();
    edges();
    many();
    waiting();
    return 0;
}
