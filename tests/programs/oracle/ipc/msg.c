/* System V message queues. */
#define _GNU_SOURCE
#include "../asleep.h"
#include <sys/ipc.h>
#include <sys/msg.h>

#define KEY 0x5678

static int id;

static struct {
    long kind;
    char text[8200];
} message;

/* Sends text under a type. */
static void send_as(const char *what, long kind, const char *text, int flags) {
    message.kind = kind;
    strcpy(message.text, text);
    call(msgsnd, what, id, &message, strlen(text), flags);
}

/* Receives, and prints what. */
static void receive(const char *what, long kind, size_t room, int flags) {
    memset(&message, 0, sizeof message);
    long len = call(msgrcv, what, id, &message, room, kind, flags);
    if (len != -1)
        printf(" of type %ld: %.*s\n", message.kind, (int)len, message.text);
}

static void stat_of(const char *what, int of) {
    struct msqid_ds found = {};
    if (call(msgctl, what, of, IPC_STAT, &found) == -1)
        return;
    printf(" key %#x, mode %o, owner %u %u, maker %u %u, %lu messages, %lu bytes of %lu, sent ever %d, "
        "received ever %d, changed %d, last mine %d %d\n",
        found.msg_perm.__key, found.msg_perm.mode, found.msg_perm.uid, found.msg_perm.gid, found.msg_perm.cuid,
        found.msg_perm.cgid, (unsigned long)found.msg_qnum, (unsigned long)found.__msg_cbytes,
        (unsigned long)found.msg_qbytes, found.msg_stime > 0, found.msg_rtime > 0, found.msg_ctime > 0,
        found.msg_lspid == getpid(), found.msg_lrpid == getpid());
}

static void receives_two(void) { receive("a child, of type 2", 2, 100, 0); }
static void receives_any(void) { receive("a child, of any type", 0, 100, 0); }
static void receives_little(void) { receive("a child with little room", 0, 2, 0); }
static void sends_much(void) {
    message.kind = 9;
    call(msgsnd, "a child, when there is room", id, &message, 8000L, 0);
}

static void nothing(int signal) { (void)signal; }

static void interrupted(int flags) {
    struct sigaction action = {.sa_handler = nothing, .sa_flags = flags};
    must(sigaction(SIGUSR1, &action, NULL));
    receive("a child that a signal interrupts", 77, 100, 0);
}
static void is_interrupted(void) { interrupted(0); }
static void is_interrupted_to_restart(void) { interrupted(SA_RESTART); }

static void unprivileged(void) {
    must(setgid(1000)), must(setuid(1000));
    call(msgget, "another's, to read and write", KEY, 0600);
    call(msgget, "another's, asking for nothing", KEY, 0);
    send_as("to another's", 1, "no", 0);
    receive("from another's", 0, 100, IPC_NOWAIT);
    call(msgctl, "IPC_STAT, another's", id, IPC_STAT, &(struct msqid_ds){});
    call(msgctl, "IPC_SET, another's", id, IPC_SET, &(struct msqid_ds){});
    call(msgctl, "IPC_RMID, another's", id, IPC_RMID, NULL);
}

static void readable(void) {
    must(setgid(1000)), must(setuid(1000));
    send_as("to another's that may be read", 1, "no", 0);
    receive("from another's that may be read", 0, 100, IPC_NOWAIT);
}

int main(void) {
    part("getting");
    call(msgget, "no such key", KEY, 0);
    made(msgget, "a new key", KEY, IPC_CREAT | IPC_EXCL | 0600);
    id = must(msgget(KEY, 0));
    call(msgget, "a key that is there", KEY, IPC_CREAT | IPC_EXCL | 0600);
    printf("the same: %d\n", msgget(KEY, IPC_CREAT | 0644) == id);
    int other = must(msgget(IPC_PRIVATE, 0600));
    printf("another: %d\n", other != id);
    stat_of("new", id);

    part("sending and receiving");
    send_as("one", 3, "three", 0);
    send_as("another", 1, "one", 0);
    send_as("a third", 2, "two", 0);
    send_as("nothing", 3, "", 0);
    send_as("more", 1, "one again", 0);
    stat_of("five", id);
    receive("any", 0, 100, 0);
    receive("of type 1", 1, 100, 0);
    receive("of type 3", 3, 100, 0);
    receive("of type 4", 4, 100, IPC_NOWAIT);
    send_as("one", 5, "five", 0);
    receive("up to type 4", -4, 100, 0);
    receive("up to type 1", -1, 100, IPC_NOWAIT);
    receive("other than type 2", 2, 100, MSG_EXCEPT);
    receive("other than type 2", 2, 100, MSG_EXCEPT | IPC_NOWAIT);
    receive("too long", 0, 2, 0);
    receive("too long, MSG_NOERROR", 0, 2, MSG_NOERROR);
    receive("none", 0, 100, IPC_NOWAIT);
    send_as("type 0", 0, "no", 0);
    send_as("type -1", -1, "no", 0);
    message.kind = 1;
    call(msgsnd, "too long", id, &message, 8193L, 0);
    call(msgsnd, "below zero", id, &message, -1L, 0);
    call(msgsnd, "nowhere", id, NOWHERE, 1L, 0);
    call(msgsnd, "no such number", 0x7fffffff, &message, 1L, 0);
    call(msgsnd, "a number below zero", -1, &message, 1L, 0);
    call(msgrcv, "below zero", id, &message, -1L, 0L, 0);
    call(msgrcv, "no such number", 0x7fffffff, &message, 1L, 0L, 0);
    call(msgrcv, "a number below zero", -1, &message, 1L, 0L, 0);
    send_as("for nowhere", 1, "lost", 0);
    call(msgrcv, "nowhere", id, NOWHERE, 100L, 0L, 0);
    receive("none left", 0, 100, IPC_NOWAIT);
    stat_of("empty", id);

    part("room");
    message.kind = 1;
    call(msgsnd, "as long as can be", id, &message, 8192L, 0);
    message.kind = 2;
    call(msgsnd, "and again", id, &message, 8192L, 0);
    send_as("no room, IPC_NOWAIT", 3, "x", IPC_NOWAIT);
    send_as("nothing, for which there is room", 4, "", IPC_NOWAIT);
    struct sleeper child = asleep(sends_much);
    stat_of("full", id);
    printf("%ld\n", must(msgrcv(id, &message, 8192, 1, 0)));
    over("there is room", child);
    stat_of("full again", id);
    while (msgrcv(id, &message, 8192, 0, IPC_NOWAIT) != -1)
        printf("type %ld\n", message.kind);

    part("waiting");
    struct sleeper two = asleep(receives_two), any = asleep(receives_any);
    send_as("for who takes any", 1, "one", 0);
    over("any", any);
    stat_of("handed over", id);
    any = asleep(receives_any);
    send_as("for who came first", 2, "two", 0);
    over("of type 2", two);
    send_as("for the other", 2, "two again", 0);
    over("any", any);
    struct sleeper little = asleep(receives_little);
    any = asleep(receives_any);
    send_as("too much for the first", 1, "for the second", 0);
    over("little room", little);
    over("much room", any);
    any = asleep(receives_any);
    must(msgsnd(id, &(struct { long kind; char text[4]; }){1, "mine"}, 4, 0));
    receive("what went to another", 0, 100, IPC_NOWAIT);
    over("to another", any);

    part("signals");
    child = asleep(is_interrupted);
    must(kill(child.process, SIGUSR1));
    over("interrupted", child);
    child = asleep(is_interrupted_to_restart);
    must(kill(child.process, SIGUSR1));
    over("interrupted, SA_RESTART", child);
    child = asleep(receives_any);
    must(kill(child.process, SIGKILL));
    over("killed", child);
    send_as("to nobody", 1, "there", 0);
    receive("it stays", 0, 100, IPC_NOWAIT);

    part("permissions");
    in_child("another user", unprivileged);
    struct msqid_ds set = {};
    must(msgctl(id, IPC_STAT, &set));
    set.msg_perm.mode = 0644;
    set.msg_perm.gid = 7;
    set.msg_qbytes = 10;
    call(msgctl, "IPC_SET", id, IPC_SET, &set);
    call(msgctl, "IPC_SET, nowhere", id, IPC_SET, NOWHERE);
    stat_of("changed", id);
    send_as("longer than the queue, IPC_NOWAIT", 1, "01234567890", IPC_NOWAIT);
    send_as("as long as the queue", 1, "0123456789", IPC_NOWAIT);
    in_child("another user, to read", readable);
    call(msgctl, "no command", id, 99, NULL);
    call(msgctl, "no such number", 0x7fffffff, IPC_STAT, &set);
    call(msgctl, "below zero", -1, IPC_STAT, &set);
    call(msgctl, "IPC_STAT, nowhere", id, IPC_STAT, NOWHERE);

    part("all");
    struct msginfo all = {};
    must(msgctl(other, IPC_RMID, NULL));
    made(msgctl, "IPC_INFO", 0, IPC_INFO, &all);
    printf("up to %d bytes, %d of a queue, %d queues\n", all.msgmax, all.msgmnb, all.msgmni);
    int last = must(msgctl(0, MSG_INFO, (void *)&all));
    printf("queues %d, messages %d, bytes %d\n", all.msgpool, all.msgmap, all.msgtql);
    int found = 0;
    for (int at = 0; at <= last; at++)
        if (msgctl(at, MSG_STAT, &set) == id)
            found++;
    printf("found %d\n", found);
    call(msgctl, "MSG_STAT, nothing there", 30000, MSG_STAT, &set);

    part("removing");
    must(msgctl(id, IPC_STAT, &set));
    set.msg_qbytes = 16384;
    must(msgctl(id, IPC_SET, &set));
    any = asleep(receives_two);
    must(msgsnd(id, &message, 8192, 0));
    must(msgsnd(id, &message, 8192, 0));
    child = asleep(sends_much);
    call(msgctl, "IPC_RMID", id, IPC_RMID, NULL);
    over("of what is gone, to receive", any);
    over("of what is gone, to send", child);
    stat_of("gone", id);
    call(msgget, "gone", KEY, 0);
    call(msgctl, "IPC_RMID, again", id, IPC_RMID, NULL);
    return 0;
}
