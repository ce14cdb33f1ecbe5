/* What the programs over terminals share: a pseudo terminal of one's own, typing on it, and
   printing what comes out of it.

   Linux moves bytes from one side to the other behind one's back, but a read that would have to
   wait, and a poll that finds nothing, first wait until everything has arrived. So both sides are
   non-blocking, and each is read until there is no more. */
#pragma once
#include "tell.h"
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

/* The sides of a pseudo terminal. */
static int master, slave;

static inline void open_pty(void) {
    master = must(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    must(grantpt(master));
    must(unlockpt(master));
    slave = must(open(ptsname(master), O_RDWR | O_NOCTTY | O_NONBLOCK));
}

static inline void close_pty(void) {
    close(slave);
    close(master);
}

/* Prints what an expression answers, or the error. */
#define answers(what, expression)                                         \
    do {                                                                  \
        long answer = (expression);                                       \
        if (answer == -1)                                                 \
            printf("%s: %s\n", what, strerrorname_np(errno));             \
        else                                                              \
            printf("%s: %ld\n", what, answer);                            \
    } while (0)

/* Asks a terminal something by ioctl. */
#define asks(what, fd, command, argument) \
    answers(what, ioctl(fd, command, (unsigned long)(argument)))

/* Prints bytes so that every one is seen. */
static inline void show_bytes(const unsigned char *bytes, long len) {
    for (long i = 0; i < len; i++) {
        if (bytes[i] == '\n')
            printf("\\n");
        else if (bytes[i] == '\r')
            printf("\\r");
        else if (bytes[i] == '\\')
            printf("\\\\");
        else if (bytes[i] < 32 || bytes[i] > 126)
            printf("\\x%02x", bytes[i]);
        else
            putchar(bytes[i]);
    }
}

/* Reads the slave, so many bytes at a time, until it would wait. */
static inline void slave_reads(size_t most) {
    static unsigned char bytes[8192];
    for (;;) {
        long len = read(slave, bytes, most);
        if (len == -1) {
            if (errno != EAGAIN)
                printf("  read fails with %s\n", strerrorname_np(errno));
            return;
        }
        printf("  read %ld \"", len);
        if (len > 100) {
            show_bytes(bytes, 10);
            printf("...");
            show_bytes(bytes + len - 10, 10);
        } else
            show_bytes(bytes, len);
        printf("\"\n");
    }
}

/* Reads all that the master is shown. */
static inline void master_reads(void) {
    static unsigned char bytes[65536];
    long all = 0;
    for (;;) {
        long len = read(master, bytes + all, sizeof bytes - all);
        if (len == -1) {
            int error = errno;
            if (all > 300)
                printf("  shown %ld bytes\n", all);
            else if (all > 0) {
                printf("  shown \"");
                show_bytes(bytes, all);
                printf("\"\n");
            }
            if (error != EAGAIN)
                printf("  master fails with %s\n", strerrorname_np(error));
            return;
        }
        all += len;
    }
}

/* Types bytes and prints what becomes of them. */
static inline void type_bytes(const char *what, const char *bytes, size_t len) {
    printf("%s\n", what);
    if (must(write(master, bytes, len)) != (long)len)
        printf("  typed only a part\n");
    slave_reads(4096);
    master_reads();
}

#define type(what, text) type_bytes(what, text, sizeof(text) - 1)

/* Writes bytes as a program does and prints what is shown. */
static inline void write_text(const char *what, const char *text) {
    long len = write(slave, text, strlen(text));
    if (len == -1)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %ld\n", what, len);
    master_reads();
}

/* Changes the settings: flags on and off. */
static inline void set(tcflag_t iflag, tcflag_t oflag, tcflag_t lflag, tcflag_t not_iflag,
                       tcflag_t not_oflag, tcflag_t not_lflag) {
    struct termios t;
    must(tcgetattr(slave, &t));
    t.c_iflag = (t.c_iflag | iflag) & ~not_iflag;
    t.c_oflag = (t.c_oflag | oflag) & ~not_oflag;
    t.c_lflag = (t.c_lflag | lflag) & ~not_lflag;
    must(tcsetattr(slave, TCSANOW, &t));
}

static inline void set_char(int which, unsigned char value) {
    struct termios t;
    must(tcgetattr(slave, &t));
    t.c_cc[which] = value;
    must(tcsetattr(slave, TCSANOW, &t));
}

/* Not canonical, no echo, no signals: `least` bytes are enough, or `tenths` of a second. */
static inline void set_raw(unsigned char least, unsigned char tenths) {
    struct termios t;
    must(tcgetattr(slave, &t));
    cfmakeraw(&t);
    t.c_cc[VMIN] = least;
    t.c_cc[VTIME] = tenths;
    must(tcsetattr(slave, TCSANOW, &t));
}

/* What poll says of a side. */
static inline void polls(const char *what, int fd) {
    struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI, 0};
    must(poll(&p, 1, 0));
    printf("%s:%s%s%s%s%s\n", what, p.revents & POLLIN ? " in" : "",
           p.revents & POLLPRI ? " pri" : "", p.revents & POLLOUT ? " out" : "",
           p.revents & POLLERR ? " err" : "", p.revents & POLLHUP ? " hup" : "");
}
