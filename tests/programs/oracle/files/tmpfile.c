/* O_TMPFILE: files without a name, which the native test's file system has since Linux 6.3. */
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

int main(void) {
    must(close(must(creat("f", 0644))));
    int fd = call(open, "a file without a name", ".", O_TMPFILE | O_RDWR, 0600);
    flags_of("without a name", fd);
    struct stat status;
    must(fstat(fd, &status));
    printf("mode %o, links %d, size %d\n", status.st_mode, (int)status.st_nlink, (int)status.st_size);
    must(write(fd, "unnamed", 7));
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    call(linkat, "giving it a name", AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW);
    call(linkat, "the same name again", AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW);
    call(linkat, "a second name by descriptor", fd, "", AT_FDCWD, "named too", AT_EMPTY_PATH);
    must(fstat(fd, &status));
    printf("links %d\n", (int)status.st_nlink);
    close(fd);
    fd = must(open("named", O_RDONLY));
    printf("read %zd: %s\n", read(fd, path, sizeof path), path);
    close(fd);
    fd = call(open, "one that may get no name", ".", O_TMPFILE | O_RDWR | O_EXCL, 0600);
    call(linkat, "giving it one", fd, "", AT_FDCWD, "never", AT_EMPTY_PATH);
    close(fd);
    once("without a name, reading", ".", O_TMPFILE | O_RDONLY, 0600);
    once("without a name, with O_CREAT", ".", O_TMPFILE | O_CREAT | O_RDWR, 0600);
    once("without a name, in a file", "f", O_TMPFILE | O_RDWR, 0600);
    once("without a name, nowhere", "absent", O_TMPFILE | O_RDWR, 0600);
    once("the flag's own bit", ".", (O_TMPFILE & ~O_DIRECTORY) | O_RDWR, 0600);
    once("without a name, in /proc", "/proc", O_TMPFILE | O_RDWR, 0600);
    return 0;
}
