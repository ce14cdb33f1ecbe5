/* Which calls go on after a handler and which end with EINTR. */
#include "../tell.h"
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/uio.h>
#include <time.h>

static int pipes[2], pair[2], listener, full[2], dgram[2], event, epoll, lock;
static char byte;
static volatile int handled;

static void on_alarm(int signal) {
    (void)signal;
    handled++;
}

/* After the first signal the program is to be let go, so that a call that goes on comes to an end:
   everything that anybody waits for happens. */
static void release(int signal) {
    char buffer[65536];
    struct timeval tick = {0, 0};
    (void)signal;
    handled++;
    if (handled == 1)
        return;
    setitimer(ITIMER_REAL, &(struct itimerval){tick, tick}, NULL);
    write(pipes[1], "", 1);
    send(pair[1], "", 1, MSG_DONTWAIT);
    send(dgram[1], "", 1, MSG_DONTWAIT);
    while (read(full[0], buffer, sizeof buffer) > 0)
        ;
    eventfd_write(event, 1);
    if (fork() == 0) {
        struct sockaddr_un address = {AF_UNIX, "/work/listener"};
        connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&address, sizeof address);
        _exit(0);
    }
}

static void prepare(int flags) {
    struct sigaction action = {.sa_handler = release, .sa_flags = flags};
    struct sockaddr_un address = {AF_UNIX, "/work/listener"};
    pipe(pipes), pipe2(full, O_NONBLOCK);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, dgram);
    unlink("/work/listener");
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    bind(listener, (void *)&address, sizeof address);
    listen(listener, 5);
    event = eventfd(0, 0);
    epoll = epoll_create1(0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[0], &(struct epoll_event){EPOLLIN, {.fd = 3}});
    while (write(full[1], pipes, sizeof pipes) > 0)
        ;
    fcntl(full[1], F_SETFL, 0);
    sigaction(SIGALRM, &action, NULL);
    handled = 0;
    struct timeval tick = {0, 10000};
    setitimer(ITIMER_REAL, &(struct itimerval){tick, tick}, NULL);
}

/* Each in a process of its own, with both kinds of handlers. */
#define BOTH(name, what, ...) do { \
        for (int restart = 0; restart < 2; restart++) { \
            fflush(stdout); \
            pid_t child = fork(); \
            if (child == 0) { \
                prepare(restart ? SA_RESTART : 0); \
                tell(#name, restart ? what ", SA_RESTART" : what, syscall(SYS_##name, __VA_ARGS__)); \
                _exit(0); \
            } \
            waitpid(child, NULL, 0); \
        } \
    } while (0)

static sigset_t empty;
static struct { sigset_t *set; size_t size; } mask = {&empty, 8};

int main(void) {
    struct timespec second = {0, 60000000};
    struct timeval short_time = {0, 60000};
    struct iovec piece = {&byte, 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    struct mmsghdr messages = {message, 0};
    struct pollfd asked = {3, POLLIN, 0};
    struct epoll_event found;
    int word = 0;
    sigemptyset(&empty);
    sigset_t usr;
    sigemptyset(&usr);
    sigaddset(&usr, SIGUSR1);
    BOTH(read, "a pipe", pipes[0], &byte, 1);
    BOTH(readv, "a pipe", pipes[0], &piece, 1);
    BOTH(write, "a full pipe", full[1], &byte, 1);
    BOTH(read, "a socket", pair[0], &byte, 1);
    BOTH(recvfrom, "a socket", pair[0], &byte, 1, 0, NULL, NULL);
    BOTH(recvmsg, "a socket", dgram[0], &message, 0);
    BOTH(recvmmsg, "a socket", dgram[0], &messages, 1, 0, NULL);
    BOTH(accept, "a listener", listener, NULL, NULL);
    BOTH(accept4, "a listener", listener, NULL, NULL, 0);
    BOTH(read, "an eventfd", event, &(uint64_t){0}, 8);
    BOTH(poll, "a pipe", &asked, 1, -1);
    BOTH(ppoll, "a pipe", &asked, 1, NULL, &empty, 8);
    BOTH(select, "nothing", 0, NULL, NULL, NULL, &short_time);
    BOTH(pselect6, "nothing", 0, NULL, NULL, NULL, NULL, &mask);
    BOTH(epoll_wait, "a pipe", epoll, &found, 1, -1);
    BOTH(epoll_pwait, "a pipe", epoll, &found, 1, -1, &empty, 8);
    BOTH(nanosleep, "a moment", &second, NULL);
    BOTH(clock_nanosleep, "a moment", CLOCK_MONOTONIC, 0, &second, NULL);
    BOTH(futex, "FUTEX_WAIT with a time", &word, FUTEX_WAIT, 0, &second, NULL, 0);
    BOTH(pause, "nothing", 0);
    BOTH(rt_sigsuspend, "nothing", &empty, 8);
    BOTH(rt_sigtimedwait, "another", &usr, NULL, NULL, 8);

    /* These wait for another process. */
    lock = open("/work/lock", O_CREAT | O_RDWR, 0600);
    for (int restart = 0; restart < 2; restart++) {
        struct flock record = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        fflush(stdout);
        pid_t child = fork(), waiter;
        if (child == 0) {
            for (;;)
                pause();
        }
        waiter = fork();
        if (waiter == 0) {
            struct sigaction action = {.sa_handler = on_alarm, .sa_flags = restart ? SA_RESTART : 0};
            sigaction(SIGALRM, &action, NULL);
            struct timeval tick = {0, 10000}, none = {0, 0};
            setitimer(ITIMER_REAL, &(struct itimerval){none, tick}, NULL);
            pid_t inner = fork();
            if (inner == 0) {
                usleep(100000);
                _exit(0);
            }
            int status = 0;
            long answer = syscall(SYS_wait4, inner, &status, 0, NULL);
            tell("wait4", restart ? "a child, SA_RESTART" : "a child", answer == inner ? 0 : answer);
            flock(open("/work/lock", O_RDWR), LOCK_EX);
            fcntl(lock, F_SETLK, &record);
            inner = fork();
            if (inner == 0) {
                setitimer(ITIMER_REAL, &(struct itimerval){tick, tick}, NULL);
                sigaction(SIGALRM, &action, NULL);
                pid_t owner = getppid();
                if (fork() == 0) {
                    usleep(100000);
                    kill(owner, SIGKILL);
                    _exit(0);
                }
                call(fcntl, restart ? "F_SETLKW, SA_RESTART" : "F_SETLKW", lock, F_SETLKW, &record);
                _exit(0);
            }
            for (;;)
                pause();
        }
        waitpid(waiter, NULL, 0);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        usleep(50000);
    }
    return 0;
}
