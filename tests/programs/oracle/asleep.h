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
