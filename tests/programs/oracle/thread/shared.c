/* Mutexes, conditions, barriers, semaphores and read-write locks between processes. */
#include "../asleep.h"
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <time.h>

struct common {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    pthread_barrier_t barrier;
    pthread_rwlock_t lock;
    sem_t semaphore;
    int counter, turn;
};

static void add(struct common *common) {
    for (int round = 0; round < 2000; round++) {
        pthread_mutex_lock(&common->mutex);
        int now = common->counter;
        if (round % 100 == 0)
            sched_yield();
        common->counter = now + 1;
        pthread_mutex_unlock(&common->mutex);
    }
}

static void take_turns(struct common *common, int self) {
    for (int round = 0; round < 20; round++) {
        pthread_mutex_lock(&common->mutex);
        while (common->turn % 2 != self)
            pthread_cond_wait(&common->condition, &common->mutex);
        common->turn++;
        pthread_cond_broadcast(&common->condition);
        pthread_mutex_unlock(&common->mutex);
    }
}

int main(void) {
    struct common *common = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t mutex;
    pthread_condattr_t condition;
    pthread_barrierattr_t barrier;
    pthread_rwlockattr_t lock;
    pthread_mutexattr_init(&mutex), pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
    pthread_condattr_init(&condition), pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED);
    pthread_barrierattr_init(&barrier), pthread_barrierattr_setpshared(&barrier, PTHREAD_PROCESS_SHARED);
    pthread_rwlockattr_init(&lock), pthread_rwlockattr_setpshared(&lock, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&common->mutex, &mutex);
    pthread_cond_init(&common->condition, &condition);
    pthread_barrier_init(&common->barrier, &barrier, 3);
    pthread_rwlock_init(&common->lock, &lock);
    sem_init(&common->semaphore, 1, 0);

    for (int at = 0; at < 3; at++)
        if (fork() == 0) {
            add(common);
            _exit(0);
        }
    while (wait(NULL) > 0)
        ;
    printf("counted %d\n", common->counter);

    if (fork() == 0) {
        take_turns(common, 1);
        _exit(0);
    }
    take_turns(common, 0);
    wait(NULL);
    printf("turns %d\n", common->turn);

    for (int at = 0; at < 2; at++)
        if (fork() == 0)
            _exit(pthread_barrier_wait(&common->barrier) == PTHREAD_BARRIER_SERIAL_THREAD);
    int serial = pthread_barrier_wait(&common->barrier) == PTHREAD_BARRIER_SERIAL_THREAD, status;
    while (wait(&status) > 0)
        serial += WEXITSTATUS(status);
    printf("one of three is the last: %d\n", serial);

    if (fork() == 0) {
        until_asleep(getppid());
        sem_post(&common->semaphore);
        _exit(0);
    }
    printf("semaphore %d\n", sem_wait(&common->semaphore));
    wait(NULL);
    struct timespec soon;
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_sec += (soon.tv_nsec + 2000000) / 1000000000, soon.tv_nsec = (soon.tv_nsec + 2000000) % 1000000000;
    int failed = sem_timedwait(&common->semaphore, &soon);
    printf("semaphore for a moment %d %s\n", failed, strerrorname_np(errno));
    pthread_mutex_lock(&common->mutex);
    if (fork() == 0)
        _exit(pthread_mutex_trylock(&common->mutex) == EBUSY);
    wait(&status);
    ended("another's try", status);
    printf("condition for a moment %s\n",
           strerrorname_np(pthread_cond_timedwait(&common->condition, &common->mutex, &soon)));
    pthread_rwlock_rdlock(&common->lock);
    if (fork() == 0)
        _exit((pthread_rwlock_tryrdlock(&common->lock) == 0) << 1 |
              (pthread_rwlock_unlock(&common->lock) == 0 && pthread_rwlock_trywrlock(&common->lock) == EBUSY));
    wait(&status);
    ended("another reader, and no writer", status);
    return 0;
}
