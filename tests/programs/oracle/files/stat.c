/* stat, lstat, fstat, newfstatat, statx. */
#include "../tell.h"
#include <linux/stat.h>
#include <sys/sysmacros.h>

static void show(const struct stat *status) {
    printf("  mode %o links %ld owner %d.%d size %ld\n", status->st_mode,
           S_ISDIR(status->st_mode) ? 0 : (long)status->st_nlink, status->st_uid, status->st_gid,
           S_ISDIR(status->st_mode) ? 0 : (long)status->st_size);
}

#define shown(name, what, ...)                                   \
    do {                                                         \
        struct stat status;                                      \
        memset(&status, 0x55, sizeof status);                    \
        if (call(name, what, __VA_ARGS__, &status) == 0)         \
            show(&status);                                       \
    } while (0)

static void at(const char *what, int fd, const char *path, int flags) {
    struct stat status;
    if (call(newfstatat, what, fd, path, &status, flags) == 0)
        show(&status);
}

static void extended(const char *what, int fd, const char *path, int flags, unsigned mask) {
    struct statx status;
    memset(&status, 0x55, sizeof status);
    if (call(statx, what, fd, path, flags, mask, &status) < 0)
        return;
    printf("  mask has all asked for: %d, mode %o size %lld owner %d.%d block size %u\n",
           (status.stx_mask & mask & 0xfff) == (mask & 0xfff), status.stx_mode,
           S_ISDIR(status.stx_mode) ? 0 : (long long)status.stx_size, status.stx_uid,
           status.stx_gid, status.stx_blksize);
}

int main(void) {
    int f = must(open("f", O_CREAT | O_RDWR, 0640));
    must(write(f, "text", 4));
    must(link("f", "second"));
    must(symlink("f", "link"));
    must(symlink("absent", "dangling"));
    must(mkdir("d", 02750));
    must(mkfifo("fifo", 0604));
    must(chown("f", 12, 34));
    must(mknod("node", S_IFCHR | 0600, makedev(1, 3)));
    part("by name");
    shown(stat, "a file", "f");
    shown(stat, "a link", "link");
    shown(stat, "a directory", "d");
    shown(stat, "a fifo", "fifo");
    shown(stat, "a device", "/dev/null");
    shown(stat, "a file of the box", "/data/long");
    shown(stat, "a directory of the box", "/data");
    shown(stat, "a dangling link", "dangling");
    shown(stat, "nothing", "absent");
    shown(stat, "no name", "");
    shown(stat, "a file with a slash", "f/");
    shown(stat, "a name of nowhere", NOWHERE);
    call(stat, "to nowhere", "f", NOWHERE);
    shown(lstat, "a file", "f");
    shown(lstat, "a link", "link");
    shown(lstat, "a link with a slash", "link/");
    shown(lstat, "a dangling link", "dangling");
    shown(lstat, "a link of the box", "/data/link");
    shown(lstat, "nothing", "absent");
    shown(lstat, "no name", "");
    call(lstat, "to nowhere", "f", NOWHERE);
    struct stat status, other;
    must(stat("/dev/null", &status));
    printf("device %d %d\n", major(status.st_rdev), minor(status.st_rdev));
    must(stat("node", &status));
    printf("device %d %d\n", major(status.st_rdev), minor(status.st_rdev));
    must(stat("f", &status));
    must(stat("second", &other));
    printf("block size %ld\n", (long)status.st_blksize);
    printf("same inode: %d\n", status.st_ino == other.st_ino && status.st_dev == other.st_dev);

    part("by descriptor");
    shown(fstat, "a file", f);
    shown(fstat, "no descriptor", 999);
    shown(fstat, "a negative one", -1);
    call(fstat, "to nowhere", f, NOWHERE);
    int pipes[2];
    must(pipe(pipes));
    shown(fstat, "a pipe", pipes[0]);

    part("by both");
    int d = must(open("d", O_RDONLY));
    at("the working directory's", AT_FDCWD, "f", 0);
    at("a directory's", d, "../f", 0);
    at("a link, not followed", AT_FDCWD, "link", AT_SYMLINK_NOFOLLOW);
    at("the descriptor itself", f, "", AT_EMPTY_PATH);
    at("a pipe itself", pipes[0], "", AT_EMPTY_PATH);
    at("the working directory itself", AT_FDCWD, "", AT_EMPTY_PATH);
    at("no name", f, "", 0);
    at("at a file", f, "x", 0);
    at("at no descriptor", 999, "x", 0);
    at("no descriptor itself", 999, "", AT_EMPTY_PATH);
    at("unknown flags", AT_FDCWD, "f", 0x40000);
    at("no automount", AT_FDCWD, "f", AT_NO_AUTOMOUNT);
    at("nothing", AT_FDCWD, "absent", 0);

    part("extended");
    extended("a file", AT_FDCWD, "f", 0, STATX_BASIC_STATS);
    extended("nothing asked for", AT_FDCWD, "f", 0, 0);
    extended("a link", AT_FDCWD, "link", AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS);
    extended("a descriptor", f, "", AT_EMPTY_PATH, STATX_ALL);
    extended("forced to be synchronous", AT_FDCWD, "f", AT_STATX_FORCE_SYNC, STATX_SIZE);
    extended("not synchronous", AT_FDCWD, "f", AT_STATX_DONT_SYNC, STATX_SIZE);
    extended("both", AT_FDCWD, "f", AT_STATX_SYNC_TYPE, STATX_SIZE);
    extended("the reserved bit", AT_FDCWD, "f", 0, STATX__RESERVED);
    extended("unknown flags", AT_FDCWD, "f", 0x40000, STATX_SIZE);
    extended("nothing", AT_FDCWD, "absent", 0, STATX_SIZE);
    extended("no name", AT_FDCWD, "", 0, STATX_SIZE);
    extended("no descriptor", 999, "", AT_EMPTY_PATH, STATX_SIZE);
    extended("a name of nowhere", AT_FDCWD, NOWHERE, 0, STATX_SIZE);
    call(statx, "to nowhere", AT_FDCWD, "f", 0, STATX_SIZE, NOWHERE);
    struct statx one, two;
    must(syscall(SYS_statx, AT_FDCWD, "f", 0, STATX_ALL, &one));
    must(syscall(SYS_statx, AT_FDCWD, "/", 0, STATX_ALL, &two));
    printf("the root is one: %d, a file is none: %d\n",
           (two.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0,
           (one.stx_attributes & STATX_ATTR_MOUNT_ROOT) == 0);
    printf("same device: %d\n", makedev(one.stx_dev_major, one.stx_dev_minor) == status.st_dev);
    return 0;
}
