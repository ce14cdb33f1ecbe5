/* Process groups and sessions. */
#include "../tell.h"

static pid_t waiting_child(void) {
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    return child;
}

static void end(pid_t child) {
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void errors(void) {
    tell("getpgid", "-1", getpgid(-1));
    tell("getpgid", "missing", getpgid(4194303));
    tell("getsid", "-1", getsid(-1));
    tell("getsid", "missing", getsid(4194303));
    tell_made("getsid", "own", getsid(0));
    tell("setpgid", "group -1", setpgid(0, -1));
    tell("setpgid", "process -1", setpgid(-1, 0));
    tell("setpgid", "missing process", setpgid(4194303, 0));
    tell("setpgid", "of the parent", setpgid(getppid(), 0));
    tell("setpgid", "missing group", setpgid(0, 4194303));
}

static void groups(void) {
    pid_t own = getpgrp(), child = waiting_child(), second = waiting_child();
    printf("inherited %d\n", getpgid(child) == own);
    tell("setpgid", "a child, own group", setpgid(child, child));
    printf("leads %d\n", getpgid(child) == child);
    tell("setpgid", "a child, a sibling's group", setpgid(second, child));
    printf("joined %d\n", getpgid(second) == child);
    tell("setpgid", "back", setpgid(second, own));
    printf("back %d\n", getpgid(second) == own);
    tell("setpgid", "leader to another group", setpgid(child, own));
    end(child), end(second);
    tell("setpgid", "0 0", setpgid(0, 0));
    printf("own %d\n", getpgrp() == getpid());
    tell("getpgid", "of a process by number", getpgid(getpid()) == getpgrp());
    tell("getpgrp", "it", syscall(SYS_getpgrp) == getpgid(0));
}

static void sessions(void) {
    int status, ready[2];
    char byte = 0;
    tell("setsid", "of a group leader", setsid());
    pipe(ready);
    pid_t child = fork();
    if (child == 0) {
        pid_t session = setsid();
        tell_made("setsid", "it", session);
        printf("setsid %d, getsid %d, group %d\n", session == getpid(), getsid(0) == getpid(),
               getpgrp() == getpid());
        tell("setsid", "again", setsid());
        tell("setpgid", "of a session leader", setpgid(0, 0));
        tell("open", "/dev/tty", open("/dev/tty", O_RDWR));
        pid_t inner = waiting_child();
        printf("inherited %d\n", getsid(inner) == session);
        tell("setpgid", "to a group of another session", setpgid(inner, getppid()));
        tell("setpgid", "in the session", setpgid(inner, inner));
        end(inner);
        write(ready[1], &byte, 1);
        for (;;)
            pause();
    }
    read(ready[0], &byte, 1);
    printf("getsid of the child %d\n", getsid(child) == child);
    tell("setpgid", "of a child in another session", setpgid(child, child));
    tell("setpgid", "into another session", setpgid(0, child));
    kill(child, SIGTERM);
    waitpid(child, &status, 0);
    ended("child", status);
}

/* After exec, the parent may no longer move a child. */
static void after_exec(char *self) {
    int ready[2];
    char byte, number[8];
    pipe(ready);
    pid_t child = fork();
    if (child == 0) {
        snprintf(number, sizeof number, "%d", ready[1]);
        execl(self, "group", number, (char *)NULL);
        _exit(127);
    }
    read(ready[0], &byte, 1);
    tell("setpgid", "of a child after exec", setpgid(child, child));
    end(child);
}

static int count;
static void counted(int signal) {
    (void)signal;
    count++;
}

static void signals(void) {
    signal(SIGUSR1, SIG_IGN);
    pid_t leader = waiting_child();
    setpgid(leader, leader);
    pid_t second = fork();
    if (second == 0) {
        signal(SIGUSR1, SIG_DFL);
        setpgid(0, leader);
        kill(getppid(), SIGUSR2);
        for (;;)
            pause();
    }
    sigset_t set;
    int taken, status;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigwait(&set, &taken);
    tell("kill", "a group", kill(-leader, SIGUSR1));
    waitpid(second, &status, 0);
    ended("one of them", status);
    tell("kill", "a group with nothing", kill(-leader, 0));
    end(leader);
    tell("kill", "of a group that is gone", kill(-leader, 0));
    signal(SIGUSR1, counted);
    tell("kill", "0", kill(0, SIGUSR1));
    printf("got %d\n", count);
}

int main(int argc, char **argv) {
    sigset_t set;
    if (argc > 1) {
        write(atoi(argv[1]), "", 1);
        for (;;)
            pause();
    }
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    /* As neither a group's nor a session's leader, whoever has started us. */
    pid_t child = fork();
    if (child == 0) {
        errors();
        groups();
        sessions();
        after_exec("/proc/self/exe");
        signals();
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    ended("done", status);
    return 0;
}
