/* Record locks of processes and of open files, and flock. */
#include "../tell.h"
#include <sys/file.h>
#include <sys/time.h>

static int fd;

static long set(int on, int command, int type, long start, long len) {
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    return syscall(SYS_fcntl, on, command, &lock);
}

static void look(const char *what, int on, int command, int type, long start, long len) {
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    if (tell("fcntl", what, syscall(SYS_fcntl, on, command, &lock)) == 0)
        printf("  type %d from %d: %ld+%ld, by the parent: %d, by nobody in particular: %d\n",
               lock.l_type, lock.l_whence, (long)lock.l_start, (long)lock.l_len,
               lock.l_pid == getppid(), lock.l_pid == -1);
}

static void another(void) {
    look("is it free for reading", fd, F_GETLK, F_RDLCK, 0, 0);
    look("is it free for writing", fd, F_GETLK, F_WRLCK, 0, 0);
    look("is its end free", fd, F_GETLK, F_WRLCK, 1000, 0);
    tell("fcntl", "reading what is locked for writing", set(fd, F_SETLK, F_RDLCK, 10, 1));
    tell("fcntl", "reading what is locked for reading", set(fd, F_SETLK, F_RDLCK, 35, 1));
    tell("fcntl", "writing what is locked for reading", set(fd, F_SETLK, F_WRLCK, 35, 1));
    tell("fcntl", "writing what is free", set(fd, F_SETLK, F_WRLCK, 20, 10));
    int other = must(open("f", O_RDWR));
    tell("fcntl", "one's own again by another opening", set(other, F_SETLK, F_RDLCK, 20, 10));
    close(other);
}

static void after_close(void) {
    look("free after any of its descriptors is closed", fd, F_GETLK, F_WRLCK, 0, 0);
}

static void records(void) {
    part("records");
    tell("fcntl", "writing", set(fd, F_SETLK, F_WRLCK, 0, 20));
    tell("fcntl", "reading", set(fd, F_SETLK, F_RDLCK, 30, 10));
    tell("fcntl", "in the middle, to be read", set(fd, F_SETLK, F_RDLCK, 5, 3));
    tell("fcntl", "a hole", set(fd, F_SETLK, F_UNLCK, 15, 2));
    look("one's own", fd, F_GETLK, F_WRLCK, 0, 0);
    in_child("another", another);
    tell("fcntl", "after the child has gone", set(fd, F_SETLK, F_WRLCK, 20, 10));
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -5, .l_len = -5};
    tell("fcntl", "from the end, backwards", syscall(SYS_fcntl, fd, F_SETLK, &lock));
    lock.l_start = -500;
    tell("fcntl", "before the start", syscall(SYS_fcntl, fd, F_SETLK, &lock));
    lock.l_whence = 9;
    tell("fcntl", "from an unknown place", syscall(SYS_fcntl, fd, F_SETLK, &lock));
    tell("fcntl", "of an unknown type", set(fd, F_SETLK, 9, 0, 0));
    tell("fcntl", "too far", set(fd, F_SETLK, F_WRLCK, INT64_MAX, 10));
    call(fcntl, "from nowhere", fd, F_SETLK, NOWHERE);
    tell("fcntl", "no descriptor", set(999, F_SETLK, F_WRLCK, 0, 0));
    int reading = must(open("f", O_RDONLY)), writing = must(open("f", O_WRONLY));
    tell("fcntl", "writing what is open for reading", set(reading, F_SETLK, F_WRLCK, 0, 1));
    tell("fcntl", "reading what is open for writing", set(writing, F_SETLK, F_RDLCK, 0, 1));
    tell("fcntl", "unlocking what is not locked", set(fd, F_SETLK, F_UNLCK, 5000, 1));
    close(reading);
    close(writing);
    in_child("another", after_close);
}

static void waits(void) {
    /* The parent unlocks once it has read the byte. */
    extern int ready[2];
    must(write(ready[1], "x", 1));
    tell("fcntl", "waiting for the parent", set(fd, F_SETLKW, F_WRLCK, 0, 10));
}

int ready[2];

static void on_alarm(int signal) {
    (void)signal;
}

static void waiting(void) {
    part("waiting");
    must(pipe(ready));
    must(set(fd, F_SETLK, F_WRLCK, 0, 10));
    fflush(stdout);
    pid_t child = must(fork());
    if (child == 0) {
        waits();
        _exit(0);
    }
    char byte;
    must(read(ready[0], &byte, 1));
    must(set(fd, F_SETLK, F_UNLCK, 0, 10));
    must(waitpid(child, NULL, 0));

    part("deadlock");
    int go[2];
    must(pipe(go));
    must(set(fd, F_SETLK, F_WRLCK, 0, 1));
    fflush(stdout);
    child = must(fork());
    if (child == 0) {
        must(set(fd, F_SETLK, F_WRLCK, 1, 1));
        must(write(ready[1], "x", 1));
        /* Waits for the parent's byte; the parent then finds that it would wait for this one. */
        long answer = set(fd, F_SETLKW, F_WRLCK, 0, 1);
        _exit(answer == 0 ? 0 : 1);
    }
    must(read(ready[0], &byte, 1));
    /* Until the child waits there is no circle, and this one would wait for it. */
    char path[64], state = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", child);
    while (state != 'S') {
        char text[256] = "";
        int stat = must(open(path, O_RDONLY));
        must(read(stat, text, sizeof text - 1));
        close(stat);
        state = strrchr(text, ')')[2];
    }
    tell("fcntl", "each waiting for the other", set(fd, F_SETLKW, F_WRLCK, 1, 1));
    must(set(fd, F_SETLK, F_UNLCK, 0, 1));
    int status;
    must(waitpid(child, &status, 0));
    printf("the child got it: %d\n", status == 0);

    part("interrupted");
    must(set(fd, F_SETLK, F_WRLCK, 0, 1));
    fflush(stdout);
    child = must(fork());
    if (child == 0) {
        struct sigaction action = {.sa_handler = on_alarm};
        must(sigaction(SIGALRM, &action, NULL));
        struct itimerval soon = {{0, 20000}, {0, 20000}};
        must(setitimer(ITIMER_REAL, &soon, NULL));
        tell("fcntl", "interrupted by a signal", set(fd, F_SETLKW, F_WRLCK, 0, 1));
        fflush(stdout);
        _exit(0);
    }
    must(waitpid(child, NULL, 0));
    must(set(fd, F_SETLK, F_UNLCK, 0, 0));
}

static int of_file, again;

static void after_fork(void) {
    tell("fcntl", "a child has it too", set(of_file, F_OFD_SETLK, F_WRLCK, 0, 10));
    tell("fcntl", "against one's own opening", set(fd, F_SETLK, F_RDLCK, 0, 1));
}

static void files(void) {
    part("locks of open files");
    of_file = must(open("f", O_RDWR));
    again = must(open("f", O_RDWR));
    tell("fcntl", "one opening", set(of_file, F_OFD_SETLK, F_WRLCK, 0, 10));
    tell("fcntl", "another opening", set(again, F_OFD_SETLK, F_WRLCK, 5, 1));
    tell("fcntl", "beside it", set(again, F_OFD_SETLK, F_WRLCK, 10, 1));
    tell("fcntl", "against a process's", set(fd, F_SETLK, F_WRLCK, 0, 1));
    look("who has it", again, F_OFD_GETLK, F_WRLCK, 0, 5);
    look("who has it, for a process", fd, F_GETLK, F_WRLCK, 0, 5);
    struct flock lock = {.l_type = F_WRLCK, .l_pid = 5};
    tell("fcntl", "with a process", syscall(SYS_fcntl, of_file, F_OFD_SETLK, &lock));
    in_child("after fork", after_fork);
    int copy = must(dup(of_file));
    close(of_file);
    tell("fcntl", "a copy keeps it", set(again, F_OFD_SETLK, F_WRLCK, 5, 1));
    close(copy);
    tell("fcntl", "closed everywhere", set(again, F_OFD_SETLK, F_WRLCK, 5, 1));
    close(again);
}

static void whole(void) {
    part("flock");
    int one = must(open("f", O_RDWR)), two = must(open("f", O_RDONLY));
    call(flock, "shared", one, LOCK_SH);
    call(flock, "shared by another", two, LOCK_SH);
    call(flock, "alone, while shared", one, LOCK_EX | LOCK_NB);
    call(flock, "given up", two, LOCK_UN);
    call(flock, "alone", one, LOCK_EX | LOCK_NB);
    call(flock, "shared, while another has it", two, LOCK_SH | LOCK_NB);
    int copy = must(dup(one));
    call(flock, "a copy has it too", copy, LOCK_EX | LOCK_NB);
    call(flock, "given up by the copy", copy, LOCK_UN);
    call(flock, "then by another", two, LOCK_EX | LOCK_NB);
    call(flock, "no such way", one, 0);
    call(flock, "two ways", one, LOCK_SH | LOCK_EX);
    call(flock, "no descriptor", 999, LOCK_SH);
    tell("fcntl", "records do not mind", set(one, F_SETLK, F_WRLCK, 0, 0));
    int pipes[2];
    must(pipe(pipes));
    call(flock, "a pipe", pipes[0], LOCK_EX | LOCK_NB);
    int d = must(open(".", O_RDONLY));
    call(flock, "a directory", d, LOCK_EX | LOCK_NB);
    close(two);
    call(flock, "closed by its owner", one, LOCK_EX | LOCK_NB);
}

int main(void) {
    fd = must(open("f", O_CREAT | O_RDWR, 0644));
    must(ftruncate(fd, 100));
    records();
    waiting();
    files();
    whole();
    return 0;
}
