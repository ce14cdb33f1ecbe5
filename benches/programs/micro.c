/* Costs of single operations: micro OPERATION COUNT prints nanoseconds for one, on stderr, since
   one of them is to write to stdout. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* linux/futex.h, which musl does not bring. */
#define FUTEX_WAIT_PRIVATE 128
#define FUTEX_WAKE_PRIVATE 129

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void calls(long count) {
    for (long n = 0; n < count; n++)
        syscall(SYS_getpid);
}

static void clocks(long count) {
    for (long n = 0; n < count; n++)
        now();
}

static void writes(long count) {
    for (long n = 0; n < count; n++)
        if (write(1, ".", 1) != 1)
            exit(1);
}

/* Two threads that do nothing but give way: each call is a switch. */
static void *yield(void *count) {
    for (long n = 0; n < (long)(intptr_t)count; n++)
        sched_yield();
    return NULL;
}

static void yields(long count) {
    pthread_t other;
    void *half = (void *)(intptr_t)(count / 2);
    if (pthread_create(&other, NULL, yield, half) != 0)
        exit(1);
    yield(half);
    pthread_join(other, NULL);
}

/* Two threads that hand a word back and forth, asleep while it is the other's. */
static uint32_t turn;
static long turns;

static void play(uint32_t mine) {
    for (long n = 0; n < turns; n++) {
        while (__atomic_load_n(&turn, __ATOMIC_ACQUIRE) != mine)
            syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, !mine, NULL);
        __atomic_store_n(&turn, !mine, __ATOMIC_RELEASE);
        syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1);
    }
}

static void *play_second(void *nothing) {
    play(1);
    return nothing;
}

static void switches(long count) {
    pthread_t other;
    turns = count / 2;
    if (pthread_create(&other, NULL, play_second, NULL) != 0)
        exit(1);
    play(0);
    pthread_join(other, NULL);
}

/* A child for each count, which ends at once or becomes this program and does nothing. */
static void children(long count, int exec) {
    for (long n = 0; n < count; n++) {
        pid_t child = fork();
        if (child == 0) {
            if (exec)
                execl("/proc/self/exe", "micro", "nothing", "0", (char *)NULL);
            _exit(exec);
        }
        int status;
        if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
            exit(1);
    }
}

/* A byte there and back, between two processes. */
static void round_trips(long count, int there[2], int back[2]) {
    char byte = 0;
    pid_t child = fork();
    if (child < 0)
        exit(1);
    for (long n = 0; n < count; n++) {
        if (child == 0) {
            if (read(there[0], &byte, 1) != 1 || write(back[1], &byte, 1) != 1)
                _exit(1);
        } else if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1) {
            exit(1);
        }
    }
    if (child == 0)
        _exit(0);
    waitpid(child, NULL, 0);
}

static void pipe_trips(long count) {
    int there[2], back[2];
    if (pipe(there) != 0 || pipe(back) != 0)
        exit(1);
    round_trips(count, there, back);
}

static void socket_trips(long count) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        exit(1);
    /* One end writes at its own descriptor and reads there too. */
    round_trips(count, (int[2]){ends[1], ends[0]}, (int[2]){ends[0], ends[1]});
}

/* So many MiB from one process to another. */
static void stream(long count, int ends[2]) {
    static char buffer[64 << 10];
    long left = count << 20;
    pid_t child = fork();
    if (child < 0)
        exit(1);
    if (child == 0) {
        for (long n = 0; n < left / (long)sizeof buffer; n++)
            if (write(ends[1], buffer, sizeof buffer) != (ssize_t)sizeof buffer)
                _exit(1);
        _exit(0);
    }
    while (left > 0) {
        ssize_t got = read(ends[0], buffer, sizeof buffer);
        if (got <= 0)
            exit(1);
        left -= got;
    }
    waitpid(child, NULL, 0);
}

static volatile sig_atomic_t caught;

static void catch(int signal) {
    caught += signal != 0;
}

static void signals(long count) {
    signal(SIGUSR1, catch);
    for (long n = 0; n < count; n++)
        raise(SIGUSR1);
    if (caught != count)
        exit(1);
}

static void mappings(long count) {
    for (long n = 0; n < count; n++) {
        void *memory = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED || (*(volatile char *)memory = 1, munmap(memory, 65536)) != 0)
            exit(1);
    }
}

/* First touches of fresh memory, one in each page of this size. */
static char *fresh(long count, size_t size, int advice) {
    size_t length = (size_t)(count + 1) * size;
    char *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        exit(1);
    memory = (char *)(((uintptr_t)memory + size - 1) / size * size);
    madvise(memory, (size_t)count * size, advice);
    return memory;
}

static void touch(char *memory, long count, size_t size) {
    for (long n = 0; n < count; n++)
        *(volatile char *)(memory + (size_t)n * size) = 1;
}

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    const char *what = argv[1];
    long count = atol(argv[2]);
    const size_t page = 4096, huge = 2 << 20;
    char *memory = NULL;
    if (!strcmp(what, "fault-4k"))
        memory = fresh(count, page, MADV_NOHUGEPAGE);
    else if (!strcmp(what, "fault-2m"))
        memory = fresh(count, huge, MADV_HUGEPAGE);
    else if (!strcmp(what, "fork-256m"))
        touch(memory = fresh(65536, page, MADV_NORMAL), 65536, page);
    int ends[2];
    if (!strcmp(what, "socket-mib") ? socketpair(AF_UNIX, SOCK_STREAM, 0, ends) : pipe(ends))
        return 1;
    double start = now();
    if (!strcmp(what, "getpid"))
        calls(count);
    else if (!strcmp(what, "clock"))
        clocks(count);
    else if (!strcmp(what, "write"))
        writes(count);
    else if (!strcmp(what, "yield"))
        yields(count);
    else if (!strcmp(what, "futex"))
        switches(count);
    else if (!strcmp(what, "fault-4k"))
        touch(memory, count, page);
    else if (!strcmp(what, "fault-2m"))
        touch(memory, count, huge);
    else if (!strcmp(what, "fork") || !strcmp(what, "fork-256m"))
        children(count, 0);
    else if (!strcmp(what, "spawn"))
        children(count, 1);
    else if (!strcmp(what, "nothing"))
        return 0;
    else if (!strcmp(what, "pipe"))
        pipe_trips(count);
    else if (!strcmp(what, "socket"))
        socket_trips(count);
    else if (!strcmp(what, "pipe-mib") || !strcmp(what, "socket-mib"))
        stream(count, ends);
    else if (!strcmp(what, "signal"))
        signals(count);
    else if (!strcmp(what, "mmap"))
        mappings(count);
    else
        return 2;
    fprintf(stderr, "%.1f\n", (now() - start) / (double)count);
    return 0;
}
