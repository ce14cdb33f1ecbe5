/* Unix sockets: what each call does and refuses, for streams, datagrams and packets. */
#include "../tell.h"
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>

static struct sockaddr_un address;
static socklen_t len;

static void name(const char *path) {
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    if (path[0] == '@')
        memcpy(address.sun_path + 1, path + 1, strlen(path) - 1);
    else
        strcpy(address.sun_path, path);
    len = offsetof(struct sockaddr_un, sun_path) + strlen(path) + (path[0] != '@');
}

/* A call with the address of a name. */
#define named(which, what, fd, path) (name(path), call(which, what, fd, &address, len))

static void show(const char *what, int fd, int peer) {
    struct sockaddr_un found;
    socklen_t size = sizeof found;
    memset(&found, 0, sizeof found);
    long answer = syscall(peer ? SYS_getpeername : SYS_getsockname, fd, &found, &size);
    tell(peer ? "getpeername" : "getsockname", what, answer);
    if (answer == 0)
        printf("  %u bytes, %c%.*s\n", size, size > 2 && !found.sun_path[0] ? '@' : ' ', (int)size - 2,
               size > 2 ? found.sun_path + !found.sun_path[0] : "");
}

static void making(void) {
    int pair[2];
    call(socket, "unknown family", 77, SOCK_STREAM, 0);
    call(socket, "family -1", -1, SOCK_STREAM, 0);
    call(socket, "unknown kind", AF_UNIX, 77, 0);
    call(socket, "unknown flag", AF_UNIX, SOCK_STREAM | 0x100000, 0);
    call(socket, "unknown protocol", AF_UNIX, SOCK_STREAM, 7);
    int fd = call(socket, "AF_UNIX itself as protocol", AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, AF_UNIX);
    printf("close-on-exec %d, nonblocking %d\n", fcntl(fd, F_GETFD), (fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    call(socketpair, "unknown kind", AF_UNIX, 77, 0, pair);
    call(socketpair, "TCP", AF_INET, SOCK_STREAM, 0, pair);
    call(socketpair, "nowhere", AF_UNIX, SOCK_STREAM, 0, NOWHERE);
    call(socketpair, "stream", AF_UNIX, SOCK_STREAM, 0, pair);
    call(socketpair, "datagram", AF_UNIX, SOCK_DGRAM, 0, pair);
    call(socketpair, "packets", AF_UNIX, SOCK_SEQPACKET, 0, pair);
    show("a pair", pair[0], 0), show("a pair", pair[0], 1);
}

static void naming(void) {
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), other = socket(AF_UNIX, SOCK_STREAM, 0);
    named(bind, "not a socket", 0, "/work/a");
    named(bind, "not open", 99, "/work/a");
    call(bind, "nowhere", fd, NOWHERE, 10);
    name("/work/a");
    call(bind, "too short", fd, &address, 1);
    name("/work/a");
    call(bind, "too long", fd, &address, 200);
    name("/work/a");
    address.sun_family = AF_INET;
    call(bind, "another family", fd, &address, len);
    named(bind, "no directory", fd, "/work/none/a");
    named(bind, "a name", fd, "/work/a");
    named(bind, "again", fd, "/work/b");
    named(bind, "taken", other, "/work/a");
    struct stat found;
    stat("/work/a", &found);
    printf("mode %o\n", found.st_mode);
    show("a name", fd, 0), show("not connected", fd, 1);
    call(getsockname, "not a socket", 0, &address, &len);
    call(getsockname, "nowhere", fd, NOWHERE, &len);
    call(getsockname, "size nowhere", fd, &address, NOWHERE);
    call(getpeername, "not a socket", 0, &address, &len);
    len = -1;
    call(getsockname, "negative size", fd, &address, &len);
    named(connect, "nobody listens", other, "/work/a");
    named(connect, "no such name", other, "/work/none");
    named(connect, "a file", other, "/proc/self/stat");
    named(connect, "not a socket", 0, "/work/a");
    call(connect, "nowhere", other, NOWHERE, 10);
    call(listen, "not bound", other, 5);
    call(listen, "not a socket", 0, 5);
    call(listen, "datagrams", socket(AF_UNIX, SOCK_DGRAM, 0), 5);
    call(accept, "not listening", fd, NULL, NULL);
    call(listen, "it", fd, 1);
    named(connect, "itself", fd, "/work/a");
    call(accept, "not a socket", 0, NULL, NULL);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    call(accept, "nobody", fd, NULL, NULL);
    call(accept4, "unknown flag", fd, NULL, NULL, 1);
    call(accept4, "nobody", fd, NULL, NULL, SOCK_CLOEXEC);
    named(connect, "it", other, "/work/a");
    named(connect, "again", other, "/work/a");
    int queued[3];
    for (int at = 0; at < 3; at++) {
        queued[at] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        named(connect, "the queue", queued[at], "/work/a");
    }
    struct sockaddr_un peer;
    len = sizeof peer;
    int taken = call(accept4, "it", fd, &peer, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
    printf("size %u, close-on-exec %d\n", len, fcntl(taken, F_GETFD));
    call(accept, "the next", fd, NULL, NULL);
    show("accepted", taken, 0), show("accepted", taken, 1), show("the other", other, 1);
    named(bind, "connected, a name", other, "@abstract");
    show("abstract", other, 0), show("accepted", taken, 1);
    int twin = socket(AF_UNIX, SOCK_DGRAM, 0), automatic = socket(AF_UNIX, SOCK_DGRAM, 0);
    named(bind, "an abstract name in another kind", twin, "@abstract");
    address.sun_family = AF_UNIX;
    call(bind, "by itself", automatic, &address, 2);
    len = sizeof address;
    getsockname(automatic, (void *)&address, &len);
    printf("%u bytes, abstract %d\n", len, address.sun_path[0] == 0);
    named(connect, "another kind", twin, "/work/a");
    unlink("/work/a");
    named(connect, "a name that is gone", socket(AF_UNIX, SOCK_STREAM, 0), "/work/a");
    close(fd);
    char byte;
    call(read, "a connection that nobody took", queued[1], &byte, 1);
}

static void streams(void) {
    int pair[2];
    char text[64] = "";
    signal(SIGPIPE, SIG_IGN);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    call(sendto, "a stream", pair[0], "hello world", 11ul, 0, NULL, 0);
    call(recvfrom, "peek", pair[1], text, 5ul, MSG_PEEK, NULL, NULL);
    call(recvfrom, "part", pair[1], text, 5ul, 0, NULL, NULL);
    call(ioctl, "FIONREAD", pair[1], FIONREAD, &len);
    printf("left %u\n", len);
    call(sendto, "more", pair[0], "!", 1ul, 0, NULL, 0);
    call(recvfrom, "over both", pair[1], text, 64ul, 0, NULL, NULL);
    call(recvfrom, "nothing there", pair[1], text, 5ul, MSG_DONTWAIT, NULL, NULL);
    call(recvfrom, "urgent", pair[1], text, 5ul, MSG_OOB, NULL, NULL);
    call(recvfrom, "not a socket", 0, text, 5ul, 0, NULL, NULL);
    call(recvfrom, "nowhere", pair[1], NOWHERE, 5ul, MSG_DONTWAIT, NULL, NULL);
    call(sendto, "nowhere", pair[0], NOWHERE, 5ul, 0, NULL, 0);
    call(sendto, "not a socket", 0, text, 5ul, 0, NULL, 0);
    name("/work/a");
    call(sendto, "with a name", pair[0], text, 5ul, 0, &address, len);
    call(sendto, "not connected", socket(AF_UNIX, SOCK_STREAM, 0), text, 5ul, 0, NULL, 0);
    call(recvfrom, "not connected", socket(AF_UNIX, SOCK_STREAM, 0), text, 5ul, 0, NULL, NULL);
    call(shutdown, "unknown way", pair[0], 3);
    call(shutdown, "not a socket", 0, SHUT_RD);
    call(shutdown, "not connected", socket(AF_UNIX, SOCK_STREAM, 0), SHUT_RD);
    call(shutdown, "to write", pair[0], SHUT_WR);
    call(sendto, "after it", pair[0], text, 1ul, MSG_NOSIGNAL, NULL, 0);
    call(recvfrom, "after it", pair[1], text, 5ul, 0, NULL, NULL);
    call(sendto, "the other way", pair[1], "back", 4ul, 0, NULL, 0);
    call(recvfrom, "wait for all, less there", pair[0], text, 4ul, MSG_WAITALL, NULL, NULL);
    close(pair[1]);
    call(recvfrom, "closed", pair[0], text, 5ul, 0, NULL, NULL);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    send(pair[0], "unread", 6, 0);
    close(pair[1]);
    call(recvfrom, "closed with unread data", pair[0], text, 5ul, 0, NULL, NULL);
    call(sendto, "closed", pair[0], text, 1ul, MSG_NOSIGNAL, NULL, 0);
    struct iovec parts[2] = {{"ab", 2}, {"cde", 3}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    call(sendmsg, "two parts", pair[0], &message, 0);
    call(sendmsg, "not a socket", 0, &message, 0);
    call(sendmsg, "nowhere", pair[0], NOWHERE, 0);
    message.msg_iovlen = 2000;
    call(sendmsg, "too many parts", pair[0], &message, 0);
    call(recvmsg, "too many parts", pair[1], &message, 0);
    struct iovec into = {text, 64};
    message = (struct msghdr){.msg_iov = &into, .msg_iovlen = 1};
    call(recvmsg, "both", pair[1], &message, 0);
    call(recvmsg, "nowhere", pair[1], NOWHERE, 0);
    call(recvmsg, "nothing there", pair[1], &message, MSG_DONTWAIT);
}

static void packets(int kind) {
    int pair[2];
    char text[64];
    struct iovec into = {text, 4};
    struct msghdr message = {.msg_iov = &into, .msg_iovlen = 1};
    socketpair(AF_UNIX, kind, 0, pair);
    send(pair[0], "first", 5, 0), send(pair[0], "second", 6, 0), send(pair[0], "", 0, 0);
    call(recvmsg, "cut", pair[1], &message, 0);
    printf("flags %#x\n", message.msg_flags);
    into.iov_len = 2;
    call(recvmsg, "told its size", pair[1], &message, MSG_TRUNC | MSG_PEEK);
    into.iov_len = 64;
    call(recvmsg, "whole", pair[1], &message, 0);
    printf("flags %#x\n", message.msg_flags);
    call(recvmsg, "empty", pair[1], &message, 0);
    call(recvmsg, "nothing there", pair[1], &message, MSG_DONTWAIT);
    char *large = calloc(1, 4 << 20);
    call(sendto, "too large", pair[0], large, 4ul << 20, MSG_DONTWAIT, NULL, 0);
    free(large);
    struct mmsghdr many[3];
    struct iovec parts[3] = {{"a", 1}, {"bb", 2}, {"ccc", 3}};
    memset(many, 0, sizeof many);
    for (int at = 0; at < 3; at++)
        many[at].msg_hdr = (struct msghdr){.msg_iov = &parts[at], .msg_iovlen = 1};
    call(sendmmsg, "three", pair[0], many, 3, 0);
    printf("lengths %u %u %u\n", many[0].msg_len, many[1].msg_len, many[2].msg_len);
    call(sendmmsg, "not a socket", 0, many, 3, 0);
    call(sendmmsg, "nowhere", pair[0], NOWHERE, 3, 0);
    char buffers[3][8];
    for (int at = 0; at < 3; at++)
        parts[at] = (struct iovec){buffers[at], 8};
    call(recvmmsg, "two of them", pair[1], many, 2, 0, NULL);
    printf("lengths %u %u\n", many[0].msg_len, many[1].msg_len);
    call(recvmmsg, "as many as there are", pair[1], many, 3, MSG_WAITFORONE, NULL);
    call(recvmmsg, "nothing there", pair[1], many, 3, MSG_DONTWAIT, NULL);
    call(recvmmsg, "not a socket", 0, many, 3, 0, NULL);
    struct timespec wrong = {0, -1};
    call(recvmmsg, "wrong time", pair[1], many, 3, 0, &wrong);
    close(pair[0]);
    call(recvmsg, "closed", pair[1], &message, MSG_DONTWAIT);
    call(sendto, "closed", pair[1], text, 1ul, MSG_NOSIGNAL, NULL, 0);
}

static void all(void) {
    making();
    naming();
    streams();
    part("datagrams");
    packets(SOCK_DGRAM);
    part("packets");
    packets(SOCK_SEQPACKET);
}

int main(void) {
    in_child("all", all);
    return 0;
}
