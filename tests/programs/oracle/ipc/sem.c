/* System V semaphores. */
#define _GNU_SOURCE
#include "../asleep.h"
#include <limits.h>
#include <pthread.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <time.h>

#define KEY 0x4321
#define COUNT 4

static int id;

/* One operation. */
#define OP(number, change, flags) ((struct sembuf){number, change, flags})

/* Makes a call with operations. */
#define operate(what, ...)                                                    \
    do {                                                                      \
        struct sembuf all[] = {__VA_ARGS__};                                  \
        call(semop, what, id, all, sizeof all / sizeof *all);                 \
    } while (0)

static void values(const char *what) {
    unsigned short all[COUNT] = {};
    must(syscall(SYS_semctl, id, 0, GETALL, all));
    printf("%s: %d %d %d %d, last mine:", what, all[0], all[1], all[2], all[3]);
    for (int at = 0; at < COUNT; at++)
        printf(" %d", syscall(SYS_semctl, id, at, GETPID, 0) == getpid());
    printf("\n");
}

static void set_all(int a, int b, int c, int d) {
    unsigned short all[COUNT] = {a, b, c, d};
    must(syscall(SYS_semctl, id, 0, SETALL, all));
}

static void waiting(const char *what) {
    printf("%s: waiting for more", what);
    for (int at = 0; at < COUNT; at++)
        printf(" %ld", syscall(SYS_semctl, id, at, GETNCNT, 0));
    printf(", for zero");
    for (int at = 0; at < COUNT; at++)
        printf(" %ld", syscall(SYS_semctl, id, at, GETZCNT, 0));
    printf("\n");
}

static void stat_of(const char *what, int of) {
    struct semid_ds found = {};
    if (call(semctl, what, of, 0, IPC_STAT, &found) == -1)
        return;
    printf(" key %#x, mode %o, %lu semaphores, owner %u %u, maker %u %u, operated ever %d, changed %d\n",
        found.sem_perm.__key, found.sem_perm.mode, (unsigned long)found.sem_nsems, found.sem_perm.uid,
        found.sem_perm.gid, found.sem_perm.cuid, found.sem_perm.cgid, found.sem_otime > 0, found.sem_ctime > 0);
}

static void takes_one(void) { operate("a child takes one", OP(0, -1, 0)); }
static void takes_two(void) { operate("a child takes two", OP(0, -2, 0)); }
static void waits_for_zero(void) { operate("a child waits for zero", OP(0, 0, 0)); }
static void takes_of_both(void) {
    operate("a child takes of two", OP(0, -1, 0), OP(1, -1, 0), OP(2, 5, 0));
}
static void waits_then_must_not(void) {
    operate("a child may wait for the first only", OP(0, -1, 0), OP(1, -1, IPC_NOWAIT));
}
static void keeps_until_it_ends(void) {
    operate("a child takes, with SEM_UNDO", OP(0, -3, SEM_UNDO), OP(1, 2, SEM_UNDO), OP(1, 1, 0));
    values("in the child");
}
static void takes_all_that_it_gave(void) {
    operate("a child gives, with SEM_UNDO", OP(0, 4, SEM_UNDO));
    operate("and takes, without", OP(0, -4, 0));
}

static void *operates(void *unused) {
    operate("a thread takes, with SEM_UNDO", OP(0, -2, SEM_UNDO));
    return unused;
}

static void with_a_thread(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, operates, NULL);
    pthread_join(thread, NULL);
    values("when the thread has ended");
}

static void nothing(int signal) { (void)signal; }

static void is_interrupted(void) {
    struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_RESTART};
    must(sigaction(SIGUSR1, &action, NULL));
    operate("a child that a signal interrupts", OP(0, -1, 0));
}

static void is_continued(void) { operate("a child that is stopped and goes on", OP(0, -1, 0)); }

static void unprivileged(void) {
    must(setgid(1000)), must(setuid(1000));
    call(semget, "another's, to read and alter", KEY, COUNT, 0600);
    call(semget, "another's, asking for nothing", KEY, COUNT, 0);
    operate("on another's", OP(0, 1, 0));
    operate("on another's, waiting for zero", OP(3, 0, 0));
    call(semctl, "GETVAL, another's", id, 0, GETVAL, 0);
    call(semctl, "SETVAL, another's", id, 0, SETVAL, 1);
    call(semctl, "SETALL, another's", id, 0, SETALL, NOWHERE);
    call(semctl, "IPC_STAT, another's", id, 0, IPC_STAT, &(struct semid_ds){});
    call(semctl, "IPC_SET, another's", id, 0, IPC_SET, &(struct semid_ds){});
    call(semctl, "IPC_RMID, another's", id, 0, IPC_RMID, 0);
}

static void readable(void) {
    must(setgid(1000)), must(setuid(1000));
    operate("on another's that may be read", OP(0, 1, 0));
    operate("on another's that may be read, waiting for zero", OP(3, 0, 0));
    call(semctl, "GETVAL, another's that may be read", id, 1, GETVAL, 0);
}

int main(void) {
    part("getting");
    call(semget, "no such key", KEY, COUNT, 0);
    call(semget, "none", KEY, 0, IPC_CREAT | 0600);
    call(semget, "fewer than none", KEY, -1, IPC_CREAT | 0600);
    call(semget, "too many", KEY, 32001, IPC_CREAT | 0600);
    made(semget, "a new key", KEY, COUNT, IPC_CREAT | IPC_EXCL | 0600);
    id = must(semget(KEY, 0, 0));
    call(semget, "a key that is there", KEY, COUNT, IPC_CREAT | IPC_EXCL | 0600);
    call(semget, "more than there are", KEY, COUNT + 1, IPC_CREAT | 0600);
    printf("the same: %d\n", semget(KEY, COUNT, IPC_CREAT | 0644) == id);
    int other = must(semget(IPC_PRIVATE, 1, 0600));
    printf("another: %d\n", other != id);
    stat_of("new", id);
    values("new");

    part("operating");
    operate("adds", OP(0, 3, 0));
    operate("takes", OP(0, -2, 0));
    values("one left");
    operate("more than there is, IPC_NOWAIT", OP(0, -2, IPC_NOWAIT));
    operate("for zero, IPC_NOWAIT", OP(0, 0, IPC_NOWAIT));
    operate("for zero, of what is", OP(1, 0, 0));
    operate("several", OP(0, -1, 0), OP(0, 0, 0), OP(1, 7, 0), OP(2, 1, 0));
    values("several");
    operate("several of which one cannot be", OP(0, 5, 0), OP(1, -7, 0), OP(3, -1, IPC_NOWAIT));
    values("as before");
    operate("one and the same, again and again", OP(3, 1, 0), OP(3, -1, 0), OP(3, 2, 0));
    operate("as many as there can be", OP(0, SHRT_MAX, 0));
    operate("more than there can be", OP(0, 1, 0));
    operate("more, for a while", OP(0, 1, 0), OP(0, -1, 0));
    operate("no such semaphore", OP(COUNT, 1, 0));
    values("at last");
    stat_of("operated on", id);
    call(semop, "nothing", id, NOWHERE, 0L);
    call(semop, "too much", id, NOWHERE, 501L);
    call(semop, "nowhere", id, NOWHERE, 1L);
    call(semop, "no such number", 0x7fffffff, &OP(0, 1, 0), 1L);
    call(semop, "below zero", -1, &OP(0, 1, 0), 1L);

    part("waiting");
    set_all(0, 0, 0, 0);
    struct sleeper first = asleep(takes_two), second = asleep(takes_one);
    waiting("two wait");
    operate("for the second", OP(0, 1, 0));
    over("the second", second);
    values("none left");
    operate("for the first", OP(0, 3, 0));
    over("the first", first);
    values("one left");
    first = asleep(waits_for_zero);
    waiting("one waits for zero");
    operate("zero for a moment", OP(0, -1, 0), OP(0, 1, 0));
    waiting("it still waits");
    must(syscall(SYS_semop, id, &OP(0, -1, 0), 1L));
    must(syscall(SYS_semop, id, &OP(0, 1, 0), 1L));
    over("zero between two calls", first);
    set_all(0, 0, 0, 0);
    first = asleep(takes_of_both);
    waiting("for the first of two");
    operate("the first of two", OP(0, 1, 0));
    waiting("for the second of two");
    operate("the second of two", OP(1, 1, 0));
    over("both", first);
    values("both");
    set_all(0, 0, 0, 0);
    first = asleep(waits_then_must_not);
    operate("and there is the first", OP(0, 1, 0));
    over("not the second", first);
    values("the first is left");
    set_all(0, 0, 0, 0);
    first = asleep(takes_one);
    call(semctl, "SETVAL", id, 0, SETVAL, 5);
    over("set", first);
    values("set");
    first = asleep(waits_for_zero);
    set_all(0, 1, 2, 3);
    over("all set", first);

    part("a time");
    struct timespec moment = {.tv_nsec = 20000000}, none = {}, wrong = {.tv_nsec = 1000000000};
    set_all(0, 0, 0, 0);
    call(semtimedop, "that is over", id, &OP(0, -1, 0), 1L, &moment);
    call(semtimedop, "none", id, &OP(0, -1, 0), 1L, &none);
    call(semtimedop, "none, and none needed", id, &OP(0, 0, 0), 1L, &none);
    call(semtimedop, "not one", id, &OP(0, 0, 0), 1L, &wrong);
    call(semtimedop, "nowhere", id, &OP(0, 0, 0), 1L, NOWHERE);
    call(semtimedop, "without", id, &OP(0, 0, 0), 1L, NULL);
    call(semtimedop, "nothing to do", id, NOWHERE, 0L, &none);
    call(semtimedop, "too much to do", id, NOWHERE, 501L, &none);
    waiting("nobody");

    part("signals");
    first = asleep(is_interrupted);
    must(kill(first.process, SIGUSR1));
    over("interrupted", first);
    first = asleep(is_continued);
    must(kill(first.process, SIGSTOP));
    int status = 0;
    must(waitpid(first.process, &status, WUNTRACED));
    must(kill(first.process, SIGCONT));
    over("stopped", first);
    first = asleep(takes_one);
    must(kill(first.process, SIGKILL));
    over("killed", first);
    waiting("nobody");

    part("undoing");
    set_all(5, 0, 0, 0);
    in_child("a child", keeps_until_it_ends);
    values("undone");
    in_child("a child", takes_all_that_it_gave);
    values("not below zero");
    set_all(5, 0, 0, 0);
    in_child("a child", with_a_thread);
    values("undone at the end of the process");
    set_all(0, 0, 0, 0);
    first = asleep(takes_one);
    operate("for nobody", OP(1, 1, SEM_UNDO));
    must(syscall(SYS_semctl, id, 1, SETVAL, 0));
    operate("more than can be undone", OP(1, SHRT_MAX, SEM_UNDO), OP(1, SHRT_MIN + 1, 0), OP(1, 2, SEM_UNDO));
    values("as before");
    operate("one", OP(0, 1, 0));
    over("has one", first);

    part("asking and setting");
    call(semctl, "GETVAL", id, 1, GETVAL, 0);
    call(semctl, "GETVAL, no such semaphore", id, COUNT, GETVAL, 0);
    call(semctl, "GETVAL, below zero", id, -1, GETVAL, 0);
    call(semctl, "GETNCNT, no such semaphore", id, COUNT, GETNCNT, 0);
    call(semctl, "GETALL, nowhere", id, 0, GETALL, NOWHERE);
    call(semctl, "SETVAL, no such semaphore", id, COUNT, SETVAL, 0);
    call(semctl, "SETVAL, too much", id, 0, SETVAL, 32768);
    call(semctl, "SETVAL, below zero", id, 0, SETVAL, -1);
    call(semctl, "SETALL, nowhere", id, 0, SETALL, NOWHERE);
    unsigned short much[COUNT] = {1, 2, 40000, 3};
    call(semctl, "SETALL, too much", id, 0, SETALL, much);
    values("as before");
    call(semctl, "no command", id, 0, 99, 0);
    call(semctl, "no such number", 0x7fffffff, 0, GETVAL, 0);
    call(semctl, "below zero", -1, 0, GETVAL, 0);

    part("permissions");
    in_child("another user", unprivileged);
    struct semid_ds set = {};
    must(syscall(SYS_semctl, id, 0, IPC_STAT, &set));
    set.sem_perm.mode = 0644;
    set.sem_perm.gid = 7;
    call(semctl, "IPC_SET", id, 0, IPC_SET, &set);
    call(semctl, "IPC_SET, nowhere", id, 0, IPC_SET, NOWHERE);
    stat_of("changed", id);
    in_child("another user, to read", readable);

    part("all");
    struct seminfo all = {};
    made(semctl, "IPC_INFO", 0, 0, IPC_INFO, &all);
    printf("%d sets, %d semaphores, %d of a set, %d operations, up to %d, undone %d\n",
        all.semmni, all.semmns, all.semmsl, all.semopm, all.semvmx, all.semaem);
    int last = must(syscall(SYS_semctl, 0, 0, SEM_INFO, &all));
    printf("used %d, semaphores %d\n", all.semusz, all.semaem);
    int found = 0;
    for (int at = 0; at <= last; at++)
        if (syscall(SYS_semctl, at, 0, SEM_STAT, &set) == id)
            found++;
    printf("found %d\n", found);
    call(semctl, "SEM_STAT, nothing there", 30000, 0, SEM_STAT, &set);
    call(semctl, "IPC_STAT, nowhere", id, 0, IPC_STAT, NOWHERE);

    part("removing");
    set_all(0, 0, 0, 0);
    first = asleep(takes_one);
    call(semctl, "IPC_RMID", id, 0, IPC_RMID, 0);
    over("of what is gone", first);
    stat_of("gone", id);
    call(semget, "gone", KEY, COUNT, 0);
    call(semctl, "IPC_RMID, again", id, 0, IPC_RMID, 0);
    call(semctl, "IPC_RMID, the other", other, 0, IPC_RMID, 0);
    int next = must(semget(KEY, 1, IPC_CREAT | 0600));
    printf("a number of its own: %d\n", next != id && next != other);
    must(syscall(SYS_semctl, next, 0, IPC_RMID, 0));
    return 0;
}
