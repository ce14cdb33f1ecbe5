/* rt_sigtimedwait, rt_sigsuspend, pause, and signals taken by threads. */
#include "../asleep.h"
#include <pthread.h>
#include <sys/time.h>
#include <time.h>

static int got;
static void note(int signal) {
    got = signal;
}

static unsigned long bit(int signal) {
    return 1ul << (signal - 1);
}

static void block(unsigned long mask) {
    must(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8));
}

static void show(siginfo_t *info) {
    printf("signo %d code %d own %d value %d\n", info->si_signo, info->si_code,
           info->si_pid == getpid(), info->si_code == SI_QUEUE ? info->si_value.sival_int : 0);
}

/* Again and again: one may come before the call has begun. */
static void alarms(long microseconds) {
    struct itimerval timer = {{0, microseconds}, {0, microseconds}};
    signal(SIGALRM, note);
    must(setitimer(ITIMER_REAL, &timer, NULL));
}

static void timed(void) {
    unsigned long set = bit(SIGUSR1) | bit(SIGRTMIN), none = 0;
    struct timespec zero = {0, 0}, soon = {0, 1000000}, wrong = {0, 1000000000}, negative = {-1, 0};
    siginfo_t info;
    block(set | bit(SIGUSR2));
    call(rt_sigtimedwait, "nothing there", &set, &info, &zero, 8);
    call(rt_sigtimedwait, "in a moment", &set, &info, &soon, 8);
    call(rt_sigtimedwait, "too many nanoseconds", &set, &info, &wrong, 8);
    call(rt_sigtimedwait, "negative", &set, &info, &negative, 8);
    call(rt_sigtimedwait, "size 4", &set, &info, &zero, 4);
    call(rt_sigtimedwait, "set nowhere", NOWHERE, &info, &zero, 8);
    call(rt_sigtimedwait, "time nowhere", &set, &info, NOWHERE, 8);
    call(rt_sigtimedwait, "empty set", &none, &info, &zero, 8);
    kill(getpid(), SIGUSR1);
    call(rt_sigtimedwait, "by kill", &set, &info, NULL, 8);
    show(&info);
    tgkill(getpid(), gettid(), SIGUSR1);
    call(rt_sigtimedwait, "by tgkill", &set, &info, &zero, 8);
    show(&info);
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 9});
    kill(getpid(), SIGUSR1);
    call(rt_sigtimedwait, "lowest first", &set, &info, NULL, 8);
    show(&info);
    call(rt_sigtimedwait, "then the next", &set, &info, NULL, 8);
    show(&info);
    kill(getpid(), SIGUSR1);
    call(rt_sigtimedwait, "info nowhere", &set, NOWHERE, NULL, 8);
    call(rt_sigtimedwait, "it was taken all the same", &set, NULL, &zero, 8);
    kill(getpid(), SIGUSR1);
    call(rt_sigtimedwait, "without info", &set, NULL, &zero, 8);
    got = 0;
    alarms(20000);
    call(rt_sigtimedwait, "another signal is handled", &set, &info, NULL, 8);
    alarms(0);
    printf("handled %d\n", got);
    signal(SIGUSR1, SIG_IGN);
    kill(getpid(), SIGUSR1);
    call(rt_sigtimedwait, "ignored but awaited", &set, &info, &soon, 8);
}

static void suspended(void) {
    unsigned long none = 0, now, all = ~0ul;
    signal(SIGUSR1, note);
    block(bit(SIGUSR1) | bit(SIGHUP));
    kill(getpid(), SIGUSR1);
    call(rt_sigsuspend, "pending already", &none, 8);
    printf("handled %d\n", got);
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &now, 8);
    printf("mask back %d\n", now == (bit(SIGUSR1) | bit(SIGHUP)));
    call(rt_sigsuspend, "size 4", &none, 4);
    call(rt_sigsuspend, "nowhere", NOWHERE, 8);
    got = 0;
    alarms(20000);
    call(rt_sigsuspend, "a timer", &none, 8);
    alarms(0);
    printf("handled %d\n", got);
    got = 0;
    alarms(20000);
    call(pause, "a timer");
    alarms(0);
    printf("handled %d\n", got);
    /* Ignored signals do not end it. */
    signal(SIGUSR2, SIG_IGN);
    got = 0;
    pid_t child = fork();
    if (child == 0) {
        until_asleep(getppid());
        kill(getppid(), SIGUSR2);
        kill(getppid(), SIGALRM);
        _exit(0);
    }
    call(pause, "past an ignored signal");
    printf("handled %d\n", got);
    waitpid(child, NULL, 0);
    child = fork();
    if (child == 0) {
        syscall(SYS_rt_sigsuspend, &all, 8);
        _exit(0);
    }
    kill(child, SIGKILL);
    int status;
    waitpid(child, &status, 0);
    ended("suspended with everything blocked", status);
}

static __thread volatile int mine;
static pthread_barrier_t ready;
static void note_thread(int signal) {
    mine = signal;
}

static void *taking_thread(void *argument) {
    siginfo_t info;
    pthread_barrier_wait(&ready);
    int taken = sigwaitinfo(argument, &info);
    printf("a thread has taken %d\n", taken);
    return NULL;
}

static void *open_thread(void *argument) {
    pthread_sigmask(SIG_UNBLOCK, argument, NULL);
    pthread_barrier_wait(&ready);
    while (!mine)
        usleep(1000);
    printf("the thread that does not block it has handled %d\n", mine);
    return argument;
}

static void threads(void) {
    sigset_t first, second, both, pending;
    pthread_t thread;
    sigemptyset(&first), sigemptyset(&second);
    sigaddset(&first, SIGUSR1), sigaddset(&second, SIGUSR2);
    sigorset(&both, &first, &second);
    signal(SIGUSR1, note_thread);
    pthread_sigmask(SIG_BLOCK, &both, NULL);
    pthread_barrier_init(&ready, NULL, 2);
    pthread_create(&thread, NULL, taking_thread, &second);
    pthread_barrier_wait(&ready);
    kill(getpid(), SIGUSR2);
    pthread_join(thread, NULL);
    pthread_create(&thread, NULL, open_thread, &first);
    pthread_barrier_wait(&ready);
    kill(getpid(), SIGUSR1);
    pthread_join(thread, NULL);
    pthread_create(&thread, NULL, taking_thread, &second);
    pthread_barrier_wait(&ready);
    int killed = pthread_kill(thread, SIGUSR2);
    pthread_join(thread, NULL);
    printf("pthread_kill %d\n", killed);
    sigpending(&pending);
    printf("nothing of it is left %d\n", sigismember(&pending, SIGUSR2));
}

int main(void) {
    in_child("timed", timed);
    in_child("suspended", suspended);
    in_child("threads", threads);
    return 0;
}
