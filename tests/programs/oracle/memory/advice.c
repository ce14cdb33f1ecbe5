/* madvise, mlock and its kin, mincore, msync, membarrier. */
#include "../tell.h"
#include <sys/mman.h>
#include <sys/resource.h>

#define PAGE 4096L

static char *a;

static char *anonymous(long pages) {
    char *at = mmap(NULL, pages * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(at == MAP_FAILED ? -1 : 0);
    memset(at, 'a', pages * PAGE);
    return at;
}

static void child_sees(void) {
    unsigned char resident[4];
    for (int i = 0; i < 4; i++)
        if (syscall(SYS_mincore, a + i * PAGE, PAGE, resident) < 0)
            printf("page %d: %s\n", i, strerrorname_np(errno));
        else
            printf("page %d: %d\n", i, a[i * PAGE]);
}

static void advice(void) {
    part("advice");
    a = anonymous(4);
    call(madvise, "not needed", a, PAGE, MADV_DONTNEED);
    printf("%d %c\n", a[0], a[PAGE]);
    call(madvise, "not needed, odd length", a + PAGE, 1L, MADV_DONTNEED);
    printf("%d %c\n", a[PAGE], a[2 * PAGE]);
    a[2 * PAGE] = 'b';
    call(madvise, "free", a + 2 * PAGE, PAGE, MADV_FREE);
    a[2 * PAGE] = 'c';
    printf("written after it was freed: %c\n", a[2 * PAGE]);
    const int plain[] = {MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTDUMP,
                         MADV_DODUMP, MADV_COLD, MADV_PAGEOUT, MADV_POPULATE_READ, MADV_POPULATE_WRITE};
    for (int i = 0; i < 10; i++)
        call(madvise, "plain advice", a, 4 * PAGE, plain[i]);
    printf("%c\n", a[2 * PAGE]);
    call(madvise, "no length", a, 0L, MADV_DONTNEED);
    call(madvise, "an odd address", a + 1, PAGE, MADV_DONTNEED);
    call(madvise, "unknown advice", a, PAGE, 999);
    call(madvise, "what is not mapped", (void *)0x20000000, PAGE, MADV_DONTNEED);
    call(madvise, "normal, what is not mapped", (void *)0x20000000, PAGE, MADV_NORMAL);
    call(madvise, "above all", (void *)0x7ffffffff000, 2 * PAGE, MADV_DONTNEED);
    call(madvise, "everything", a, -1L, MADV_DONTNEED);
    char *hole = anonymous(3);
    must(munmap(hole + PAGE, PAGE));
    call(madvise, "with a hole in it", hole, 3 * PAGE, MADV_DONTNEED);
    printf("both sides: %d %d\n", hole[0], hole[2 * PAGE]);
    int fd = must(open("f", O_CREAT | O_RDWR, 0644));
    must(write(fd, "file", 4));
    must(ftruncate(fd, PAGE));
    char *f = mmap(NULL, PAGE, 3, MAP_PRIVATE, fd, 0);
    f[0] = 'F';
    call(madvise, "a private file's page not needed", f, PAGE, MADV_DONTNEED);
    printf("%s\n", f);
    call(madvise, "a file freed", f, PAGE, MADV_FREE);
    char *s = mmap(NULL, PAGE, 3, MAP_SHARED, fd, 0);
    s[0] = 'S';
    call(madvise, "a shared file's page not needed", s, PAGE, MADV_DONTNEED);
    printf("%s\n", s);
    call(madvise, "removed", s, PAGE, MADV_REMOVE);
    printf("%d\n", s[0]);
    call(madvise, "anonymous removed", a, PAGE, MADV_REMOVE);

    part("forks");
    memset(a, 'a', 4 * PAGE);
    call(madvise, "not to be copied", a + PAGE, PAGE, MADV_DONTFORK);
    call(madvise, "to be wiped", a + 2 * PAGE, PAGE, MADV_WIPEONFORK);
    in_child("child", child_sees);
    call(madvise, "to be copied", a + PAGE, PAGE, MADV_DOFORK);
    call(madvise, "to be kept", a + 2 * PAGE, PAGE, MADV_KEEPONFORK);
    in_child("child", child_sees);
    call(madvise, "a file to be wiped", f, PAGE, MADV_WIPEONFORK);
}

static void locking(void) {
    part("locking");
    a = anonymous(4);
    call(mlock, "a page", a, PAGE);
    call(mlock, "an odd address", a + 100, 1L);
    call(mlock, "no length", a, 0L);
    call(mlock, "what is not mapped", (void *)0x20000000, PAGE);
    call(mlock, "above all", (void *)0x7ffffffff000, 2 * PAGE);
    call(mlock, "around", a, -1L);
    call(munlock, "a page", a, PAGE);
    call(munlock, "what is not locked", a + PAGE, PAGE);
    call(munlock, "what is not mapped", (void *)0x20000000, PAGE);
    call(munlock, "around", a, -100L);
    call(munlock, "above all", (void *)0x7ffffffff000, 2 * PAGE);
    call(mlock2, "on fault", a, PAGE, MLOCK_ONFAULT);
    call(mlock2, "plain", a, PAGE, 0);
    call(mlock2, "unknown flags", a, PAGE, 2);
    call(mlock2, "what is not mapped", (void *)0x20000000, PAGE, 0);
    call(mlockall, "now", MCL_CURRENT);
    call(mlockall, "no flags", 0);
    call(mlockall, "unknown flags", 16);
    call(mlockall, "on fault alone", MCL_ONFAULT);
    call(munlockall, "all");
    call(madvise, "what was locked, not needed", a, PAGE, MADV_DONTNEED);
    call(mlock, "a page", a, PAGE);
    call(madvise, "what is locked, not needed", a, PAGE, MADV_DONTNEED);
    call(msync, "what is locked, to be forgotten", a, PAGE, MS_INVALIDATE);
    call(munlock, "a page", a, PAGE);
}

static void limited(void) {
    struct rlimit limit = {2 * PAGE, 2 * PAGE};
    must(setrlimit(RLIMIT_MEMLOCK, &limit));
    must(setresuid(1000, 1000, 1000));
    call(mlock, "within the limit", a, 2 * PAGE);
    call(mlock, "the same again", a, 2 * PAGE);
    call(mlock, "beyond the limit", a + 2 * PAGE, PAGE);
    call(munlock, "one", a, PAGE);
    call(mlock, "another", a + 2 * PAGE, PAGE);
    call(mlockall, "beyond the limit", MCL_CURRENT);
    made(mmap, "locked, beyond the limit", NULL, 4 * PAGE, 3L, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0L);
    must(munlockall());
    limit.rlim_cur = limit.rlim_max = 0;
    must(setrlimit(RLIMIT_MEMLOCK, &limit));
    call(mlock, "with no limit to be within", a, PAGE);
    call(mlockall, "with no limit to be within", MCL_CURRENT);
}

static void residency(void) {
    part("residency");
    unsigned char pages[8];
    char *fresh = mmap(NULL, 64 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    call(mincore, "what was never touched", fresh, 2 * PAGE, pages);
    printf("%d %d\n", pages[0], pages[1]);
    fresh[0] = 1;
    call(mincore, "what was touched", fresh, PAGE, pages);
    printf("%d\n", pages[0]);
    call(mincore, "an odd address", fresh + 1, PAGE, pages);
    call(mincore, "no length", fresh, 0L, pages);
    call(mincore, "what is not mapped", (void *)0x20000000, PAGE, pages);
    call(mincore, "to nowhere", fresh, PAGE, NOWHERE);
    call(mincore, "above all", (void *)0x7ffffffff000, 2 * PAGE, pages);
    int fd = must(open("g", O_CREAT | O_RDWR, 0644));
    must(write(fd, "file", 4));
    char *f = mmap(NULL, PAGE, 1, MAP_SHARED, fd, 0);
    call(mincore, "a file's page in memory", f, PAGE, pages);
    printf("%d\n", pages[0] & 1);
}

static void syncing(void) {
    part("syncing");
    int fd = must(open("g", O_RDWR));
    char *f = mmap(NULL, PAGE, 3, MAP_SHARED, fd, 0);
    f[0] = 'F';
    call(msync, "now", f, PAGE, MS_SYNC);
    call(msync, "later", f, PAGE, MS_ASYNC);
    call(msync, "to be forgotten", f, PAGE, MS_INVALIDATE);
    call(msync, "no flags", f, PAGE, 0);
    call(msync, "both", f, PAGE, MS_SYNC | MS_ASYNC);
    call(msync, "unknown flags", f, PAGE, 8);
    call(msync, "an odd address", f + 1, PAGE, MS_SYNC);
    call(msync, "no length", f, 0L, MS_SYNC);
    call(msync, "what is not mapped", (void *)0x20000000, PAGE, MS_SYNC);
    call(membarrier, "registering", 16, 0, 0);
    call(membarrier, "private", 8, 0, 0);
    call(membarrier, "an unknown one", 1 << 30, 0, 0);
    call(membarrier, "with flags", 8, 77, 0);
}

int main(void) {
    advice();
    locking();
    in_child("a limit", limited);
    residency();
    syncing();
    return 0;
}
