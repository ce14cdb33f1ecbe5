/* chdir, fchdir, getcwd, chroot, statfs, fstatfs; and calls that change mounts, refused. */
#include "../tell.h"
#include <sys/mount.h>
#include <sys/statfs.h>

static char buffer[5000];

static void where(const char *what) {
    long len = syscall(SYS_getcwd, buffer, sizeof buffer);
    /* How far it goes on from there depends on what is outside of the box. */
    if (len > 0 && strncmp(buffer, "(unreachable)", 13) == 0)
        len = strlen(strcpy(buffer, "(unreachable)"));
    printf("%s: %ld %s\n", what, len, len > 0 ? buffer : strerrorname_np(errno));
}

static void directories(void) {
    part("working directory");
    must(mkdir("d", 0755));
    must(mkdir("d/e", 0755));
    must(symlink("d/e", "link"));
    must(close(must(creat("f", 0644))));
    where("at first");
    call(chdir, "below", "d/e");
    where("below");
    call(chdir, "above", "..");
    where("above");
    call(chdir, "the root and above", "/../..");
    where("the root");
    call(chdir, "through a link", "/work/link");
    where("through a link");
    call(chdir, "back", "/work");
    call(chdir, "a file", "f");
    call(chdir, "nothing", "absent");
    call(chdir, "no name", "");
    call(chdir, "a name of nowhere", NOWHERE);
    int d = must(open("d", O_RDONLY)), f = must(open("f", O_RDONLY));
    call(fchdir, "a directory", d);
    where("by descriptor");
    call(fchdir, "a file", f);
    call(fchdir, "no descriptor", 999);
    must(chdir("/work"));
    call(getcwd, "enough room", buffer, 6L);
    call(getcwd, "too little room", buffer, 5L);
    call(getcwd, "no room", buffer, 0L);
    call(getcwd, "to nowhere", NOWHERE, 100L);
    must(chdir("d/e"));
    must(rename("/work/d", "/work/moved"));
    where("after it was moved");
    must(rmdir("/work/moved/e"));
    where("after it was removed");
    call(chdir, "to itself after it was removed", ".");
    call(chdir, "above one that was removed", "..");
    where("above");
    must(chdir("/work"));
    char name[260];
    memset(name, 'n', sizeof name);
    name[250] = 0;
    int deep = 0;
    while (deep < 20 && mkdir(name, 0755) == 0 && chdir(name) == 0)
        deep++;
    printf("deep %d\n", deep);
    call(getcwd, "deeper than a path", buffer, sizeof buffer);
    while (deep-- > 0) {
        must(chdir(".."));
        must(rmdir(name));
    }
}

static void rooted(void) {
    must(mkdir("/work/root", 0755));
    must(mkdir("/work/root/inner", 0755));
    must(symlink("/inner", "/work/root/link"));
    int outside = must(open("/", O_RDONLY));
    call(chroot, "a file", "/work/f");
    call(chroot, "nothing", "/work/absent");
    call(chroot, "a name of nowhere", NOWHERE);
    call(chroot, "a directory", "/work/root");
    where("outside of it");
    call(chdir, "to the root", "/");
    where("the root");
    call(chdir, "above the root", "../..");
    where("the root");
    call(access, "an absolute link", "/link/.", F_OK);
    call(access, "what is outside", "/work", F_OK);
    must(chdir("inner"));
    where("inside");
    must(fchdir(outside));
    where("outside again");
    call(access, "what is outside", "work", F_OK);
}

static void systems(void) {
    part("file systems");
    struct statfs told;
    call(statfs, "the root", "/", &told);
    printf("  name length %ld, block size %ld, some free: %d, type overlay: %d\n",
           (long)told.f_namelen, (long)told.f_bsize, told.f_bfree > 0, told.f_type == 0x794c7630);
    call(statfs, "proc", "/proc", &told);
    printf("  type %lx, block size %ld, blocks %ld\n", (long)told.f_type, (long)told.f_bsize,
           (long)told.f_blocks);
    call(statfs, "shared memory", "/dev/shm", &told);
    printf("  type %lx\n", (long)told.f_type);
    call(statfs, "nothing", "absent", &told);
    call(statfs, "below a file", "f/x", &told);
    call(statfs, "to nowhere", "f", NOWHERE);
    call(statfs, "a name of nowhere", NOWHERE, &told);
    int fd = must(open("f", O_RDONLY)), p[2];
    must(pipe(p));
    call(fstatfs, "a file", fd, &told);
    printf("  type overlay: %d\n", told.f_type == 0x794c7630);
    call(fstatfs, "a pipe", p[0], &told);
    printf("  type %lx\n", (long)told.f_type);
    call(fstatfs, "no descriptor", 999, &told);
    call(fstatfs, "to nowhere", fd, NOWHERE);
}

static void refused(void) {
    must(setresuid(1000, 1000, 1000));
    /* Its size, its type, and what could be one. */
    uint32_t handle[34] = {8, 1};
    int mount_id;
    call(mount, "as a user", "none", "/work", "tmpfs", 0L, NULL);
    call(umount2, "as a user", "/proc", 0);
    call(pivot_root, "as a user", "/work", "/work");
    call(chroot, "as a user", "/work");
    call(open_by_handle_at, "as a user", AT_FDCWD, handle, O_RDONLY);
    call(name_to_handle_at, "to nowhere", AT_FDCWD, "/work", NOWHERE, &mount_id, 0);
}

int main(void) {
    directories();
    part("root directory");
    in_child("another root", rooted);
    systems();
    part("refused");
    in_child("a user", refused);
    return 0;
}
