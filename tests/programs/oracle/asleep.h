/* Waiting for another thread to be where it is meant to be, by what /proc says of it: no program
   lets time decide who comes first. */
#pragma once
#include "tell.h"

/* The state that /proc tells of a thread, or 0 if it has gone. */
static inline char state_of(pid_t process, pid_t thread) {
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", process, thread);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    text[len > 0 ? len : 0] = 0;
    char *end = strrchr(text, ')');
    return end ? end[2] : 0;
}

/* Waits until a thread is asleep in a call. */
static inline void until_sleeps(pid_t process, pid_t thread) {
    while (state_of(process, thread) != 'S')
        usleep(1000);
}

/* The same of the first thread of a process. */
static inline void until_asleep(pid_t process) {
    until_sleeps(process, process);
}

/* A child that sleeps in a call. What it prints when it goes on is kept until it is asked for, so
   that it does not matter who is faster then. */
struct sleeper {
    pid_t process;
    int printed;
};

/* Starts a child that does `body`, and returns when it sleeps. */
static inline struct sleeper asleep(void (*body)(void)) {
    int ends[2];
    must(pipe(ends));
    fflush(stdout);
    pid_t child = must(fork());
    if (child == 0) {
        must(dup2(ends[1], STDOUT_FILENO));
        close(ends[0]), close(ends[1]);
        body();
        fflush(stdout);
        _exit(0);
    }
    close(ends[1]);
    until_asleep(child);
    return (struct sleeper){child, ends[0]};
}

/* Waits for its end, and prints what it has printed and how it ended. */
static inline void over(const char *what, struct sleeper child) {
    char text[512];
    for (long len; (len = must(read(child.printed, text, sizeof text))) > 0;)
        fwrite(text, 1, len, stdout);
    close(child.printed);
    int status = 0;
    must(waitpid(child.process, &status, 0));
    ended(what, status);
}
