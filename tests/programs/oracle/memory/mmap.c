/* mmap, munmap, mprotect: all kinds of mappings, what is refused, which signal a fault becomes. */
#include "../tell.h"
#include <setjmp.h>
#include <sys/mman.h>

#define PAGE 4096L

static sigjmp_buf back;
static volatile int signal_seen, code_seen;
static void *volatile address_seen;

static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)context;
    signal_seen = signal;
    code_seen = info->si_code;
    address_seen = info->si_addr;
    siglongjmp(back, 1);
}

/* What touching an address does; `at` names it relative to a mapping. */
static void touch(const char *what, volatile char *at, int writes) {
    if (sigsetjmp(back, 1) == 0) {
        char seen = *at;
        if (writes)
            *at = seen + 1;
        printf("%s: %s, was %d\n", what, writes ? "written" : "read", seen);
    } else {
        printf("%s: SIG%s code %d, address right: %d\n", what, sigabbrev_np(signal_seen), code_seen,
               address_seen == (void *)at);
    }
}

static char *map(const char *what, void *at, size_t len, int prot, int flags, int fd, long offset) {
    return (char *)made(mmap, what, at, len, prot, flags, fd, offset);
}

static void kinds(int fd) {
    part("kinds");
    char *a = map("anonymous", NULL, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    touch("anonymous", a, 1);
    char *s = map("anonymous, shared", NULL, 3 * PAGE, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    touch("shared", s + PAGE, 1);
    char *f = map("a file, private", NULL, 2 * PAGE, 3, MAP_PRIVATE, fd, 0);
    touch("private", f, 1);
    char byte;
    must(pread(fd, &byte, 1, 0));
    printf("the file has %c\n", byte);
    char *g = map("a file, shared", NULL, 2 * PAGE, 3, MAP_SHARED, fd, 0);
    touch("shared", g, 1);
    must(pread(fd, &byte, 1, 0));
    printf("the file has %c\n", byte);
    must(pwrite(fd, "W", 1, 1));
    printf("written: shared %c, private, copied before: %c\n", g[1], f[1]);
    touch("the end of the file's last page", g + 2 * PAGE - 1, 0);
    char *h = map("a file's second page", NULL, PAGE, 1, MAP_SHARED, fd, PAGE);
    printf("it has %c\n", h[0]);
    map("shared and validated", NULL, PAGE, 3, MAP_SHARED_VALIDATE, fd, 0);
    map("populated", NULL, 4 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    map("locked", NULL, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
    map("without reserve, great", NULL, 1L << 40, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    map("not to be touched, great", NULL, 1L << 40, 0, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    map("zero pages", must(open("/dev/zero", O_RDWR)) < 0 ? NULL : NULL, PAGE, 3, MAP_PRIVATE, 4, 0);
}

static void refusals(int fd) {
    part("refusals");
    int reading = must(open("f", O_RDONLY)), writing = must(open("f", O_WRONLY));
    int d = must(open(".", O_RDONLY)), p[2], named = must(open("f", O_PATH));
    must(pipe(p));
    const int anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
    map("no length", NULL, 0, 3, anonymous, -1, 0);
    map("no kind", NULL, PAGE, 3, MAP_ANONYMOUS, -1, 0);
    map("an odd offset", NULL, PAGE, 3, MAP_PRIVATE, fd, 100);
    map("a negative offset", NULL, PAGE, 1, MAP_PRIVATE, fd, -PAGE);
    map("everything", NULL, -1L, 3, anonymous, -1, 0);
    map("more than there are addresses", NULL, 1L << 47, 3, anonymous | MAP_NORESERVE, -1, 0);
    map("no descriptor", NULL, PAGE, 3, MAP_PRIVATE, 999, 0);
    map("a pipe", NULL, PAGE, 3, MAP_PRIVATE, p[0], 0);
    map("a directory", NULL, PAGE, 1, MAP_PRIVATE, d, 0);
    map("what is only named", NULL, PAGE, 1, MAP_PRIVATE, named, 0);
    map("shared to be written, open for reading", NULL, PAGE, 3, MAP_SHARED, reading, 0);
    map("private to be written, open for reading", NULL, PAGE, 3, MAP_PRIVATE, reading, 0);
    map("open for writing", NULL, PAGE, 2, MAP_SHARED, writing, 0);
    map("unknown flags, validated", NULL, PAGE, 1, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
    map("unknown flags", NULL, PAGE, 1, MAP_PRIVATE | 0x8000000, fd, 0);
    map("fixed at an odd address", (void *)0x10000100, PAGE, 3, anonymous | MAP_FIXED, -1, 0);
    map("fixed above all", (void *)0x7ffffffff000, 2 * PAGE, 3, anonymous | MAP_FIXED, -1, 0);
    map("fixed in the kernel's half", (void *)0xffff800000000000, PAGE, 3, anonymous | MAP_FIXED, -1, 0);
    map("a hint at an odd address", (void *)0x10000100, PAGE, 3, anonymous, -1, 0);
    map("a hint above all", (void *)0x7ffffffff000, 2 * PAGE, 3, anonymous, -1, 0);
    part("munmap");
    call(munmap, "an odd address", (void *)0x10000100, PAGE);
    call(munmap, "no length", (void *)0x10000000, 0L);
    call(munmap, "what is not mapped", (void *)0x20000000, PAGE);
    call(munmap, "above all", (void *)0x7ffffffff000, 2 * PAGE);
    call(munmap, "everything and more", (void *)0, -1L);
}

static void places(void) {
    part("places");
    const int anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
    char *base = map("four pages", NULL, 4 * PAGE, 3, anonymous, -1, 0);
    memset(base, 7, 4 * PAGE);
    char *hinted = map("a hint where something is", base, PAGE, 3, anonymous, -1, 0);
    printf("elsewhere: %d\n", hinted != base);
    call(munmap, "the third", base + 2 * PAGE, PAGE);
    hinted = map("a hint where nothing is", base + 2 * PAGE, PAGE, 3, anonymous, -1, 0);
    printf("there: %d\n", hinted == base + 2 * PAGE);
    map("fixed over two", base, 2 * PAGE, 3, anonymous | MAP_FIXED, -1, 0);
    printf("fresh %d, %d, kept %d\n", base[0], base[PAGE], base[3 * PAGE]);
    map("fixed, not replacing", base, PAGE, 3, anonymous | MAP_FIXED_NOREPLACE, -1, 0);
    map("fixed, not replacing, half of it", base + 3 * PAGE, 2 * PAGE, 3, anonymous | MAP_FIXED_NOREPLACE, -1, 0);
    must(munmap(base, 4 * PAGE));
    char *again = map("fixed, where nothing is", base, PAGE, 3, anonymous | MAP_FIXED_NOREPLACE, -1, 0);
    printf("there: %d\n", again == base);
    touch("after what was unmapped", base + PAGE, 0);
}

static void protection(int fd) {
    part("protection");
    const int anonymous = MAP_PRIVATE | MAP_ANONYMOUS;
    char *a = map("to be read", NULL, 4 * PAGE, 1, anonymous, -1, 0);
    touch("read", a, 0);
    touch("written", a, 1);
    call(mprotect, "to be written", a, 4 * PAGE, 3);
    touch("written", a, 1);
    call(mprotect, "the second: nothing", a + PAGE, PAGE, 0);
    touch("nothing allowed", a + PAGE, 0);
    touch("beside it", a + 2 * PAGE, 1);
    call(mprotect, "the second: again", a + PAGE, 1L, 3);
    touch("again", a + PAGE, 0);
    call(mprotect, "only written", a, PAGE, 2);
    touch("only written, read", a, 0);
    call(mprotect, "an odd address", a + 1, PAGE, 3);
    call(mprotect, "no length", a, 0L, 3);
    call(mprotect, "unknown bits", a, PAGE, 0x100);
    call(mprotect, "growing both ways", a, PAGE, 3 | PROT_GROWSDOWN | PROT_GROWSUP);
    call(mprotect, "what is not mapped", (void *)0x20000000, PAGE, 3);
    must(munmap(a + 2 * PAGE, PAGE));
    call(mprotect, "with a hole in it", a, 4 * PAGE, 1);
    touch("before the hole, written", a + PAGE, 1);
    touch("after the hole, written", a + 3 * PAGE, 1);
    int reading = must(open("f", O_RDONLY));
    char *s = map("shared, open for reading", NULL, PAGE, 1, MAP_SHARED, reading, 0);
    call(mprotect, "to be written", s, PAGE, 3);
    char *p = map("private, open for reading", NULL, PAGE, 1, MAP_PRIVATE, reading, 0);
    call(mprotect, "to be written", p, PAGE, 3);
    touch("private", p, 1);
    char *x = map("a function", NULL, PAGE, 3, anonymous, -1, 0);
    memcpy(x, "\xb8\x2a\x00\x00\x00\xc3", 6);
    if (sigsetjmp(back, 1) == 0)
        printf("ran: %d\n", ((int (*)(void))x)());
    else
        printf("not to be executed: SIG%s code %d, address right: %d\n", sigabbrev_np(signal_seen),
               code_seen, address_seen == (void *)x);
    call(mprotect, "to be executed", x, PAGE, 5);
    printf("ran: %d\n", ((int (*)(void))x)());
    call(mprotect, "to be written again", x, PAGE, 7);
    x[1] = 43;
    printf("ran: %d\n", ((int (*)(void))x)());
    (void)fd;
}

static void faults(int fd) {
    part("faults");
    touch("null", NULL, 0);
    touch("null, written", (char *)NULL + 16, 1);
    char *s = map("a file, two pages more than it has", NULL, 4 * PAGE, 3, MAP_SHARED, fd, 0);
    touch("its last page", s + 2 * PAGE - 1, 1);
    touch("beyond its end", s + 2 * PAGE, 0);
    touch("beyond its end, written", s + 3 * PAGE, 1);
    char *p = map("the same, private", NULL, 4 * PAGE, 3, MAP_PRIVATE, fd, 0);
    touch("beyond its end", p + 2 * PAGE, 0);
    touch("beyond its end, written", p + 3 * PAGE + 5, 1);
    must(ftruncate(fd, 3 * PAGE));
    touch("after it was extended", s + 2 * PAGE, 1);
    p[PAGE] = 'c';
    must(ftruncate(fd, PAGE));
    touch("after it was cut", s + PAGE, 0);
    touch("after it was cut, private, written before", p + PAGE, 0);
    touch("what is left", s, 0);
    must(ftruncate(fd, 100));
    touch("after the end, in its last page", s + 200, 1);
    must(ftruncate(fd, 2 * PAGE));
    printf("beyond the end was lost: %d\n", s[200] == 0);
    call(read, "into what may not be written", must(open("/dev/zero", O_RDONLY)), touch, 10L);
    call(write, "beyond the end of a mapped file", must(open("/dev/null", O_WRONLY)), s + 3 * PAGE, 10L);
    int out = must(open("out", O_CREAT | O_RDWR, 0600));
    call(write, "beyond the end of a mapped file", out, s + 3 * PAGE, 10L);
}

int main(void) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    must(sigaction(SIGSEGV, &action, NULL));
    must(sigaction(SIGBUS, &action, NULL));
    int fd = must(open("f", O_CREAT | O_RDWR, 0644));
    for (int i = 0; i < 2 * PAGE; i++)
        must(write(fd, i < PAGE ? "a" : "b", 1));
    kinds(fd);
    refusals(fd);
    places();
    protection(fd);
    faults(fd);
    return 0;
}
