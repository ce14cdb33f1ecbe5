// Reads clocks by the C library, which takes the vDSO where there is one, and
// by system calls in between: it is one clock, and it never goes back.
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long back;

static struct timespec later(struct timespec last, struct timespec now) {
    back += now.tv_sec < last.tv_sec || (now.tv_sec == last.tv_sec && now.tv_nsec < last.tv_nsec);
    return now;
}

static void watch(clockid_t clock, int reads) {
    struct timespec last = {0}, now;
    for (int i = 0; i < reads; i++) {
        clock_gettime(clock, &now);
        last = later(last, now);
        if (i % (reads / 10) == 0) {
            syscall(SYS_clock_gettime, clock, &now);
            last = later(last, now);
        }
    }
    printf("clock %d: %ld steps back\n", clock, back);
}

int main(void) {
    printf("vDSO: %d\n", getauxval(AT_SYSINFO_EHDR) != 0);
    watch(CLOCK_MONOTONIC, 100000);
    watch(CLOCK_BOOTTIME, 100000);

    struct timeval day;
    struct timespec real;
    struct timezone zone = {1, 1};
    gettimeofday(&day, &zone);
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &real);
    long apart = (real.tv_sec - day.tv_sec) * 1000000 + real.tv_nsec / 1000 - day.tv_usec;
    printf("gettimeofday and clock_gettime: %s\n", apart >= 0 && apart < 10000000 ? "together" : "apart");
    printf("zone %d %d\n", zone.tz_minuteswest, zone.tz_dsttime);
    time_t now, other = time(&now);
    printf("time: %d %d\n", now == other, other >= real.tv_sec && other <= real.tv_sec + 10);

    printf("processor time: %d\n", clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &real));
    printf("no such clock: %d\n", clock_gettime(77, &real));
}
