/* fchmodat2, which Linux has since 6.6. */
#include "../tell.h"

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

static void show(const char *path) {
    struct stat status;
    must(lstat(path, &status));
    printf("mode %o\n", status.st_mode);
}

int main(void) {
    int fd = must(open("f", O_CREAT | O_RDWR, 0644));
    must(symlink("f", "link"));
    call(fchmodat2, "a file", AT_FDCWD, "f", 0600, 0);
    show("f");
    call(fchmodat2, "through a link", AT_FDCWD, "link", 0640, 0);
    show("f");
    call(fchmodat2, "a link itself", AT_FDCWD, "link", 0600, AT_SYMLINK_NOFOLLOW);
    call(fchmodat2, "a descriptor itself", fd, "", 0604, AT_EMPTY_PATH);
    show("f");
    call(fchmodat2, "no name", fd, "", 0604, 0);
    call(fchmodat2, "nothing", AT_FDCWD, "absent", 0604, 0);
    call(fchmodat2, "unknown flags", AT_FDCWD, "f", 0604, 0x10);
    call(fchmodat2, "at no descriptor", 999, "f", 0604, 0);
    return 0;
}
