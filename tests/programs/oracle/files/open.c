/* open, openat, creat, close: flags, what they refuse, O_PATH, the order of errors. */
#include "../tell.h"

static void flags_of(const char *what, int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        printf("%s: no flags, %s\n", what, strerrorname_np(errno));
    else
        printf("%s: flags %o, close on exec %d\n", what, flags, fcntl(fd, F_GETFD));
}

/* Opens, prints, and closes again. */
#define once(what, ...) closed(call(open, what, __VA_ARGS__), what)

static void closed(int fd, const char *what) {
    if (fd < 0)
        return;
    flags_of(what, fd);
    must(close(fd));
}

static void plain(void) {
    part("plain");
    once("what is not there", "absent", O_RDONLY);
    once("no name", "", O_RDONLY);
    once("a name of nowhere", NOWHERE, O_RDONLY);
    once("a wild name", WILD, O_RDONLY);
    once("a new file", "f", O_CREAT | O_EXCL | O_RDWR, 0640);
    once("the same anew", "f", O_CREAT | O_EXCL | O_RDWR, 0640);
    once("reading", "f", O_RDONLY);
    once("writing", "f", O_WRONLY);
    once("both", "f", O_RDWR);
    once("access mode 3", "f", 3);
    once("cutting", "f", O_RDWR | O_TRUNC);
    once("cutting what is read", "f", O_RDONLY | O_TRUNC);
    once("appending, nonblocking, synchronous, on exec", "f",
         O_WRONLY | O_APPEND | O_NONBLOCK | O_SYNC | O_CLOEXEC);
    once("data synchronous, no access time, large", "f", O_RDWR | O_DSYNC | O_NOATIME | O_LARGEFILE);
    once("unknown flags", "f", O_RDONLY | 0x8000000);
    once("a file as a directory", "f", O_RDONLY | O_DIRECTORY);
    once("a file with a slash", "f/", O_RDONLY);
    once("below a file", "f/g", O_RDONLY);
    once("a new one with a slash", "new/", O_CREAT | O_WRONLY, 0644);
    once("a directory", "/work", O_RDONLY);
    once("a directory, to be made", "/work", O_CREAT, 0755);
    once("a directory, writing", "/work", O_WRONLY);
    once("a directory, both", ".", O_RDWR);
    once("a directory, cutting", ".", O_RDONLY | O_TRUNC);
    once("the root", "/", O_RDONLY | O_DIRECTORY);
    once("a file of the box", "/data/short", O_RDONLY);
    once("a file of the box that must be new", "/data/short", O_CREAT | O_EXCL | O_RDONLY, 0600);
    once("a device", "/dev/null", O_RDWR | O_TRUNC | O_CREAT, 0600);
    once("below a device", "/dev/null/x", O_RDONLY);
    char name[4200];
    memset(name, 'x', sizeof name);
    name[4199] = 0;
    once("a path of 4199 bytes", name, O_RDONLY);
    name[4096] = 0;
    once("a path of 4096 bytes", name, O_RDONLY);
    name[256] = 0;
    once("a name of 256 bytes", name, O_RDONLY);
    memset(name, '/', 4095);
    name[4095] = 0;
    once("4095 slashes", name, O_RDONLY);
}

static void modes(void) {
    part("modes of new files");
    const int masks[] = {0, 022, 077, 0777};
    for (int i = 0; i < 4; i++) {
        umask(masks[i]);
        must(close(must(open("mode", O_CREAT | O_EXCL | O_WRONLY, 07777))));
        struct stat status;
        must(stat("mode", &status));
        printf("mask %o: mode %o\n", masks[i], status.st_mode);
        must(unlink("mode"));
    }
    umask(022);
    int fd = call(open, "a new file without permissions, writing", "none",
                  O_CREAT | O_RDWR | O_EXCL, 0);
    printf("written %zd\n", write(fd, "text", 4));
    close(fd);
    closed(call(creat, "an old file", "none", 0777), "creat");
    struct stat status;
    must(stat("none", &status));
    printf("mode %o, size %ld\n", status.st_mode, (long)status.st_size);
    closed(call(creat, "a new file", "created", 0600), "creat");
    call(creat, "a directory", "/work", 0600);
    call(creat, "where nothing is", "absent/f", 0600);
    call(creat, "a name of nowhere", NOWHERE, 0600);
}

static void links(void) {
    part("links");
    must(symlink("f", "link"));
    must(symlink("loop", "loop"));
    must(symlink("absent", "dangling"));
    must(symlink("/work", "here"));
    once("through a link", "link", O_RDONLY);
    once("not through a link", "link", O_RDONLY | O_NOFOLLOW);
    once("a loop", "loop", O_RDONLY);
    once("a dangling link", "dangling", O_RDONLY);
    once("a dangling link that must be new", "dangling", O_CREAT | O_EXCL | O_WRONLY, 0600);
    once("a dangling link with a slash", "dangling/", O_CREAT | O_WRONLY, 0600);
    once("a new file through a link", "dangling", O_CREAT | O_WRONLY, 0600);
    printf("made: %d\n", access("absent", F_OK));
    must(unlink("absent"));
    once("a link to a directory, not followed", "here", O_RDONLY | O_NOFOLLOW);
    once("a link to a directory, not followed, as one", "here", O_DIRECTORY | O_NOFOLLOW);
    once("a link to a directory with a slash, not followed", "here/", O_RDONLY | O_NOFOLLOW);
    once("below a link, not followed", "here/f", O_RDONLY | O_NOFOLLOW);
    char name[8], target[8];
    for (int i = 1; i <= 42; i++) {
        snprintf(name, sizeof name, "l%d", i);
        snprintf(target, sizeof target, "l%d", i - 1);
        must(symlink(i == 1 ? "f" : target, name));
    }
    once("40 links", "l40", O_RDONLY);
    once("41 links", "l41", O_RDONLY);
}

static void at(void) {
    part("relative to a descriptor");
    must(mkdir("d", 0755));
    int d = must(open("d", O_RDONLY)), f = must(open("f", O_RDONLY));
    closed(call(openat, "a new file", d, "g", O_CREAT | O_RDWR, 0644), "openat");
    closed(call(openat, "an old file", d, "g", O_RDONLY), "openat");
    closed(call(openat, "above", d, "../f", O_RDONLY), "openat");
    closed(call(openat, "an absolute name", 999, "/work/f", O_RDONLY), "openat");
    closed(call(openat, "of the working directory", AT_FDCWD, "f", O_RDONLY), "openat");
    call(openat, "at no descriptor", 999, "g", O_RDONLY);
    call(openat, "at a file", f, "g", O_RDONLY);
    call(openat, "no name", d, "", O_RDONLY);
    int named = must(open("d", O_PATH | O_DIRECTORY));
    closed(call(openat, "at a named directory", named, "g", O_RDONLY), "openat");
    must(unlink("d/g"));
    must(rmdir("d"));
    call(openat, "a new file in a removed directory", d, "g", O_CREAT | O_RDWR, 0644);
    call(openat, "an old file in a removed directory", d, "g", O_RDONLY);
    closed(call(openat, "a removed directory", d, ".", O_RDONLY), "openat");
    call(openat, "above a removed directory", d, "..", O_RDONLY | O_PATH | O_CLOEXEC);
    for (int fd = 3; fd < 10; fd++)
        close(fd);
}

static void only_named(void) {
    part("O_PATH");
    int fd = call(open, "a file", "f", O_PATH);
    flags_of("named", fd);
    char byte;
    struct stat status;
    call(read, "from what is only named", fd, &byte, 1);
    call(write, "to it", fd, &byte, 1);
    call(lseek, "in it", fd, 0L, SEEK_SET);
    call(ftruncate, "it", fd, 0L);
    call(fchmod, "it", fd, 0600);
    call(fchown, "it", fd, 0, 0);
    call(fsync, "it", fd);
    call(ioctl, "on it", fd, 0x541b, &byte);
    call(fstat, "it", fd, &status);
    call(fchdir, "to it", fd);
    call(flock, "on it", fd, 1);
    call(getdents64, "of it", fd, &status, sizeof status);
    call(fgetxattr, "of it", fd, "user.a", &byte, 1);
    call(fcntl, "its flags", fd, F_GETFL);
    call(fcntl, "setting its flags", fd, F_SETFL, O_APPEND);
    call(fcntl, "a lock on it", fd, F_GETLK, &status);
    int copy = call(dup, "it", fd);
    flags_of("copy", copy);
    close(copy);
    close(fd);
    fd = call(open, "a link by itself", "link", O_PATH | O_NOFOLLOW);
    must(fstat(fd, &status));
    printf("is a link: %d\n", S_ISLNK(status.st_mode));
    char target[8] = "";
    call(readlinkat, "of the descriptor", fd, "", target, sizeof target);
    printf("to %s\n", target);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    call(open, "the link again", path, O_RDONLY);
    close(fd);
    fd = call(open, "other flags are ignored", "f", O_PATH | O_WRONLY | O_TRUNC | O_APPEND | O_CLOEXEC);
    flags_of("named", fd);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    once("it again, for real", path, O_RDWR);
    close(fd);
    fd = call(open, "a directory", ".", O_PATH);
    call(getdents64, "of a named directory", fd, &status, sizeof status);
    call(fchdir, "to a named directory", fd);
    close(fd);
    once("a file as a directory, named", "f", O_PATH | O_DIRECTORY);
    once("nothing, named", "absent", O_PATH);
    once("nothing, named and to be made", "absent", O_PATH | O_CREAT, 0600);
}

static void descriptors(void) {
    part("descriptors");
    call(close, "a descriptor", must(open("f", O_RDONLY)));
    call(close, "the same again", 3);
    call(close, "a negative one", -1);
    call(close, "one that never was", 100000);
    int low = must(open("f", O_RDONLY)), next = must(open("f", O_RDONLY));
    close(low);
    printf("the lowest is taken: %d\n", must(open("f", O_RDONLY)) == low);
    close(low);
    close(next);
}

int main(void) {
    plain();
    modes();
    links();
    at();
    only_named();
    descriptors();
    return 0;
}
