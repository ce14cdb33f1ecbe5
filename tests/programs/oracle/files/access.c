/* access, faccessat, faccessat2; and what a user other than root may do with files. */
#include "../tell.h"

static void as_user(void) {
    must(setgid(1000));
    must(setuid(1000));
    part("as a user");
    call(access, "reading one's own", "own", R_OK);
    call(access, "writing one's own", "own", W_OK);
    call(access, "executing one's own", "own", X_OK);
    call(access, "reading what is root's", "root", R_OK);
    call(access, "that it is there", "root", F_OK);
    call(access, "within a closed directory", "closed/f", F_OK);
    call(access, "the group's", "group", R_OK | W_OK);
    call(access, "others'", "others", R_OK);
    call(access, "others', writing", "others", W_OK);
    call(open, "root's, reading", "root", O_RDONLY);
    call(open, "others', writing", "others", O_WRONLY);
    call(open, "others', reading and cutting", "others", O_RDONLY | O_TRUNC);
    call(open, "in a closed directory", "closed/f", O_RDONLY);
    call(open, "a new file where one may not write", "new", O_CREAT | O_WRONLY, 0644);
    call(open, "an old file where one may not write", "others", O_CREAT | O_RDONLY, 0644);
    call(open, "others', without access times", "others", O_RDONLY | O_NOATIME);
    call(open, "a new file without a name", ".", O_TMPFILE | O_RDWR, 0600);
    call(mkdir, "where one may not write", "newdir", 0755);
    call(mkdir, "where one may", "mine/d", 0755);
    call(rmdir, "it", "mine/d");
    call(unlink, "where one may not write", "others");
    call(rename, "where one may not write", "others", "renamed");
    call(rename, "into where one may not write", "mine/f", "renamed");
    call(link, "what is root's", "root", "mine/link");
    call(symlink, "where one may not write", "x", "link");
    call(chmod, "what is root's", "others", 0777);
    call(chmod, "one's own", "own", 0640);
    call(chmod, "one's own, with a group that is not one's", "foreign", 02755);
    struct stat status;
    must(stat("foreign", &status));
    printf("set group id is dropped: %o\n", status.st_mode);
    call(chown, "one's own to another", "own", 1001, -1);
    call(chown, "one's own to a foreign group", "own", -1, 50);
    call(chown, "one's own to itself", "own", 1000, 1000);
    call(chown, "nothing changed", "own", -1, -1);
    call(chown, "what is root's, nothing changed", "root", -1, -1);
    call(truncate, "others'", "others", 0L);
    call(chdir, "to a closed directory", "closed");
    call(utimensat, "others', now", AT_FDCWD, "others", NULL, 0);
    call(utimensat, "the group's that one may write, now", AT_FDCWD, "group", NULL, 0);
    struct timespec times[2] = {{1, 0}, {2, 0}};
    call(utimensat, "the group's, to a time", AT_FDCWD, "group", times, 0);
    call(utimensat, "one's own, to a time", AT_FDCWD, "own", times, 0);
    call(setxattr, "others'", "others", "user.a", "v", 1L, 0);
    call(getxattr, "root's", "root", "user.a", NULL, 0L);
    call(mknod, "a device", "mine/device", S_IFCHR | 0600, 0x103L);
    call(mknod, "a fifo", "mine/fifo", S_IFIFO | 0600, 0L);
    call(chroot, "anywhere", "mine");
    part("the sticky bit");
    call(unlink, "another's file in a sticky directory", "sticky/theirs");
    call(rename, "another's file in a sticky directory", "sticky/theirs", "sticky/other");
    call(unlink, "one's own", "sticky/own");
}

static void file(const char *name, int mode, int uid, int gid) {
    must(close(must(open(name, O_CREAT | O_WRONLY, 0600))));
    must(chown(name, uid, gid));
    must(chmod(name, mode));
}

int main(void) {
    umask(0);
    file("root", 0600, 0, 0);
    file("own", 0600, 1000, 1000);
    file("group", 0060, 0, 1000);
    file("others", 0644, 0, 0);
    file("foreign", 0755, 1000, 50);
    must(mkdir("closed", 0700));
    file("closed/f", 0777, 1000, 1000);
    must(mkdir("mine", 0755));
    must(chown("mine", 1000, 1000));
    file("mine/f", 0600, 1000, 1000);
    must(mkdir("sticky", 0777));
    must(chmod("sticky", 01777));
    file("sticky/theirs", 0666, 1001, 1001);
    file("sticky/own", 0666, 1000, 1000);
    part("as root");
    call(access, "all of what has no permissions", "root", R_OK | W_OK);
    call(access, "executing what nobody may", "root", X_OK);
    call(access, "executing what somebody may", "foreign", X_OK);
    call(access, "a directory", "closed", R_OK | W_OK | X_OK);
    call(access, "nothing", "absent", F_OK);
    call(access, "an unknown way", "root", 8);
    call(access, "no name", "", F_OK);
    call(access, "a name of nowhere", NOWHERE, F_OK);
    call(access, "below a file", "root/x", F_OK);
    int d = must(open("closed", O_RDONLY));
    call(faccessat, "in a directory", d, "f", R_OK);
    call(faccessat, "nothing", d, "g", R_OK);
    call(faccessat, "at no descriptor", 999, "f", R_OK);
    call(faccessat, "an unknown way", d, "f", 16);
    must(symlink("absent", "dangling"));
    call(faccessat2, "a dangling link", AT_FDCWD, "dangling", F_OK, 0);
    call(faccessat2, "a dangling link itself", AT_FDCWD, "dangling", F_OK, AT_SYMLINK_NOFOLLOW);
    call(faccessat2, "a descriptor", d, "", R_OK, AT_EMPTY_PATH);
    call(faccessat2, "with effective ids", AT_FDCWD, "root", R_OK, AT_EACCESS);
    call(faccessat2, "unknown flags", AT_FDCWD, "root", R_OK, 0x10);
    call(faccessat2, "an unknown way", AT_FDCWD, "root", 8, 0);
    in_child("as a user", as_user);
    part("real and effective ids");
    must(setresuid(1000, 0, 0));
    call(access, "by the real id", "root", R_OK);
    call(faccessat2, "by the effective id", AT_FDCWD, "root", R_OK, AT_EACCESS);
    call(faccessat2, "by the real id", AT_FDCWD, "root", R_OK, 0);
    return 0;
}
