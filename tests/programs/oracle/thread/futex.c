/* futex: all operations, private and shared, with times. */
#include "../asleep.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

static int word, second;

#define FUTEX(what, address, op, ...) call(futex, what, address, op, __VA_ARGS__)

struct waiter {
    volatile pid_t thread;
    int *address;
    int operation, value, bits;
    long answer;
    int error;
};

static void *wait_on(void *argument) {
    struct waiter *waiter = argument;
    waiter->thread = gettid();
    waiter->answer = syscall(SYS_futex, waiter->address, waiter->operation, waiter->value, NULL, NULL, waiter->bits);
    waiter->error = errno;
    return NULL;
}

/* Starts threads and waits until all of them wait. */
static void start(pthread_t *threads, struct waiter *waiters, int count) {
    for (int at = 0; at < count; at++) {
        waiters[at].thread = 0;
        pthread_create(&threads[at], NULL, wait_on, &waiters[at]);
        while (!waiters[at].thread)
            usleep(1000);
        until_sleeps(getpid(), waiters[at].thread);
    }
}

static void finish(pthread_t *threads, struct waiter *waiters, int count) {
    for (int at = 0; at < count; at++) {
        pthread_join(threads[at], NULL);
        printf("  waiter %d: %ld\n", at, waiters[at].answer);
    }
}

static void errors(void) {
    struct timespec soon = {0, 1000000}, wrong = {0, 1000000000}, negative = {-1, 0}, past = {1, 0};
    FUTEX("unknown operation", &word, 77, 0, NULL, NULL, 0);
    FUTEX("FUTEX_FD", &word, FUTEX_FD, 0, NULL, NULL, 0);
    FUTEX("WAIT not aligned", (char *)&word + 1, FUTEX_WAIT, 0, NULL, NULL, 0);
    FUTEX("WAIT nowhere", NOWHERE, FUTEX_WAIT, 0, NULL, NULL, 0);
    FUTEX("WAIT another value", &word, FUTEX_WAIT, 1, NULL, NULL, 0);
    FUTEX("WAIT a moment", &word, FUTEX_WAIT, 0, &soon, NULL, 0);
    FUTEX("WAIT private a moment", &word, FUTEX_WAIT_PRIVATE, 0, &soon, NULL, 0);
    FUTEX("WAIT too many nanoseconds", &word, FUTEX_WAIT, 0, &wrong, NULL, 0);
    FUTEX("WAIT negative", &word, FUTEX_WAIT, 0, &negative, NULL, 0);
    FUTEX("WAIT time nowhere", &word, FUTEX_WAIT, 0, NOWHERE, NULL, 0);
    FUTEX("WAKE nobody", &word, FUTEX_WAKE, 1, NULL, NULL, 0);
    FUTEX("WAKE not aligned", (char *)&word + 1, FUTEX_WAKE, 1, NULL, NULL, 0);
    FUTEX("WAKE nowhere, shared", NOWHERE, FUTEX_WAKE, 1, NULL, NULL, 0);
    FUTEX("WAKE with a clock", &word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0);
    FUTEX("WAIT_BITSET no bits", &word, FUTEX_WAIT_BITSET, 0, &past, NULL, 0);
    FUTEX("WAKE_BITSET no bits", &word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0);
    FUTEX("WAIT_BITSET until what is past", &word, FUTEX_WAIT_BITSET, 0, &past, NULL, 1);
    FUTEX("WAIT_BITSET until what is past, real time", &word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &past,
          NULL, 1);
    FUTEX("WAIT_BITSET another value", &word, FUTEX_WAIT_BITSET, 5, &past, NULL, 1);
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 2000000;
    soon.tv_sec += soon.tv_nsec / 1000000000, soon.tv_nsec %= 1000000000;
    FUTEX("WAIT_BITSET until a moment, real time", &word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &soon, NULL, 1);
    FUTEX("CMP_REQUEUE another value", &word, FUTEX_CMP_REQUEUE, 1, (void *)1, &second, 5);
    FUTEX("CMP_REQUEUE nobody", &word, FUTEX_CMP_REQUEUE, 1, (void *)1, &second, 0);
    FUTEX("REQUEUE not aligned", &word, FUTEX_REQUEUE, 1, (void *)1, (char *)&second + 2, 0);
    FUTEX("REQUEUE negative", &word, FUTEX_REQUEUE, -1, (void *)1, &second, 0);
}

static void waking(void) {
    pthread_t threads[4];
    struct waiter waiters[4];
    for (int at = 0; at < 4; at++)
        waiters[at] = (struct waiter){0, &word, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0};
    start(threads, waiters, 4);
    FUTEX("WAKE one", &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    FUTEX("WAKE two", &word, FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0);
    FUTEX("WAKE all", &word, FUTEX_WAKE_PRIVATE, 1000, NULL, NULL, 0);
    finish(threads, waiters, 4);
    for (int at = 0; at < 3; at++)
        waiters[at] = (struct waiter){0, &word, FUTEX_WAIT_BITSET_PRIVATE, 0, 1 << at, 0, 0};
    start(threads, waiters, 3);
    FUTEX("WAKE_BITSET none has it", &word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 8);
    FUTEX("WAKE_BITSET the second", &word, FUTEX_WAKE_BITSET_PRIVATE, 10, NULL, NULL, 2);
    FUTEX("WAKE wakes whatever bits", &word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0);
    finish(threads, waiters, 3);
    for (int at = 0; at < 4; at++)
        waiters[at] = (struct waiter){0, &word, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0};
    start(threads, waiters, 4);
    FUTEX("CMP_REQUEUE one woken, two moved", &word, FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)2, &second, 0);
    FUTEX("WAKE what is left", &word, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0);
    FUTEX("WAKE what was moved", &second, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0);
    finish(threads, waiters, 4);
    start(threads, waiters, 3);
    FUTEX("REQUEUE all", &word, FUTEX_REQUEUE_PRIVATE, 0, (void *)100, &second, 0);
    FUTEX("WAKE what was moved", &second, FUTEX_WAKE_PRIVATE, 10, NULL, NULL, 0);
    finish(threads, waiters, 3);
}

static void wake_op(void) {
    struct { const char *name; int op, arg, cmp, cmparg; } cases[] = {
        {"SET, EQ", FUTEX_OP_SET, 7, FUTEX_OP_CMP_EQ, 5},   {"ADD, NE", FUTEX_OP_ADD, 3, FUTEX_OP_CMP_NE, 5},
        {"OR, LT", FUTEX_OP_OR, 8, FUTEX_OP_CMP_LT, 6},     {"ANDN, LE", FUTEX_OP_ANDN, 4, FUTEX_OP_CMP_LE, 5},
        {"XOR, GT", FUTEX_OP_XOR, 1, FUTEX_OP_CMP_GT, 5},   {"ADD -1, GE", FUTEX_OP_ADD, -1, FUTEX_OP_CMP_GE, 5},
        {"SET 1<<4, EQ", FUTEX_OP_SET | FUTEX_OP_OPARG_SHIFT, 4, FUTEX_OP_CMP_EQ, 5},
    };
    for (unsigned at = 0; at < sizeof cases / sizeof *cases; at++) {
        second = 5;
        FUTEX(cases[at].name, &word, FUTEX_WAKE_OP, 1, (void *)1, &second,
              FUTEX_OP(cases[at].op, cases[at].arg, cases[at].cmp, cases[at].cmparg));
        printf("  second word %d\n", second);
    }
    FUTEX("WAKE_OP unknown operation", &word, FUTEX_WAKE_OP, 1, (void *)1, &second, FUTEX_OP(7, 1, 0, 0));
    FUTEX("WAKE_OP unknown comparison", &word, FUTEX_WAKE_OP, 1, (void *)1, &second, FUTEX_OP(0, 1, 9, 0));
    FUTEX("WAKE_OP nowhere", &word, FUTEX_WAKE_OP, 1, (void *)1, NOWHERE, FUTEX_OP(0, 1, 0, 0));
    pthread_t threads[2];
    struct waiter waiters[2] = {{0, &word, FUTEX_WAIT, 0, 0, 0, 0}, {0, &second, FUTEX_WAIT, 5, 0, 0, 0}};
    second = 5;
    start(threads, waiters, 2);
    FUTEX("WAKE_OP wakes both", &word, FUTEX_WAKE_OP, 1, (void *)1, &second, FUTEX_OP(0, 1, FUTEX_OP_CMP_EQ, 5));
    finish(threads, waiters, 2);
    second = 0;
}

static void shared(void) {
    int *common = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int fd = must(open("/work/words", O_CREAT | O_RDWR | O_TRUNC, 0600)), status;
    ftruncate(fd, 4096);
    int *file = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int *words[] = {common, file};
    for (int at = 0; at < 2; at++) {
        pid_t child = fork();
        if (child == 0) {
            int *own = at == 0 ? common : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            call(futex, "WAIT shared", own, FUTEX_WAIT, 0, NULL, NULL, 0);
            _exit(*own);
        }
        until_asleep(child);
        *words[at] = 9;
        int woken = syscall(SYS_futex, words[at], FUTEX_WAKE, 1, NULL, NULL, 0);
        waitpid(child, &status, 0);
        printf("woken %d\n", woken);
        ended("woken in another process", status);
    }
    FUTEX("private in another process: nobody", common, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void on_alarm(int signal) {
    (void)signal;
}

static void interrupted(void) {
    struct sigaction action = {.sa_handler = on_alarm};
    struct timespec later = {100, 0};
    /* Again and again: one may come before the call has begun. */
    struct itimerval timer = {{0, 20000}, {0, 20000}}, none = {{0, 0}, {0, 0}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    FUTEX("WAIT interrupted", &word, FUTEX_WAIT, 0, NULL, NULL, 0);
    FUTEX("WAIT with a time, interrupted", &word, FUTEX_WAIT, 0, &later, NULL, 0);
    setitimer(ITIMER_REAL, &none, NULL);
}

int main(void) {
    errors();
    waking();
    wake_op();
    shared();
    interrupted();
    return 0;
}
