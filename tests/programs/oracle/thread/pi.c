/* Futexes that lend priority, and robust ones. */
#include "../tell.h"
#include <linux/futex.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <time.h>

static int word;

static void *locks(void *argument) {
    long *answers = argument;
    answers[0] = syscall(SYS_futex, &word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
    answers[1] = (word & FUTEX_TID_MASK) == gettid();
    answers[2] = syscall(SYS_futex, &word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
    return NULL;
}

static void lending(void) {
    struct timespec past = {1, 0};
    pthread_t thread;
    long answers[3];
    call(futex, "LOCK_PI", &word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
    printf("owner %d\n", word == gettid());
    call(futex, "LOCK_PI again", &word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
    call(futex, "TRYLOCK_PI again", &word, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
    call(futex, "UNLOCK_PI", &word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
    printf("free %d\n", word == 0);
    call(futex, "UNLOCK_PI of another's", &word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
    call(futex, "TRYLOCK_PI", &word, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
    pthread_create(&thread, NULL, locks, answers);
    while (!(*(volatile int *)&word & FUTEX_WAITERS))
        usleep(1000);
    call(futex, "UNLOCK_PI with a waiter", &word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
    pthread_join(thread, NULL);
    printf("second owner: %ld, owns it %ld, gives it up %ld, free %d\n", answers[0], answers[1], answers[2], word == 0);
    word = 4194303;
    call(futex, "LOCK_PI of an owner that is not there", &word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
    word = getppid();
    call(futex, "LOCK_PI until what is past", &word, FUTEX_LOCK_PI, 0, &past, NULL, 0);
    call(futex, "LOCK_PI nowhere", NOWHERE, FUTEX_LOCK_PI, 0, NULL, NULL, 0);
    word = 0;
}

static void answer(const char *what, int error) {
    printf("%s: %s\n", what, error ? strerrorname_np(error) : "done");
}

static void mutexes(void) {
    pthread_mutexattr_t attributes;
    pthread_mutex_t mutex;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutex_init(&mutex, &attributes);
    answer("lock", pthread_mutex_lock(&mutex));
    answer("lock again", pthread_mutex_lock(&mutex));
    answer("unlock", pthread_mutex_unlock(&mutex));
    answer("unlock again", pthread_mutex_unlock(&mutex));
}

static void *dies(void *argument) {
    pthread_mutex_lock(argument);
    return NULL;
}

static void robust_mutex(pthread_mutex_t *mutex, int process) {
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(mutex, &attributes);
    if (process) {
        if (fork() == 0) {
            pthread_mutex_lock(mutex);
            kill(getpid(), SIGKILL);
        }
        wait(NULL);
    } else {
        pthread_t thread;
        pthread_create(&thread, NULL, dies, mutex);
        pthread_join(thread, NULL);
    }
    answer("lock after its owner's end", pthread_mutex_lock(mutex));
    answer("make consistent", pthread_mutex_consistent(mutex));
    answer("unlock", pthread_mutex_unlock(mutex));
    answer("lock again", pthread_mutex_lock(mutex));
    answer("unlock again", pthread_mutex_unlock(mutex));
    if (process)
        return;
    pthread_t thread;
    pthread_create(&thread, NULL, dies, mutex);
    pthread_join(thread, NULL);
    pthread_mutex_lock(mutex);
    pthread_mutex_unlock(mutex);
    answer("lock, not made consistent", pthread_mutex_lock(mutex));
}

static void lists(void) {
    struct robust_list_head head = {{&head.list}, 0, NULL}, *found;
    size_t size = 0;
    call(get_robust_list, "own", 0, &found, &size);
    printf("size %zu, there %d\n", size, found != NULL);
    call(set_robust_list, "wrong size", &head, 12ul);
    call(set_robust_list, "wrong size", &head, 0ul);
    call(set_robust_list, "another", &head, sizeof head);
    call(get_robust_list, "another", 0, &found, &size);
    printf("the same %d\n", found == &head);
    call(get_robust_list, "missing", 4194303, &found, &size);
    call(get_robust_list, "nowhere", 0, NOWHERE, &size);
    call(get_robust_list, "size nowhere", 0, &found, NOWHERE);
    call(get_robust_list, "by number", getpid(), &found, &size);
}

int main(void) {
    in_child("lending", lending);
    mutexes();
    pthread_mutex_t own;
    robust_mutex(&own, 0);
    robust_mutex(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), 1);
    in_child("lists", lists);
    return 0;
}
