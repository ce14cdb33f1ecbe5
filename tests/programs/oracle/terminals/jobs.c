/* Job control: signals from keys, processes in the background, stopping and going on. */
#include "../pty.h"

/* A pipe by which processes wait for each other: each byte lets one go on. */
static int gate[2];

static void let_go(void) {
    must(write(gate[1], "x", 1));
}

static void wait_for(void) {
    char byte;
    must(read(gate[0], &byte, 1));
}

static const char *name_of(int signal) {
    static char name[32];
    snprintf(name, sizeof name, "SIG%s", sigabbrev_np(signal));
    return name;
}

/* Waits for any change of a child and prints it. */
static int change(const char *what, pid_t child) {
    int status = 0;
    fflush(stdout);
    must(waitpid(child, &status, WUNTRACED | WCONTINUED));
    if (WIFSTOPPED(status))
        printf("%s: stopped by %s\n", what, name_of(WSTOPSIG(status)));
    else if (WIFCONTINUED(status))
        printf("%s: continued\n", what);
    else if (WIFSIGNALED(status))
        printf("%s: killed by %s\n", what, name_of(WTERMSIG(status)));
    else
        printf("%s: exit %d\n", what, WEXITSTATUS(status));
    return status;
}

/* Waits for the end of a child that was let go on, which may be over before one looks. */
static void end(const char *what, pid_t child) {
    int status = 0;
    fflush(stdout);
    must(waitpid(child, &status, 0));
    if (WIFSIGNALED(status))
        printf("%s: killed by %s\n", what, name_of(WTERMSIG(status)));
    else
        printf("%s: exit %d\n", what, WEXITSTATUS(status));
}

/* A child in a group of its own, in the foreground or not, that runs `body`. */
static pid_t job(int foreground, void (*body)(void)) {
    fflush(stdout);
    pid_t child = must(fork());
    if (child == 0) {
        must(setpgid(0, 0));
        wait_for();
        body();
        fflush(stdout);
        _exit(0);
    }
    setpgid(child, child);
    if (foreground)
        must(tcsetpgrp(slave, child));
    let_go();
    return child;
}

static void begin(void) {
    must(setsid());
    must(pipe(gate));
    open_pty();
    must(ioctl(slave, TIOCSCTTY, 0));
    must(fcntl(slave, F_SETFL, O_RDWR));
    signal(SIGTTOU, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
}

static void defaults(void) {
    signal(SIGTTOU, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
}

static void sleeps(void) {
    defaults();
    let_go();
    for (;;)
        pause();
}

/* A key sends its signal before its echo, and all of it behind the back of who types it: it has
   done its work when a poll finds nothing to read. */
static void key_done(void) {
    struct pollfd p = {slave, POLLIN, 0};
    must(poll(&p, 1, 0));
}

static void key(const char *bytes) {
    must(write(master, bytes, 1));
}

static void key_changes(const char *what, const char *bytes, pid_t child) {
    key(bytes);
    change(what, child);
    key_done();
    master_reads();
}

static void keys(void) {
    begin();
    pid_t child = job(1, sleeps);
    wait_for();
    key_changes("the stop key", "\x1a", child);
    must(kill(child, SIGCONT));
    change("SIGCONT", child);
    key_changes("the interrupt key", "\x03", child);
    child = job(1, sleeps);
    wait_for();
    key_changes("the quit key", "\x1c", child);
    child = job(1, sleeps);
    wait_for();
    must(kill(child, SIGSTOP));
    change("SIGSTOP", child);
    /* A key forgets the echo before it. */
    key("\x1a");
    key_done();
    master_reads();
    key("\x03");
    key_done();
    must(kill(-child, SIGCONT));
    end("keys while stopped", child);
    must(tcsetpgrp(slave, getpgrp()));
    fcntl(slave, F_SETFL, O_RDWR | O_NONBLOCK);
    slave_reads(100);
    master_reads();
}

static void reads(void) {
    defaults();
    char bytes[10];
    answers("a background read", read(slave, bytes, sizeof bytes));
}

static void reads_deaf(void) {
    signal(SIGTTIN, SIG_IGN);
    char bytes[10];
    answers("a background read with SIGTTIN ignored", read(slave, bytes, sizeof bytes));
    signal(SIGTTIN, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTTIN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    answers("a background read with SIGTTIN blocked", read(slave, bytes, sizeof bytes));
}

static volatile sig_atomic_t caught;

static void catch(int signal) {
    caught = signal;
}

static void reads_and_catches(void) {
    struct sigaction action = {.sa_handler = catch};
    must(sigaction(SIGTTIN, &action, NULL));
    char bytes[10];
    answers("a background read with a handler", read(slave, bytes, sizeof bytes));
    printf("caught %s\n", name_of(caught));
}

static void writes(void) {
    defaults();
    answers("a background write", write(slave, "abc", 3));
}

static void sets(void) {
    defaults();
    struct termios t;
    must(tcgetattr(slave, &t));
    answers("background settings", tcsetattr(slave, TCSANOW, &t));
}

static void flushes(void) {
    defaults();
    answers("a background flush", tcflush(slave, TCIFLUSH));
}

static void takes(void) {
    defaults();
    answers("the foreground", tcsetpgrp(slave, getpid()));
}

static void takes_deaf(void) {
    answers("the foreground with SIGTTOU ignored", tcsetpgrp(slave, getpid()));
}

static void sizes(void) {
    defaults();
    struct winsize w = {3, 4, 0, 0};
    answers("the size", ioctl(slave, TIOCSWINSZ, &w));
    answers("the foreground's number", ioctl(slave, FIONREAD, &w));
}

static void stopped_and_on(const char *what, void (*body)(void), int foreground) {
    pid_t child = job(0, body);
    if (!WIFSTOPPED(change(what, child)))
        return;
    if (foreground)
        must(tcsetpgrp(slave, child));
    must(kill(-child, SIGCONT));
    end(what, child);
    must(tcsetpgrp(slave, getpgrp()));
}

static void background(void) {
    begin();
    must(write(master, "for the reader\n", 15));
    stopped_and_on("reads", reads, 1);
    change("reads deaf", job(0, reads_deaf));
    stopped_and_on("reads and catches", reads_and_catches, 0);
    change("writes", job(0, writes));
    set(0, 0, TOSTOP, 0, 0, 0);
    stopped_and_on("writes with TOSTOP", writes, 1);
    stopped_and_on("sets", sets, 1);
    stopped_and_on("flushes", flushes, 1);
    stopped_and_on("takes", takes, 1);
    change("takes deaf", job(0, takes_deaf));
    must(tcsetpgrp(slave, getpgrp()));
    change("sizes", job(0, sizes));
}

/* A grandchild whose group is orphaned when its parent ends. */
static void orphaned(void) {
    begin();
    int done[2];
    must(pipe(done));
    fflush(stdout);
    pid_t child = must(fork());
    if (child == 0) {
        must(setpgid(0, 0));
        if (must(fork()) == 0) {
            close(done[0]);
            defaults();
            pid_t parent = getppid();
            let_go();
            while (getppid() == parent)
                usleep(1000);
            struct termios t;
            must(tcgetattr(slave, &t));
            char bytes[10];
            answers("an orphan reads", read(slave, bytes, sizeof bytes));
            answers("an orphan sets", tcsetattr(slave, TCSANOW, &t));
            answers("an orphan takes the foreground", tcsetpgrp(slave, getpgrp()));
            must(kill(getpid(), SIGTSTP));
            must(kill(getpid(), SIGTTIN));
            printf("an orphan is not stopped\n");
            fflush(stdout);
            _exit(0);
        }
        wait_for();
        _exit(0);
    }
    close(done[1]);
    char byte;
    printf("all is over: %zd\n", read(done[0], &byte, 1));
    end("the parent", child);

    /* Stopped when its group is orphaned: it is told, and goes on. */
    must(pipe(done));
    fflush(stdout);
    child = must(fork());
    if (child == 0) {
        must(setpgid(0, 0));
        if (must(fork()) == 0) {
            close(done[0]);
            defaults();
            struct sigaction action = {.sa_handler = catch};
            must(sigaction(SIGHUP, &action, NULL));
            let_go();
            must(kill(getpid(), SIGSTOP));
            printf("told by %s\n", name_of(caught));
            fflush(stdout);
            _exit(0);
        }
        wait_for();
        int status;
        must(waitpid(-1, &status, WUNTRACED));
        printf("stopped: %d\n", WIFSTOPPED(status));
        fflush(stdout);
        _exit(0);
    }
    close(done[1]);
    printf("all is over: %zd\n", read(done[0], &byte, 1));
    end("the parent", child);
}

static void told(int signal) {
    (void)signal;
    caught++;
}

static void notices(void) {
    begin();
    struct sigaction action = {.sa_handler = told, .sa_flags = SA_RESTART};
    must(sigaction(SIGCHLD, &action, NULL));
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    must(sigprocmask(SIG_BLOCK, &set, &old));
    pid_t child = job(0, sleeps);
    wait_for();
    siginfo_t info;
    int signals[] = {SIGSTOP, SIGCONT, SIGTSTP, SIGKILL};
    for (int i = 0; i < 4; i++) {
        must(kill(child, signals[i]));
        must(sigwaitinfo(&set, &info));
        printf("%s: code %d, status %d, ours %d\n", name_of(signals[i]), info.si_code,
               info.si_status, info.si_pid == child);
        memset(&info, 0, sizeof info);
        must(waitid(P_PID, child, &info, WEXITED | WSTOPPED | WCONTINUED | WNOWAIT));
        printf("  seen: code %d, status %d\n", info.si_code, info.si_status);
        must(waitid(P_PID, child, &info, WEXITED | WSTOPPED | WCONTINUED));
        printf("  taken: code %d, status %d\n", info.si_code, info.si_status);
        answers("  again", waitid(P_PID, child, &info, WEXITED | WSTOPPED | WCONTINUED | WNOHANG));
    }
    action.sa_flags = SA_NOCLDSTOP;
    must(sigaction(SIGCHLD, &action, NULL));
    child = job(0, sleeps);
    wait_for();
    must(kill(child, SIGSTOP));
    change("without notice", child);
    sigpending(&set);
    printf("pending: %d\n", sigismember(&set, SIGCHLD));
    must(kill(child, SIGTERM));
    must(kill(child, SIGCONT));
    end("a signal while stopped, and on", child);
}

int main(void) {
    part("keys");
    in_child("keys", keys);
    part("in the background");
    in_child("background", background);
    part("orphans");
    in_child("orphaned", orphaned);
    part("what a parent is told");
    in_child("notices", notices);
    return 0;
}
