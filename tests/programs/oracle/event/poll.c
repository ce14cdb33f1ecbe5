/* poll, ppoll, select, pselect6: on pipes, sockets, files, and what they refuse. */
#include "../tell.h"
#include <poll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

static void show(const char *what, int fd, short wanted) {
    struct pollfd asked = {fd, wanted, 0x5555};
    int count = poll(&asked, 1, 0);
    printf("%s: %d %#x\n", what, count, asked.revents);
}

#define ALL (POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM)

static void kinds(void) {
    int pipes[2], pair[2];
    char block[4096] = {0};
    pipe2(pipes, O_NONBLOCK);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    show("empty pipe, to read", pipes[0], ALL);
    show("empty pipe, to write", pipes[1], ALL);
    write(pipes[1], "x", 1);
    show("pipe with data", pipes[0], ALL);
    show("nothing asked", pipes[0], 0);
    while (write(pipes[1], block, sizeof block) > 0)
        ;
    show("full pipe", pipes[1], ALL);
    close(pipes[0]);
    show("nobody reads", pipes[1], ALL);
    pipe(pipes);
    close(pipes[1]);
    show("nobody writes", pipes[0], ALL);
    pipe(pipes);
    write(pipes[1], "x", 1);
    close(pipes[1]);
    show("nobody writes, data left", pipes[0], ALL);
    show("socket", pair[0], ALL);
    write(pair[1], "x", 1);
    show("socket with data", pair[0], ALL);
    shutdown(pair[1], SHUT_WR);
    show("half closed", pair[0], ALL);
    close(pair[1]);
    show("closed", pair[0], ALL);
    show("fresh socket", socket(AF_UNIX, SOCK_STREAM, 0), ALL);
    show("fresh TCP socket", socket(AF_INET, SOCK_STREAM, 0), ALL);
    show("fresh datagram socket", socket(AF_INET, SOCK_DGRAM, 0), ALL);
    show("file", open("/work/file", O_CREAT | O_RDWR, 0600), ALL);
    show("directory", open("/", O_RDONLY), ALL);
    show("/dev/null", open("/dev/null", O_RDWR), ALL);
    show("/dev/zero", open("/dev/zero", O_RDWR), ALL);
    show("path only", open("/", O_PATH), ALL);
    show("not open", 99, ALL);
    show("negative", -1, ALL);
}

static void calls(void) {
    int pipes[2];
    pipe(pipes);
    struct pollfd asked[3] = {{pipes[0], POLLIN, 9}, {-5, POLLIN, 9}, {pipes[1], POLLOUT, 9}};
    struct timespec moment = {0, 1000000}, wrong = {0, 1000000000}, left = {5, 0};
    sigset_t mask;
    sigemptyset(&mask);
    call(poll, "some", asked, 3, -1);
    printf("events %#x %#x %#x\n", asked[0].revents, asked[1].revents, asked[2].revents);
    call(poll, "nothing", NULL, 0, 1);
    call(poll, "nowhere", NOWHERE, 1, 0);
    call(poll, "not ready in a moment", asked, 1, 1);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    call(poll, "too many", asked, limit.rlim_cur + 1, 0);
    call(ppoll, "some", asked, 3, &left, &mask, 8);
    printf("left %d\n", left.tv_sec == 4 || left.tv_sec == 5);
    call(ppoll, "a moment", asked, 1, &moment, NULL, 0);
    printf("left %ld %ld\n", moment.tv_sec, moment.tv_nsec);
    call(ppoll, "wrong time", asked, 1, &wrong, NULL, 0);
    call(ppoll, "time nowhere", asked, 1, NOWHERE, NULL, 0);
    call(ppoll, "mask of size 4", asked, 1, &moment, &mask, 4);
    call(ppoll, "mask nowhere", asked, 1, &moment, NOWHERE, 8);
}

static void selects(void) {
    int pipes[2], pair[2];
    fd_set reads, writes, errors;
    pipe(pipes);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    struct timeval none = {0, 0}, moment = {0, 1000}, wrong = {-1, 0};
#define SETS do { \
        FD_ZERO(&reads); \
        FD_ZERO(&writes); \
        FD_ZERO(&errors); \
        FD_SET(pipes[0], &reads); \
        FD_SET(pair[0], &reads); \
        FD_SET(pipes[1], &writes); \
        FD_SET(pair[0], &errors); \
    } while (0)
#define SHOW printf("  reads %d %d, writes %d, errors %d\n", FD_ISSET(pipes[0], &reads) != 0, \
                    FD_ISSET(pair[0], &reads) != 0, FD_ISSET(pipes[1], &writes) != 0, FD_ISSET(pair[0], &errors) != 0)
    SETS;
    call(select, "writable", 64, &reads, &writes, &errors, &none), SHOW;
    write(pipes[1], "x", 1), write(pair[1], "x", 1);
    SETS;
    call(select, "readable too", 64, &reads, &writes, &errors, NULL), SHOW;
    SETS;
    call(select, "fewer descriptors", pipes[0] + 1, &reads, &writes, &errors, NULL), SHOW;
    call(select, "nothing for a moment", 0, NULL, NULL, NULL, &moment);
    printf("left %ld %ld\n", moment.tv_sec, moment.tv_usec);
    call(select, "negative time", 0, NULL, NULL, NULL, &wrong);
    call(select, "negative count", -1, NULL, NULL, NULL, &none);
    call(select, "nowhere", 64, NOWHERE, NULL, NULL, &none);
    call(select, "time nowhere", 64, &reads, NULL, NULL, NOWHERE);
    FD_ZERO(&reads);
    FD_SET(50, &reads);
    call(select, "not open", 64, &reads, NULL, NULL, &none);
    struct timespec soon = {0, 1000000}, bad = {0, 1000000000};
    sigset_t empty;
    sigemptyset(&empty);
    struct { sigset_t *set; size_t size; } mask = {&empty, 8}, small = {&empty, 4};
    SETS;
    call(pselect6, "some", 64, &reads, &writes, &errors, &soon, &mask), SHOW;
    call(pselect6, "a moment", 0, NULL, NULL, NULL, &soon, NULL);
    call(pselect6, "wrong time", 0, NULL, NULL, NULL, &bad, NULL);
    call(pselect6, "mask of size 4", 0, NULL, NULL, NULL, &soon, &small);
    call(pselect6, "mask nowhere", 0, NULL, NULL, NULL, &soon, NOWHERE);
    FD_ZERO(&reads);
    FD_SET(50, &reads);
    call(pselect6, "not open", 64, &reads, NULL, NULL, &soon, NULL);
}

/* A signal that only the call lets through ends it, with the handler run. */
static int got;
static void note(int signal) {
    got = signal;
}

static void masks(void) {
    sigset_t blocked, open;
    struct timespec later = {100, 0};
    signal(SIGUSR1, note);
    sigemptyset(&open), sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    raise(SIGUSR1);
    call(ppoll, "lets a signal through", NULL, 0, &later, &open, 8);
    printf("handled %d\n", got), got = 0;
    raise(SIGUSR1);
    struct { sigset_t *set; size_t size; } mask = {&open, 8};
    call(pselect6, "lets a signal through", 0, NULL, NULL, NULL, NULL, &mask);
    printf("handled %d\n", got), got = 0;
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    printf("blocked again %d\n", sigismember(&now, SIGUSR1));
}

int main(void) {
    kinds();
    calls();
    selects();
    masks();
    return 0;
}
