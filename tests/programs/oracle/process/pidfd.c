/* pidfd_open, pidfd_send_signal, pidfd_getfd, and waiting for a process by its descriptor. */
#include "../tell.h"
#include <poll.h>
#include <sys/epoll.h>

static pid_t sleeper(void) {
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    return child;
}

static int open_it(pid_t process) {
    return must(syscall(SYS_pidfd_open, process, 0));
}

static void opening(void) {
    call(pidfd_open, "process 0", 0, 0);
    call(pidfd_open, "process -1", -1, 0);
    call(pidfd_open, "missing", 4194303, 0);
    call(pidfd_open, "unknown flag", getpid(), 1);
    int fd = syscall(SYS_pidfd_open, getpid(), 0);
    tell_made("pidfd_open", "own", fd);
    printf("close-on-exec %d\n", fcntl(fd, F_GETFD));
    char byte;
    call(read, "a pidfd", fd, &byte, 1);
    call(write, "a pidfd", fd, &byte, 1);
    call(lseek, "a pidfd", fd, 0l, SEEK_SET);
    close(fd);
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    siginfo_t info;
    waitid(P_PID, child, &info, WEXITED | WNOWAIT);
    fd = syscall(SYS_pidfd_open, child, 0);
    tell_made("pidfd_open", "a zombie", fd);
    waitpid(child, NULL, 0);
    call(pidfd_open, "one that was waited for", child, 0);
    call(pidfd_send_signal, "to one that is gone", fd, 0, NULL, 0);
    close(fd);
}

static void sending(void) {
    pid_t child = sleeper();
    int fd = open_it(child), status;
    call(pidfd_send_signal, "not open", 99, SIGTERM, NULL, 0);
    call(pidfd_send_signal, "no process", 0, SIGTERM, NULL, 0);
    call(pidfd_send_signal, "signal 65", fd, 65, NULL, 0);
    call(pidfd_send_signal, "unknown flag", fd, SIGTERM, NULL, 0x100);
    siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_QUEUE};
    call(pidfd_send_signal, "another signal in the siginfo", fd, SIGTERM, &info, 0);
    info.si_signo = SIGTERM, info.si_code = SI_USER;
    call(pidfd_send_signal, "siginfo as if by kill", fd, SIGTERM, &info, 0);
    call(pidfd_send_signal, "siginfo nowhere", fd, SIGTERM, NOWHERE, 0);
    call(pidfd_send_signal, "nothing", fd, 0, NULL, 0);
    struct pollfd asked = {fd, POLLIN, 0};
    printf("ready %d\n", poll(&asked, 1, 0));
    int epoll = epoll_create1(0);
    struct epoll_event event = {EPOLLIN | EPOLLET, {.u64 = 5}};
    call(epoll_ctl, "a pidfd", epoll, EPOLL_CTL_ADD, fd, &event);
    call(pidfd_send_signal, "SIGTERM", fd, SIGTERM, NULL, 0);
    call(epoll_wait, "its end", epoll, &event, 1, -1);
    int ready = poll(&asked, 1, -1);
    printf("ready %d, events %#x\n", ready, asked.revents);
    waitpid(child, &status, 0);
    ended("child", status);
    ready = poll(&asked, 1, -1);
    printf("ready %d, readable %d\n", ready, (asked.revents & POLLIN) != 0);
    close(fd), close(epoll);
}

static void descriptors(void) {
    int pipes[2], ready[2];
    char text[8] = "";
    pipe(ready);
    pid_t child = fork();
    if (child == 0) {
        pipe(pipes);
        write(pipes[1], "within", 6);
        dprintf(ready[1], "%d", pipes[0]);
        for (;;)
            pause();
    }
    char number[8] = "";
    read(ready[0], number, 7);
    int fd = open_it(child), theirs = atoi(number);
    call(pidfd_getfd, "unknown flag", fd, theirs, 1);
    call(pidfd_getfd, "not open there", fd, 77, 0);
    call(pidfd_getfd, "no process", 0, theirs, 0);
    call(pidfd_getfd, "not open", 99, theirs, 0);
    int copy = syscall(SYS_pidfd_getfd, fd, theirs, 0);
    tell_made("pidfd_getfd", "a pipe", copy);
    read(copy, text, 6);
    printf("read %s, close-on-exec %d\n", text, fcntl(copy, F_GETFD));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    call(pidfd_getfd, "of one that is gone", fd, theirs, 0);
}

int main(void) {
    opening();
    sending();
    descriptors();
    return 0;
}
