/* Scheduling policies, priorities and niceness: kept, told, and who may change them. */
#include "../tell.h"
#include <sched.h>
#include <sys/resource.h>
#include <time.h>

struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
};

static void policies(void) {
    int kinds[] = {SCHED_OTHER, SCHED_FIFO, SCHED_RR, SCHED_BATCH, SCHED_IDLE};
    for (int at = 0; at < 5; at++) {
        call(sched_get_priority_min, "a policy", kinds[at]);
        call(sched_get_priority_max, "a policy", kinds[at]);
    }
    call(sched_get_priority_min, "unknown", 77);
    call(sched_get_priority_min, "-1", -1);
    call(sched_get_priority_max, "unknown", 77);
    call(sched_get_priority_max, "-1", -1);
    struct sched_param none = {0}, one = {1}, found;
    call(sched_getscheduler, "own", 0);
    call(sched_getscheduler, "missing", 4194303);
    call(sched_getscheduler, "-1", -1);
    call(sched_getparam, "own", 0, &found);
    printf("priority %d\n", found.sched_priority);
    call(sched_getparam, "missing", 4194303, &found);
    call(sched_getparam, "no place", 0, NULL);
    call(sched_getparam, "nowhere", 0, NOWHERE);
    call(sched_setscheduler, "batch", 0, SCHED_BATCH, &none);
    call(sched_getscheduler, "batch", 0);
    call(sched_setscheduler, "with a priority", 0, SCHED_OTHER, &one);
    call(sched_setscheduler, "real time without one", 0, SCHED_FIFO, &none);
    call(sched_setscheduler, "unknown", 0, 77, &none);
    call(sched_setscheduler, "-1", 0, -1, &none);
    call(sched_setscheduler, "missing", 4194303, SCHED_OTHER, &none);
    call(sched_setscheduler, "nowhere", 0, SCHED_OTHER, NOWHERE);
    call(sched_setscheduler, "back", 0, SCHED_OTHER, &none);
    call(sched_setparam, "with a priority", 0, &one);
    call(sched_setparam, "without", 0, &none);
    call(sched_setparam, "missing", 4194303, &none);
    call(sched_setparam, "no place", 0, NULL);
    struct timespec slice;
    call(sched_rr_get_interval, "own", 0, &slice);
    call(sched_rr_get_interval, "missing", 4194303, &slice);
    call(sched_rr_get_interval, "-1", -1, &slice);
    call(sched_rr_get_interval, "nowhere", 0, NOWHERE);
}

static void attributes(void) {
    struct attributes now = {0}, wanted = {.size = sizeof wanted, .policy = SCHED_BATCH, .nice = 3};
    call(sched_getattr, "own", 0, &now, sizeof now, 0);
    printf("size %u, policy %u, nice %d, priority %u\n", now.size, now.policy, now.nice, now.priority);
    call(sched_getattr, "too small", 0, &now, 40, 0);
    call(sched_getattr, "missing", 4194303, &now, sizeof now, 0);
    call(sched_getattr, "unknown flag", 0, &now, sizeof now, 1);
    call(sched_getattr, "nowhere", 0, NOWHERE, sizeof now, 0);
    call(sched_setattr, "batch, nice 3", 0, &wanted, 0);
    call(sched_getattr, "set", 0, &now, sizeof now, 0);
    printf("policy %u, nice %d\n", now.policy, now.nice);
    call(sched_setattr, "unknown flag", 0, &wanted, 1);
    call(sched_setattr, "missing", 4194303, &wanted, 0);
    call(sched_setattr, "no place", 0, NULL, 0);
    wanted.policy = 77;
    call(sched_setattr, "unknown policy", 0, &wanted, 0);
}

static void niceness(void) {
    call(getpriority, "own, as 20 - nice", PRIO_PROCESS, 0);
    call(setpriority, "higher", PRIO_PROCESS, 0, 5);
    call(getpriority, "own", PRIO_PROCESS, 0);
    call(setpriority, "beyond the highest", PRIO_PROCESS, 0, 50);
    call(getpriority, "own", PRIO_PROCESS, 0);
    if (fork() == 0) {
        call(getpriority, "a child's", PRIO_PROCESS, 0);
        _exit(0);
    }
    wait(NULL);
    call(getpriority, "unknown kind", 7, 0);
    call(getpriority, "missing", PRIO_PROCESS, 4194303);
    call(setpriority, "unknown kind", 7, 0, 0);
    call(setpriority, "missing", PRIO_PROCESS, 4194303, 0);
    setpgid(0, 0);
    call(getpriority, "own group", PRIO_PGRP, 0);
    call(setpriority, "own group", PRIO_PGRP, 0, 7);
    call(getpriority, "own group by number", PRIO_PGRP, getpid());
    call(getpriority, "missing group", PRIO_PGRP, 4194303);
    syscall(SYS_setresuid, 54322, 54322, 54322);
    call(getpriority, "own user", PRIO_USER, 0);
    call(setpriority, "lower, as a user", PRIO_PROCESS, 0, 0);
    struct sched_param one = {1};
    call(sched_setscheduler, "real time, as a user", 0, SCHED_FIFO, &one);
}

int main(void) {
    policies();
    in_child("attributes", attributes);
    in_child("niceness", niceness);
    return 0;
}
