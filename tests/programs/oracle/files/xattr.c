/* Extended attributes by path, by link and by descriptor. */
#include "../tell.h"
#include <sys/xattr.h>

static char buffer[70000];

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Lists names in order, those of the file system itself left out. */
static void names(long len) {
    char *all[64];
    int count = 0;
    for (long at = 0; at < len; at += strlen(buffer + at) + 1)
        all[count++] = buffer + at;
    qsort(all, count, sizeof *all, by_name);
    for (int i = 0; i < count; i++)
        printf("  %s\n", all[i]);
}

int main(void) {
    int fd = must(open("f", O_CREAT | O_RDWR, 0644));
    must(mkdir("d", 0755));
    must(symlink("f", "link"));
    must(mkfifo("fifo", 0600));
    memset(buffer, 'v', sizeof buffer);
    part("setting");
    call(setxattr, "a new one", "f", "user.one", "value", 5L, 0);
    call(setxattr, "it again", "f", "user.one", "other value", 11L, 0);
    call(setxattr, "one that must be new", "f", "user.one", "x", 1L, XATTR_CREATE);
    call(setxattr, "one that must be there", "f", "user.two", "x", 1L, XATTR_REPLACE);
    call(setxattr, "a new one that must be", "f", "user.two", "2", 1L, XATTR_CREATE);
    call(setxattr, "an empty one", "f", "user.empty", "", 0L, 0);
    call(setxattr, "both flags", "f", "user.x", "x", 1L, XATTR_CREATE | XATTR_REPLACE);
    call(setxattr, "unknown flags", "f", "user.x", "x", 1L, 4);
    call(setxattr, "too great", "f", "user.x", buffer, 65537L, 0);
    call(setxattr, "no space for names", "f", "one", "x", 1L, 0);
    call(setxattr, "an unknown space", "f", "strange.one", "x", 1L, 0);
    call(setxattr, "a space alone", "f", "user.", "x", 1L, 0);
    call(setxattr, "no name", "f", "", "x", 1L, 0);
    char name[300] = "user.";
    memset(name + 5, 'n', 251);
    name[255] = 0;
    call(setxattr, "a name of 255 bytes", "f", name, "x", 1L, 0);
    name[255] = 'n';
    name[256] = 0;
    call(setxattr, "a name of 256 bytes", "f", name, "x", 1L, 0);
    call(setxattr, "of nothing", "absent", "user.x", "x", 1L, 0);
    call(setxattr, "of a name of nowhere", "f", NOWHERE, "x", 1L, 0);
    call(setxattr, "a value of nowhere", "f", "user.x", NOWHERE, 1L, 0);
    call(setxattr, "of a directory", "d", "user.one", "in d", 4L, 0);
    call(setxattr, "of a fifo", "fifo", "user.one", "x", 1L, 0);
    call(setxattr, "trusted", "f", "trusted.one", "t", 1L, 0);
    call(setxattr, "through a link", "link", "user.linked", "l", 1L, 0);
    call(setxattr, "of a file of the box", "/data/short", "user.one", "box", 3L, 0);
    call(lsetxattr, "of a link itself", "link", "user.x", "x", 1L, 0);
    call(lsetxattr, "of a link itself, trusted", "link", "trusted.x", "x", 1L, 0);
    call(lsetxattr, "of nothing", "absent", "user.x", "x", 1L, 0);
    call(lsetxattr, "of a file", "f", "user.three", "333", 3L, 0);
    call(fsetxattr, "of a descriptor", fd, "user.four", "4444", 4L, 0);
    call(fsetxattr, "of no descriptor", 999, "user.four", "4444", 4L, 0);
    call(fsetxattr, "that must be new", fd, "user.four", "4444", 4L, XATTR_CREATE);

    part("getting");
    printf("%.11s\n", call(getxattr, "one", "f", "user.one", buffer, 100L) > 0 ? buffer : "");
    call(getxattr, "its length", "f", "user.one", NULL, 0L);
    call(getxattr, "too little room", "f", "user.one", buffer, 5L);
    call(getxattr, "an empty one", "f", "user.empty", buffer, 5L);
    call(getxattr, "none", "f", "user.none", buffer, 5L);
    call(getxattr, "an unknown space", "f", "strange.one", buffer, 5L);
    call(getxattr, "of nothing", "absent", "user.one", buffer, 5L);
    call(getxattr, "to nowhere", "f", "user.one", NOWHERE, 100L);
    call(getxattr, "of a fifo", "fifo", "user.one", buffer, 5L);
    call(getxattr, "of a file of the box", "/data/short", "user.one", buffer, 5L);
    call(lgetxattr, "of a link itself", "link", "user.linked", buffer, 5L);
    call(lgetxattr, "of a link itself, trusted", "link", "trusted.x", buffer, 5L);
    call(lgetxattr, "of a file", "f", "user.three", buffer, 5L);
    call(lgetxattr, "of nothing", "absent", "user.three", buffer, 5L);
    call(fgetxattr, "of a descriptor", fd, "user.four", buffer, 5L);
    call(fgetxattr, "none", fd, "user.none", buffer, 5L);
    call(fgetxattr, "of no descriptor", 999, "user.four", buffer, 5L);
    int p[2];
    must(pipe(p));
    call(fgetxattr, "of a pipe", p[0], "user.four", buffer, 5L);

    part("listing");
    long len = call(listxattr, "all", "f", buffer, sizeof buffer);
    names(len);
    call(listxattr, "their length", "f", NULL, 0L);
    call(listxattr, "too little room", "f", buffer, 10L);
    call(listxattr, "to nowhere", "f", NOWHERE, 1000L);
    call(listxattr, "of nothing", "absent", buffer, 10L);
    call(listxattr, "of none", "fifo", buffer, 10L);
    len = call(llistxattr, "of a link itself", "link", buffer, sizeof buffer);
    names(len);
    call(llistxattr, "of nothing", "absent", buffer, 10L);
    call(llistxattr, "too little room", "f", buffer, 10L);
    call(flistxattr, "of a descriptor", fd, buffer, sizeof buffer);
    call(flistxattr, "of no descriptor", 999, buffer, 10L);
    call(flistxattr, "too little room", fd, buffer, 10L);

    part("removing");
    call(removexattr, "one", "f", "user.one");
    call(removexattr, "it again", "f", "user.one");
    call(removexattr, "of nothing", "absent", "user.one");
    call(removexattr, "an unknown space", "f", "strange.one");
    call(lremovexattr, "of a link itself", "link", "trusted.x");
    call(lremovexattr, "it again", "link", "trusted.x");
    call(lremovexattr, "of nothing", "absent", "user.one");
    call(lremovexattr, "of a file", "f", "user.two");
    call(fremovexattr, "of a descriptor", fd, "user.three");
    call(fremovexattr, "it again", fd, "user.three");
    call(fremovexattr, "of no descriptor", 999, "user.three");

    part("as a user");
    must(chmod("f", 0644));
    must(setresgid(1000, 1000, 1000));
    must(setresuid(1000, 1000, 1000));
    call(setxattr, "what one may not write", "f", "user.x", "x", 1L, 0);
    call(getxattr, "what one may read", "f", "user.four", buffer, 5L);
    call(getxattr, "trusted", "f", "trusted.one", buffer, 5L);
    call(setxattr, "trusted", "f", "trusted.two", "x", 1L, 0);
    len = call(listxattr, "without the trusted", "f", buffer, sizeof buffer);
    names(len);
    return 0;
}
