/* Files seen through mappings, read and write at once, in one process and in several; pages of the
   box that are written later; memory that grows downwards; more memory than there is. */
#include "../tell.h"
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

#define PAGE 4096L

static char *s, *p;
static int fd;
static sigjmp_buf back;

static void on_fault(int signal) {
    (void)signal;
    siglongjmp(back, 1);
}

static int touches(volatile char *at) {
    if (sigsetjmp(back, 1))
        return 0;
    *at = *at;
    return 1;
}

static void child_writes(void) {
    s[0] = 'C';
    p[0] = 'x';
    must(pwrite(fd, "W", 1, 1));
    printf("the child's private page: %c\n", p[0]);
}

static void child_maps(void) {
    int own = must(open("f", O_RDWR));
    char *map = mmap(NULL, PAGE, 3, MAP_SHARED, own, 0);
    printf("the child's own mapping has %.4s\n", map);
    map[3] = 'M';
}

static void written(void) {
    part("a file written");
    fd = must(open("f", O_CREAT | O_RDWR, 0644));
    must(write(fd, "abcdefgh", 8));
    must(ftruncate(fd, 2 * PAGE));
    s = mmap(NULL, 2 * PAGE, 3, MAP_SHARED, fd, 0);
    p = mmap(NULL, 2 * PAGE, 3, MAP_PRIVATE, fd, 0);
    printf("%.8s %.8s\n", s, p);
    in_child("child", child_writes);
    printf("shared %.4s, private %.4s\n", s, p);
    in_child("child", child_maps);
    printf("shared %.4s, private %.4s\n", s, p);
    char text[9] = "";
    must(pread(fd, text, 8, 0));
    printf("read %s\n", text);
    p[2] = 'P';
    must(pwrite(fd, "12345678", 8, 0));
    printf("shared %.4s, private, copied %.4s\n", s, p);
    int out = must(open("out", O_CREAT | O_RDWR, 0644));
    call(write, "a mapping into another file", out, s, 8L);
    call(pwrite64, "a mapping into its own file", fd, s, 8L, 8L);
    printf("%.16s\n", s);
    call(fallocate, "a hole under the mapping", fd, 3, 0L, PAGE);
    printf("%d, private %c\n", s[0], p[2]);
    s[1] = 'n';
    must(pread(fd, text, 2, 0));
    printf("after the hole: %d %c\n", text[0], text[1]);
    must(unlink("f"));
    s[PAGE] = 'u';
    must(pread(fd, text, 1, PAGE));
    printf("without a name: %c\n", text[0]);
    close(fd);
    printf("closed: %c\n", s[PAGE]);
    munmap(s, 2 * PAGE);
    munmap(p, 2 * PAGE);
}

static void of_the_box(void) {
    part("a file of the box");
    int box = must(open("/data/long", O_RDWR));
    char *first = mmap(NULL, 4 * PAGE, 1, MAP_PRIVATE, box, 0);
    char *second = mmap(NULL, 4 * PAGE, 1, MAP_SHARED, box, 0);
    char *copied = mmap(NULL, 4 * PAGE, 3, MAP_PRIVATE, box, 0);
    char *hidden = mmap(NULL, 4 * PAGE, 1, MAP_PRIVATE, box, 0);
    copied[1] = 'C';
    printf("%.6s %.6s %.6s %.6s\n", first, second, copied, hidden);
    must(mprotect(hidden, 4 * PAGE, 0));
    must(pwrite(box, "LINE", 4, 0));
    must(mprotect(hidden, 4 * PAGE, 1));
    printf("written: %.6s %.6s %.6s %.6s\n", first, second, copied, hidden);
    char *third = mmap(NULL, 4 * PAGE, 3, MAP_SHARED, box, 0);
    memcpy(third + PAGE, "THIRD", 5);
    printf("written through a mapping: %.5s %.5s %.5s\n", first + PAGE, second + PAGE, copied + PAGE);
    printf("touches the third page: %d %d %d\n", touches(copied + 2 * PAGE), first[2 * PAGE] != 0,
           second[2 * PAGE] != 0);
    must(ftruncate(box, PAGE + 100));
    struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};
    must(sigaction(SIGBUS, &action, NULL));
    must(sigaction(SIGSEGV, &action, NULL));
    printf("cut: %d %d\n", touches(copied + 2 * PAGE), touches(copied + PAGE + 200));
    printf("after the end: %d %d %d\n", first[PAGE + 200], second[PAGE + 200], third[PAGE + 200]);
    must(ftruncate(box, 3 * PAGE));
    printf("extended: %d %d\n", second[2 * PAGE], first[PAGE + 200]);
    must(munmap(first, 4 * PAGE));
    int other = must(open("/data/short", O_RDWR));
    char *map = mmap(NULL, PAGE, 1, MAP_SHARED, other, 0);
    printf("%.6s", map);
    call(sendfile, "another file over it", other, box, (int64_t[]){0}, 6L);
    printf("%.6s\n", map);
}

static void downwards(void) {
    part("downwards");
    struct sigaction action = {.sa_handler = on_fault, .sa_flags = SA_NODEFER};
    must(sigaction(SIGSEGV, &action, NULL));
    /* Room of its own, far from anything else. */
    char *room = mmap(NULL, 64L << 20, 0, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    must(munmap(room, 64L << 20));
    char *top = room + (40L << 20);
    char *stack = mmap(top - PAGE, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
    printf("mapped: %d\n", stack == top - PAGE);
    printf("one page below: %d\n", touches(stack - 1));
    printf("a hundred pages below: %d\n", touches(stack - 100 * PAGE));
    printf("in between: %d\n", touches(stack - 50 * PAGE));
    printf("ten megabytes below: %d\n", touches(top - (10L << 20)));
    printf("above: %d\n", touches(top));
    call(munmap, "all of it", top - (16L << 20), 16L << 20);
    char *plain = mmap(top - PAGE, PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    printf("below one that does not grow: %d\n", touches(plain - 1));
}

static int deep(int depth) {
    volatile char frame[4096];
    frame[0] = depth;
    return depth == 0 ? frame[0] : deep(depth - 1) + frame[0];
}

static void much(void) {
    part("much");
    char *reserved = mmap(NULL, 1L << 36, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    tell_made("mmap", "64 GiB without reserve", (long)reserved);
    for (int i = 0; i < 64; i++)
        reserved[(long)i << 30] = i;
    long sum = 0;
    for (int i = 0; i < 64; i++)
        sum += reserved[(long)i << 30];
    printf("sum %ld\n", sum);
    must(munmap(reserved, 1L << 36));
    made(mmap, "16 TiB with reserve", NULL, 1L << 44, 3L, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0L);
    printf("stack %d\n", deep(1500) != 12345);
}

static void overflow(void) {
    deep(1 << 20);
}

int main(void) {
    written();
    of_the_box();
    downwards();
    much();
    signal(SIGSEGV, SIG_DFL);
    in_child("a stack too deep", overflow);
    return 0;
}
