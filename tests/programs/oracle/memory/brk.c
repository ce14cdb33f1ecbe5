/* The heap's end: growing, shrinking, what is refused. */
#include "../tell.h"

int main(void) {
    char *start = (char *)syscall(SYS_brk, 0);
    made(brk, "asking", 0);
    printf("grown: %d\n", (char *)syscall(SYS_brk, start + 10000) == start + 10000);
    memset(start, 7, 10000);
    printf("shrunk: %d\n", (char *)syscall(SYS_brk, start + 100) == start + 100);
    printf("grown again: %d\n", (char *)syscall(SYS_brk, start + 10000) == start + 10000);
    printf("kept %d, fresh %d\n", start[99], start[9999]);
    printf("below the start: %d\n", (char *)syscall(SYS_brk, start - 0x100000) == start + 10000);
    printf("a wild end: %d\n", (char *)syscall(SYS_brk, WILD) == start + 10000);
    return 0;
}
