/* link, linkat, symlink, symlinkat, readlink, readlinkat, unlink, unlinkat, mknod, mknodat. */
#include "../tell.h"

static long links(const char *path) {
    struct stat status;
    return lstat(path, &status) < 0 ? -1 : (long)status.st_nlink;
}

static void show(const char *what, long length, const char *buffer) {
    printf("%s: %.*s\n", what, length < 0 ? 0 : (int)length, buffer);
}

static void hard(int d) {
    part("names");
    call(link, "a file", "f", "second");
    printf("links %ld %ld\n", links("f"), links("second"));
    call(link, "to a name that is taken", "f", "second");
    call(link, "nothing", "absent", "third");
    call(link, "no name", "", "third");
    call(link, "to no name", "f", "");
    call(link, "a directory", "d", "third");
    call(link, "to a name with a slash", "f", "third/");
    call(link, "to where nothing is", "f", "absent/third");
    call(link, "to below a file", "f", "f/third");
    call(link, "across file systems", "f", "/dev/shm/third");
    call(link, "a device, across", "/dev/null", "third");
    call(link, "a name of nowhere", NOWHERE, "third");
    call(link, "a link, not what it leads to", "soft", "soft too");
    printf("links of the link %ld\n", links("soft"));
    call(link, "a dangling link", "dangling", "dangling too");
    call(link, "a file of the box", "/data/short", "of the box");
    printf("links %ld\n", links("/data/short"));
    call(linkat, "following", AT_FDCWD, "soft", d, "third", AT_SYMLINK_FOLLOW);
    printf("links %ld\n", links("f"));
    call(linkat, "in a directory", d, "third", d, "fourth", 0);
    call(linkat, "a dangling link, following", AT_FDCWD, "dangling", d, "fifth", AT_SYMLINK_FOLLOW);
    call(linkat, "unknown flags", AT_FDCWD, "f", d, "fifth", 0x10);
    call(linkat, "at no descriptor", 999, "f", d, "fifth", 0);
    call(linkat, "to no descriptor", AT_FDCWD, "f", 999, "fifth", 0);
    int fd = must(open("second", O_RDONLY));
    must(unlink("second"));
    call(linkat, "a descriptor whose name has gone", fd, "", AT_FDCWD, "again", AT_EMPTY_PATH);
    int alone = must(open("alone", O_CREAT | O_RDWR, 0600));
    must(unlink("alone"));
    call(linkat, "a file that has lost all names", alone, "", AT_FDCWD, "again 2", AT_EMPTY_PATH);
}

static void soft(int d) {
    char buffer[5000];
    part("symbolic links");
    call(symlink, "to anything", "nowhere at all", "s");
    call(symlink, "over a name", "x", "s");
    call(symlink, "over a file", "x", "f");
    call(symlink, "to nothing", "", "t");
    call(symlink, "without a name", "x", "");
    call(symlink, "with a slash", "x", "t/");
    call(symlink, "where nothing is", "x", "absent/t");
    call(symlink, "below a file", "x", "f/t");
    call(symlink, "from nowhere", NOWHERE, "t");
    memset(buffer, 'a', sizeof buffer);
    buffer[4095] = 0;
    call(symlink, "to 4095 bytes", buffer, "long");
    buffer[4095] = 'a';
    buffer[4096] = 0;
    call(symlink, "to 4096 bytes", buffer, "longer");
    call(symlinkat, "in a directory", "../f", d, "s");
    call(symlinkat, "over a name", "x", d, "s");
    call(symlinkat, "at no descriptor", "x", 999, "s");
    call(symlinkat, "an absolute name", "x", 999, "/work/absolute");
    part("reading them");
    show("read", call(readlink, "a link", "s", buffer, sizeof buffer), buffer);
    show("read", call(readlink, "a link, cut", "s", buffer, 3L), buffer);
    show("read", call(readlink, "of the box", "/data/link", buffer, sizeof buffer), buffer);
    call(readlink, "a long one", "long", buffer, sizeof buffer);
    call(readlink, "no room", "s", buffer, 0L);
    call(readlink, "negative room", "s", buffer, -1);
    call(readlink, "a file", "f", buffer, sizeof buffer);
    call(readlink, "a directory", "d", buffer, sizeof buffer);
    call(readlink, "nothing", "absent", buffer, sizeof buffer);
    call(readlink, "no name", "", buffer, sizeof buffer);
    call(readlink, "to nowhere", "s", NOWHERE, 100L);
    call(readlink, "a name of nowhere", NOWHERE, buffer, 100L);
    call(readlink, "a loop", "loop/x", buffer, sizeof buffer);
    show("read", call(readlinkat, "in a directory", d, "s", buffer, sizeof buffer), buffer);
    call(readlinkat, "at no descriptor", 999, "s", buffer, sizeof buffer);
    call(readlinkat, "no name, a directory", d, "", buffer, sizeof buffer);
    call(readlinkat, "a file", AT_FDCWD, "f", buffer, sizeof buffer);
    int fd = must(open("f", O_RDONLY));
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    show("read", call(readlink, "of a descriptor", path, buffer, sizeof buffer), buffer);
    must(link("f", "kept"));
    must(unlink("f"));
    show("read", call(readlink, "of one without a name", path, buffer, sizeof buffer), buffer);
    must(rename("kept", "f"));
}

static void removing(int d) {
    part("removing");
    call(unlink, "a directory", "d");
    call(unlink, "nothing", "absent");
    call(unlink, "no name", "");
    call(unlink, "a file with a slash", "f/");
    call(unlink, "a link with a slash", "s/");
    call(unlink, "a link to a directory, with a slash", "to d/");
    call(unlink, "dot", "d/.");
    call(unlink, "a name of nowhere", NOWHERE);
    call(unlink, "below a file", "f/g");
    call(unlink, "a link", "s");
    call(unlink, "a file of the box", "/data/short");
    call(unlink, "it again", "/data/short");
    call(unlinkat, "in a directory", d, "s", 0);
    call(unlinkat, "it again", d, "s", 0);
    call(unlinkat, "unknown flags", d, "s", 1);
    call(unlinkat, "at no descriptor", 999, "s", 0);
    call(unlinkat, "a directory", AT_FDCWD, "d", 0);
    call(unlinkat, "a full directory", AT_FDCWD, "d", AT_REMOVEDIR);
    call(unlinkat, "a file as a directory", AT_FDCWD, "f", AT_REMOVEDIR);
    must(mkdir("empty", 0755));
    call(unlinkat, "an empty directory", AT_FDCWD, "empty", AT_REMOVEDIR);
    int fd = must(open("f", O_RDWR));
    must(write(fd, "alive", 5));
    must(unlink("f"));
    char buffer[8] = "";
    must(pread(fd, buffer, 5, 0));
    struct stat status;
    must(fstat(fd, &status));
    printf("%s, links %ld\n", buffer, (long)status.st_nlink);
}

static void nodes(int d) {
    part("nodes");
    call(mknod, "a file", "node", S_IFREG | 0640, 0L);
    call(mknod, "without a type", "node2", 0640, 0L);
    call(mknod, "a fifo", "fifo", S_IFIFO | 0600, 0L);
    call(mknod, "a socket", "socket", S_IFSOCK | 0600, 0L);
    call(mknod, "a device", "zero", S_IFCHR | 0600, 0x105L);
    call(mknod, "a directory", "nodedir", S_IFDIR | 0700, 0L);
    call(mknod, "a link", "nodelink", S_IFLNK | 0700, 0L);
    call(mknod, "an unknown type", "what", 0170000 | 0600, 0L);
    call(mknod, "over a name", "node", S_IFREG | 0600, 0L);
    call(mknod, "with a slash", "slash/", S_IFREG | 0600, 0L);
    call(mknod, "where nothing is", "absent/node", S_IFREG | 0600, 0L);
    call(mknodat, "in a directory", d, "node", S_IFREG | 0600, 0L);
    call(mknodat, "over a name", d, "node", S_IFREG | 0600, 0L);
    call(mknodat, "at no descriptor", 999, "node", S_IFREG | 0600, 0L);
    call(open, "a socket", "socket", O_RDWR);
    call(open, "a socket, to name it", "socket", O_PATH);
    const char *names[] = {"node", "node2", "fifo", "socket", "zero"};
    for (int i = 0; i < 5; i++) {
        struct stat status;
        must(stat(names[i], &status));
        printf("%s: mode %o device %lx\n", names[i], status.st_mode, (long)status.st_rdev);
    }
}

int main(void) {
    umask(022);
    must(close(must(creat("f", 0644))));
    must(mkdir("d", 0755));
    must(symlink("f", "soft"));
    must(symlink("absent", "dangling"));
    must(symlink("loop", "loop"));
    must(symlink("d", "to d"));
    int d = must(open("d", O_RDONLY));
    hard(d);
    soft(d);
    removing(d);
    nodes(d);
    return 0;
}
