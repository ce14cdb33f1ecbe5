/* alarm, getitimer, setitimer, and timers of timer_create with every kind of notice. */
#include "../tell.h"
#include <pthread.h>
#include <sys/time.h>
#include <time.h>

static volatile int count, code, value, overrun, number;
static volatile pid_t on;

static void note(int signal, siginfo_t *info, void *context) {
    count++;
    number = signal, code = info->si_code, value = info->si_value.sival_int, overrun = info->si_overrun;
    on = gettid();
    (void)context;
}

static void catch(int signal) {
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    sigaction(signal, &action, NULL);
}

static void wait_signals(int wanted) {
    while (count < wanted)
        usleep(1000);
}

static void work(void) {
    for (volatile int at = 0; at < 10000; at++)
        ;
}

static void alarms(void) {
    catch(SIGALRM);
    call(alarm, "none before", 100);
    call(alarm, "one before", 50);
    call(alarm, "cancelled", 0);
    call(alarm, "none", 0);
    call(alarm, "a second", 1);
    wait_signals(1);
    printf("signal %d code %d\n", number, code);
    alarm(1000);
    struct itimerval now;
    call(getitimer, "an alarm is ITIMER_REAL", ITIMER_REAL, &now);
    printf("set %d, interval %ld\n", now.it_value.tv_sec > 990, now.it_interval.tv_sec);
    if (fork() == 0) {
        call(alarm, "of a child", 0);
        _exit(0);
    }
    wait(NULL);
    alarm(0);
}

static void intervals(void) {
    struct itimerval wanted = {{0, 5000}, {0, 5000}}, old, none = {0};
    int kinds[] = {ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF};
    int signals[] = {SIGALRM, SIGVTALRM, SIGPROF};
    call(setitimer, "kind 3", 3, &wanted, NULL);
    call(setitimer, "nowhere", ITIMER_REAL, NOWHERE, NULL);
    call(setitimer, "too many microseconds", ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 1000000}}, NULL);
    call(setitimer, "negative", ITIMER_REAL, &(struct itimerval){{0, 0}, {-1, 0}}, NULL);
    call(setitimer, "too large interval", ITIMER_REAL, &(struct itimerval){{0, 1000000}, {1, 0}}, NULL);
    call(getitimer, "kind 3", 3, &old);
    call(getitimer, "nowhere", ITIMER_REAL, NOWHERE);
    for (int at = 0; at < 3; at++) {
        catch(signals[at]);
        count = 0;
        call(setitimer, "set", kinds[at], &wanted, &old);
        printf("was set %d\n", old.it_value.tv_sec != 0 || old.it_value.tv_usec != 0);
        while (count < 3)
            work();
        printf("signal %d, code %d\n", number, code);
        call(getitimer, "running", kinds[at], &old);
        printf("interval %ld, left %d\n", old.it_interval.tv_usec, old.it_value.tv_usec <= 5000 + 5000);
        call(setitimer, "stopped", kinds[at], &none, &old);
        call(getitimer, "stopped", kinds[at], &old);
        printf("left %ld %ld, interval %ld\n", old.it_value.tv_sec, old.it_value.tv_usec,
               old.it_interval.tv_usec);
    }
    count = 0;
    call(setitimer, "once", ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 3000}}, NULL);
    wait_signals(1);
    call(getitimer, "once, over", ITIMER_REAL, &old);
    printf("left %ld %ld\n", old.it_value.tv_sec, old.it_value.tv_usec);
    call(setitimer, "a null pointer stops it", ITIMER_REAL, NULL, NULL);
}

static timer_t create(const char *what, clockid_t clock, struct sigevent *event) {
    int timer = -1;
    call(timer_create, what, clock, event, &timer);
    return (timer_t)(intptr_t)timer;
}

static void created(void) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    struct itimerspec wanted = {{0, 0}, {0, 3000000}}, now;
    int timer;
    event.sigev_value.sival_int = 55;
    catch(SIGUSR1), catch(SIGALRM);
    call(timer_create, "clock 99", 99, &event, &timer);
    call(timer_create, "nowhere", CLOCK_MONOTONIC, &event, NOWHERE);
    call(timer_create, "event nowhere", CLOCK_MONOTONIC, NOWHERE, &timer);
    event.sigev_notify = 77;
    call(timer_create, "unknown notice", CLOCK_MONOTONIC, &event, &timer);
    event.sigev_notify = SIGEV_SIGNAL, event.sigev_signo = 65;
    call(timer_create, "signal 65", CLOCK_MONOTONIC, &event, &timer);
    event.sigev_signo = 0;
    call(timer_create, "signal 0", CLOCK_MONOTONIC, &event, &timer);
    call(timer_settime, "missing", 99, 0, &wanted, NULL);
    call(timer_gettime, "missing", 99, &now);
    call(timer_getoverrun, "missing", 99);
    call(timer_delete, "missing", 99);
    event.sigev_signo = SIGUSR1;
    long id = (long)create("SIGEV_SIGNAL", CLOCK_MONOTONIC, &event);
    call(timer_gettime, "not set", id, &now);
    printf("left %ld %ld\n", now.it_value.tv_sec, now.it_value.tv_nsec);
    call(timer_settime, "nowhere", id, 0, NOWHERE, NULL);
    call(timer_settime, "no value", id, 0, NULL, NULL);
    call(timer_settime, "too many nanoseconds", id, 0, &(struct itimerspec){{0, 0}, {0, 1000000000}}, NULL);
    call(timer_settime, "negative", id, 0, &(struct itimerspec){{0, 0}, {-1, 0}}, NULL);
    call(timer_gettime, "nowhere", id, NOWHERE);
    call(timer_settime, "once", id, 0, &wanted, NULL);
    wait_signals(1);
    printf("signal %d code %d value %d overrun %d\n", number, code, value, overrun);
    call(timer_getoverrun, "once", id);
    count = 0;
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += (at.tv_nsec + 3000000) / 1000000000, at.tv_nsec = (at.tv_nsec + 3000000) % 1000000000;
    call(timer_settime, "at a moment", id, TIMER_ABSTIME, &(struct itimerspec){{0, 0}, at}, NULL);
    wait_signals(1);
    call(timer_settime, "far off", id, 0, &(struct itimerspec){{5, 0}, {1000, 0}}, NULL);
    call(timer_settime, "stopped", id, 0, &(struct itimerspec){{0, 0}, {0, 0}}, &now);
    printf("left before: most %d, interval %ld\n", now.it_value.tv_sec >= 990, now.it_interval.tv_sec);
    call(timer_delete, "it", id);
    call(timer_delete, "again", id);
    long none = (long)create("without an event: SIGALRM", CLOCK_REALTIME, NULL);
    count = 0;
    call(timer_settime, "once", none, 0, &wanted, NULL);
    wait_signals(1);
    printf("signal %d code %d, value is the timer %d\n", number, code, value == none);
    timer_delete((timer_t)none);

    /* Expired while blocked: overruns are counted. */
    sigset_t set;
    siginfo_t info;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    id = (long)create("SIGEV_SIGNAL", CLOCK_MONOTONIC, &event);
    timer_settime((timer_t)id, 0, &(struct itimerspec){{0, 1000000}, {0, 1000000}}, NULL);
    usleep(20000);
    sigwaitinfo(&set, &info);
    printf("overruns some %d, code %d value %d\n", info.si_overrun >= 5, info.si_code, info.si_value.sival_int);
    printf("told by the call %d\n", timer_getoverrun((timer_t)id) >= 5);
    timer_delete((timer_t)id);
    struct timespec zero = {0, 0};
    while (sigtimedwait(&set, NULL, &zero) > 0)
        ;

    event.sigev_notify = SIGEV_NONE;
    id = (long)create("SIGEV_NONE", CLOCK_MONOTONIC, &event);
    timer_settime((timer_t)id, 0, &(struct itimerspec){{0, 0}, {0, 1000000}}, NULL);
    usleep(5000);
    call(timer_gettime, "nobody is told", id, &now);
    printf("left %ld %ld\n", now.it_value.tv_sec, now.it_value.tv_nsec);
    sigpending(&set);
    printf("pending %d\n", sigismember(&set, SIGUSR1));
    timer_delete((timer_t)id);
    /* Not inherited. */
    id = (long)create("SIGEV_NONE", CLOCK_BOOTTIME, &event);
    if (fork() == 0) {
        call(timer_gettime, "a parent's", id, &now);
        _exit(0);
    }
    wait(NULL);
}

static void *in_thread(void *argument) {
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2};
    event._sigev_un._tid = gettid();
    long id = (long)create("SIGEV_THREAD_ID", CLOCK_MONOTONIC, &event);
    count = 0;
    timer_settime((timer_t)id, 0, &(struct itimerspec){{0, 0}, {0, 2000000}}, NULL);
    wait_signals(1);
    printf("signal %d on the thread %d\n", number, on == gettid());
    return argument;
}

static volatile int called;
static void thread_function(union sigval given) {
    called = given.sival_int;
}

static void threads(void) {
    pthread_t thread;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR2};
    int timer;
    catch(SIGUSR2);
    pthread_create(&thread, NULL, in_thread, NULL);
    pthread_join(thread, NULL);
    event._sigev_un._tid = 4194303;
    call(timer_create, "SIGEV_THREAD_ID of nobody", CLOCK_MONOTONIC, &event, &timer);
    event._sigev_un._tid = getppid();
    call(timer_create, "SIGEV_THREAD_ID of another process", CLOCK_MONOTONIC, &event, &timer);
    event = (struct sigevent){.sigev_notify = SIGEV_THREAD};
    event.sigev_notify_function = thread_function;
    event.sigev_value.sival_int = 66;
    timer_t id;
    printf("SIGEV_THREAD %d\n", timer_create(CLOCK_MONOTONIC, &event, &id));
    timer_settime(id, 0, &(struct itimerspec){{0, 0}, {0, 2000000}}, NULL);
    while (!called)
        usleep(1000);
    printf("called with %d\n", called);
}

static void processor_time(void) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    clockid_t clocks[] = {CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
    catch(SIGUSR1);
    for (int at = 0; at < 2; at++) {
        long id = (long)create("of processor time", clocks[at], &event);
        count = 0;
        timer_settime((timer_t)id, 0, &(struct itimerspec){{0, 0}, {0, 5000000}}, NULL);
        while (count < 1)
            work();
        printf("signal %d code %d\n", number, code);
        timer_delete((timer_t)id);
    }
}

int main(void) {
    in_child("alarm", alarms);
    in_child("intervals", intervals);
    in_child("created", created);
    in_child("threads", threads);
    in_child("processor time", processor_time);
    return 0;
}
