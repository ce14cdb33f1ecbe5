/* Whose terminal it is: sessions, their leaders, and what they are told when it goes. */
#include "../pty.h"

static void own(const char *what) {
    int fd = open("/dev/tty", O_RDWR | O_NONBLOCK);
    printf("%s: /dev/tty %s\n", what, fd == -1 ? strerrorname_np(errno) : "is there");
    close(fd);
}

/* The number in the terminal's place: ours, nobody's, or another. */
static void who(const char *what, int fd, unsigned long command) {
    pid_t number = -1;
    if (ioctl(fd, command, &number) == -1)
        printf("%s: %s\n", what, strerrorname_np(errno));
    else
        printf("%s: %s\n", what, number == getpid() ? "ours" : number == 0 ? "0" : "another");
}

static void getting(void) {
    part("getting a terminal");
    open_pty();
    own("before");
    asks("a process that leads nothing", slave, TIOCSCTTY, 0);
    who("its group", slave, TIOCGPGRP);
    who("its session", slave, TIOCGSID);
    who("the master's group", master, TIOCGPGRP);
    who("the master's session", master, TIOCGSID);
    must(setsid());
    own("a new session");
    asks("give up what there is not", slave, TIOCNOTTY, 0);
    asks("take it", slave, TIOCSCTTY, 0);
    asks("take it again", slave, TIOCSCTTY, 0);
    own("now");
    who("its group", slave, TIOCGPGRP);
    who("its session", slave, TIOCGSID);
    who("the master's group", master, TIOCGPGRP);
    who("the master's session", master, TIOCGSID);
    int tty = must(open("/dev/tty", O_RDWR));
    struct stat s;
    must(fstat(tty, &s));
    printf("/dev/tty is %x, named %s\n", (unsigned)s.st_rdev, ttyname(tty) ? ttyname(tty) : "nothing");
    who("its group by /dev/tty", tty, TIOCGPGRP);
    must(write(tty, "written\n", 8));
    master_reads();
    int other_master = must(posix_openpt(O_RDWR | O_NOCTTY));
    must(unlockpt(other_master));
    int other = must(open(ptsname(other_master), O_RDWR));
    asks("another while there is one", other, TIOCSCTTY, 0);
    who("the group of another", other, TIOCGPGRP);
    pid_t group = getpid();
    asks("set the group of another", other, TIOCSPGRP, &group);
    group = 1 << 20;
    asks("a group that is not there", slave, TIOCSPGRP, &group);
    group = -1;
    asks("a negative group", slave, TIOCSPGRP, &group);
    group = getppid();
    asks("a group of another session", slave, TIOCSPGRP, &group);
    asks("a group of nowhere", slave, TIOCSPGRP, NOWHERE);
    must(signal(SIGHUP, SIG_IGN) == SIG_ERR ? -1 : 0);
    asks("give it up", slave, TIOCNOTTY, 0);
    own("after");
    who("the master's group", master, TIOCGPGRP);
    who("the master's session", master, TIOCGSID);
    close(slave);
    slave = must(open(ptsname(master), O_RDWR | O_NOCTTY));
    own("opened with O_NOCTTY");
    close(slave);
    slave = must(open(ptsname(master), O_WRONLY));
    own("opened to be written");
    close(slave);
    slave = must(open(ptsname(master), O_RDWR));
    own("opened");
    close_pty();
}

static void stolen(void) {
    part("a terminal of another session");
    open_pty();
    int ready[2], go[2];
    must(pipe(ready));
    must(pipe(go));
    fflush(stdout);
    pid_t child = must(fork());
    char byte;
    if (child == 0) {
        must(setsid());
        must(ioctl(slave, TIOCSCTTY, 0));
        must(write(ready[1], "x", 1));
        must(read(go[0], &byte, 1));
        own("whose terminal was stolen");
        fflush(stdout);
        _exit(0);
    }
    must(read(ready[0], &byte, 1));
    must(setsid());
    asks("take it", slave, TIOCSCTTY, 0);
    asks("steal it", slave, TIOCSCTTY, 1);
    own("the thief");
    must(write(go[1], "x", 1));
    must(waitpid(child, NULL, 0));
    close_pty();
}

static volatile sig_atomic_t seen[65];

static void see(int signal) {
    seen[signal]++;
}

static void tell_seen(const char *what) {
    printf("%s:", what);
    for (int i = 1; i < 65; i++)
        if (seen[i])
            printf(" SIG%s%s", sigabbrev_np(i), seen[i] > 1 ? " again" : "");
    printf("\n");
    memset((void *)seen, 0, sizeof seen);
}

static void watch(void) {
    struct sigaction action = {.sa_handler = see};
    for (int i = 1; i < 32; i++)
        if (i != SIGKILL && i != SIGSTOP && i != SIGCHLD)
            must(sigaction(i, &action, NULL));
}

/* A leader and a member in the foreground; `event` happens to the leader in its time. */
static void told(const char *what, void (*event)(void), int other_group) {
    part(what);
    open_pty();
    int ready[2], over[2], done[2];
    must(pipe(ready));
    must(pipe(over));
    must(pipe(done));
    fflush(stdout);
    pid_t leader = must(fork());
    char byte;
    if (leader == 0) {
        must(setsid());
        must(ioctl(slave, TIOCSCTTY, 0));
        if (fork() == 0) {
            close(done[0]);
            close(over[1]);
            watch();
            sigset_t all, old;
            sigfillset(&all);
            must(sigprocmask(SIG_BLOCK, &all, &old));
            if (other_group) {
                must(setpgid(0, 0));
                signal(SIGTTOU, SIG_IGN);
                must(tcsetpgrp(slave, getpid()));
            }
            must(write(ready[1], "x", 1));
            while (!seen[SIGHUP])
                sigsuspend(&old);
            must(sigprocmask(SIG_SETMASK, &old, NULL));
            /* The leader speaks first. */
            printf("the leader is gone: %zd\n", read(over[0], &byte, 1));
            tell_seen("a member in the foreground");
            own("the member");
            fflush(stdout);
            _exit(0);
        }
        close(done[1]);
        must(read(ready[0], &byte, 1));
        event();
        fflush(stdout);
        _exit(0);
    }
    close(over[1]);
    must(waitpid(leader, NULL, 0));
    close(done[1]);
    /* Ends when the last process has. */
    printf("all is over: %zd\n", read(done[0], &byte, 1));
    close(done[0]);
    close(ready[0]);
    close(ready[1]);
    close(over[0]);
    close_pty();
}

static void ends(void) {
}

static void is_told(const char *what) {
    tell_seen(what);
    own("the leader");
}

static void gives_up(void) {
    watch();
    must(ioctl(slave, TIOCNOTTY, 0));
    is_told("the leader");
}

static void hangs_up(void) {
    watch();
    call(vhangup, "the leader");
    is_told("the leader");
    struct termios t;
    answers("the old descriptor", tcgetattr(slave, &t));
    int again = open(ptsname(master), O_RDWR | O_NOCTTY);
    answers("opened again", tcgetattr(again, &t));
}

static void no_right(void) {
    must(setuid(65534));
    call(vhangup, "a user");
}

static void resized(void) {
    part("size");
    open_pty();
    must(setsid());
    must(ioctl(slave, TIOCSCTTY, 0));
    watch();
    struct winsize w = {10, 20, 0, 0};
    must(ioctl(master, TIOCSWINSZ, &w));
    tell_seen("another size");
    must(ioctl(master, TIOCSWINSZ, &w));
    tell_seen("the same size");
    w.ws_xpixel = 7;
    must(ioctl(slave, TIOCSWINSZ, &w));
    tell_seen("other dots, by the slave");
    must(ioctl(master, TIOCSIG, SIGTSTP));
    tell_seen("a signal by the master");
    answers("a signal that no key sends", ioctl(master, TIOCSIG, SIGUSR1));
    answers("no signal", ioctl(master, TIOCSIG, 99));
    answers("a signal by the slave", ioctl(slave, TIOCSIG, SIGUSR1));
    close_pty();
}

static void read_stat(const char *what, pid_t group) {
    char text[1000] = "";
    int fd = must(open("/proc/self/stat", O_RDONLY));
    must(read(fd, text, sizeof text - 1));
    close(fd);
    int number, foreground, own;
    sscanf(strrchr(text, ')'), ") %*c %*d %d %*d %d %d", &own, &number, &foreground);
    struct stat s;
    must(fstat(slave, &s));
    printf("%s: terminal %s, foreground %s\n", what,
           number == (int)s.st_rdev ? "ours" : number == 0 ? "none" : "another",
           foreground == -1 ? "none" : foreground == group ? "ours" : "another");
}

static void in_proc(void) {
    part("/proc/self/stat");
    open_pty();
    must(setsid());
    read_stat("before", getpid());
    must(ioctl(slave, TIOCSCTTY, 0));
    read_stat("with a terminal", getpid());
    close_pty();
}

static void leads(const char *what, void (*body)(void)) {
    in_child(what, body);
}

int main(void) {
    leads("getting", getting);
    leads("stolen", stolen);
    leads("resized", resized);
    leads("in /proc", in_proc);
    in_child("a user hangs up", no_right);
    told("the leader ends", ends, 0);
    told("the leader ends, another group in the foreground", ends, 1);
    told("the leader gives the terminal up", gives_up, 1);
    told("vhangup, and the leader ends", hangs_up, 1);
    return 0;
}
