/* pipe, pipe2, FIFOs: what they hold, who waits, who is told that nobody is there. */
#include "../tell.h"
#include <poll.h>
#include <sys/ioctl.h>

static char buffer[2000000];
static int signals;

static void count(int signal) {
    (void)signal;
    signals++;
}

static void events(const char *what, int fd) {
    struct pollfd asked = {fd, POLLIN | POLLOUT, 0};
    poll(&asked, 1, 0);
    printf("%s:%s%s%s%s\n", what, asked.revents & POLLIN ? " in" : "",
           asked.revents & POLLOUT ? " out" : "", asked.revents & POLLHUP ? " hup" : "",
           asked.revents & POLLERR ? " err" : "");
}

static void making(void) {
    part("making");
    int p[2];
    call(pipe, "a pair", p);
    printf("%d %d, flags %o %o\n", p[0], p[1], fcntl(p[0], F_GETFL), fcntl(p[1], F_GETFL));
    close(p[0]);
    close(p[1]);
    call(pipe, "to nowhere", NOWHERE);
    call(pipe, "to a wild place", WILD);
    call(pipe2, "with flags", p, O_NONBLOCK | O_CLOEXEC);
    printf("%d %d, flags %o %o, on exec %d\n", p[0], p[1], fcntl(p[0], F_GETFL),
           fcntl(p[1], F_GETFL), fcntl(p[0], F_GETFD));
    close(p[0]);
    close(p[1]);
    call(pipe2, "unknown flags", p, O_APPEND);
    call(pipe2, "to nowhere", NOWHERE, 0);
    call(pipe2, "in packets", p, O_DIRECT | O_NONBLOCK);
    printf("flags %o\n", fcntl(p[1], F_GETFL));
    must(write(p[1], "one", 3));
    must(write(p[1], "twotwo", 6));
    call(read, "one packet", p[0], buffer, 100L);
    call(read, "part of one", p[0], buffer, 2L);
    call(read, "the rest has gone", p[0], buffer, 100L);
    close(p[0]);
    close(p[1]);
}

static void holding(void) {
    part("holding");
    int p[2], value;
    must(pipe2(p, O_NONBLOCK));
    events("empty, to read", p[0]);
    events("empty, to write", p[1]);
    call(read, "an empty one", p[0], buffer, 10L);
    call(read, "nothing of an empty one", p[0], buffer, 0L);
    call(write, "more than it holds", p[1], buffer, 100000L);
    call(write, "to a full one", p[1], buffer, 1L);
    call(write, "nothing to a full one", p[1], buffer, 0L);
    events("full, to write", p[1]);
    events("full, to read", p[0]);
    call(read, "a page", p[0], buffer, 4096L);
    events("a page free, to write", p[1]);
    call(write, "a page", p[1], buffer, 4096L);
    call(read, "a byte", p[0], buffer, 1L);
    call(write, "a byte, when a byte is free", p[1], buffer, 1L);
    call(read, "half a page", p[0], buffer, 2000L);
    call(write, "a page that does not fit", p[1], buffer, 4096L);
    call(read, "all", p[0], buffer, sizeof buffer);
    call(read, "the wrong end", p[1], buffer, 1L);
    call(write, "the wrong end", p[0], buffer, 1L);
    call(ioctl, "what is in it", p[0], FIONREAD, &value);
    printf("%d\n", value);
    part("sizes");
    call(fcntl, "the size", p[0], F_GETPIPE_SZ);
    call(fcntl, "smaller", p[0], F_SETPIPE_SZ, 5000);
    call(fcntl, "the smallest", p[0], F_SETPIPE_SZ, 1);
    call(write, "to a small one", p[1], buffer, 10000L);
    call(fcntl, "greater", p[1], F_SETPIPE_SZ, 1000000);
    call(write, "to a great one", p[1], buffer, sizeof buffer);
    call(fcntl, "less than is in it", p[1], F_SETPIPE_SZ, 4096);
    call(fcntl, "none", p[1], F_SETPIPE_SZ, 0);
    call(fcntl, "too great", p[1], F_SETPIPE_SZ, -1);
    int file = must(open("f", O_CREAT | O_RDWR, 0644));
    call(fcntl, "the size of a file", file, F_GETPIPE_SZ);
    call(fcntl, "setting the size of a file", file, F_SETPIPE_SZ, 4096);
    close(file);
    close(p[0]);
    close(p[1]);
}

static void ends(void) {
    part("ends");
    int p[2];
    must(pipe(p));
    must(write(p[1], "last", 4));
    close(p[1]);
    events("nobody writes, something is left", p[0]);
    call(read, "what is left", p[0], buffer, 10L);
    call(read, "the end", p[0], buffer, 10L);
    events("nobody writes", p[0]);
    close(p[0]);
    must(pipe(p));
    close(p[0]);
    events("nobody reads", p[1]);
    call(write, "where nobody reads", p[1], "x", 1L);
    printf("signals %d\n", signals);
    call(write, "nothing where nobody reads", p[1], "x", 0L);
    printf("signals %d\n", signals);
    close(p[1]);
}

static void fifos(void) {
    part("fifos");
    must(mkfifo("fifo", 0600));
    call(open, "to write, nobody reads", "fifo", O_WRONLY | O_NONBLOCK);
    int reader = call(open, "to read, not waiting", "fifo", O_RDONLY | O_NONBLOCK);
    call(read, "before anybody has written", reader, buffer, 10L);
    events("before anybody has written", reader);
    int writer = call(open, "to write", "fifo", O_WRONLY | O_NONBLOCK);
    call(read, "with a writer", reader, buffer, 10L);
    call(write, "to it", writer, "text", 4L);
    call(read, "from it", reader, buffer, 10L);
    close(writer);
    call(read, "after the writer has gone", reader, buffer, 10L);
    events("after the writer has gone", reader);
    close(reader);
    int both = call(open, "both ways", "fifo", O_RDWR);
    call(write, "to oneself", both, "self", 4L);
    call(read, "from oneself", both, buffer, 10L);
    call(lseek, "in a fifo", both, 0L, SEEK_SET);
    close(both);
    fflush(stdout);
    pid_t child = must(fork());
    if (child == 0) {
        int fd = must(open("fifo", O_WRONLY));
        must(write(fd, "from the child", 14));
        _exit(0);
    }
    reader = call(open, "waiting for a writer", "fifo", O_RDONLY);
    call(read, "what a child wrote", reader, buffer, 100L);
    must(waitpid(child, NULL, 0));
    call(read, "the end", reader, buffer, 100L);
    close(reader);
}

static void blocking(void) {
    part("waiting");
    int p[2];
    must(pipe(p));
    fflush(stdout);
    pid_t child = must(fork());
    if (child == 0) {
        close(p[0]);
        long written = write(p[1], buffer, 300000);
        _exit(written == 300000 ? 7 : 8);
    }
    close(p[1]);
    long total = 0, got;
    while ((got = read(p[0], buffer, 7777)) > 0)
        total += got;
    int status;
    must(waitpid(child, &status, 0));
    printf("read %ld, child %d\n", total, WEXITSTATUS(status));
    close(p[0]);
    struct sigaction action = {.sa_handler = count};
    must(sigaction(SIGALRM, &action, NULL));
    must(pipe(p));
    must(ualarm(20000, 20000) == 0 ? 0 : -1);
    call(read, "interrupted", p[0], buffer, 1L);
    call(write, "interrupted when full", p[1], buffer, 100000L);
    call(write, "interrupted when nothing fits", p[1], buffer, 10L);
    ualarm(0, 0);
    close(p[0]);
    close(p[1]);
}

int main(void) {
    signal(SIGPIPE, count);
    making();
    holding();
    ends();
    fifos();
    blocking();
    return 0;
}
