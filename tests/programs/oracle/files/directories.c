/* mkdir, mkdirat, rmdir, and the errors of names on the way to them. */
#include "../tell.h"

int main(void) {
    part("making");
    call(mkdir, "a directory", "d", 0777);
    call(mkdir, "the same again", "d", 0777);
    call(mkdir, "under what is not there", "absent/d", 0777);
    call(mkdir, "no name", "", 0777);
    call(mkdir, "a name of nowhere", NOWHERE, 0777);
    call(mkdir, "a trailing slash", "d/e/", 0700);
    call(mkdir, "the root", "/", 0777);
    call(mkdir, "dot", "d/.", 0777);
    call(mkdir, "dot dot", "d/..", 0777);
    close(must(open("file", O_CREAT | O_WRONLY, 0644)));
    call(mkdir, "under a file", "file/d", 0777);
    call(mkdir, "over a file", "file", 0777);
    char name[300];
    memset(name, 'n', sizeof name);
    name[256] = 0;
    call(mkdir, "a name of 256 bytes", name, 0777);
    name[255] = 0;
    call(mkdir, "a name of 255 bytes", name, 0777);
    call(rmdir, "that one", name);
    umask(027);
    call(mkdir, "with a mask", "masked", 07777);
    struct stat status;
    must(stat("masked", &status));
    printf("mode %o, links %ld\n", status.st_mode, (long)status.st_nlink);

    part("making relative to a directory");
    int d = must(open("d", O_RDONLY | O_DIRECTORY));
    int file = must(open("file", O_RDONLY));
    call(mkdirat, "in a directory", d, "f", 0755);
    call(mkdirat, "an absolute name ignores the descriptor", -1, "/work/absolute", 0755);
    call(mkdirat, "in no descriptor", 999, "f", 0755);
    call(mkdirat, "in a file", file, "f", 0755);
    call(mkdirat, "of the working directory", AT_FDCWD, "f", 0755);

    part("removing");
    call(rmdir, "one that is not empty", "d");
    call(rmdir, "a file", "file");
    call(rmdir, "what is not there", "absent");
    call(rmdir, "dot", "d/.");
    call(rmdir, "dot dot", "d/e/..");
    call(rmdir, "the root", "/");
    call(rmdir, "a name of nowhere", NOWHERE);
    call(rmdir, "an empty one", "d/e");
    call(rmdir, "with a trailing slash", "d/f/");
    call(rmdir, "one that is open", "d");
    call(mkdirat, "in the removed one", d, "f", 0755);
    must(fstat(d, &status));
    printf("links %ld\n", (long)status.st_nlink);
    return 0;
}
