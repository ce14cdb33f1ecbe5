/* wait4 and waitid in all forms. */
#include "../tell.h"
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static pid_t child_that(int code) {
    pid_t child = fork();
    if (child == 0)
        _exit(code);
    return child;
}

static pid_t child_waiting(void) {
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    return child;
}

static void show_info(const char *what, long answer, siginfo_t *info, pid_t child) {
    if (answer < 0) {
        tell("waitid", what, answer);
        return;
    }
    printf("waitid(%s) = %ld\n", what, answer);
    printf("  signo %d code %d errno %d status %d uid %d child %s\n",
           info->si_signo, info->si_code, info->si_errno, info->si_status, info->si_uid,
           info->si_pid == child ? "right" : info->si_pid == 0 ? "none" : "wrong");
}

static void show_signal(siginfo_t *info, pid_t child) {
    printf("  signo %d code %d status %d child %s\n", info->si_signo, info->si_code, info->si_status,
           info->si_pid == child ? "right" : "wrong");
}

static void id_wait(const char *what, int kind, int id, int options, pid_t child) {
    siginfo_t info;
    memset(&info, 0x55, sizeof info);
    show_info(what, waitid(kind, id, &info, options), &info, child);
}

static void four(const char *what, pid_t id, int options, pid_t child) {
    int status = 0;
    long answer = wait4(id, &status, options, NULL);
    if (answer == child)
        ended(what, status);
    else
        tell("wait4", what, answer);
}

static void errors(void) {
    int status;
    tell("wait4", "without children", wait4(-1, &status, 0, NULL));
    tell("wait4", "WNOHANG without children", wait4(-1, &status, WNOHANG, NULL));
    tell("wait4", "unknown option", wait4(-1, &status, 0x100, NULL));
    tell("wait4", "WEXITED", wait4(-1, &status, WEXITED, NULL));
    tell("wait4", "not a child", wait4(getpid(), &status, 0, NULL));
    tell("wait4", "least number", wait4((pid_t)0x80000000, &status, 0, NULL));
    tell("waitid", "without children", waitid(P_ALL, 0, NULL, WEXITED));
    tell("waitid", "without events", waitid(P_ALL, 0, NULL, 0));
    tell("waitid", "unknown option", waitid(P_ALL, 0, NULL, WEXITED | 0x100));
    tell("waitid", "unknown kind", waitid(77, 0, NULL, WEXITED));
    tell("waitid", "P_PID 0", waitid(P_PID, 0, NULL, WEXITED));
    tell("waitid", "P_PID -1", waitid(P_PID, -1, NULL, WEXITED));
    tell("waitid", "P_PGID -1", waitid(P_PGID, -1, NULL, WEXITED));
    tell("waitid", "P_PIDFD -1", waitid(P_PIDFD, -1, NULL, WEXITED));
    tell("waitid", "P_PIDFD 77", waitid(P_PIDFD, 77, NULL, WEXITED));
    tell("waitid", "P_PIDFD of no process", waitid(P_PIDFD, 1, NULL, WEXITED));
    pid_t child = child_that(1);
    tell("wait4", "status nowhere", wait4(child, NOWHERE, 0, NULL));
    four("and again", child, 0, child);
    child = child_that(1);
    tell("waitid", "info nowhere", waitid(P_PID, child, NOWHERE, WEXITED));
    four("and again", child, 0, child);
}

static void ends(void) {
    pid_t child = child_that(300);
    four("exit 300", child, 0, child);
    four("once more", child, 0, child);
    child = child_waiting();
    four("WNOHANG none yet", child, WNOHANG, child);
    id_wait("waitid WNOHANG none yet", P_PID, child, WEXITED | WNOHANG, child);
    kill(child, SIGTERM);
    id_wait("waitid WNOWAIT", P_PID, child, WEXITED | WNOWAIT, child);
    id_wait("waitid WNOWAIT again", P_ALL, 0, WEXITED | WNOWAIT, child);
    id_wait("waitid", P_PID, child, WEXITED, child);
    id_wait("waitid once more", P_PID, child, WEXITED, child);
    child = child_waiting();
    kill(child, SIGKILL);
    four("by number -1", -1, 0, child);
    child = child_that(2);
    four("by group 0", 0, 0, child);
    child = child_that(3);
    four("by own group", -getpgrp(), 0, child);
    child = child_waiting();
    setpgid(child, 0);
    four("by own group, child elsewhere", 0, WNOHANG, child);
    id_wait("waitid P_PGID 0", P_PGID, 0, WEXITED | WNOHANG, child);
    kill(child, SIGTERM);
    four("by its group", -child, 0, child);
    child = child_that(4);
    id_wait("waitid P_PGID own", P_PGID, getpgrp(), WEXITED, child);
    child = child_that(5);
    id_wait("waitid P_PGID 0", P_PGID, 0, WEXITED, child);
    child = child_that(6);
    tell("waitid", "without info", waitid(P_PID, child, NULL, WEXITED));
    child = child_that(6);
    tell("wait4", "without status", wait4(child, NULL, 0, NULL) == child);
}

static void stops(void) {
    pid_t child = child_waiting();
    kill(child, SIGSTOP);
    id_wait("stopped, WNOWAIT", P_PID, child, WSTOPPED | WNOWAIT, child);
    id_wait("stopped", P_PID, child, WSTOPPED, child);
    id_wait("stopped, told once", P_PID, child, WSTOPPED | WNOHANG, child);
    four("not asked for", child, WNOHANG, child);
    kill(child, SIGCONT);
    id_wait("continued, WNOWAIT", P_PID, child, WCONTINUED | WNOWAIT, child);
    id_wait("continued", P_PID, child, WCONTINUED, child);
    id_wait("continued, told once", P_PID, child, WCONTINUED | WNOHANG, child);
    /* A group that is not orphaned: SIGTSTP stops it. */
    setpgid(child, child);
    kill(child, SIGTSTP);
    four("WUNTRACED", child, WUNTRACED, child);
    four("WUNTRACED told once", child, WUNTRACED | WNOHANG, child);
    kill(child, SIGCONT);
    four("WCONTINUED", child, WCONTINUED, child);
    kill(child, SIGTTIN);
    four("WUNTRACED", child, WUNTRACED, child);
    kill(child, SIGTERM);
    four("a signal waits while it is stopped", child, WNOHANG, child);
    kill(child, SIGCONT);
    four("ended after going on", child, 0, child);
    child = child_waiting();
    kill(child, SIGSTOP);
    four("stopped", child, WUNTRACED, child);
    kill(child, SIGKILL);
    four("killed while stopped", child, 0, child);
}

static void by_descriptor(void) {
    pid_t child = child_waiting();
    int fd = syscall(SYS_pidfd_open, child, 0);
    id_wait("P_PIDFD none yet", P_PIDFD, fd, WEXITED | WNOHANG, child);
    struct pollfd asked = {fd, POLLIN, 0};
    tell("poll", "it", poll(&asked, 1, 0));
    kill(child, SIGTERM);
    tell("poll", "it", poll(&asked, 1, -1));
    printf("events %#x\n", asked.revents);
    id_wait("P_PIDFD", P_PIDFD, fd, WEXITED, child);
    id_wait("P_PIDFD once more", P_PIDFD, fd, WEXITED, child);
    close(fd);
    fd = syscall(SYS_pidfd_open, getpid(), 0);
    id_wait("P_PIDFD of itself", P_PIDFD, fd, WEXITED, child);
    close(fd);
    child = child_waiting();
    fd = syscall(SYS_pidfd_open, child, O_NONBLOCK);
    id_wait("P_PIDFD non-blocking", P_PIDFD, fd, WEXITED, child);
    kill(child, SIGTERM);
    four("its end", child, 0, child);
    close(fd);
}

static int chld;
static siginfo_t last;
static void on_child(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    chld++;
    last = *info;
}

static void parent_is_told(void) {
    struct sigaction action = {.sa_sigaction = on_child, .sa_flags = SA_SIGINFO};
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaction(SIGCHLD, &action, NULL);
    sigprocmask(SIG_BLOCK, &set, &old);
#define TAKE(what) sigsuspend(&old), printf("%s: %d signals\n", what, chld), chld = 0, \
    show_signal(&last, child)
    pid_t child = child_that(7);
    TAKE("exit");
    four("its end", child, 0, child);
    child = child_waiting();
    kill(child, SIGSTOP);
    TAKE("stop");
    four("its stop", child, WUNTRACED, child);
    kill(child, SIGCONT);
    TAKE("continue");
    kill(child, SIGABRT);
    TAKE("abort");
    four("its end", child, 0, child);
    action.sa_flags |= SA_NOCLDSTOP;
    sigaction(SIGCHLD, &action, NULL);
    child = child_waiting();
    kill(child, SIGSTOP);
    four("its stop", child, WUNTRACED, child);
    kill(child, SIGCONT);
    kill(child, SIGTERM);
    TAKE("SA_NOCLDSTOP, to its end");
    four("its end", child, 0, child);
    action.sa_flags = SA_SIGINFO | SA_NOCLDWAIT;
    sigaction(SIGCHLD, &action, NULL);
    child = child_that(8);
    TAKE("SA_NOCLDWAIT");
    four("nothing left", child, 0, child);
    sigprocmask(SIG_SETMASK, &old, NULL);
    signal(SIGCHLD, SIG_IGN);
    child = child_that(8);
    four("ignored: waits until it is gone", child, 0, child);
    signal(SIGCHLD, SIG_DFL);
}

static void usage(void) {
    struct rusage usage;
    memset(&usage, 0x55, sizeof usage);
    pid_t child = child_that(0);
    tell("wait4", "with usage", wait4(child, NULL, 0, &usage) == child);
    printf("time sane %d, memory %d\n", usage.ru_utime.tv_sec < 5 && usage.ru_stime.tv_sec < 5,
           usage.ru_maxrss > 0);
    child = child_that(0);
    tell("wait4", "usage nowhere", wait4(child, NULL, 0, NOWHERE));
    siginfo_t info;
    child = child_that(0);
    memset(&usage, 0x55, sizeof usage);
    tell("waitid", "with usage", syscall(SYS_waitid, P_PID, child, &info, WEXITED, &usage));
    printf("time sane %d\n", usage.ru_utime.tv_sec < 5 && usage.ru_stime.tv_sec < 5);
    while (wait(NULL) > 0)
        ;
}

int main(void) {
    errors();
    ends();
    stops();
    by_descriptor();
    parent_is_told();
    usage();
    return 0;
}
