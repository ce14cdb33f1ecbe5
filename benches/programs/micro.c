/* Costs of single operations: micro OPERATION COUNT prints nanoseconds for one, on stderr, since
   one of them is to write to stdout. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
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
    else
        return 2;
    fprintf(stderr, "%.1f\n", (now() - start) / (double)count);
    return 0;
}
