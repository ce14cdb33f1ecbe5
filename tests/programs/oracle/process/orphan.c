/* Children whose parent ends: who adopts them, what they are sent, zombies. */
#include "../asleep.h"
#include <sys/prctl.h>
#include <pthread.h>

static int got;
static void count(int signal) {
    got = signal;
}

static char shown_state(pid_t process) {
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", process);
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return '-';
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    text[len > 0 ? len : 0] = 0;
    char *end = strrchr(text, ')');
    return end ? end[2] : '?';
}

static void zombie(void) {
    siginfo_t info;
    pid_t child = fork();
    if (child == 0)
        _exit(3);
    waitid(P_PID, child, &info, WEXITED | WNOWAIT);
    printf("zombie: state %c, kill %d, getpgid %d, getsid %d\n", shown_state(child), kill(child, SIGTERM),
           getpgid(child) == getpgrp(), getsid(child) == getsid(0));
    tell("setpgid", "of a zombie", setpgid(child, 0));
    int status;
    waitpid(child, &status, 0);
    ended("its status is kept", status);
    printf("gone: state %c\n", shown_state(child));
    tell("kill", "of what is gone", kill(child, 0));
    tell("getpgid", "of what is gone", getpgid(child));
}

/* A grandchild tells of its parent once the child has gone. */
static void adopted(const char *what, int reaper) {
    int gone[2], said[2], status;
    char answer[64] = "";
    prctl(PR_SET_CHILD_SUBREAPER, reaper);
    pipe(gone), pipe(said);
    pid_t self = getpid(), child = fork();
    if (child == 0) {
        pid_t parent = getpid();
        if (fork() == 0) {
            char byte;
            close(gone[1]);
            read(gone[0], &byte, 1);
            dprintf(said[1], "%s, %s", getppid() == parent ? "same parent" : "another parent",
                    getppid() == self ? "the subreaper" : "not the subreaper");
            _exit(21);
        }
        _exit(20);
    }
    waitpid(child, &status, 0);
    ended(what, status);
    close(gone[0]), close(gone[1]), close(said[1]);
    while (read(said[0], answer, sizeof answer - 1) > 0)
        printf("  adopted: %s\n", answer);
    close(said[0]);
    pid_t next = wait(&status);
    if (next > 0)
        ended("  waited for", status);
    else
        tell("wait4", "the orphan", next);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

/* A zombie that its parent leaves behind comes to the subreaper too. */
static void zombie_adopted(void) {
    siginfo_t info;
    int status;
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGCHLD, count);
    pid_t child = fork();
    if (child == 0) {
        if (fork() == 0)
            _exit(31);
        waitid(P_ALL, 0, &info, WEXITED | WNOWAIT);
        _exit(30);
    }
    waitpid(child, &status, 0);
    ended("parent of a zombie", status);
    wait(&status);
    ended("the zombie", status);
    signal(SIGCHLD, SIG_DFL);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static void death_signal(void) {
    int said[2], status, signal_number = 99;
    char answer[64] = "";
    tell("prctl", "PR_SET_PDEATHSIG 65", prctl(PR_SET_PDEATHSIG, 65));
    tell("prctl", "PR_SET_PDEATHSIG -1", prctl(PR_SET_PDEATHSIG, -1));
    tell("prctl", "PR_GET_PDEATHSIG nowhere", prctl(PR_GET_PDEATHSIG, NOWHERE));
    prctl(PR_GET_PDEATHSIG, &signal_number);
    printf("at first %d\n", signal_number);
    pipe(said);
    pid_t child = fork();
    if (child == 0) {
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        sigprocmask(SIG_BLOCK, &set, NULL);
        int ready[2];
        char byte = 0;
        pipe(ready);
        if (fork() == 0) {
            int caught, now = 0;
            tell("prctl", "PR_SET_PDEATHSIG", prctl(PR_SET_PDEATHSIG, SIGUSR1));
            prctl(PR_GET_PDEATHSIG, &now);
            if (fork() == 0) {
                prctl(PR_GET_PDEATHSIG, &caught);
                _exit(caught);
            }
            wait(&status);
            ended("not inherited", status);
            write(ready[1], &byte, 1);
            siginfo_t info;
            caught = sigwaitinfo(&set, &info);
            dprintf(said[1], "set to %d, got %d, code %d", now, caught, info.si_code);
            _exit(0);
        }
        read(ready[0], &byte, 1);
        _exit(0);
    }
    waitpid(child, &status, 0);
    close(said[1]);
    read(said[0], answer, sizeof answer - 1);
    printf("death signal: %s\n", answer);
    close(said[0]);
}

/* Waits until the process' first thread has ended, as a zombie, or is not told of any more. */
static void until_first_has_ended(void) {
    for (char state = 'R'; state != 0 && state != 'Z'; state = state_of(getpid(), getpid()))
        usleep(1000);
}

static void *leave_group(void *argument) {
    until_asleep(getpid());
    syscall(SYS_exit_group, 12);
    return argument;
}

static void *thread_ends(void *argument) {
    until_first_has_ended();
    return argument;
}

static void *ends_last(void *argument) {
    until_first_has_ended();
    syscall(SYS_exit, 17);
    return argument;
}

static void group_exit(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, leave_group, NULL);
    pthread_join(thread, NULL);
    for (;;)
        pause();
}

static void first_thread_ends(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, ends_last, NULL);
    syscall(SYS_exit, 16);
}

static void first_thread_zombie(void) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        pthread_create(&thread, NULL, thread_ends, NULL);
        pthread_exit(NULL);
    }
    waitpid(child, &status, 0);
    ended("pthread_exit of the first thread, then the last", status);
}

int main(void) {
    zombie();
    adopted("without subreaper", 0);
    adopted("with subreaper", 1);
    zombie_adopted();
    int now = 5;
    tell("prctl", "PR_GET_CHILD_SUBREAPER", prctl(PR_GET_CHILD_SUBREAPER, &now));
    printf("subreaper %d\n", now);
    prctl(PR_SET_CHILD_SUBREAPER, 7);
    prctl(PR_GET_CHILD_SUBREAPER, &now);
    printf("subreaper %d\n", now);
    if (fork() == 0) {
        prctl(PR_GET_CHILD_SUBREAPER, &now);
        printf("inherited %d\n", now);
        _exit(0);
    }
    wait(NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    tell("prctl", "PR_GET_CHILD_SUBREAPER nowhere", prctl(PR_GET_CHILD_SUBREAPER, NOWHERE));
    death_signal();
    in_child("exit_group from a thread", group_exit);
    in_child("first thread exits 16, last 17", first_thread_ends);
    first_thread_zombie();
    return 0;
}
