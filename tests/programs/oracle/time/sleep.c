/* nanosleep and clock_nanosleep, by a duration and to a moment. */
#include "../tell.h"
#include <sys/time.h>
#include <time.h>

static void on_alarm(int signal) {
    (void)signal;
}

/* Again and again: one may come before the call has begun. */
static void alarms(long microseconds) {
    struct timeval every = {0, microseconds};
    setitimer(ITIMER_REAL, &(struct itimerval){every, every}, NULL);
}

static struct timespec in(clockid_t clock, long nanoseconds) {
    struct timespec now;
    clock_gettime(clock, &now);
    now.tv_nsec += nanoseconds;
    now.tv_sec += now.tv_nsec / 1000000000;
    now.tv_nsec %= 1000000000;
    return now;
}

static int later(clockid_t clock, struct timespec *than) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec > than->tv_sec || (now.tv_sec == than->tv_sec && now.tv_nsec >= than->tv_nsec);
}

int main(void) {
    struct timespec moment = {0, 1000000}, left, wrong = {0, 1000000000}, negative = {-1, 0}, end;
    signal(SIGALRM, on_alarm);
    end = in(CLOCK_MONOTONIC, 1000000);
    call(nanosleep, "a moment", &moment, NULL);
    printf("not too short %d\n", later(CLOCK_MONOTONIC, &end));
    call(nanosleep, "nothing", &(struct timespec){0, 0}, NULL);
    call(nanosleep, "too many nanoseconds", &wrong, NULL);
    call(nanosleep, "negative", &negative, NULL);
    call(nanosleep, "nowhere", NOWHERE, NULL);
    alarms(20000);
    call(nanosleep, "interrupted", &(struct timespec){100, 0}, &left);
    alarms(0);
    printf("left: most of it %d\n", left.tv_sec >= 90 && left.tv_sec < 100);
    alarms(20000);
    call(nanosleep, "interrupted, left nowhere", &(struct timespec){100, 0}, NOWHERE);
    alarms(0);
    call(clock_nanosleep, "a moment", CLOCK_MONOTONIC, 0, &moment, NULL);
    call(clock_nanosleep, "a moment of REALTIME", CLOCK_REALTIME, 0, &moment, NULL);
    call(clock_nanosleep, "a moment of BOOTTIME", CLOCK_BOOTTIME, 0, &moment, NULL);
    call(clock_nanosleep, "a moment of TAI", CLOCK_TAI, 0, &moment, NULL);
    call(clock_nanosleep, "too many nanoseconds", CLOCK_MONOTONIC, 0, &wrong, NULL);
    call(clock_nanosleep, "negative", CLOCK_MONOTONIC, 0, &negative, NULL);
    call(clock_nanosleep, "nowhere", CLOCK_MONOTONIC, 0, NOWHERE, NULL);
    call(clock_nanosleep, "clock 99", 99, 0, &moment, NULL);
    call(clock_nanosleep, "own thread's time", CLOCK_THREAD_CPUTIME_ID, 0, &moment, NULL);
    call(clock_nanosleep, "MONOTONIC_RAW", CLOCK_MONOTONIC_RAW, 0, &moment, NULL);
    call(clock_nanosleep, "MONOTONIC_COARSE", CLOCK_MONOTONIC_COARSE, 0, &moment, NULL);
    clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME};
    for (int at = 0; at < 3; at++) {
        end = in(clocks[at], 5000000);
        call(clock_nanosleep, "to a moment", clocks[at], TIMER_ABSTIME, &end, NULL);
        printf("not too early %d\n", later(clocks[at], &end));
    }
    call(clock_nanosleep, "to a moment that is past", CLOCK_MONOTONIC, TIMER_ABSTIME, &moment, NULL);
    alarms(20000);
    end = in(CLOCK_MONOTONIC, 0);
    end.tv_sec += 100;
    left = (struct timespec){7, 7};
    call(clock_nanosleep, "to a moment, interrupted", CLOCK_MONOTONIC, TIMER_ABSTIME, &end, &left);
    alarms(0);
    printf("left is not told %d\n", left.tv_sec == 7 && left.tv_nsec == 7);
    alarms(20000);
    call(clock_nanosleep, "interrupted", CLOCK_MONOTONIC, 0, &(struct timespec){100, 0}, &left);
    alarms(0);
    printf("left: most of it %d\n", left.tv_sec >= 90 && left.tv_sec < 100);
    return 0;
}
