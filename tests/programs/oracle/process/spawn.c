/* posix_spawn, system, popen; what a process is asked about itself; how it ends. */
#include "../tell.h"
#include <linux/futex.h>
#include <pthread.h>
#include <spawn.h>

extern char **environ;

static void finish(const char *what, int error, pid_t child) {
    int status;
    if (error) {
        printf("%s: %s\n", what, strerrorname_np(error));
        return;
    }
    waitpid(child, &status, 0);
    ended(what, status);
}

static void spawning(void) {
    int error;
    char *arguments[] = {"spawn", "report", NULL}, *missing[] = {"missing", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t set;
    pid_t child;
    fflush(stdout);
    error = posix_spawn(&child, "/proc/self/exe", NULL, NULL, arguments, environ);
    finish("posix_spawn", error, child);
    error = posix_spawn(&child, "/work/missing", NULL, NULL, missing, environ);
    finish("posix_spawn missing", error, child);
    error = posix_spawnp(&child, "missing", NULL, NULL, missing, environ);
    finish("posix_spawnp missing", error, child);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 7, "/work/out", O_WRONLY | O_CREAT | O_TRUNC, 0640);
    posix_spawn_file_actions_adddup2(&actions, 7, 1);
    posix_spawn_file_actions_addclose(&actions, 7);
    posix_spawn_file_actions_addchdir_np(&actions, "/proc");
    posix_spawnattr_init(&attributes);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    posix_spawnattr_setsigmask(&attributes, &set);
    sigaddset(&set, SIGUSR2);
    posix_spawnattr_setsigdefault(&attributes, &set);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    signal(SIGUSR2, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    error = posix_spawn(&child, "/proc/self/exe", &actions, &attributes, arguments, environ);
    finish("with actions", error, child);
    char text[512] = "";
    int fd = open("/work/out", O_RDONLY);
    read(fd, text, sizeof text - 1);
    printf("%s", text);
    posix_spawn_file_actions_addopen(&actions, 8, "/work/none/x", O_RDONLY, 0);
    error = posix_spawn(&child, "/proc/self/exe", &actions, NULL, arguments, environ);
    finish("an action that fails", error, child);
}

static int report(void) {
    sigset_t mask;
    struct sigaction two, hup;
    char directory[64];
    sigprocmask(SIG_BLOCK, NULL, &mask);
    sigaction(SIGUSR2, NULL, &two), sigaction(SIGHUP, NULL, &hup);
    printf("  blocked %d, default %d, ignored %d, leads a group %d, in %s, descriptor 7 open %d\n",
           sigismember(&mask, SIGUSR1), two.sa_handler == SIG_DFL, hup.sa_handler == SIG_IGN, getpgrp() == getpid(),
           getcwd(directory, sizeof directory) ? directory : "?", fcntl(7, F_GETFD) >= 0);
    return 11;
}

static void *ends(void *argument) {
    syscall(SYS_exit, 1);
    return argument;
}

static void on_signal(int signal) {
    (void)signal;
}

int main(int count, char **arguments) {
    if (count > 1 && strcmp(arguments[1], "report") == 0)
        return report();
    tell_made("getpid", "it", syscall(SYS_getpid));
    tell_made("getppid", "it", syscall(SYS_getppid));
    in_child("spawning", spawning);
    int status;
    pthread_t thread;
    pthread_create(&thread, NULL, ends, NULL);
    pthread_join(thread, NULL);
    tell("exit", "of a thread leaves the process", 0);
    pid_t child = fork();
    if (child == 0)
        syscall(SYS_exit_group, 0x1234);
    waitpid(child, &status, 0);
    tell("exit_group", "the lowest 8 bits count", WEXITSTATUS(status));
    signal(SIGUSR1, on_signal);
    raise(SIGUSR1);
    tell("rt_sigreturn", "to where the signal came", 0);
    child = fork();
    if (child == 0)
        execl("/proc/self/exe", "spawn", "report", NULL);
    waitpid(child, &status, 0);
    tell("execve", "of itself", WEXITSTATUS(status));
    return 0;
}
