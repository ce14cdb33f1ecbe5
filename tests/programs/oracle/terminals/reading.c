/* How long reads wait and for how much; what is told of readiness; what is left when one side goes. */
#include "../asleep.h"
#include "../pty.h"
#include <sys/epoll.h>
#include <time.h>

static long milliseconds(void) {
    struct timespec t;
    must(clock_gettime(CLOCK_MONOTONIC, &t));
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A read that may wait. */
static void waiting_read(const char *what, size_t most, long least_time) {
    unsigned char bytes[100];
    must(fcntl(slave, F_SETFL, O_RDWR));
    long start = milliseconds();
    long len = read(slave, bytes, most);
    long took = milliseconds() - start;
    must(fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK));
    printf("%s: %ld \"", what, len);
    show_bytes(bytes, len);
    printf("\", %s\n", took >= least_time ? "waited" : "too early");
}

/* Types bytes one by one from another process, once this one waits for them. */
static pid_t typist(const char *bytes) {
    fflush(stdout);
    pid_t child = must(fork());
    if (child == 0) {
        until_asleep(getppid());
        for (; *bytes; bytes++)
            must(write(master, bytes, 1));
        _exit(0);
    }
    return child;
}

static void timing(void) {
    part("least and time");
    open_pty();
    set_raw(0, 0);
    waiting_read("at once", 10, 0);
    set_raw(0, 2);
    waiting_read("two tenths", 10, 190);
    printf("two tenths without waiting\n");
    unsigned char byte;
    answers("nothing", read(slave, &byte, 1));
    must(write(master, "abc", 3));
    waiting_read("it is there", 10, 0);
    pid_t child = typist("d");
    set_raw(0, 100);
    waiting_read("it comes", 10, 0);
    must(waitpid(child, NULL, 0));

    set_raw(3, 0);
    child = typist("abc");
    waiting_read("three of many", 10, 0);
    must(waitpid(child, NULL, 0));
    child = typist("def");
    waiting_read("two are enough", 2, 0);
    must(waitpid(child, NULL, 0));
    polls("one is left of three", slave);
    must(write(master, "gh", 2));
    polls("three", slave);
    waiting_read("three", 10, 0);
    must(write(master, "ij", 2));
    polls("two", slave);
    printf("two of three without waiting\n");
    slave_reads(10);

    set_raw(5, 2);
    must(write(master, "xyz", 3));
    polls("three of five, with a time", slave);
    waiting_read("three, and then a pause", 10, 190);
    must(write(master, "u", 1));
    polls("one of five, with a time", slave);
    waiting_read("one, and then a pause", 10, 190);
    must(write(master, "vwxyz1", 6));
    waiting_read("five and more", 10, 0);
    must(write(master, "ab", 2));
    waiting_read("two are enough", 2, 0);
    waiting_read("no room", 0, 0);
    close_pty();
}

static void caught(int signal) {
    (void)signal;
}

static void interrupted(void) {
    part("signals");
    open_pty();
    set_raw(5, 0);
    struct sigaction action = {.sa_handler = caught};
    must(sigaction(SIGALRM, &action, NULL));
    must(write(master, "ab", 2));
    must(fcntl(slave, F_SETFL, O_RDWR));
    ualarm(100000, 100000);
    unsigned char bytes[10];
    answers("two of five", read(slave, bytes, 10));
    ualarm(100000, 100000);
    answers("none", read(slave, bytes, 10));
    set(0, 0, ICANON, 0, 0, 0);
    must(write(master, "unfinished", 10));
    ualarm(100000, 100000);
    answers("no line", read(slave, bytes, 10));
    ualarm(0, 0);
    close_pty();
}

static void readiness(void) {
    part("readiness");
    open_pty();
    polls("the slave", slave);
    polls("the master", master);
    must(write(master, "abc", 3));
    polls("an unfinished line", slave);
    polls("its echo", master);
    must(write(master, "\n", 1));
    polls("a line", slave);
    slave_reads(100);
    master_reads();
    polls("the slave", slave);

    int set = must(epoll_create1(0));
    struct epoll_event event = {EPOLLIN | EPOLLET, {.u32 = 1}};
    must(epoll_ctl(set, EPOLL_CTL_ADD, slave, &event));
    printf("edges: %d", epoll_wait(set, &event, 1, 0));
    must(write(master, "abc\n", 4));
    printf(" %d", epoll_wait(set, &event, 1, 1000));
    printf(" %d", epoll_wait(set, &event, 1, 0));
    slave_reads(100);
    must(write(master, "abc\n", 4));
    printf(" %d\n", epoll_wait(set, &event, 1, 1000));
    slave_reads(100);
    master_reads();
    close(set);

    part("a slave that does not read");
    static char many[100000];
    memset(many, 'x', sizeof many);
    set_raw(1, 0);
    long all = 0, len;
    while ((len = write(master, many, sizeof many)) > 0)
        all += len;
    printf("some was taken: %d, then %s\n", all >= 4096, strerrorname_np(errno));
    long read_all = 0;
    static char bytes[5000];
    for (;;) {
        len = read(slave, bytes, sizeof bytes);
        if (len <= 0)
            break;
        read_all += len;
    }
    printf("all of it was read: %d\n", all == read_all);
    polls("the master", master);

    part("a master that does not read");
    all = read_all = 0;
    while ((len = write(slave, many, sizeof many)) > 0)
        all += len;
    printf("some was taken: %d, then %s\n", all >= 4096, strerrorname_np(errno));
    while ((len = read(master, bytes, sizeof bytes)) > 0)
        read_all += len;
    printf("all of it was read: %d\n", all == read_all);
    polls("the slave", slave);
    close_pty();
}

static void leaving(void) {
    part("before there is a slave");
    master = must(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK));
    polls("the master", master);
    must(unlockpt(master));
    must(write(master, "typed early\n", 12));
    slave = must(open(ptsname(master), O_RDWR | O_NOCTTY | O_NONBLOCK));
    printf("read late\n");
    slave_reads(100);
    master_reads();

    part("the slave goes");
    must(write(slave, "last words", 10));
    set(0, 0, 0, 0, 0, ECHO | ECHOCTL);
    must(write(master, "unread\nunfinished", 17));
    polls("the slave", slave);
    char name[100];
    strcpy(name, ptsname(master));
    int again = must(dup(slave));
    close(slave);
    slave = again;
    polls("a copy is left", master);
    close(slave);
    polls("none is left", master);
    master_reads();
    master_reads();
    printf("typing: %zd\n", write(master, "more\n", 5));
    polls("nothing is left", master);
    slave = must(open(name, O_RDWR | O_NOCTTY | O_NONBLOCK));
    polls("another slave", master);
    slave_reads(100);
    struct termios t;
    must(tcgetattr(slave, &t));
    printf("it is set as it was: %d\n", !(t.c_lflag & ECHOCTL));
    master_reads();

    part("the master goes");
    must(write(master, "unread\n", 7));
    polls("the slave", slave);
    close(master);
    polls("the slave", slave);
    char bytes[10];
    answers("read", read(slave, bytes, 10));
    answers("write", write(slave, "x", 1));
    answers("settings", tcgetattr(slave, &t));
    answers("isatty", isatty(slave));
    int group = 1;
    answers("a group", ioctl(slave, TIOCSPGRP, &group));
    answers("by its name", open(name, O_RDWR | O_NOCTTY));
    close(slave);

    part("the master goes while somebody reads");
    open_pty();
    must(fcntl(slave, F_SETFL, O_RDWR));
    fflush(stdout);
    pid_t child = must(fork());
    if (child == 0) {
        close(master);
        answers("read", read(slave, bytes, 10));
        fflush(stdout);
        _exit(0);
    }
    /* It sleeps nowhere but in its read. */
    char name_of_stat[40], text[400];
    snprintf(name_of_stat, sizeof name_of_stat, "/proc/%d/stat", child);
    do {
        int fd = must(open(name_of_stat, O_RDONLY));
        text[must(read(fd, text, sizeof text - 1))] = 0;
        close(fd);
    } while (strrchr(text, ')')[2] != 'S');
    close(master);
    must(waitpid(child, NULL, 0));
    close(slave);
}

int main(void) {
    timing();
    interrupted();
    readiness();
    leaving();
    return 0;
}
