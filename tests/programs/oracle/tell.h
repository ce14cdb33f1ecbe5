/* What every program of the oracle is written with: make a call, print what it answered.

   A line `name(what) = answer` is one call that was made: the answer is a number, `done` where the
   number depends on the machine, or the name of the error. docs/coverage.md is counted from these
   lines, so nothing else may print lines of that shape. */
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* call(open, "a directory for writing", "/", O_WRONLY): makes the system call and prints the
   number that it answered. Arguments of 64 bits have to be of such a type. */
#define call(name, what, ...) \
    tell(#name, what, syscall(SYS_##name __VA_OPT__(, ) __VA_ARGS__))

/* The same for an answer that is not the same on every machine, such as an address. */
#define made(name, what, ...) \
    tell_made(#name, what, syscall(SYS_##name __VA_OPT__(, ) __VA_ARGS__))

/* An address where nothing is, and one above all that is a program's. */
#define NOWHERE ((void *)8)
#define WILD ((void *)0xffff000000000000)

/* Prints what a call answered, and hands it back. */
static inline long tell(const char *name, const char *what, long answer) {
    if (answer == -1)
        printf("%s(%s) = %s\n", name, what, strerrorname_np(errno));
    else
        printf("%s(%s) = %ld\n", name, what, answer);
    return answer;
}

static inline long tell_made(const char *name, const char *what, long answer) {
    if (answer == -1)
        printf("%s(%s) = %s\n", name, what, strerrorname_np(errno));
    else
        printf("%s(%s) = done\n", name, what);
    return answer;
}

/* A heading. */
static inline void part(const char *name) {
    printf("-- %s\n", name);
}

/* Something must work for the test to make sense: ends the program if it does not. */
static inline long must(long answer) {
    if (answer == -1) {
        printf("cannot go on: %s\n", strerrorname_np(errno));
        fflush(stdout);
        _exit(99);
    }
    return answer;
}

/* How a process ended, stopped or went on, as wait4 told it. */
static inline void ended(const char *what, int status) {
    if (WIFEXITED(status))
        printf("%s: exit %d\n", what, WEXITSTATUS(status));
    else if (WIFSTOPPED(status))
        printf("%s: stopped by SIG%s\n", what, sigabbrev_np(WSTOPSIG(status)));
    else if (WIFCONTINUED(status))
        printf("%s: continued\n", what);
    else if (sigabbrev_np(WTERMSIG(status)))
        printf("%s: killed by SIG%s\n", what, sigabbrev_np(WTERMSIG(status)));
    else
        printf("%s: killed by signal %d\n", what, WTERMSIG(status));
}

/* Runs the function in a child, waits, and prints how the child ended. */
static inline void in_child(const char *what, void (*body)(void)) {
    fflush(stdout);
    pid_t child = must(fork());
    if (child == 0) {
        body();
        fflush(stdout);
        _exit(0);
    }
    int status = 0;
    must(waitpid(child, &status, 0));
    ended(what, status);
}

/* Lines leave one by one, so that a fork copies none. */
__attribute__((constructor)) static void lines_leave_at_once(void) {
    setvbuf(stdout, NULL, _IOLBF, 4096);
}
