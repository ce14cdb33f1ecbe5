/* Descriptors and credentials that are passed over Unix sockets. */
#include "../tell.h"
#include <sys/socket.h>
#include <sys/uio.h>

static int pair[2];

static long pass(const char *what, int *fds, int count, int flags) {
    char control[CMSG_SPACE(300 * sizeof(int))] = {0};
    struct iovec byte = {"x", 1};
    struct msghdr message = {.msg_iov = &byte, .msg_iovlen = 1, .msg_control = control};
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){.cmsg_len = CMSG_LEN(count * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(head), fds, count * sizeof(int));
    return call(sendmsg, what, pair[0], &message, flags);
}

static int take(const char *what, int room, int flags) {
    char text[8], control[512] = {0};
    struct iovec byte = {text, 8};
    struct msghdr message = {.msg_iov = &byte, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room};
    int first = -1;
    call(recvmsg, what, pair[1], &message, flags | MSG_DONTWAIT);
    printf("  flags %#x, control %zu\n", message.msg_flags, message.msg_controllen);
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
        if (head->cmsg_type == SCM_RIGHTS) {
            int count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int), fd;
            for (int at = 0; at < count; at++) {
                memcpy(&fd, CMSG_DATA(head) + at * sizeof(int), sizeof fd);
                printf("  a descriptor, close-on-exec %d\n", fcntl(fd, F_GETFD));
                if (first < 0)
                    first = fd;
                else
                    close(fd);
            }
        } else if (head->cmsg_type == SCM_CREDENTIALS) {
            struct ucred who;
            memcpy(&who, CMSG_DATA(head), sizeof who);
            printf("  from %s, user %u, group %u\n", who.pid == getpid() ? "here" : who.pid == getppid() ? "the parent" : "another", who.uid, who.gid);
        } else {
            printf("  control %d\n", head->cmsg_type);
        }
    }
    return first;
}

static void descriptors(int kind) {
    char text[8] = "";
    int pipes[2], fds[300];
    socketpair(AF_UNIX, kind, 0, pair);
    pipe(pipes);
    write(pipes[1], "through", 7);
    fds[0] = pipes[0], fds[1] = pipes[1];
    pass("one", fds, 1, 0);
    int fd = take("one", 512, 0);
    close(pipes[0]);
    printf("the same pipe %zd %s\n", read(fd, text, 7), text);
    pass("two, close-on-exec", fds + 1, 1, 0);
    take("close-on-exec", 512, MSG_CMSG_CLOEXEC);
    fds[0] = pipes[1];
    pass("two", fds, 2, 0);
    take("room for one", CMSG_LEN(sizeof(int)), 0);
    pass("one", fds, 1, 0);
    take("no room", 0, 0);
    pass("one", fds, 1, 0);
    fd = take("looked at", 512, MSG_PEEK);
    fd = take("and taken", 512, 0);
    fds[0] = 99;
    pass("not open", fds, 1, 0);
    for (int at = 0; at < 300; at++)
        fds[at] = pipes[1];
    pass("254", fds, 254, 0);
    pass("as many as may be", fds, 253, 0);
    fds[0] = pair[0];
    pass("the socket itself", fds, 1, 0);
    close(pair[0]), close(pair[1]);
    struct msghdr message = {0};
    char control[CMSG_SPACE(sizeof(int))];
    struct iovec byte = {"x", 1};
    socketpair(AF_UNIX, kind, 0, pair);
    message = (struct msghdr){.msg_iov = &byte, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    *CMSG_FIRSTHDR(&message) = (struct cmsghdr){.cmsg_len = 3, .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    call(sendmsg, "a head that is too short", pair[0], &message, 0);
    *CMSG_FIRSTHDR(&message) = (struct cmsghdr){.cmsg_len = CMSG_LEN(4), .cmsg_level = SOL_SOCKET, .cmsg_type = 77};
    call(sendmsg, "unknown control", pair[0], &message, 0);
    message.msg_control = NOWHERE;
    call(sendmsg, "control nowhere", pair[0], &message, 0);
}

static void credentials(void) {
    int on = 1;
    struct ucred who;
    socklen_t size = sizeof who;
    socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
    call(getsockopt, "SO_PEERCRED", pair[0], SOL_SOCKET, SO_PEERCRED, &who, &size);
    printf("peer: here %d, user %u\n", who.pid == getpid(), who.uid);
    send(pair[0], "x", 1, 0);
    take("not asked for", 512, 0);
    call(setsockopt, "SO_PASSCRED", pair[1], SOL_SOCKET, SO_PASSCRED, &on, 4);
    send(pair[0], "x", 1, 0);
    take("asked for", 512, 0);
    fflush(stdout);
    if (fork() == 0) {
        syscall(SYS_setresgid, 20, 20, 20), syscall(SYS_setresuid, 10, 10, 10);
        send(pair[0], "x", 1, 0);
        char control[CMSG_SPACE(sizeof who)] = {0};
        struct iovec byte = {"x", 1};
        struct msghdr message = {.msg_iov = &byte, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        *head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof who), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS};
        who = (struct ucred){getpid(), 10, 20};
        memcpy(CMSG_DATA(head), &who, sizeof who);
        call(sendmsg, "own numbers", pair[0], &message, 0);
        who.uid = 0;
        memcpy(CMSG_DATA(head), &who, sizeof who);
        call(sendmsg, "another user", pair[0], &message, 0);
        who.uid = 10, who.pid = getppid();
        memcpy(CMSG_DATA(head), &who, sizeof who);
        call(sendmsg, "another process", pair[0], &message, 0);
        _exit(0);
    }
    wait(NULL);
    take("of a child", 512, 0);
    take("said by it", 512, 0);
}

int main(void) {
    part("stream");
    descriptors(SOCK_STREAM);
    part("datagram");
    descriptors(SOCK_DGRAM);
    part("credentials");
    credentials();
    return 0;
}
