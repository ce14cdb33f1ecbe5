/* ETXTBSY: what is written is not run, and what runs is not written. */
#include "../tell.h"

#define PROGRAM "/work/program"
#define SCRIPT "/work/script"

static char *const with[] = {"program", "wait", NULL};
static char *const none[] = {NULL};

/* A file for running, with some other's bytes. */
static void make(const char *path, const char *from, size_t len) {
    int to = must(open(path, O_CREAT | O_WRONLY | O_TRUNC, 0755));
    must(write(to, from, len));
    close(to);
}

/* Runs the program until its standard input ends. Returns where that ends. */
static int start(pid_t *child) {
    int in[2], ready[2];
    char byte;
    must(pipe2(in, O_CLOEXEC)), must(pipe2(ready, O_CLOEXEC));
    *child = must(fork());
    if (*child == 0) {
        dup2(in[0], 0), dup2(ready[1], 1);
        execve(PROGRAM, with, none);
        _exit(99);
    }
    close(in[0]), close(ready[1]);
    must(read(ready[0], &byte, 1));
    close(ready[0]);
    return in[1];
}

static void run(void) {
    call(execve, "what is open to be written", PROGRAM, with, none);
}

static void run_script(void) {
    call(execve, "a script that is open to be written", SCRIPT, with, none);
}

static void run_for(void) {
    call(execve, "a script for what is open to be written", SCRIPT, with, none);
}

int main(int count, char **arguments) {
    (void)arguments;
    if (count > 1) {
        char byte;
        write(1, "", 1);
        return read(0, &byte, 1) == 0 ? 0 : 1;
    }
    static char bytes[1 << 20];
    int self = must(open("/proc/self/exe", O_RDONLY));
    long len = must(read(self, bytes, sizeof bytes));
    make(PROGRAM, bytes, len);
    make(SCRIPT, "#!" PROGRAM "\n", strlen("#!" PROGRAM "\n"));

    part("written");
    int writer = must(open(PROGRAM, O_WRONLY | O_CLOEXEC));
    in_child("the program", run);
    in_child("its script", run_for);
    close(writer);
    writer = must(open(SCRIPT, O_RDWR | O_CLOEXEC));
    in_child("the script", run_script);
    close(writer);

    part("run");
    pid_t child;
    int in = start(&child), status = 0;
    call(open, "what runs, to be written", PROGRAM, O_WRONLY);
    call(open, "what runs, to be read and written", PROGRAM, O_RDWR);
    call(open, "what runs, O_TRUNC", PROGRAM, O_RDONLY | O_TRUNC);
    call(open, "what runs, O_CREAT", PROGRAM, O_WRONLY | O_CREAT, 0644);
    call(creat, "what runs", PROGRAM, 0644);
    call(truncate, "what runs", PROGRAM, (long)0);
    made(open, "what runs, to be read", PROGRAM, O_RDONLY);
    call(chmod, "what runs", PROGRAM, 0700);
    call(rename, "what runs", PROGRAM, "/work/other");
    call(truncate, "what runs, by another name", "/work/other", (long)0);
    call(rename, "what runs, back", "/work/other", PROGRAM);
    close(in);
    must(waitpid(child, &status, 0));
    ended("the program", status);
    made(open, "what ran, to be written", PROGRAM, O_WRONLY | O_CLOEXEC);
    call(truncate, "what ran, while it is open", PROGRAM, len);
    part("removed");
    for (int fd = 3; fd < 20; fd++)
        if (fd != self)
            close(fd);
    in = start(&child);
    call(unlink, "what runs", PROGRAM);
    make(PROGRAM, bytes, len);
    close(in);
    must(waitpid(child, &status, 0));
    ended("the program", status);
    return 0;
}
