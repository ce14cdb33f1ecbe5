/* Clocks: clock_gettime, clock_getres, clock_settime, gettimeofday, time, times. */
#include "../tell.h"
#include <sys/time.h>
#include <sys/times.h>
#include <pthread.h>
#include <time.h>

static long nanoseconds(clockid_t clock) {
    struct timespec now;
    must(syscall(SYS_clock_gettime, clock, &now));
    return now.tv_sec * 1000000000l + now.tv_nsec;
}

static void *other(void *argument) {
    *(clockid_t *)argument = 0;
    pthread_getcpuclockid(pthread_self(), argument);
    struct timespec now;
    call(clock_gettime, "own thread by number", *(clockid_t *)argument, &now);
    return NULL;
}

int main(void) {
    struct { const char *name; clockid_t clock; } clocks[] = {
        {"REALTIME", CLOCK_REALTIME}, {"MONOTONIC", CLOCK_MONOTONIC},
        {"PROCESS_CPUTIME_ID", CLOCK_PROCESS_CPUTIME_ID}, {"THREAD_CPUTIME_ID", CLOCK_THREAD_CPUTIME_ID},
        {"MONOTONIC_RAW", CLOCK_MONOTONIC_RAW}, {"REALTIME_COARSE", CLOCK_REALTIME_COARSE},
        {"MONOTONIC_COARSE", CLOCK_MONOTONIC_COARSE}, {"BOOTTIME", CLOCK_BOOTTIME}, {"TAI", CLOCK_TAI},
    };
    struct timespec now, other_now;
    for (unsigned at = 0; at < sizeof clocks / sizeof *clocks; at++) {
        char what[64];
        snprintf(what, sizeof what, "CLOCK_%s", clocks[at].name);
        call(clock_gettime, what, clocks[at].clock, &now);
        long first = nanoseconds(clocks[at].clock);
        printf("  goes forward %d\n", nanoseconds(clocks[at].clock) >= first);
        call(clock_getres, what, clocks[at].clock, &now);
        printf("  resolution %s\n", now.tv_sec == 0 && now.tv_nsec == 1 ? "1 ns"
                                    : now.tv_sec == 0 && now.tv_nsec % 1000000 == 0 ? "a tick" : "else");
    }
    call(clock_gettime, "clock 12", 12, &now);
    call(clock_gettime, "clock 99", 99, &now);
    call(clock_gettime, "nowhere", CLOCK_MONOTONIC, NOWHERE);
    call(clock_gettime, "of a missing process", (~4194303 << 3) | 2, &now);
    call(clock_gettime, "of a missing thread", (~4194303 << 3) | 6, &now);
    call(clock_gettime, "of itself by number", (~getpid() << 3) | 2, &now);
    call(clock_gettime, "of the thread by number", (~gettid() << 3) | 6, &now);
    call(clock_getres, "clock 99", 99, &now);
    call(clock_getres, "nowhere", CLOCK_MONOTONIC, NOWHERE);
    call(clock_getres, "not asked", CLOCK_MONOTONIC, NULL);
    call(clock_getres, "clock 99, not asked", 99, NULL);
    now = (struct timespec){1, 0};
    call(clock_settime, "CLOCK_MONOTONIC", CLOCK_MONOTONIC, &now);
    call(clock_settime, "CLOCK_PROCESS_CPUTIME_ID", CLOCK_PROCESS_CPUTIME_ID, &now);
    call(clock_settime, "clock 99", 99, &now);
    call(clock_settime, "nowhere", CLOCK_REALTIME, NOWHERE);
    now = (struct timespec){1, 1000000000};
    call(clock_settime, "too many nanoseconds", CLOCK_REALTIME, &now);
    struct timeval moment;
    struct timezone zone = {5, 5};
    call(gettimeofday, "both", &moment, &zone);
    printf("zone %d %d, a time of this century %d, near the clock %d\n", zone.tz_minuteswest, zone.tz_dsttime,
           moment.tv_sec > 1600000000, labs(moment.tv_sec - time(NULL)) < 5);
    call(gettimeofday, "neither", NULL, NULL);
    call(gettimeofday, "nowhere", NOWHERE, NULL);
    call(gettimeofday, "zone nowhere", NULL, NOWHERE);
    time_t told = 0;
    made(time, "told", &told);
    printf("told the same %d\n", labs(told - time(NULL)) < 5);
    made(time, "nowhere", NOWHERE);
    made(time, "not told", NULL);
    struct tms used;
    made(times, "told", &used);
    made(times, "not told", NULL);
    made(times, "nowhere", NOWHERE);
    printf("little time used %d\n", used.tms_utime < 500 && used.tms_stime < 500 && used.tms_cutime < 500);
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_TAI, &other_now);
    printf("TAI is near %d\n", labs(other_now.tv_sec - now.tv_sec) < 60);
    pthread_t thread;
    clockid_t clock;
    pthread_create(&thread, NULL, other, &clock);
    pthread_join(thread, NULL);
    /* Work counts, waiting does not. */
    long before = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
    usleep(50000);
    long slept = nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - before;
    while (nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - before < 60000000)
        ;
    printf("sleep is no work %d\n", slept < 40000000);
    return 0;
}
