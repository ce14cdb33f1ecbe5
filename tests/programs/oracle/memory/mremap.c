/* mremap in all its forms. */
#include "../tell.h"
#include <sys/mman.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define PAGE 4096L

static char *anonymous(long pages) {
    char *at = mmap(NULL, pages * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(at == MAP_FAILED ? -1 : 0);
    for (long i = 0; i < pages; i++)
        at[i * PAGE] = 'a' + i;
    return at;
}

static char *remap(const char *what, void *old, long old_len, long new_len, int flags, void *to) {
    return (char *)made(mremap, what, old, old_len, new_len, flags, to);
}

static int is_mapped(char *at) {
    unsigned char resident;
    return syscall(SYS_mincore, at, PAGE, &resident) == 0;
}

int main(void) {
    part("in place");
    char *a = anonymous(4);
    printf("the same size: %d\n", remap("the same size", a, 4 * PAGE, 4 * PAGE, 0, NULL) == a);
    printf("smaller: %d\n", remap("smaller", a, 4 * PAGE, 2 * PAGE, 0, NULL) == a);
    printf("the rest is gone: %d\n", !is_mapped(a + 2 * PAGE));
    printf("larger into the gap: %d\n", remap("larger into the gap", a, 2 * PAGE, 3 * PAGE, 0, NULL) == a);
    printf("%c %c %d\n", a[0], a[PAGE], a[2 * PAGE]);
    remap("larger than the gap", a, 3 * PAGE, 1000 * PAGE, 0, NULL);

    part("moving");
    char *b = remap("larger, moving", a, 3 * PAGE, 1000 * PAGE, MREMAP_MAYMOVE, NULL);
    printf("%c %c %d %d\n", b[0], b[PAGE], b[2 * PAGE], b[999 * PAGE]);
    char *room = anonymous(8);
    char *c = remap("to a place", b, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room + PAGE);
    printf("there: %d, %c %c %d, around it %c %c\n", c == room + PAGE, c[0], c[PAGE], c[2 * PAGE],
           room[0], room[5 * PAGE]);
    printf("the old is gone: %d, what was beside it is not: %d\n", !is_mapped(b), is_mapped(b + 2 * PAGE));
    char *d = remap("smaller, to a place", room + 5 * PAGE, 3 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room);
    printf("there: %d, %c, all of the old is gone: %d\n", d == room, d[0], !is_mapped(room + 7 * PAGE));

    part("leaving the old");
    char *old = anonymous(2);
    char *new = remap("leaving", old, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    printf("moved %c %c, left %d %d\n", new[0], new[PAGE], old[0], old[PAGE]);
    old[0] = 'n';
    printf("apart: %c %c\n", old[0], new[0]);
    remap("leaving, another size", old, 2 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    remap("leaving, not moving", old, 2 * PAGE, 2 * PAGE, MREMAP_DONTUNMAP, NULL);
    char *place = anonymous(2);
    char *placed = remap("leaving, to a place", old, 2 * PAGE, 2 * PAGE,
                         MREMAP_MAYMOVE | MREMAP_DONTUNMAP | MREMAP_FIXED, place);
    printf("there: %d, %c\n", placed == place, placed[0]);

    part("shared");
    char *s = mmap(NULL, 2 * PAGE, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    strcpy(s, "shared");
    char *t = remap("a second time", s, 0, 2 * PAGE, MREMAP_MAYMOVE, NULL);
    t[0] = 'S';
    printf("%s %s\n", s, t);
    remap("a private one a second time", place, 0, 2 * PAGE, MREMAP_MAYMOVE, NULL);
    char *u = remap("moved", s, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, anonymous(2));
    u[1] = 'H';
    printf("%s %s\n", u, t);

    part("files");
    int fd = must(open("f", O_CREAT | O_RDWR, 0644));
    must(ftruncate(fd, 4 * PAGE));
    must(pwrite(fd, "zero", 4, 0));
    must(pwrite(fd, "two", 3, 2 * PAGE));
    char *f = mmap(NULL, PAGE, 3, MAP_SHARED, fd, 0);
    f = remap("larger", f, PAGE, 4 * PAGE, MREMAP_MAYMOVE, NULL);
    printf("%s %s\n", f, f + 2 * PAGE);
    strcpy(f + 3 * PAGE, "three");
    char text[8] = "";
    must(pread(fd, text, 5, 3 * PAGE));
    printf("%s\n", text);

    part("refusals");
    char *r = anonymous(4);
    remap("an odd address", r + 1, PAGE, 2 * PAGE, MREMAP_MAYMOVE, NULL);
    remap("no new size", r, PAGE, 0, MREMAP_MAYMOVE, NULL);
    remap("unknown flags", r, PAGE, 2 * PAGE, 0x100, NULL);
    remap("to a place, not moving", r, PAGE, PAGE, MREMAP_FIXED, place);
    remap("to an odd place", r, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, place + 1);
    remap("over itself", r, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, r + PAGE);
    remap("above all", r, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)0x7ffffffff000);
    remap("what is not mapped", (void *)0x20000000, PAGE, 2 * PAGE, MREMAP_MAYMOVE, NULL);
    must(munmap(r + PAGE, PAGE));
    remap("with a hole in it", r, 3 * PAGE, 8 * PAGE, MREMAP_MAYMOVE, NULL);
    remap("too much", r, PAGE, 1L << 46, MREMAP_MAYMOVE, NULL);
    return 0;
}
