/* kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo: to whom, and what is refused. */
#include "../tell.h"
#include <pthread.h>
#include <sched.h>

static volatile int count, code, value;
static void note(int signal, siginfo_t *info, void *context) {
    count++;
    code = info->si_code, value = info->si_value.sival_int;
    (void)signal, (void)context;
}

static void show(const char *what) {
    printf("%s: %d signals, code %d, value %d\n", what, count, code, code == SI_QUEUE ? value : 0);
    count = code = value = 0;
}

static pid_t waiting(void) {
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    return child;
}

static void *other_thread(void *argument) {
    *(volatile pid_t *)argument = gettid();
    pause();
    return argument;
}

static void to_itself(void) {
    siginfo_t info = {.si_code = SI_QUEUE};
    info.si_value.sival_int = 31;
    call(kill, "missing", 4194303, SIGUSR1);
    call(kill, "missing group", -4194303, SIGUSR1);
    call(kill, "signal 65", getpid(), 65);
    call(kill, "signal -1", getpid(), -1);
    call(kill, "least number", (pid_t)0x80000000, 0);
    call(kill, "nothing", getpid(), 0);
    call(kill, "own", getpid(), SIGUSR1);
    show("kill");
    call(tkill, "thread 0", 0, SIGUSR1);
    call(tkill, "thread -1", -1, SIGUSR1);
    call(tkill, "missing", 4194303, SIGUSR1);
    call(tkill, "signal 65", gettid(), 65);
    call(tkill, "own", gettid(), SIGUSR1);
    show("tkill");
    call(tgkill, "group 0", 0, gettid(), SIGUSR1);
    call(tgkill, "thread 0", getpid(), 0, SIGUSR1);
    call(tgkill, "another group", getppid(), gettid(), SIGUSR1);
    call(tgkill, "missing", getpid(), 4194303, SIGUSR1);
    call(tgkill, "nothing", getpid(), gettid(), 0);
    call(tgkill, "own", getpid(), gettid(), SIGUSR1);
    show("tgkill");
    call(rt_sigqueueinfo, "missing", 4194303, SIGUSR1, &info);
    call(rt_sigqueueinfo, "signal 65", getpid(), 65, &info);
    call(rt_sigqueueinfo, "nowhere", getpid(), SIGUSR1, NOWHERE);
    call(rt_sigqueueinfo, "own", getpid(), SIGUSR1, &info);
    show("rt_sigqueueinfo");
    call(rt_tgsigqueueinfo, "missing", getpid(), 4194303, SIGUSR1, &info);
    call(rt_tgsigqueueinfo, "thread 0", getpid(), 0, SIGUSR1, &info);
    call(rt_tgsigqueueinfo, "signal 65", getpid(), gettid(), 65, &info);
    call(rt_tgsigqueueinfo, "nowhere", getpid(), gettid(), SIGUSR1, NOWHERE);
    call(rt_tgsigqueueinfo, "own", getpid(), gettid(), SIGUSR1, &info);
    show("rt_tgsigqueueinfo");
    info.si_code = SI_USER;
    call(rt_sigqueueinfo, "own, as if by kill", getpid(), SIGUSR1, &info);
    show("as if by kill");
}

static void to_others(void) {
    siginfo_t info = {.si_code = SI_USER};
    int status;
    pid_t child = waiting();
    call(rt_sigqueueinfo, "another, as if by kill", child, SIGUSR1, &info);
    info.si_code = SI_TKILL;
    call(rt_sigqueueinfo, "another, as if by tkill", child, SIGUSR1, &info);
    call(rt_tgsigqueueinfo, "another, as if by tkill", child, child, SIGUSR1, &info);
    info.si_code = SI_QUEUE;
    call(rt_sigqueueinfo, "another", child, SIGTERM, &info);
    waitpid(child, &status, 0);
    ended("child", status);
    child = waiting();
    call(kill, "SIGRTMIN ends it", child, SIGRTMIN);
    waitpid(child, &status, 0);
    ended("child", status);

    pid_t thread_id = 0;
    pthread_t thread;
    pthread_create(&thread, NULL, other_thread, &thread_id);
    while (!*(volatile pid_t *)&thread_id)
        sched_yield();
    call(kill, "a thread's number stands for its process", thread_id, 0);
    call(tgkill, "another thread", getpid(), thread_id, 0);
    call(tgkill, "a thread's number as group", thread_id, thread_id, 0);
    setpgid(0, 0);
    child = waiting();
    call(kill, "own group", 0, SIGUSR1);
    show("own group");
    kill(child, SIGKILL);
}

int main(void) {
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, NULL);
    in_child("to itself", to_itself);
    in_child("to others", to_others);
    return 0;
}
