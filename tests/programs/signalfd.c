/* Signals read from a descriptor: sent to the process, to a thread, by a timer, by a child. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long tell(const char *what, long answer) {
    if (answer < 0)
        printf("%s: %s\n", what, strerror(errno));
    else
        printf("%s: %ld\n", what, answer);
    return answer;
}

static void read_one(int fd) {
    struct signalfd_siginfo info;
    if (tell("read", read(fd, &info, sizeof info)) > 0)
        printf("signal %u code %d by self %d status %d value %d\n", info.ssi_signo, info.ssi_code,
               info.ssi_pid == (unsigned)getpid(), info.ssi_status, info.ssi_int);
}

static void *send_later(void *argument) {
    usleep(10000);
    kill(getpid(), SIGUSR2);
    return argument;
}

int main(void) {
    sigset_t set;
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGRTMIN);
    sigaddset(&set, SIGALRM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    tell("wrong flags", signalfd(-1, &set, 1));
    tell("not a signalfd", signalfd(0, &set, 0));
    tell("no such", signalfd(999, &set, 0));
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    char small[128];
    tell("too small", read(fd, small, 100));
    tell("none", read(fd, small, 128));
    struct pollfd asked = {fd, POLLIN, 0};
    tell("poll", poll(&asked, 1, 0));
    kill(getpid(), SIGUSR1);
    tell("poll", poll(&asked, 1, 0));
    read_one(fd);
    pthread_kill(pthread_self(), SIGUSR2);
    read_one(fd);
    union sigval value = {.sival_int = 42};
    sigqueue(getpid(), SIGRTMIN, value);
    value.sival_int = 43;
    sigqueue(getpid(), SIGRTMIN, value);
    struct signalfd_siginfo both[3];
    tell("two at once", read(fd, both, sizeof both));
    printf("values %d %d\n", both[0].ssi_int, both[1].ssi_int);
    pid_t child = fork();
    if (child == 0)
        _exit(5);
    tell("poll for a child", poll(&asked, 1, -1));
    read_one(fd);
    waitpid(child, NULL, 0);
    int epoll = epoll_create1(0);
    struct epoll_event event = {EPOLLIN, {.fd = fd}};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    pthread_t thread;
    pthread_create(&thread, NULL, send_later, NULL);
    tell("epoll", epoll_wait(epoll, &event, 1, -1));
    read_one(fd);
    pthread_join(thread, NULL);
    alarm(1);
    tell("poll for an alarm", poll(&asked, 1, -1));
    read_one(fd);
    sigdelset(&set, SIGUSR1);
    tell("change", signalfd(fd, &set, 0) == fd);
    kill(getpid(), SIGUSR1);
    tell("no longer", poll(&asked, 1, 0));
    return 0;
}
