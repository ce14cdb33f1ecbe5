/* What each signal does by default, stopping and going on. */
#include "../tell.h"
#include <sys/time.h>

static void by_default(int signal) {
    int status;
    pid_t child = fork();
    if (child == 0) {
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        setpgid(0, 0);
        raise(signal);
        _exit(3);
    }
    waitpid(child, &status, WUNTRACED);
    char what[32];
    snprintf(what, sizeof what, "signal %d", signal);
    ended(what, status);
    if (WIFSTOPPED(status)) {
        kill(child, SIGCONT);
        waitpid(child, &status, 0);
        ended("  after SIGCONT", status);
    }
}

static int count;
static void counted(int signal) {
    (void)signal;
    count++;
}

static pid_t child_that(void (*body)(void)) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        setpgid(0, 0);
        body();
        _exit(0);
    }
    return child;
}

static void continues(void) {
    signal(SIGCONT, counted);
    raise(SIGSTOP);
    printf("SIGCONT handled %d\n", count);
}

static void blocked_continue(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCONT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    raise(SIGSTOP);
    sigpending(&set);
    printf("going on although SIGCONT is blocked, pending %d\n", sigismember(&set, SIGCONT));
}

static void stops_handled(void) {
    signal(SIGTSTP, counted);
    raise(SIGTSTP);
    signal(SIGTTIN, SIG_IGN);
    raise(SIGTTIN);
    printf("a handled and an ignored stop: %d\n", count);
}

static void waits_in_a_call(void) {
    int pipes[2];
    char byte;
    pipe(pipes);
    raise(SIGSTOP);
    struct sigaction action = {.sa_handler = counted};
    sigaction(SIGALRM, &action, NULL);
    /* Again and again: one may come before the call has begun. */
    struct timeval soon = {0, 20000};
    setitimer(ITIMER_REAL, &(struct itimerval){soon, soon}, NULL);
    call(read, "ended by a handler", pipes[0], &byte, 1);
}

static void run(const char *what, void (*body)(void)) {
    int status;
    pid_t child = child_that(body);
    while (waitpid(child, &status, WUNTRACED) > 0) {
        ended(what, status);
        if (WIFSTOPPED(status))
            kill(child, SIGCONT);
        if (WIFEXITED(status) || WIFSIGNALED(status))
            break;
    }
}

static void sleeps(void) {
    for (;;)
        pause();
}

int main(void) {
    int status;
    for (int signal = 1; signal <= 34; signal++)
        if (signal != 32 && signal != 33)
            by_default(signal);
    by_default(64);
    run("SIGCONT handled", continues);
    run("SIGCONT blocked", blocked_continue);
    run("stops handled", stops_handled);
    run("a call after a stop", waits_in_a_call);
    /* Stopped, others wait; SIGKILL does not. */
    pid_t child = child_that(sleeps);
    kill(child, SIGSTOP);
    waitpid(child, &status, WUNTRACED);
    ended("stopped", status);
    kill(child, SIGTERM);
    kill(child, SIGCONT);
    waitpid(child, &status, 0);
    ended("ended by what came meanwhile", status);
    child = child_that(sleeps);
    kill(child, SIGSTOP);
    waitpid(child, &status, WUNTRACED);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    ended("killed while stopped", status);
    return 0;
}
