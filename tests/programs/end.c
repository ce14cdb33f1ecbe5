/* Ends in the way that its argument says. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Through volatile pointers, so that the compiler sees nothing wrong. */
static int *volatile target;
static int (*volatile again)(volatile char *);

static int deeper(volatile char *above) {
    volatile char here[4096];
    here[0] = above[0];
    return again(here) + here[0];
}

static void store(unsigned long address) {
    target = (int *)address;
    *target = 1;
}

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    printf("ending by %s\n", how);
    fflush(stdout);
    fprintf(stderr, "last words\n");

    if (!strcmp(how, "exit"))
        exit(argc > 2 ? atoi(argv[2]) : 0);
    if (!strcmp(how, "_exit"))
        _exit(argc > 2 ? atoi(argv[2]) : 0);
    if (!strcmp(how, "abort"))
        abort();
    if (!strcmp(how, "raise"))
        raise(argc > 2 ? atoi(argv[2]) : SIGTERM);
    if (!strcmp(how, "null"))
        store(8);
    if (!strcmp(how, "kernel-address"))
        store(0xffffffff80000000);
    if (!strcmp(how, "kernel-jump"))
        ((void (*)(void))0xffffffff80000000)();
    if (!strcmp(how, "non-canonical"))
        store(0x8000000000000000);
    if (!strcmp(how, "execute-data")) {
        static unsigned char code[] = {0xc3};
        ((void (*)(void))code)();
    }
    if (!strcmp(how, "write-text"))
        store((unsigned long)main);
    if (!strcmp(how, "undefined"))
        __asm__ volatile("ud2");
    if (!strcmp(how, "breakpoint"))
        __asm__ volatile("int3");
    if (!strcmp(how, "privileged"))
        __asm__ volatile("hlt");
    if (!strcmp(how, "divide"))
        __asm__ volatile("xor %%ecx, %%ecx; xor %%edx, %%edx; div %%ecx" ::: "eax", "ecx", "edx");
    if (!strcmp(how, "stack")) {
        again = deeper;
        return deeper(argv[0]);
    }
    if (!strcmp(how, "truncated-map")) {
        FILE *file = tmpfile();
        volatile char *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(file), 0);
        return map[0];
    }
    if (!strcmp(how, "memory")) {
        /* More than any limit the tests set, touched so that it counts. */
        for (size_t i = 0; i < 4096; i++) {
            char *block = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (block == MAP_FAILED) {
                puts("mmap refused");
                return 3;
            }
            memset(block, 1, 1 << 20);
        }
        return 4;
    }
    if (!strcmp(how, "spin"))
        for (;;)
            __asm__ volatile("");
    if (!strcmp(how, "sleep"))
        for (;;)
            pause();
    fprintf(stderr, "no such end\n");
    return 2;
}
