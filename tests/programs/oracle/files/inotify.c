/* inotify: every event, what a mask means, how events are read. */
#include "../tell.h"
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>

static int fd;
static char buffer[65536] __attribute__((aligned(8)));

static void names(uint32_t mask) {
    static const struct {
        uint32_t bit;
        const char *name;
    } bits[] = {{IN_ACCESS, "access"}, {IN_MODIFY, "modify"}, {IN_ATTRIB, "attrib"},
                {IN_CLOSE_WRITE, "close-write"}, {IN_CLOSE_NOWRITE, "close"}, {IN_OPEN, "open"},
                {IN_MOVED_FROM, "from"}, {IN_MOVED_TO, "to"}, {IN_CREATE, "create"},
                {IN_DELETE, "delete"}, {IN_DELETE_SELF, "delete-self"}, {IN_MOVE_SELF, "move-self"},
                {IN_UNMOUNT, "unmount"}, {IN_Q_OVERFLOW, "overflow"}, {IN_IGNORED, "ignored"},
                {IN_ISDIR, "directory"}};
    for (unsigned i = 0; i < sizeof bits / sizeof *bits; i++)
        if (mask & bits[i].bit)
            printf(" %s", bits[i].name);
}

/* Prints all events that are there. */
static void events(const char *what) {
    /* The two halves of a move have the same cookie, and no other move has it. */
    static uint32_t last_cookie;
    static int moves;
    printf("%s:\n", what);
    ssize_t len = read(fd, buffer, sizeof buffer);
    for (char *at = buffer; at < buffer + len;) {
        struct inotify_event *event = (struct inotify_event *)at;
        if (event->cookie && event->cookie != last_cookie)
            moves++;
        if (event->cookie)
            last_cookie = event->cookie;
        printf("  %d", event->wd);
        names(event->mask);
        if (event->cookie)
            printf(" move %d", moves);
        if (event->len)
            printf(" %s (%d)", event->name, event->len);
        printf("\n");
        at += sizeof *event + event->len;
    }
}

static void in_directory(void) {
    part("a directory");
    int d = call(inotify_add_watch, "a directory, everything", fd, "d", IN_ALL_EVENTS);
    int f = must(open("d/f", O_CREAT | O_RDWR, 0644));
    events("a new file");
    must(write(f, "text", 4));
    must(write(f, "text", 4));
    events("written twice");
    must(pread(f, buffer, 4, 0));
    events("read");
    must(pread(f, buffer, 4, 100) == 0 ? 0 : -1);
    events("read at the end");
    must(ftruncate(f, 1));
    events("cut");
    must(fallocate(f, 0, 0, 100));
    events("allocated");
    must(fchmod(f, 0600));
    events("chmod");
    must(fchown(f, 1, 1));
    events("chown");
    struct timespec one[2] = {{1, 0}, {0, UTIME_OMIT}}, two[2] = {{1, 0}, {1, 0}};
    must(futimens(f, two));
    events("both times");
    must(futimens(f, one));
    events("one time");
    must(fsetxattr(f, "trusted.a", "v", 1, 0));
    events("an attribute");
    must(fremovexattr(f, "trusted.a"));
    events("no attribute");
    must(close(f));
    events("closed");
    must(close(must(open("d/f", O_RDONLY))));
    events("opened to read");
    must(close(must(open("d/f", O_PATH))));
    events("only named");
    must(truncate("d/f", 5));
    events("cut by name");
    must(rename("d/f", "d/g"));
    events("renamed");
    must(rename("d/g", "outside"));
    events("moved out");
    must(rename("outside", "d/in"));
    events("moved in");
    must(link("d/in", "d/link"));
    events("linked");
    must(symlink("in", "d/soft"));
    events("a symbolic link");
    must(mkfifo("d/fifo", 0600));
    events("a fifo");
    must(mkdir("d/sub", 0755));
    events("a directory");
    must(chmod("d/sub", 0700));
    events("its mode");
    must(close(must(creat("d/sub/deep", 0600))));
    events("deeper");
    must(unlink("d/sub/deep"));
    must(rmdir("d/sub"));
    events("removed");
    must(unlink("d/link"));
    events("a link removed");
    must(rename("d/in", "d/soft"));
    events("renamed over another");
    int listed = must(open("d", O_RDONLY));
    events("the directory opened");
    must(syscall(SYS_getdents64, listed, buffer, sizeof buffer));
    events("listed");
    close(listed);
    events("closed");
    must(chmod("d", 0700));
    events("its own mode");
    must(rename("d", "e"));
    events("moved itself");
    call(inotify_rm_watch, "the watch", fd, d);
    events("no longer watched");
    must(close(must(open("e/soft", O_RDONLY))));
    events("then");
    must(rename("e", "d"));
}

static void itself(void) {
    part("a file itself");
    must(close(must(creat("f", 0644))));
    call(inotify_add_watch, "a file", fd, "f", IN_ALL_EVENTS);
    int f = must(open("f", O_RDWR));
    must(write(f, "x", 1));
    events("opened and written");
    must(link("f", "g"));
    events("linked");
    must(rename("g", "h"));
    events("another name renamed");
    must(unlink("h"));
    events("another name removed");
    must(unlink("f"));
    events("removed, still open");
    must(write(f, "x", 1));
    events("written all the same");
    close(f);
    events("closed for good");
    call(inotify_rm_watch, "what is gone", fd, 2);
    must(mkdir("gone", 0755));
    call(inotify_add_watch, "a directory", fd, "gone", IN_ALL_EVENTS);
    must(rmdir("gone"));
    events("removed");
    must(close(must(creat("a", 0644))));
    must(close(must(creat("b", 0644))));
    call(inotify_add_watch, "one that will be replaced", fd, "b", IN_ALL_EVENTS);
    must(rename("a", "b"));
    events("replaced");
}

static void masks(void) {
    part("masks");
    must(close(must(creat("m", 0644))));
    int m = call(inotify_add_watch, "only writes", fd, "m", IN_MODIFY);
    int f = must(open("m", O_RDWR));
    must(write(f, "x", 1));
    events("only writes");
    printf("the same watch: %d\n", call(inotify_add_watch, "opens too", fd, "m", IN_OPEN | IN_MASK_ADD) == m);
    close(must(open("m", O_RDONLY)));
    must(write(f, "x", 1));
    events("both");
    call(inotify_add_watch, "opens instead", fd, "m", IN_OPEN);
    must(write(f, "x", 1));
    events("no longer writes");
    call(inotify_add_watch, "that must be new", fd, "m", IN_OPEN | IN_MASK_CREATE);
    call(inotify_add_watch, "added and new", fd, "m", IN_OPEN | IN_MASK_CREATE | IN_MASK_ADD);
    call(inotify_add_watch, "once", fd, "m", IN_OPEN | IN_ONESHOT);
    close(must(open("m", O_RDONLY)));
    close(must(open("m", O_RDONLY)));
    events("once");
    call(inotify_add_watch, "only a directory", fd, "m", IN_OPEN | IN_ONLYDIR);
    must(symlink("m", "s"));
    int s = call(inotify_add_watch, "a link itself", fd, "s", IN_ALL_EVENTS | IN_DONT_FOLLOW);
    must(unlink("s"));
    events("the link removed");
    printf("a new number: %d\n", s > m);
    close(f);
}

static void reading(void) {
    part("reading");
    call(read, "nothing there", fd, buffer, sizeof buffer);
    struct pollfd asked = {fd, POLLIN, 0};
    printf("poll %d\n", poll(&asked, 1, 0));
    must(close(must(creat("r", 0644))));
    call(inotify_add_watch, "a file", fd, "r", IN_OPEN | IN_CLOSE);
    close(must(open("r", O_RDONLY)));
    close(must(open("r", O_RDONLY)));
    int size;
    printf("poll %d\n", poll(&asked, 1, 0));
    call(ioctl, "bytes there", fd, FIONREAD, &size);
    printf("%d\n", size);
    call(read, "too little room", fd, buffer, 10L);
    call(read, "room for one", fd, buffer, 20L);
    call(read, "room for two", fd, buffer, 32L);
    call(read, "the rest", fd, buffer, sizeof buffer);
    call(write, "to it", fd, "x", 1L);
    call(lseek, "in it", fd, 0L, SEEK_SET);
    for (int i = 0; i < 100; i++) {
        int f = must(open("r", O_RDWR));
        close(f);
    }
    long total = read(fd, buffer, sizeof buffer);
    printf("two hundred events: %ld bytes\n", total);
}

int main(void) {
    must(mkdir("d", 0755));
    part("making");
    fd = call(inotify_init1, "not waiting, on exec", IN_NONBLOCK | IN_CLOEXEC);
    printf("flags %o, on exec %d\n", fcntl(fd, F_GETFL), fcntl(fd, F_GETFD));
    char link[64] = "";
    must(readlink("/proc/self/fd/3", link, sizeof link));
    printf("%s\n", link);
    call(inotify_init1, "unknown flags", 1);
    call(inotify_init1, "flags of open", O_APPEND);
    int other = call(inotify_init, "plain");
    printf("flags %o\n", fcntl(other, F_GETFL));
    close(other);
    call(inotify_add_watch, "no events", fd, "d", 0);
    call(inotify_add_watch, "nothing", fd, "absent", IN_OPEN);
    call(inotify_add_watch, "no name", fd, "", IN_OPEN);
    call(inotify_add_watch, "a name of nowhere", fd, NOWHERE, IN_OPEN);
    call(inotify_add_watch, "by no descriptor", 999, "d", IN_OPEN);
    call(inotify_add_watch, "by a descriptor of another kind", 1, "d", IN_OPEN);
    call(inotify_rm_watch, "no watch", fd, 77);
    call(inotify_rm_watch, "by no descriptor", 999, 1);
    call(inotify_rm_watch, "by a descriptor of another kind", 1, 1);
    in_directory();
    itself();
    masks();
    reading();
    must(chmod("d", 0700));
    must(setresuid(1000, 1000, 1000));
    call(inotify_add_watch, "what one may not read", fd, "d", IN_OPEN);
    return 0;
}
