/* Threads the POSIX way: a bounded queue under a mutex and two condition
 * variables, thread-local storage, a barrier, a recursive mutex, a once, a
 * thread-specific destructor, a cancelled thread. The sum is known. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PRODUCERS = 4, CONSUMERS = 4, ITEMS = 2000, ROOM = 16 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_full = PTHREAD_COND_INITIALIZER;
static pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER;
static int queue[ROOM], head, length, left = PRODUCERS * ITEMS;

static __thread long mine = 7;
static __thread char buffer[4096];
static pthread_barrier_t barrier;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int initialised, destroyed;

static void initialise(void) { initialised++; }

static void destroy(void *value) {
    (void)value;
    __atomic_add_fetch(&destroyed, 1, __ATOMIC_SEQ_CST);
}

static void *produce(void *argument) {
    long base = (long)argument;
    pthread_once(&once, initialise);
    pthread_setspecific(key, &queue);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < ITEMS; i++) {
        pthread_mutex_lock(&lock);
        while (length == ROOM)
            pthread_cond_wait(&not_full, &lock);
        queue[(head + length++) % ROOM] = (int)base * ITEMS + i;
        pthread_cond_signal(&not_empty);
        pthread_mutex_unlock(&lock);
        buffer[i % sizeof buffer] = (char)base;
        mine++;
    }
    for (size_t i = 0; i < 2000; i++)
        if (buffer[i] != (char)base)
            abort();
    return (void *)mine;
}

static void *consume(void *argument) {
    (void)argument;
    long sum = 0;
    pthread_once(&once, initialise);
    pthread_setspecific(key, &queue);
    pthread_barrier_wait(&barrier);
    for (;;) {
        pthread_mutex_lock(&lock);
        while (length == 0 && left > 0)
            pthread_cond_wait(&not_empty, &lock);
        if (left == 0) {
            pthread_cond_broadcast(&not_empty);
            pthread_mutex_unlock(&lock);
            return (void *)sum;
        }
        sum += queue[head];
        head = (head + 1) % ROOM;
        length--;
        left--;
        pthread_cond_signal(&not_full);
        pthread_mutex_unlock(&lock);
    }
}

static void *wait_for_ever(void *argument) {
    (void)argument;
    for (;;) {
        struct timespec hour = {3600, 0};
        nanosleep(&hour, NULL);
    }
    return NULL;
}

int main(void) {
    pthread_t threads[PRODUCERS + CONSUMERS];
    long total = 0, counted = 0;
    void *result;

    pthread_key_create(&key, destroy);
    pthread_barrier_init(&barrier, NULL, PRODUCERS + CONSUMERS);
    for (long i = 0; i < PRODUCERS; i++)
        if (pthread_create(&threads[i], NULL, produce, (void *)i))
            return 1;
    for (long i = 0; i < CONSUMERS; i++)
        if (pthread_create(&threads[PRODUCERS + i], NULL, consume, NULL))
            return 1;
    for (int i = 0; i < PRODUCERS; i++) {
        pthread_join(threads[i], &result);
        counted += (long)result - 7;
    }
    for (int i = 0; i < CONSUMERS; i++) {
        pthread_join(threads[PRODUCERS + i], &result);
        total += (long)result;
    }
    printf("produced %ld, sum %ld\n", counted, total);
    printf("initialised %d, destroyed %d, main's own %ld\n", initialised, destroyed, mine);

    pthread_mutexattr_t attributes;
    pthread_mutex_t recursive;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&recursive, &attributes);
    int depth = 0;
    while (depth < 5 && pthread_mutex_lock(&recursive) == 0)
        depth++;
    while (pthread_mutex_unlock(&recursive) == 0)
        depth--;
    printf("recursive mutex back at depth %d\n", depth);

    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_nsec += 20 * 1000 * 1000;
    if (soon.tv_nsec >= 1000000000) {
        soon.tv_sec++;
        soon.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&lock);
    int timed = 0;
    while (timed == 0)
        timed = pthread_cond_timedwait(&not_full, &lock, &soon);
    pthread_mutex_unlock(&lock);
    printf("timed wait ended by time-out: %d\n", timed == ETIMEDOUT);

    pthread_create(&threads[0], NULL, wait_for_ever, NULL);
    pthread_cancel(threads[0]);
    pthread_join(threads[0], &result);
    printf("cancelled: %d\n", result == PTHREAD_CANCELED);
    return 0;
}
