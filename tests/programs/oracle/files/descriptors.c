/* dup, dup2, dup3, close_range, fcntl on descriptors and flags, ioctl on any file. */
#include "../tell.h"
#include <linux/close_range.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

static void open_ones(const char *what) {
    printf("%s:", what);
    for (int fd = 0; fd < 40; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0)
            printf(" %d%s", fd, flags & FD_CLOEXEC ? "*" : "");
    }
    printf("\n");
}

static void copies(int fd) {
    part("copies");
    call(dup, "a descriptor", fd);
    call(dup, "no descriptor", 999);
    call(dup, "a negative one", -1);
    call(dup2, "to a free number", fd, 20);
    call(dup2, "to a taken number", fd, 4);
    call(dup2, "to itself", fd, fd);
    call(dup2, "no descriptor to itself", 999, 999);
    call(dup2, "no descriptor", 999, 4);
    call(dup2, "to a negative number", fd, -1);
    call(dup2, "beyond the limit", fd, 10000000);
    call(dup3, "on exec", fd, 21, O_CLOEXEC);
    call(dup3, "to itself", fd, fd, 0);
    call(dup3, "unknown flags", fd, 22, O_NONBLOCK);
    call(dup3, "no descriptor", 999, 22, 0);
    call(dup3, "to a negative number", fd, -1, 0);
    call(fcntl, "the lowest from", fd, F_DUPFD, 20);
    call(fcntl, "the lowest from, on exec", fd, F_DUPFD_CLOEXEC, 25);
    call(fcntl, "from a negative number", fd, F_DUPFD, -1);
    call(fcntl, "from beyond the limit", fd, F_DUPFD, 10000000);
    call(fcntl, "of no descriptor", 999, F_DUPFD, 0);
    open_ones("open");
    must(lseek(fd, 3, SEEK_SET));
    call(lseek, "copies share the position", 20, 0L, SEEK_CUR);
    int own = must(open("f", O_RDWR));
    call(lseek, "another opening does not", own, 0L, SEEK_CUR);
    close(own);
    must(fcntl(fd, F_SETFD, FD_CLOEXEC));
    printf("copies have their own flag: %d %d\n", fcntl(fd, F_GETFD), fcntl(20, F_GETFD));
    must(fcntl(fd, F_SETFL, O_APPEND));
    printf("copies share flags: %o\n", fcntl(20, F_GETFL));
    struct rlimit few = {24, 24}, before;
    must(getrlimit(RLIMIT_NOFILE, &before));
    few.rlim_max = before.rlim_max;
    must(setrlimit(RLIMIT_NOFILE, &few));
    call(dup, "more than the limit", 27 > 24 ? fd : fd);
    int last = 0;
    while ((last = dup(fd)) >= 0)
        ;
    call(dup, "at the limit", fd);
    call(dup2, "at the limit", fd, 24);
    call(open, "at the limit", "f", O_RDONLY);
    int pipes[2];
    call(pipe, "at the limit", pipes);
    must(setrlimit(RLIMIT_NOFILE, &before));
}

static void ranges(int fd) {
    part("ranges");
    for (int i = 10; i < 20; i++)
        must(dup2(fd, i));
    call(close_range, "some", 12, 14, 0);
    open_ones("after that");
    call(close_range, "on exec", 15, 16, CLOSE_RANGE_CLOEXEC);
    open_ones("after that");
    call(close_range, "the wrong way round", 9, 8, 0);
    call(close_range, "unknown flags", 5, 6, 64);
    call(close_range, "where nothing is", 500, 600, 0);
    call(close_range, "with a table of one's own", 17, 18, CLOSE_RANGE_UNSHARE);
    call(close_range, "to the end", 5, ~0U, 0);
    open_ones("after that");
}

static void flags(int fd) {
    part("flags");
    call(fcntl, "of a descriptor", fd, F_GETFD);
    call(fcntl, "all bits", fd, F_SETFD, -1);
    call(fcntl, "of a descriptor", fd, F_GETFD);
    call(fcntl, "clear", fd, F_SETFD, 0);
    call(fcntl, "of no descriptor", 999, F_GETFD);
    call(fcntl, "of a file", fd, F_GETFL);
    call(fcntl, "what can be changed", fd, F_SETFL, O_NONBLOCK | O_APPEND | O_NOATIME);
    call(fcntl, "of a file", fd, F_GETFL);
    call(fcntl, "what cannot be changed", fd, F_SETFL, O_WRONLY | O_TRUNC | O_SYNC | O_CREAT);
    call(fcntl, "of a file", fd, F_GETFL);
    call(fcntl, "no command", fd, 12345);
    call(fcntl, "a negative command", fd, -1);
    part("owners and leases");
    int pipes[2];
    must(pipe(pipes));
    call(fcntl, "the owner", pipes[0], F_GETOWN);
    call(fcntl, "setting the owner", pipes[0], F_SETOWN, getpid());
    printf("the owner is this one: %d\n", fcntl(pipes[0], F_GETOWN) == getpid());
    call(fcntl, "setting a group as the owner", pipes[0], F_SETOWN, -getpgrp());
    call(fcntl, "an owner that is not there", pipes[0], F_SETOWN, 999999);
    call(fcntl, "no owner", pipes[0], F_SETOWN, 0);
    call(fcntl, "the signal", pipes[0], F_GETSIG);
    call(fcntl, "setting the signal", pipes[0], F_SETSIG, SIGUSR1);
    call(fcntl, "the signal", pipes[0], F_GETSIG);
    call(fcntl, "a signal that is none", pipes[0], F_SETSIG, 999);
    call(fcntl, "a lease", fd, F_GETLEASE);
    call(fcntl, "a lease on a pipe", pipes[0], F_SETLEASE, F_RDLCK);
    call(fcntl, "an unknown lease", fd, F_SETLEASE, 99);
    call(fcntl, "F_NOTIFY of nothing", fd, F_NOTIFY, 0);
    call(fcntl, "F_NOTIFY of nothing, for ever", fd, F_NOTIFY, DN_MULTISHOT);
    struct f_owner_ex owner = {F_OWNER_PID, getpid()};
    call(fcntl, "setting an extended owner", pipes[0], F_SETOWN_EX, &owner);
    owner.pid = 0;
    call(fcntl, "an extended owner", pipes[0], F_GETOWN_EX, &owner);
    printf("of this kind %d, this one: %d\n", owner.type, owner.pid == getpid());
    owner.type = 77;
    call(fcntl, "an unknown kind of owner", pipes[0], F_SETOWN_EX, &owner);
}

static void controls(int fd) {
    part("ioctl");
    int value = 1, pipes[2];
    must(pipe(pipes));
    call(ioctl, "on exec", fd, FIOCLEX);
    call(fcntl, "then", fd, F_GETFD);
    call(ioctl, "not on exec", fd, FIONCLEX);
    call(fcntl, "then", fd, F_GETFD);
    call(ioctl, "not waiting", pipes[0], FIONBIO, &value);
    printf("flags %o\n", fcntl(pipes[0], F_GETFL));
    value = 0;
    call(ioctl, "waiting", pipes[0], FIONBIO, &value);
    printf("flags %o\n", fcntl(pipes[0], F_GETFL));
    call(ioctl, "from nowhere", pipes[0], FIONBIO, NOWHERE);
    must(write(pipes[1], "seven..", 7));
    call(ioctl, "what is in a pipe", pipes[0], FIONREAD, &value);
    printf("%d\n", value);
    must(ftruncate(fd, 100));
    must(lseek(fd, 30, SEEK_SET));
    call(ioctl, "what is in a file", fd, FIONREAD, &value);
    printf("%d\n", value);
    call(ioctl, "to nowhere", fd, FIONREAD, NOWHERE);
    call(ioctl, "a terminal's", fd, TCGETS, &value);
    call(ioctl, "a terminal's size", pipes[0], TIOCGWINSZ, &value);
    call(ioctl, "an unknown one", fd, 0x12345678, &value);
    call(ioctl, "no descriptor", 999, FIONREAD, &value);
    int null = must(open("/dev/null", O_RDWR)), d = must(open(".", O_RDONLY));
    call(ioctl, "a terminal's, on null", null, TCGETS, &value);
    call(ioctl, "a terminal's, on a directory", d, TCGETS, &value);
    call(ioctl, "what is in null", null, FIONREAD, &value);
    call(ioctl, "what is in a directory", d, FIONREAD, &value);
}

int main(void) {
    int fd = must(open("f", O_CREAT | O_RDWR, 0644));
    copies(fd);
    ranges(fd);
    fd = 3;
    flags(fd);
    controls(fd);
    return 0;
}
