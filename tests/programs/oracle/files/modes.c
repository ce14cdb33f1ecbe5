/* chmod, fchmod, fchmodat, chown and their kin, umask: permissions and owners. */
#include "../tell.h"

static void show(const char *what, const char *path) {
    struct stat status;
    must(lstat(path, &status));
    printf("%s: mode %o owner %d.%d\n", what, status.st_mode, status.st_uid, status.st_gid);
}

static void modes(void) {
    part("modes");
    int fd = must(open("f", O_CREAT | O_RDWR, 0644)), d = must(open("d", O_RDONLY));
    call(chmod, "a file", "f", 0600);
    show("a file", "f");
    call(chmod, "all bits", "f", 07777);
    show("all bits", "f");
    call(chmod, "more bits than there are", "f", 0xffff);
    show("more bits", "f");
    call(chmod, "through a link", "link", 0640);
    show("through a link", "f");
    call(chmod, "a directory", "d", 01770);
    show("a directory", "d");
    call(chmod, "a file of the box", "/data/short", 0600);
    show("a file of the box", "/data/short");
    call(chmod, "nothing", "absent", 0600);
    call(chmod, "no name", "", 0600);
    call(chmod, "below a file", "f/g", 0600);
    call(chmod, "a name of nowhere", NOWHERE, 0600);
    call(fchmod, "a file", fd, 0604);
    show("a file", "f");
    call(fchmod, "no descriptor", 999, 0604);
    call(fchmod, "a negative one", -1, 0604);
    call(fchmodat, "in a directory", d, "../f", 0606);
    show("in a directory", "f");
    call(fchmodat, "nothing", d, "f", 0606);
    call(fchmodat, "at no descriptor", 999, "f", 0606);
    call(fchmodat, "at a file", fd, "f", 0606);
    call(write, "to a file that lends its owner's rights", must(open("f", O_WRONLY)), "x", 1L);
}

static void owners(void) {
    part("owners");
    int fd = must(open("f", O_RDWR));
    must(chmod("f", 06755));
    call(chown, "a file", "f", 11, 22);
    show("its lent rights are gone", "f");
    must(chmod("f", 06745));
    call(chown, "the group only", "f", -1, 23);
    show("a group that may not execute keeps its bit", "f");
    call(chown, "the owner only", "f", 12, -1);
    call(chown, "neither", "f", -1, -1);
    show("owner and group", "f");
    call(chown, "through a link", "link", 13, 24);
    show("the link", "link");
    call(chown, "nothing", "absent", 1, 1);
    call(chown, "a name of nowhere", NOWHERE, 1, 1);
    call(chown, "a file of the box", "/data/short", 5, 6);
    show("a file of the box", "/data/short");
    call(lchown, "a link itself", "link", 14, 25);
    show("the link", "link");
    show("the file", "f");
    call(lchown, "nothing", "absent", 1, 1);
    call(lchown, "no name", "", 1, 1);
    call(fchown, "a file", fd, 15, 26);
    show("the file", "f");
    call(fchown, "no descriptor", 999, 1, 1);
    call(fchown, "a negative one", -1, 1, 1);
    int d = must(open("d", O_RDONLY));
    call(fchownat, "in a directory", d, "../f", 16, 27, 0);
    call(fchownat, "a link itself", d, "../link", 17, 28, AT_SYMLINK_NOFOLLOW);
    call(fchownat, "a descriptor itself", fd, "", 18, 29, AT_EMPTY_PATH);
    call(fchownat, "no name", fd, "", 18, 29, 0);
    call(fchownat, "unknown flags", d, "../f", 1, 1, 0x10);
    call(fchownat, "at no descriptor", 999, "f", 1, 1, 0);
    show("the link", "link");
    show("the file", "f");
    must(chmod("d", 02777));
    must(chown("d", 7, 8));
    show("a directory keeps its bits", "d");
}

static void inherited(void) {
    part("a directory that hands its group down");
    must(close(must(creat("d/f", 0644))));
    show("a file", "d/f");
    must(mkdir("d/d", 0755));
    show("a directory", "d/d");
    must(symlink("x", "d/l"));
    show("a link", "d/l");
    must(mkfifo("d/p", 0644));
    show("a fifo", "d/p");
    must(close(must(open("d/x", O_CREAT | O_WRONLY, 02775))));
    show("a file that asks for the bit", "d/x");
}

static void writing(void) {
    part("writing takes lent rights away");
    must(chown("f", 1000, 1000));
    must(chmod("f", 06777));
    must(setresgid(2000, 2000, 2000));
    must(setresuid(2000, 2000, 2000));
    int fd = must(open("f", O_RDWR));
    must(write(fd, "text", 4));
    show("written by another", "f");
}

static void cut(void) {
    must(chmod("f", 06777));
    must(setresgid(2000, 2000, 2000));
    must(setresuid(2000, 2000, 2000));
    must(truncate("f", 1));
    show("cut by another", "f");
}

int main(void) {
    umask(0);
    must(close(must(creat("f", 0644))));
    must(mkdir("d", 0755));
    must(symlink("f", "link"));
    modes();
    owners();
    inherited();
    in_child("writing", writing);
    in_child("cutting", cut);
    part("the mask");
    call(umask, "022", 022);
    call(umask, "all bits and more", 07777);
    call(umask, "none", 0);
    call(umask, "negative", -1);
    call(umask, "none", 0);
    return 0;
}
