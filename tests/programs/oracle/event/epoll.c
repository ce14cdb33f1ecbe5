/* epoll: what it reports and when, and what it refuses. */
#include "../tell.h"
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

static struct epoll_event events[8];

static struct epoll_event of(unsigned bits, int data) {
    return (struct epoll_event){.events = bits, .data.fd = data};
}

static void ready(const char *what, int epoll) {
    int count = epoll_wait(epoll, events, 8, 0);
    printf("%s: %d", what, count);
    for (int at = 0; at < count; at++)
        printf(" [%d %#x]", events[at].data.fd, events[at].events);
    printf("\n");
}

static void errors(void) {
    int epoll = epoll_create1(0), other = epoll_create1(0), pipes[2], file = open("/work/file", O_CREAT | O_RDWR, 0600);
    struct epoll_event event = of(EPOLLIN, 1);
    pipe(pipes);
    call(epoll_create, "size 0", 0);
    call(epoll_create, "size -1", -1);
    made(epoll_create, "size 1", 1);
    call(epoll_create1, "unknown flag", 1);
    call(epoll_create1, "all flags", -1);
    int flagged = call(epoll_create1, "EPOLL_CLOEXEC", EPOLL_CLOEXEC);
    printf("close-on-exec %d\n", fcntl(flagged, F_GETFD));
    call(epoll_ctl, "no epoll", pipes[0], EPOLL_CTL_ADD, pipes[1], &event);
    call(epoll_ctl, "not open", 99, EPOLL_CTL_ADD, pipes[0], &event);
    call(epoll_ctl, "member not open", epoll, EPOLL_CTL_ADD, 99, &event);
    call(epoll_ctl, "itself", epoll, EPOLL_CTL_ADD, epoll, &event);
    call(epoll_ctl, "a file", epoll, EPOLL_CTL_ADD, file, &event);
    call(epoll_ctl, "a directory", epoll, EPOLL_CTL_ADD, open("/", O_RDONLY), &event);
    call(epoll_ctl, "unknown operation", epoll, 7, pipes[0], &event);
    call(epoll_ctl, "event nowhere", epoll, EPOLL_CTL_ADD, pipes[0], NOWHERE);
    call(epoll_ctl, "MOD what is not there", epoll, EPOLL_CTL_MOD, pipes[0], &event);
    call(epoll_ctl, "DEL what is not there", epoll, EPOLL_CTL_DEL, pipes[0], &event);
    call(epoll_ctl, "ADD", epoll, EPOLL_CTL_ADD, pipes[0], &event);
    call(epoll_ctl, "ADD again", epoll, EPOLL_CTL_ADD, pipes[0], &event);
    int copy = dup(pipes[0]);
    call(epoll_ctl, "ADD a copy", epoll, EPOLL_CTL_ADD, copy, &event);
    call(epoll_ctl, "DEL with no event", epoll, EPOLL_CTL_DEL, copy, NULL);
    event = of(EPOLLIN | EPOLLEXCLUSIVE, 1);
    call(epoll_ctl, "MOD to exclusive", epoll, EPOLL_CTL_MOD, pipes[0], &event);
    event = of(EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT, 1);
    call(epoll_ctl, "ADD exclusive and once", epoll, EPOLL_CTL_ADD, pipes[1], &event);
    event = of(EPOLLIN | EPOLLEXCLUSIVE, 1);
    call(epoll_ctl, "ADD an epoll, exclusive", epoll, EPOLL_CTL_ADD, other, &event);
    call(epoll_ctl, "ADD exclusive", epoll, EPOLL_CTL_ADD, pipes[1], &event);
    call(epoll_ctl, "MOD exclusive", epoll, EPOLL_CTL_MOD, pipes[1], &event);
    event = of(EPOLLIN, 1);
    call(epoll_ctl, "ADD an epoll", epoll, EPOLL_CTL_ADD, other, &event);
    call(epoll_ctl, "ADD a loop", other, EPOLL_CTL_ADD, epoll, &event);
    call(epoll_wait, "no epoll", pipes[0], events, 1, 0);
    call(epoll_wait, "not open", 99, events, 1, 0);
    call(epoll_wait, "no room", epoll, events, 0, 0);
    call(epoll_wait, "room -1", epoll, events, -1, 0);
    call(epoll_wait, "nothing", epoll, events, 1, 0);
    call(epoll_wait, "nothing in a moment", epoll, events, 1, 2);
    write(pipes[1], "x", 1);
    call(epoll_wait, "nowhere", epoll, NOWHERE, 1, 0);
    call(epoll_wait, "there", epoll, events, 1, -1);
    sigset_t mask;
    sigemptyset(&mask);
    call(epoll_pwait, "there", epoll, events, 1, -1, &mask, 8);
    call(epoll_pwait, "mask of size 4", epoll, events, 1, 0, &mask, 4);
    call(epoll_pwait, "mask nowhere", epoll, events, 1, 0, NOWHERE, 8);
    call(epoll_pwait, "no mask", epoll, events, 1, 0, NULL, 0);
    struct timespec moment = {0, 1000000}, wrong = {0, -1};
    call(epoll_pwait2, "there", epoll, events, 1, &moment, NULL, 0);
    call(epoll_pwait2, "wrong time", epoll, events, 1, &wrong, NULL, 0);
    call(epoll_pwait2, "time nowhere", epoll, events, 1, NOWHERE, NULL, 0);
    call(epoll_pwait2, "mask of size 4", epoll, events, 1, &moment, &mask, 4);
    call(read, "an epoll", epoll, events, 8);
}

static void level_and_edge(void) {
    int level = epoll_create1(0), edge = epoll_create1(0), once = epoll_create1(0), pair[2];
    char byte;
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    struct epoll_event event = of(EPOLLIN, 1);
    epoll_ctl(level, EPOLL_CTL_ADD, pair[0], &event);
    event = of(EPOLLIN | EPOLLET, 2);
    epoll_ctl(edge, EPOLL_CTL_ADD, pair[0], &event);
    event = of(EPOLLIN | EPOLLONESHOT, 3);
    epoll_ctl(once, EPOLL_CTL_ADD, pair[0], &event);
    ready("level, nothing", level);
    write(pair[1], "ab", 2);
    ready("level", level), ready("level again", level);
    ready("edge", edge), ready("edge again", edge);
    ready("once", once), ready("once again", once);
    write(pair[1], "c", 1);
    ready("level, more", level), ready("edge, more", edge), ready("once, more", once);
    read(pair[0], &byte, 1);
    ready("level, less", level), ready("edge, less", edge);
    event = of(EPOLLIN | EPOLLONESHOT, 4);
    epoll_ctl(once, EPOLL_CTL_MOD, pair[0], &event);
    ready("once, armed again", once);
    event = of(EPOLLIN | EPOLLET, 5);
    epoll_ctl(edge, EPOLL_CTL_MOD, pair[0], &event);
    ready("edge, set again", edge);
    while (recv(pair[0], &byte, 1, MSG_DONTWAIT) > 0)
        ;
    ready("level, empty", level), ready("edge, empty", edge);
    event = of(EPOLLOUT | EPOLLET, 6);
    epoll_ctl(edge, EPOLL_CTL_MOD, pair[0], &event);
    ready("edge, room", edge), ready("edge, room again", edge);
    event = of(EPOLLIN | EPOLLRDHUP, 7);
    epoll_ctl(level, EPOLL_CTL_MOD, pair[0], &event);
    shutdown(pair[1], SHUT_WR);
    ready("half closed", level);
    close(pair[1]);
    ready("closed", level);
    event = of(0, 8);
    epoll_ctl(level, EPOLL_CTL_MOD, pair[0], &event);
    ready("asked for nothing, closed", level);
    close(pair[0]);
    ready("gone with its descriptor", level);
}

static void nested(void) {
    int inner = epoll_create1(0), outer = epoll_create1(0), event_fd = eventfd(0, EFD_NONBLOCK);
    struct epoll_event event = of(EPOLLIN, 1);
    epoll_ctl(inner, EPOLL_CTL_ADD, event_fd, &event);
    event = of(EPOLLIN, 2);
    epoll_ctl(outer, EPOLL_CTL_ADD, inner, &event);
    ready("outer, nothing", outer);
    eventfd_write(event_fd, 1);
    ready("outer", outer), ready("inner", inner);
    uint64_t value;
    read(event_fd, &value, 8);
    ready("outer, read", outer);
    /* A copied description stays in the set after its first descriptor is closed. */
    int copy = dup(event_fd);
    close(event_fd);
    eventfd_write(copy, 1);
    ready("a copy keeps it", inner);
    close(copy);
    ready("the last one takes it away", inner);
}

static void many(void) {
    int epoll = epoll_create1(0), fds[6];
    for (int at = 0; at < 6; at++) {
        fds[at] = eventfd(1, 0);
        struct epoll_event event = of(EPOLLIN, at);
        epoll_ctl(epoll, EPOLL_CTL_ADD, fds[at], &event);
    }
    int seen[6] = {0};
    for (int round = 0; round < 3; round++) {
        int count = epoll_wait(epoll, events, 2, 0);
        for (int at = 0; at < count; at++)
            seen[events[at].data.fd]++;
    }
    printf("all in turn: %d %d %d %d %d %d\n", seen[0], seen[1], seen[2], seen[3], seen[4], seen[5]);
    if (fork() == 0) {
        struct epoll_event event = of(EPOLLIN, 9);
        call(epoll_ctl, "DEL by a child", epoll, EPOLL_CTL_DEL, fds[0], NULL);
        call(epoll_ctl, "ADD by a child", epoll, EPOLL_CTL_ADD, fds[0], &event);
        _exit(0);
    }
    wait(NULL);
    printf("shared with the child: %d\n", epoll_wait(epoll, events, 8, 0));
}

int main(void) {
    errors();
    level_and_edge();
    nested();
    many();
    return 0;
}
