/* timerfd_create, timerfd_settime, timerfd_gettime, and reading and polling. */
#include "../tell.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>

#define MS 1000000l

int main(void) {
    struct itimerspec now, set = {{0, 0}, {0, 5 * MS}};
    uint64_t expired;
    call(timerfd_create, "clock 99", 99, 0);
    call(timerfd_create, "CLOCK_PROCESS_CPUTIME_ID", CLOCK_PROCESS_CPUTIME_ID, 0);
    call(timerfd_create, "unknown flag", CLOCK_MONOTONIC, 1);
    clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME};
    int fds[3];
    for (int at = 0; at < 3; at++)
        fds[at] = call(timerfd_create, "a clock", clocks[at], TFD_CLOEXEC);
    printf("close-on-exec %d, flags %#x\n", fcntl(fds[0], F_GETFD), fcntl(fds[0], F_GETFL));
    int fd = call(timerfd_create, "TFD_NONBLOCK", CLOCK_MONOTONIC, TFD_NONBLOCK);
    call(read, "not set", fd, &expired, 8);
    call(read, "too small", fd, &expired, 4);
    call(write, "it", fd, &expired, 8);
    call(pread64, "it", fd, &expired, 8, 0l);
    call(timerfd_settime, "not a timer", 0, 0, &set, NULL);
    call(timerfd_settime, "not open", 99, 0, &set, NULL);
    call(timerfd_settime, "unknown flag", fd, 8, &set, NULL);
    call(timerfd_settime, "nowhere", fd, 0, NOWHERE, NULL);
    call(timerfd_settime, "old nowhere", fd, 0, &set, NOWHERE);
    call(timerfd_settime, "too many nanoseconds", fd, 0, &(struct itimerspec){{0, 0}, {0, 1000 * MS}}, NULL);
    call(timerfd_settime, "negative", fd, 0, &(struct itimerspec){{0, 0}, {-1, 0}}, NULL);
    call(timerfd_gettime, "not a timer", 0, &now);
    call(timerfd_gettime, "not open", 99, &now);
    call(timerfd_gettime, "nowhere", fd, NOWHERE);
    call(timerfd_settime, "stopped", fd, 0, &(struct itimerspec){0}, NULL);
    call(timerfd_gettime, "stopped", fd, &now);
    printf("left %ld %ld\n", now.it_value.tv_sec, now.it_value.tv_nsec);
    for (int at = 0; at < 3; at++) {
        call(timerfd_settime, "once", fds[at], 0, &set, NULL);
        call(read, "waits", fds[at], &expired, 8);
        printf("expired %lu\n", expired);
        call(timerfd_gettime, "over", fds[at], &now);
        printf("left %ld %ld\n", now.it_value.tv_sec, now.it_value.tv_nsec);
        struct timespec moment;
        clock_gettime(clocks[at], &moment);
        moment.tv_nsec += 5 * MS;
        moment.tv_sec += moment.tv_nsec / (1000 * MS), moment.tv_nsec %= 1000 * MS;
        call(timerfd_settime, "at a moment", fds[at], TFD_TIMER_ABSTIME, &(struct itimerspec){{0, 0}, moment}, NULL);
        call(read, "waits", fds[at], &expired, 8);
        printf("expired %lu\n", expired);
        call(timerfd_settime, "in the past", fds[at], TFD_TIMER_ABSTIME, &(struct itimerspec){{0, 0}, {1, 0}}, NULL);
        call(read, "at once", fds[at], &expired, 8);
    }
    call(timerfd_settime, "repeated", fd, 0, &(struct itimerspec){{0, 2 * MS}, {0, 2 * MS}}, NULL);
    struct pollfd asked = {fd, POLLIN | POLLOUT, 0};
    printf("poll %d\n", poll(&asked, 1, -1));
    printf("events %#x\n", asked.revents);
    usleep(20000);
    call(read, "several", fd, &expired, 8);
    printf("expired often %d\n", expired >= 5);
    call(timerfd_settime, "far off", fd, 0, &(struct itimerspec){{7, 0}, {1000, 0}}, &now);
    printf("interval before %ld\n", now.it_interval.tv_nsec);
    call(timerfd_gettime, "far off", fd, &now);
    printf("left most %d, interval %ld\n", now.it_value.tv_sec >= 990, now.it_interval.tv_sec);
    call(read, "set again, nothing is left", fd, &expired, 8);
    int epoll = epoll_create1(0);
    struct epoll_event event = {EPOLLIN | EPOLLET, {.fd = fd}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    printf("epoll before %d\n", epoll_wait(epoll, &event, 1, 0));
    timerfd_settime(fd, 0, &set, NULL);
    call(epoll_wait, "it", epoll, &event, 1, -1);
    printf("events %#x\n", event.events);
    printf("epoll edge %d\n", epoll_wait(epoll, &event, 1, 0));
    /* A copy is the same timer. */
    int copy = dup(fd);
    call(read, "a copy", copy, &expired, 8);
    call(read, "the other", fd, &expired, 8);
    return 0;
}
