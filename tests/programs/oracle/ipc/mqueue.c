/* POSIX message queues. */
#define _GNU_SOURCE
#include "../asleep.h"
#include <limits.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <time.h>

#define NAME "oracle"

static int id;

static struct mq_attr shape(long messages, long size) {
    return (struct mq_attr){.mq_maxmsg = messages, .mq_msgsize = size};
}

static void send_text(const char *what, const char *text, unsigned priority) {
    call(mq_timedsend, what, id, text, strlen(text), priority, NULL);
}

static void receive(const char *what) {
    char text[100];
    unsigned priority = 0;
    long len = call(mq_timedreceive, what, id, text, sizeof text, &priority, NULL);
    if (len != -1)
        printf(" of priority %u: %.*s\n", priority, (int)len, text);
}

static void attributes(const char *what) {
    struct mq_attr found = {};
    if (call(mq_getsetattr, what, id, NULL, &found) != -1)
        printf(" flags %#lx, %ld of %ld messages of up to %ld bytes\n", found.mq_flags, found.mq_curmsgs,
            found.mq_maxmsg, found.mq_msgsize);
}

static void blocking(long flags) {
    must(syscall(SYS_mq_getsetattr, id, &(struct mq_attr){.mq_flags = flags}, NULL));
}

static void polled(const char *what) {
    struct pollfd one = {id, POLLIN | POLLOUT, 0};
    must(poll(&one, 1, 0));
    printf("%s: to be read %d, to be written %d\n", what, !!(one.revents & POLLIN), !!(one.revents & POLLOUT));
}

static void status(const char *what) {
    char text[200];
    long len = must(pread(id, text, sizeof text, 0));
    char *pid = strstr(text, "NOTIFY_PID:");
    printf("%s: %ld bytes, %.*s, mine %d\n", what, len, (int)(pid - text), text, atoi(pid + 11) == getpid());
}

static void receives(void) { receive("a child"); }
static void sends(void) { send_text("a child, when there is room", "of the child", 7); }

static void nothing(int signal) { (void)signal; }

static void interrupted(int flags) {
    struct sigaction action = {.sa_handler = nothing, .sa_flags = flags};
    must(sigaction(SIGUSR1, &action, NULL));
    receive("a child that a signal interrupts");
}
static void is_interrupted(void) { interrupted(0); }
static void is_interrupted_to_restart(void) { interrupted(SA_RESTART); }

static void unprivileged(void) {
    must(setgid(1000)), must(setuid(1000));
    call(mq_open, "another's, to read", NAME, O_RDONLY, 0, NULL);
    call(mq_open, "another's, to write", NAME, O_WRONLY, 0, NULL);
    call(mq_open, "another's that is there", NAME, O_RDWR | O_CREAT | O_EXCL, 0600, NULL);
    call(mq_unlink, "another's", NAME);
    struct mq_attr much = shape(11, 10), long_ones = shape(1, 8193), all = shape(10, 8192);
    call(mq_open, "more messages than one may", "mine", O_RDWR | O_CREAT, 0600, &much);
    call(mq_open, "longer ones than one may", "mine", O_RDWR | O_CREAT, 0600, &long_ones);
    made(mq_open, "as much as one may", "mine", O_RDWR | O_CREAT, 0600, &all);
    char name[] = "mine 0";
    int some = 0;
    while (syscall(SYS_mq_open, name, O_RDWR | O_CREAT, 0600, &all) != -1)
        name[5]++, some++;
    printf("%d more, then %s\n", some, strerrorname_np(errno));
    while (some--)
        name[5]--, must(syscall(SYS_mq_unlink, name));
    call(mq_unlink, "one's own", "mine");
}

static volatile sig_atomic_t told;
static siginfo_t what_was_told;

static void tell_of(int signal, siginfo_t *info, void *unused) {
    (void)signal, (void)unused;
    what_was_told = *info;
    told++;
}

static void sends_a_word(void) { send_text("a child", "word", 0); }

static void is_told_by_thread(union sigval value) {
    told = value.sival_int;
}

static void notices(void) {
    struct sigaction action = {.sa_sigaction = tell_of, .sa_flags = SA_SIGINFO | SA_RESTART};
    must(sigaction(SIGRTMIN, &action, NULL));
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 42};
    call(mq_notify, "by a signal", id, &event);
    call(mq_notify, "twice", id, &event);
    status("with one who is told");
    in_child("a child", sends_a_word);
    printf("told %d, code %d, value %d, by oneself %d\n", told, what_was_told.si_code == SI_MESGQ,
        what_was_told.si_value.sival_int, what_was_told.si_pid == getpid());
    send_text("of the second", "again", 0);
    printf("told %d\n", told);
    call(mq_notify, "while there are messages", id, &event);
    send_text("not the first", "more", 0);
    printf("told %d\n", told);
    receive("one"), receive("two"), receive("three");
    struct sleeper child = asleep(receives);
    send_text("for who waits", "to it", 0);
    over("received", child);
    printf("told %d\n", told);
    send_text("for nobody", "here", 0);
    printf("told %d\n", told);
    receive("it");
    call(mq_notify, "once more", id, &event);
    call(mq_notify, "no more", id, NULL);
    call(mq_notify, "no more, again", id, NULL);
    send_text("nobody is told", "nothing", 0);
    printf("told %d\n", told);
    receive("it");
    event.sigev_notify = SIGEV_NONE;
    call(mq_notify, "not at all", id, &event);
    status("with one who is not told");
    send_text("in silence", "x", 0);
    status("after that");
    receive("it");
    call(mq_notify, "for as long as it is open", id, &event);
    close(must(dup(id)));
    status("one is closed");
    event.sigev_notify = 77;
    call(mq_notify, "in no known way", id, &event);
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = 65;
    call(mq_notify, "by no signal", id, &event);
    call(mq_notify, "nowhere", id, NOWHERE);
    call(mq_notify, "no queue", STDOUT_FILENO, NULL);
    call(mq_notify, "no descriptor", 99, NULL);
    event = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_notify_function = is_told_by_thread,
        .sigev_value.sival_int = 100};
    printf("a thread: %d\n", mq_notify(id, &event));
    send_text("for the thread", "y", 0);
    while (told != 100)
        usleep(1000);
    printf("the thread is told\n");
    receive("it");
}

int main(void) {
    must(syscall(SYS_mq_unlink, NAME) == -1 && errno != ENOENT ? -1 : 0);
    umask(022);

    part("opening");
    struct mq_attr small = shape(3, 20), none = shape(0, 20), nothing_in_it = shape(3, 0), wrong = shape(-1, -1);
    call(mq_open, "none", NAME, O_RDWR, 0, NULL);
    call(mq_open, "no name", "", O_RDWR | O_CREAT, 0600, NULL);
    call(mq_open, "a path", "a/b", O_RDWR | O_CREAT, 0600, NULL);
    call(mq_open, "dots", "..", O_RDWR | O_CREAT, 0600, NULL);
    char name[300];
    memset(name, 'n', 299), name[299] = 0;
    call(mq_open, "too long a name", name, O_RDWR | O_CREAT, 0600, NULL);
    call(mq_open, "nowhere", NOWHERE, O_RDWR | O_CREAT, 0600, NULL);
    call(mq_open, "attributes nowhere", NAME, O_RDWR | O_CREAT, 0600, NOWHERE);
    call(mq_open, "no messages", NAME, O_RDWR | O_CREAT, 0600, &none);
    call(mq_open, "nothing in them", NAME, O_RDWR | O_CREAT, 0600, &nothing_in_it);
    call(mq_open, "below zero", NAME, O_RDWR | O_CREAT, 0600, &wrong);
    made(mq_open, "as usual", NAME, O_RDWR | O_CREAT, 0666, NULL);
    id = must(syscall(SYS_mq_open, NAME, O_RDWR | O_EXCL, 0, NULL));
    attributes("as usual");
    struct stat found;
    must(fstat(id, &found));
    printf("mode %o, %ld bytes, owner %d %d\n", found.st_mode, (long)found.st_size, found.st_uid, found.st_gid);
    printf("closed on exec: %d\n", fcntl(id, F_GETFD) == FD_CLOEXEC);
    call(mq_open, "that is there", NAME, O_RDWR | O_CREAT | O_EXCL, 0600, NULL);
    call(mq_open, "in no way", NAME, O_ACCMODE, 0, NULL);
    call(mq_unlink, "it", NAME);
    call(mq_unlink, "again", NAME);
    call(mq_unlink, "a path", "a/b");
    call(mq_unlink, "nowhere", NOWHERE);
    send_text("without a name", "still there", 1);
    close(id);

    part("sending and receiving");
    id = must(syscall(SYS_mq_open, NAME, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &small));
    attributes("small");
    polled("empty");
    receive("none");
    char much[21] = {};
    call(mq_timedreceive, "too little room", id, much, 19, NULL, NULL);
    close(id);
    id = must(syscall(SYS_mq_open, NAME, O_RDWR, 0, NULL));
    send_text("one", "one", 1);
    send_text("urgent", "two", 5);
    polled("two");
    send_text("nothing", "", 1);
    polled("full");
    status("full");
    blocking(O_NONBLOCK);
    attributes("full");
    send_text("no room", "x", 9);
    receive("urgent");
    receive("one");
    receive("nothing");
    receive("none");
    call(mq_timedsend, "too long", id, much, 21, 0, NULL);
    call(mq_timedsend, "as long as can be", id, much, 20, 0, NULL);
    call(mq_timedsend, "too urgent", id, much, 1, 32768, NULL);
    call(mq_timedsend, "as urgent as can be", id, much, 1, 32767, NULL);
    call(mq_timedsend, "nowhere", id, NOWHERE, 1, 0, NULL);
    call(mq_timedsend, "no queue", STDOUT_FILENO, much, 1, 0, NULL);
    call(mq_timedsend, "no descriptor", 99, much, 1, 0, NULL);
    call(mq_timedreceive, "no queue", STDOUT_FILENO, much, 21, NULL, NULL);
    call(mq_timedreceive, "no descriptor", 99, much, 21, NULL, NULL);
    int reader = must(syscall(SYS_mq_open, NAME, O_RDONLY, 0, NULL));
    int writer = must(syscall(SYS_mq_open, NAME, O_WRONLY, 0, NULL));
    call(mq_timedsend, "open to be read", reader, much, 1, 0, NULL);
    call(mq_timedreceive, "open to be written", writer, much, 21, NULL, NULL);
    call(mq_timedreceive, "open to be read", reader, much, 21, NULL, NULL);
    call(mq_timedreceive, "nowhere", reader, NOWHERE, 21, NULL, NULL);
    struct mq_attr attribute = {.mq_flags = O_APPEND};
    call(mq_getsetattr, "another flag", id, &attribute, NULL);
    call(mq_getsetattr, "nowhere", id, NOWHERE, NULL);
    call(mq_getsetattr, "into nowhere", id, NULL, NOWHERE);
    call(mq_getsetattr, "no queue", STDOUT_FILENO, NULL, &attribute);
    call(mq_getsetattr, "no descriptor", 99, NULL, &attribute);
    attributes("as before");

    part("waiting");
    blocking(0);
    struct sleeper child = asleep(receives);
    polled("with one who waits");
    send_text("for it", "for the child", 3);
    attributes("handed over");
    over("received", child);
    send_text("a", "a", 0), send_text("b", "b", 1), send_text("c", "c", 2);
    child = asleep(sends);
    attributes("full");
    receive("the most urgent");
    attributes("full again");
    over("sent", child);
    receive("of the child"), receive("b"), receive("a");
    struct timespec past = {}, bad = {.tv_nsec = 1000000000}, soon;
    char text[100];
    call(mq_timedreceive, "a time that is over", id, text, 100, NULL, &past);
    call(mq_timedreceive, "no time", id, text, 100, NULL, &bad);
    call(mq_timedreceive, "a time nowhere", id, text, 100, NULL, NOWHERE);
    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_sec++;
    send_text("one", "one", 1);
    call(mq_timedreceive, "in time", id, text, 100, NULL, &soon);
    call(mq_timedreceive, "a message, whatever the time", id, text, 19, NULL, &past);
    child = asleep(is_interrupted);
    must(kill(child.process, SIGUSR1));
    over("interrupted", child);
    child = asleep(is_interrupted_to_restart);
    must(kill(child.process, SIGUSR1));
    until_asleep(child.process);
    send_text("for it", "made again", 0);
    over("interrupted, SA_RESTART", child);
    child = asleep(receives);
    must(kill(child.process, SIGKILL));
    over("killed", child);

    part("being told");
    notices();

    part("permissions");
    in_child("another user", unprivileged);
    call(mq_unlink, "at last", NAME);
    return 0;
}
