/* openat2: the strict one, and its limits on where a path may lead. */
#include "../tell.h"
#include <linux/openat2.h>

static void try(const char *what, int at, const char *path, uint64_t flags, uint64_t mode,
                uint64_t resolve) {
    struct open_how how = {flags, mode, resolve};
    long fd = call(openat2, what, at, path, &how, sizeof how);
    if (fd >= 0)
        close(fd);
}

int main(void) {
    must(mkdir("d", 0755));
    must(mkdir("d/e", 0755));
    must(close(must(creat("d/f", 0644))));
    must(close(must(creat("outside", 0644))));
    must(symlink("f", "d/link"));
    must(symlink("../outside", "d/out"));
    must(symlink("/f", "d/absolute"));
    must(symlink("e/../f", "d/around"));
    int d = must(open("d", O_RDONLY));
    part("arguments");
    try("a file", d, "f", O_RDONLY, 0, 0);
    try("a new file", d, "new", O_CREAT | O_WRONLY, 0600, 0);
    try("unknown flags", d, "f", 0x8000000, 0, 0);
    try("flags above 32 bits", d, "f", 1ULL << 40, 0, 0);
    try("a mode without need", d, "f", O_RDONLY, 0600, 0);
    try("a mode too wide", d, "new", O_CREAT | O_WRONLY, 010000, 0);
    try("unknown limits", d, "f", O_RDONLY, 0, 0x1000);
    try("both roots", d, "f", O_RDONLY, 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT);
    try("only named, with more", d, "f", O_PATH | O_WRONLY, 0, 0);
    try("only named", d, "f", O_PATH | O_CLOEXEC, 0, 0);
    struct {
        struct open_how how;
        uint64_t more;
    } long_how = {{O_RDONLY, 0, 0}, 0};
    long fd = call(openat2, "a longer structure", d, "f", &long_how, sizeof long_how);
    close(fd);
    long_how.more = 1;
    call(openat2, "a longer structure with more in it", d, "f", &long_how, sizeof long_how);
    call(openat2, "a shorter structure", d, "f", &long_how, 16L);
    call(openat2, "a structure too long", d, "f", &long_how, 5000L);
    call(openat2, "a structure nowhere", d, "f", NOWHERE, sizeof long_how.how);
    part("limits");
    try("beneath", d, "f", O_RDONLY, 0, RESOLVE_BENEATH);
    try("beneath, around", d, "e/../f", O_RDONLY, 0, RESOLVE_BENEATH);
    try("beneath, above", d, "../outside", O_RDONLY, 0, RESOLVE_BENEATH);
    try("beneath, a link out", d, "out", O_RDONLY, 0, RESOLVE_BENEATH);
    try("beneath, a link around", d, "around", O_RDONLY, 0, RESOLVE_BENEATH);
    try("beneath, an absolute path", d, "/f", O_RDONLY, 0, RESOLVE_BENEATH);
    try("beneath, an absolute link", d, "absolute", O_RDONLY, 0, RESOLVE_BENEATH);
    try("in root", d, "f", O_RDONLY, 0, RESOLVE_IN_ROOT);
    try("in root, above", d, "../f", O_RDONLY, 0, RESOLVE_IN_ROOT);
    try("in root, an absolute path", d, "/f", O_RDONLY, 0, RESOLVE_IN_ROOT);
    try("in root, an absolute link", d, "absolute", O_RDONLY, 0, RESOLVE_IN_ROOT);
    try("in root, a link out", d, "out", O_RDONLY, 0, RESOLVE_IN_ROOT);
    try("no links", d, "f", O_RDONLY, 0, RESOLVE_NO_SYMLINKS);
    try("no links, a link", d, "link", O_RDONLY, 0, RESOLVE_NO_SYMLINKS);
    try("no links, a link not followed", d, "link", O_PATH | O_NOFOLLOW, 0, RESOLVE_NO_SYMLINKS);
    try("no magic", AT_FDCWD, "/proc/self/fd/1", O_WRONLY, 0, RESOLVE_NO_MAGICLINKS);
    try("no magic, a plain link", d, "link", O_RDONLY, 0, RESOLVE_NO_MAGICLINKS);
    try("no other mount", AT_FDCWD, "/work/d/f", O_RDONLY, 0, RESOLVE_NO_XDEV);
    try("no other mount, one", AT_FDCWD, "/proc/self", O_RDONLY, 0, RESOLVE_NO_XDEV);
    try("no other mount, out of one", AT_FDCWD, "/proc/../work", O_RDONLY, 0, RESOLVE_NO_XDEV);
    try("at no descriptor", 999, "f", O_RDONLY, 0, 0);
    try("what is not there", d, "absent", O_RDONLY, 0, RESOLVE_BENEATH);
    return 0;
}
