/* rename, renameat, renameat2 with RENAME_NOREPLACE and RENAME_EXCHANGE. */
#include "../tell.h"
#include <linux/fs.h>

static void file(const char *name, const char *text) {
    int fd = must(open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644));
    must(write(fd, text, strlen(text)));
    close(fd);
}

static void what(const char *name) {
    struct stat status;
    if (lstat(name, &status) < 0) {
        printf("  %s: none\n", name);
        return;
    }
    char text[32] = "";
    if (S_ISREG(status.st_mode)) {
        int fd = must(open(name, O_RDONLY));
        must(read(fd, text, sizeof text - 1));
        close(fd);
    }
    printf("  %s: type %o, links %ld %s\n", name, status.st_mode >> 12,
           S_ISDIR(status.st_mode) ? 0 : (long)status.st_nlink, text);
}

static void plain(void) {
    part("files");
    file("a", "text a");
    file("b", "text b");
    call(rename, "over a file", "a", "b");
    what("a");
    what("b");
    call(rename, "to itself", "b", "b");
    must(link("b", "same"));
    call(rename, "to another name of the same file", "b", "same");
    what("b");
    what("same");
    call(rename, "nothing", "absent", "x");
    call(rename, "to where nothing is", "b", "absent/x");
    call(rename, "to below a file", "b", "same/x");
    call(rename, "no name", "", "x");
    call(rename, "to no name", "b", "");
    call(rename, "a file to a name with a slash", "b", "x/");
    call(rename, "a file with a slash", "b/", "x");
    call(rename, "a name of nowhere", NOWHERE, "x");
    call(rename, "across file systems", "b", "/dev/shm/x");
    call(rename, "a file over a directory", "b", "d");
    call(rename, "dot", ".", "x");
    call(rename, "dot dot", "..", "x");
    call(rename, "to dot", "d", ".");
    call(rename, "the root", "/", "x");
    char name[300];
    memset(name, 'n', sizeof name);
    name[256] = 0;
    call(rename, "to a name too long", "b", name);
    must(symlink("b", "link"));
    call(rename, "a link", "link", "moved link");
    what("moved link");
    call(rename, "over a link", "same", "moved link");
    what("moved link");
    call(rename, "a file of the box", "/data/short", "/work/short");
    what("short");
    what("/data/short");
    call(rename, "into a directory of the box", "short", "/data/directory/short");
    what("/data/directory/short");
    int fd = must(open("open", O_CREAT | O_RDWR, 0644));
    file("over", "over");
    call(rename, "over what is open", "over", "open");
    must(write(fd, "still", 5));
    what("open");
    close(fd);
}

static void directories(void) {
    part("directories");
    must(mkdir("full", 0755));
    file("full/f", "in full");
    must(mkdir("empty", 0755));
    call(rename, "over an empty one", "full", "empty");
    what("empty/f");
    call(rename, "over a full one", "d", "empty");
    call(rename, "over a file", "d", "empty/f");
    call(rename, "into itself", "empty", "empty/sub");
    must(mkdir("empty/sub", 0755));
    call(rename, "far into itself", "empty", "empty/sub/sub");
    call(rename, "over what it lies in", "empty/sub", "empty");
    call(rename, "with slashes", "empty/", "renamed/");
    what("renamed/f");
    call(rename, "elsewhere", "renamed/sub", "d/sub");
    int sub = must(open("d/sub", O_RDONLY));
    must(fchdir(sub));
    char path[64];
    printf("working directory %s\n", getcwd(path, sizeof path));
    must(rename("../../d", "../../e"));
    printf("working directory %s\n", getcwd(path, sizeof path));
    struct stat up, down;
    must(stat("..", &up));
    must(stat("/work/e", &down));
    printf("above is the same: %d\n", up.st_ino == down.st_ino);
    must(chdir("/work"));
    must(rename("e", "d"));
    call(rename, "what is mounted", "/proc", "/work/proc");
    call(rename, "over what is mounted", "renamed", "/proc");
}

static void at(void) {
    part("relative to descriptors");
    int d = must(open("d", O_RDONLY)), f = must(open("b", O_RDONLY));
    call(renameat, "into a directory", AT_FDCWD, "b", d, "b");
    call(renameat, "out of it", d, "b", AT_FDCWD, "b");
    call(renameat, "from no descriptor", 999, "b", d, "b");
    call(renameat, "to no descriptor", d, "b", 999, "b");
    call(renameat, "to a file", AT_FDCWD, "b", f, "b");
    call(renameat, "nothing", d, "absent", d, "b");
    call(renameat2, "plain", AT_FDCWD, "b", AT_FDCWD, "c", 0);
    file("taken", "taken");
    call(renameat2, "to a free name", AT_FDCWD, "c", AT_FDCWD, "free", RENAME_NOREPLACE);
    call(renameat2, "to a taken name", AT_FDCWD, "free", AT_FDCWD, "taken", RENAME_NOREPLACE);
    call(renameat2, "to itself", AT_FDCWD, "free", AT_FDCWD, "free", RENAME_NOREPLACE);
    call(renameat2, "exchanging files", AT_FDCWD, "free", AT_FDCWD, "taken", RENAME_EXCHANGE);
    what("free");
    what("taken");
    call(renameat2, "exchanging with nothing", AT_FDCWD, "free", AT_FDCWD, "absent", RENAME_EXCHANGE);
    call(renameat2, "exchanging a file and a directory", AT_FDCWD, "free", AT_FDCWD, "d", RENAME_EXCHANGE);
    what("free");
    what("d");
    what("free/sub");
    call(renameat2, "back", AT_FDCWD, "free", AT_FDCWD, "d", RENAME_EXCHANGE);
    call(renameat2, "exchanging with what it lies in", AT_FDCWD, "d/sub", AT_FDCWD, "d", RENAME_EXCHANGE);
    call(renameat2, "exchanging with what lies in it", AT_FDCWD, "d", AT_FDCWD, "d/sub", RENAME_EXCHANGE);
    call(renameat2, "two flags", AT_FDCWD, "free", AT_FDCWD, "x", RENAME_NOREPLACE | RENAME_EXCHANGE);
    call(renameat2, "unknown flags", AT_FDCWD, "free", AT_FDCWD, "x", 0x100);
    call(renameat2, "a mount, not replacing", AT_FDCWD, "/proc", AT_FDCWD, "x", RENAME_NOREPLACE);
}

int main(void) {
    must(mkdir("d", 0755));
    plain();
    directories();
    at();
    return 0;
}
