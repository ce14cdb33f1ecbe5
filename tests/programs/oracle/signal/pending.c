/* A signal that comes right before a call. If it is handled before the call begins, the call knows
   nothing of it and takes its whole time: a program that has to notice lets the handler write to a
   descriptor that the call waits for, or keeps the signal blocked until the call. CPython's
   time.sleep() after a Ctrl-C that came a moment too early is of this kind. */
#include "../tell.h"
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>

static int wake[2], never[2], pair[2], epoll, epoll_wake;
static volatile int handled;
static char byte;
static const struct timespec moment = {0, 2000000};
static struct timespec rest;
static struct timeval moment_of_select;

static void on_signal(int signal) {
    (void)signal;
    handled++;
    write(wake[1], "", 1);
}

static void handle(int flags) {
    sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_signal, .sa_flags = flags}, NULL);
}

static sigset_t only(int signal) {
    sigset_t set;
    sigemptyset(&set);
    if (signal)
        sigaddset(&set, signal);
    return set;
}

/* How often the handler ran, and how often it wrote. */
static void seen(void) {
    char written[16];
    long count = read(wake[0], written, sizeof written);
    printf("  handled %d, written %ld\n", handled, count < 0 ? 0 : count);
    handled = 0;
}

/* The call right after a signal was handled. */
#define AFTER(name, what, ...) do { \
        moment_of_select = (struct timeval){0, 2000}; \
        raise(SIGUSR1); \
        call(name, what, __VA_ARGS__); \
        seen(); \
    } while (0)

static void handled_before(const char *kind) {
    struct epoll_event found;
    struct pollfd asked = {never[0], POLLIN, 0}, asked_wake = {wake[0], POLLIN, 0};
    struct timeval short_time = {0, 2000};
    sigset_t none = only(0), other = only(SIGUSR2);
    fd_set set;
    struct { sigset_t *set; size_t size; } mask = {&none, 8};
    int word = 0;
    part(kind);
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &short_time, sizeof short_time);
    AFTER(nanosleep, "after a signal", &moment, &rest);
    AFTER(clock_nanosleep, "after a signal", CLOCK_MONOTONIC, 0, &moment, &rest);
    AFTER(poll, "after a signal", &asked, 1, 2);
    AFTER(ppoll, "after a signal", &asked, 1, &(struct timespec){0, 2000000}, &none, 8);
    AFTER(select, "after a signal", 0, NULL, NULL, NULL, &moment_of_select);
    AFTER(pselect6, "after a signal", 0, NULL, NULL, NULL, &(struct timespec){0, 2000000}, &mask);
    AFTER(epoll_wait, "after a signal", epoll, &found, 1, 2);
    AFTER(epoll_pwait, "after a signal", epoll, &found, 1, 2, &none, 8L);
    AFTER(futex, "FUTEX_WAIT after a signal", &word, FUTEX_WAIT, 0, &moment, NULL, 0);
    AFTER(rt_sigtimedwait, "after a signal", &other, NULL, &moment, 8);
    AFTER(recvfrom, "with a time, after a signal", pair[0], &byte, 1, 0, NULL, NULL);
    /* What waits for the descriptor that the handler writes to is told at once. */
    AFTER(poll, "with the handler's descriptor", &asked_wake, 1, -1);
    FD_ZERO(&set);
    FD_SET(wake[0], &set);
    AFTER(select, "with the handler's descriptor", wake[0] + 1, &set, NULL, NULL, NULL);
    AFTER(epoll_wait, "with the handler's descriptor", epoll_wake, &found, 1, -1);
}

/* The call with a signal that is blocked until it begins. */
#define WITH(name, what, ...) do { \
        raise(SIGUSR1); \
        call(name, what, __VA_ARGS__); \
        seen(); \
    } while (0)

static void blocked_before(const char *kind) {
    struct epoll_event found;
    struct pollfd asked = {never[0], POLLIN, 0};
    sigset_t none = only(0), one = only(SIGUSR1);
    struct { sigset_t *set; size_t size; } mask = {&none, 8};
    part(kind);
    sigprocmask(SIG_SETMASK, &one, NULL);
    WITH(ppoll, "lets a signal in", &asked, 1, NULL, &none, 8);
    WITH(pselect6, "lets a signal in", 0, NULL, NULL, NULL, NULL, &mask);
    WITH(epoll_pwait, "lets a signal in", epoll, &found, 1, -1, &none, 8L);
    WITH(rt_sigsuspend, "lets a signal in", &none, 8);
    /* What lets none in does not see it. */
    WITH(nanosleep, "a signal is blocked", &moment, &rest);
    WITH(poll, "a signal is blocked", &asked, 1, 2);
    WITH(recvfrom, "a signal is blocked", pair[0], &byte, 1, 0, NULL, NULL);
    sigset_t taken = one;
    call(rt_sigtimedwait, "takes the signal", &taken, NULL, &moment, 8);
    seen();
    /* A descriptor that is ready goes before a signal. */
    asked.fd = wake[0];
    write(wake[1], "", 1);
    WITH(ppoll, "a signal and a descriptor", &asked, 1, NULL, &none, 8);
    WITH(read, "a signal is blocked, and nothing is there", wake[0], &byte, 1);
    sigprocmask(SIG_SETMASK, &none, NULL);
    seen();
}

int main(void) {
    must(pipe2(wake, O_NONBLOCK)), must(pipe(never)), must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    epoll = must(epoll_create1(0)), epoll_wake = must(epoll_create1(0));
    must(epoll_ctl(epoll, EPOLL_CTL_ADD, never[0], &(struct epoll_event){EPOLLIN, {.fd = 1}}));
    must(epoll_ctl(epoll_wake, EPOLL_CTL_ADD, wake[0], &(struct epoll_event){EPOLLIN, {.fd = 1}}));
    handle(0);
    handled_before("handled before");
    blocked_before("blocked before");
    handle(SA_RESTART);
    handled_before("handled before, SA_RESTART");
    blocked_before("blocked before, SA_RESTART");
    return 0;
}
