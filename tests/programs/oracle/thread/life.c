/* Threads: numbers, the word that is cleared, exit, membarrier, getcpu, affinity, yield. */
#include "../tell.h"
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <time.h>

static pid_t number;
static volatile int cleared_word;
static char stack[64 << 10] __attribute__((aligned(16)));

static int body(void *argument) {
    __atomic_store_n((volatile pid_t *)argument, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
    syscall(SYS_exit, 3);
    return 0;
}

static void raw_thread(void) {
    int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM |
                CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
    pid_t parent_word = 0;
    cleared_word = 1;
    pid_t thread = clone(body, stack + sizeof stack, flags, (void *)&number, &parent_word, NULL, (void *)&cleared_word);
    while (cleared_word)
        syscall(SYS_futex, &cleared_word, FUTEX_WAIT, 1, NULL, NULL, 0);
    printf("number told %d, its own %d, cleared %d\n", parent_word == thread, number == thread, cleared_word == 0);
    /* The word is cleared a moment before the thread is gone. */
    while (syscall(SYS_tgkill, getpid(), thread, 0) == 0)
        sched_yield();
    call(tgkill, "a thread that has ended", getpid(), thread, 0);
    call(wait4, "a thread is no child", thread, NULL, __WALL, NULL);
}

static void *joined(void *argument) {
    pid_t own = gettid();
    printf("a thread: number is not the process's %d, same process %d\n", own != getpid(),
           getpid() == *(pid_t *)argument);
    return (void *)0x77;
}

static void barriers(void) {
    long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    printf("offered: global %d, private expedited %d\n", (commands & MEMBARRIER_CMD_GLOBAL) != 0,
           (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0);
    call(membarrier, "unknown command", 1 << 20, 0, 0);
    call(membarrier, "unknown flag", MEMBARRIER_CMD_GLOBAL, 7, 0);
    call(membarrier, "not registered", MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    call(membarrier, "register", MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
    call(membarrier, "registered", MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

static void processors(void) {
    unsigned cpu = 99, node = 99;
    call(getcpu, "both", &cpu, &node, NULL);
    printf("told %d\n", cpu != 99 && node != 99);
    call(getcpu, "neither", NULL, NULL, NULL);
    call(getcpu, "nowhere", NOWHERE, NULL, NULL);
    call(getcpu, "node nowhere", NULL, NOWHERE, NULL);
    unsigned long mask[16] = {0};
    made(sched_getaffinity, "own", 0, sizeof mask, mask);
    printf("the first processor %lu\n", mask[0] & 1);
    call(sched_getaffinity, "no room", 0, 0ul, mask);
    call(sched_getaffinity, "size 7", 0, 7ul, mask);
    call(sched_getaffinity, "missing", 4194303, sizeof mask, mask);
    call(sched_getaffinity, "nowhere", 0, sizeof mask, NOWHERE);
    unsigned long first = 1, none = 0, far = 1ul << 40;
    call(sched_setaffinity, "none", 0, 8ul, &none);
    call(sched_setaffinity, "one that is not there", 0, 8ul, &far);
    call(sched_setaffinity, "nowhere", 0, 8ul, NOWHERE);
    call(sched_setaffinity, "missing", 4194303, 8ul, &first);
    call(sched_setaffinity, "the first", 0, 8ul, &first);
    memset(mask, 0, sizeof mask);
    made(sched_getaffinity, "the first", 0, sizeof mask, mask);
    printf("processors %lx\n", mask[0]);
    call(sched_yield, "it");
}

static void set_address(void) {
    int word = 5;
    tell("set_tid_address", "answers the number", syscall(SYS_set_tid_address, &word) == gettid() ? 0 : -1);
    tell("gettid", "the first thread's is the process's", gettid() == getpid() ? 0 : -1);
}

/* The word of the last thread of a process that shares its memory with another is cleared too. */
static int ends(void *argument) {
    (void)argument;
    return 0;
}

static void cleared_in_another(void) {
    cleared_word = 1;
    pid_t child = clone(ends, stack + sizeof stack, CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD, NULL, NULL, NULL,
                        (void *)&cleared_word);
    waitpid(child, NULL, 0);
    printf("cleared %d\n", cleared_word == 0);
}

static pthread_key_t key;
static void destroy(void *value) {
    printf("destroyed %s\n", (char *)value);
}

static void *with_value(void *argument) {
    pthread_setspecific(key, "a value");
    pthread_exit(argument);
}

static void *cancelled(void *argument) {
    for (;;)
        pause();
    return argument;
}

int main(void) {
    pthread_t thread;
    pid_t own = getpid();
    void *value;
    raw_thread();
    pthread_create(&thread, NULL, joined, &own);
    pthread_join(thread, &value);
    printf("joined with %p\n", value);
    pthread_key_create(&key, destroy);
    pthread_create(&thread, NULL, with_value, NULL);
    pthread_join(thread, NULL);
    pthread_create(&thread, NULL, cancelled, NULL);
    pthread_cancel(thread);
    pthread_join(thread, &value);
    printf("cancelled %d\n", value == PTHREAD_CANCELED);
    barriers();
    processors();
    cleared_in_another();
    in_child("set address", set_address);
    return 0;
}
