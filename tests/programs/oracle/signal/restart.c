/* Which calls go on after a handler and which end with EINTR. */
#include "../asleep.h"
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/uio.h>
#include <time.h>

static int pipes[2], pair[2], listener, full[2], dgram[2], event, epoll, lock, begun[2];
static char byte;
/* Of this process alone: whom another one has sent to connect may come late. */
static struct sockaddr_un address;
/* What processes tell each other: how many signals were handled, and whether the call has ended. */
static volatile struct { int handled, over; } *common;

static void on_signal(int signal) {
    (void)signal;
    common->handled++;
}

/* At the second signal the program is to be let go, so that a call that goes on comes to an end:
   everything that anybody waits for happens, once. Who connects may be slow, and there may be more
   signals meanwhile. */
static void release(int signal) {
    char buffer[65536];
    (void)signal;
    common->handled++;
    if (common->handled != 2)
        return;
    write(pipes[1], "", 1);
    send(pair[1], "", 1, MSG_DONTWAIT);
    send(dgram[1], "", 1, MSG_DONTWAIT);
    while (read(full[0], buffer, sizeof buffer) > 0)
        ;
    eventfd_write(event, 1);
    if (fork() == 0) {
        connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&address, sizeof address);
        _exit(0);
    }
}

/* From another process: a signal each time that this one sleeps in its call. */
static void interrupt(void (*handler)(int), int flags) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    sigaction(SIGUSR1, &action, NULL);
    common->handled = common->over = 0;
    pipe(begun);
    if (fork() == 0) {
        pid_t caller = getppid();
        read(begun[0], &byte, 1);
        while (!common->over && getppid() == caller) {
            int handled = common->handled;
            if (state_of(caller, caller) == 'S' && !common->over) {
                kill(caller, SIGUSR1);
                while (common->handled == handled && getppid() == caller)
                    usleep(1000);
            } else {
                usleep(1000);
            }
        }
        _exit(0);
    }
}

static void prepare(int flags) {
    static char page[4096];
    pipe(pipes), pipe2(full, O_NONBLOCK);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    socketpair(AF_UNIX, SOCK_DGRAM, 0, dgram);
    address.sun_family = AF_UNIX;
    snprintf(address.sun_path, sizeof address.sun_path, "/work/listener.%d", getpid());
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    bind(listener, (void *)&address, sizeof address);
    listen(listener, 5);
    event = eventfd(0, 0);
    epoll = epoll_create1(0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[0], &(struct epoll_event){EPOLLIN, {.fd = 3}});
    while (write(full[1], page, sizeof page) > 0)
        ;
    fcntl(full[1], F_SETFL, 0);
    interrupt(release, flags);
}

/* A call that is interrupted, and what it answered. */
#define INTERRUPTED(...) ({ \
        write(begun[1], "", 1); \
        long answer = syscall(__VA_ARGS__); \
        int error = errno; \
        common->over = 1; \
        errno = error; \
        answer; \
    })

/* Each in a process of its own, with both kinds of handlers. */
#define BOTH(name, what, ...) do { \
        for (int restart = 0; restart < 2; restart++) { \
            fflush(stdout); \
            pid_t child = fork(); \
            if (child == 0) { \
                prepare(restart ? SA_RESTART : 0); \
                tell(#name, restart ? what ", SA_RESTART" : what, INTERRUPTED(SYS_##name, __VA_ARGS__)); \
                _exit(0); \
            } \
            waitpid(child, NULL, 0); \
        } \
    } while (0)

static sigset_t empty;
static struct { sigset_t *set; size_t size; } mask = {&empty, 8};

/* Until the other's call has seen two signals, or has ended at the first. */
static void until_told(void) {
    while (common->handled < 2 && !common->over)
        usleep(1000);
}

int main(void) {
    struct timespec second = {100, 0};
    struct timeval long_time = {100, 0};
    struct flock record = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct iovec piece = {&byte, 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    struct mmsghdr messages = {message, 0};
    struct pollfd asked = {3, POLLIN, 0};
    struct epoll_event found;
    int word = 0;
    common = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    sigemptyset(&empty);
    sigset_t usr;
    sigemptyset(&usr);
    sigaddset(&usr, SIGUSR2);
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
    BOTH(select, "nothing", 0, NULL, NULL, NULL, &long_time);
    BOTH(pselect6, "nothing", 0, NULL, NULL, NULL, NULL, &mask);
    BOTH(epoll_wait, "a pipe", epoll, &found, 1, -1);
    BOTH(epoll_pwait, "a pipe", epoll, &found, 1, -1, &empty, 8);
    BOTH(nanosleep, "a moment", &second, NULL);
    BOTH(clock_nanosleep, "a moment", CLOCK_MONOTONIC, 0, &second, NULL);
    BOTH(futex, "FUTEX_WAIT with a time", &word, FUTEX_WAIT, 0, &second, NULL, 0);
    BOTH(pause, "nothing", 0);
    BOTH(rt_sigsuspend, "nothing", &empty, 8);
    BOTH(rt_sigtimedwait, "another", &usr, NULL, NULL, 8);

    /* These wait for another process, which does what they wait for after the second signal, if the
       first has not ended the call. */
    lock = must(open("/work/lock", O_CREAT | O_RDWR, 0600));
    for (int restart = 0; restart < 2; restart++) {
        int flags = restart ? SA_RESTART : 0;
        fflush(stdout);
        if (fork() == 0) {
            common->handled = common->over = 0;
            pid_t inner = fork();
            if (inner == 0) {
                until_told();
                _exit(0);
            }
            interrupt(on_signal, flags);
            long answer = INTERRUPTED(SYS_wait4, inner, NULL, 0, NULL);
            tell("wait4", restart ? "a child, SA_RESTART" : "a child", answer == inner ? 0 : answer);
            _exit(0);
        }
        wait(NULL);
        int ready[2];
        pipe(ready);
        common->handled = common->over = 0;
        pid_t owner = fork();
        if (owner == 0) {
            fcntl(lock, F_SETLK, &record);
            write(ready[1], "", 1);
            until_told();
            _exit(0);
        }
        read(ready[0], &byte, 1);
        if (fork() == 0) {
            interrupt(on_signal, flags);
            tell("fcntl", restart ? "F_SETLKW, SA_RESTART" : "F_SETLKW",
                INTERRUPTED(SYS_fcntl, lock, F_SETLKW, &record));
            _exit(0);
        }
        while (wait(NULL) > 0)
            ;
    }
    return 0;
}
