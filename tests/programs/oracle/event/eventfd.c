/* eventfd, eventfd2, signalfd, signalfd4. */
#include "../asleep.h"
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

static void show(const char *what, int fd) {
    struct pollfd asked = {fd, POLLIN | POLLOUT, 0};
    poll(&asked, 1, 0);
    printf("%s: events %#x\n", what, asked.revents);
}

static void counters(void) {
    uint64_t value = 0, most = UINT64_MAX - 1, all = UINT64_MAX, one = 1;
    call(eventfd2, "unknown flag", 0, 0x100);
    call(eventfd2, "all flags", 0, -1);
    made(eventfd, "the old call", 3);
    int fd = call(eventfd2, "nonblocking", 0, EFD_NONBLOCK | EFD_CLOEXEC);
    printf("close-on-exec %d, flags %#x\n", fcntl(fd, F_GETFD), fcntl(fd, F_GETFL));
    show("zero", fd);
    call(read, "zero", fd, &value, 8);
    call(read, "too small", fd, &value, 7);
    call(read, "nowhere", fd, NOWHERE, 8);
    call(write, "too small", fd, &one, 4);
    call(write, "too much", fd, &all, 8);
    call(write, "nowhere", fd, NOWHERE, 8);
    call(write, "one", fd, &one, 8);
    call(write, "one more", fd, &one, 8);
    show("two", fd);
    call(read, "two", fd, &value, 8);
    printf("value %lu\n", value);
    call(write, "the most", fd, &most, 8);
    show("full", fd);
    call(write, "one too many", fd, &one, 8);
    call(write, "nothing", fd, (uint64_t[]){0}, 8);
    call(read, "the most", fd, &value, 8);
    printf("value the most %d\n", value == most);
    int semaphore = call(eventfd2, "semaphore", 2, EFD_SEMAPHORE | EFD_NONBLOCK);
    for (int at = 0; at < 3; at++) {
        value = 0;
        call(read, "semaphore", semaphore, &value, 8);
        printf("value %lu\n", value);
    }
    call(pread64, "it", fd, &value, 8, 0l);
    if (fork() == 0) {
        until_asleep(getppid());
        write(fd, &one, 8);
        _exit(0);
    }
    fcntl(fd, F_SETFL, 0);
    call(read, "waits", fd, &value, 8);
    printf("value %lu\n", value);
    wait(NULL);
}

static void signals(void) {
    struct signalfd_siginfo info[3];
    unsigned long set = 1ul << (SIGUSR1 - 1) | 1ul << (SIGRTMIN - 1) | 1ul << (SIGCHLD - 1), kill_only = 1ul << 8;
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 8);
    call(signalfd4, "unknown flag", -1, &set, 8, 1);
    call(signalfd4, "size 4", -1, &set, 4, 0);
    call(signalfd4, "nowhere", -1, NOWHERE, 8, 0);
    call(signalfd4, "not open", 99, &set, 8, 0);
    call(signalfd4, "no signalfd", 0, &set, 8, 0);
    call(signalfd, "size 4", -1, &set, 4);
    call(signalfd, "nowhere", -1, NOWHERE, 8);
    made(signalfd, "the old call", -1, &kill_only, 8);
    int fd = call(signalfd4, "it", -1, &set, 8, SFD_NONBLOCK | SFD_CLOEXEC);
    show("nothing", fd);
    call(read, "nothing", fd, info, sizeof info);
    call(read, "too small", fd, info, 127);
    call(write, "it", fd, info, 128);
    kill(getpid(), SIGUSR1);
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 5});
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 6});
    show("some", fd);
    call(read, "three", fd, info, sizeof info);
    for (int at = 0; at < 3; at++)
        printf("signal %u code %d own %d uid %u value %d\n", info[at].ssi_signo, info[at].ssi_code,
               info[at].ssi_pid == (unsigned)getpid(), info[at].ssi_uid, info[at].ssi_int);
    pid_t child = fork();
    if (child == 0)
        _exit(4);
    fcntl(fd, F_SETFL, 0);
    call(read, "waits for a child", fd, info, 128);
    printf("signal %u code %d status %d child %d\n", info[0].ssi_signo, info[0].ssi_code, info[0].ssi_status,
           info[0].ssi_pid == (unsigned)child);
    waitpid(child, NULL, 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    set = 1ul << (SIGUSR1 - 1);
    tell("signalfd4", "another mask", syscall(SYS_signalfd4, fd, &set, 8, 0) == fd ? 0 : -1);
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 7});
    call(read, "not in the mask", fd, info, 128);
    /* Whoever reads takes his own signals. */
    kill(getpid(), SIGUSR1);
    if (fork() == 0) {
        call(read, "a child has none", fd, info, 128);
        _exit(0);
    }
    wait(NULL);
    call(read, "the parent's", fd, info, 128);
}

int main(void) {
    counters();
    signals();
    return 0;
}
