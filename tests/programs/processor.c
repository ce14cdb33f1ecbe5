/* What a program finds of the processor without asking CPUID. `frame`: the extended state in a
 * signal's frame, and the size that the auxiliary vector tells of one. `avx`: an instruction of
 * AVX, whether or not there is any. `state`: XCR0. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <ucontext.h>

static void show(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    /* struct _fpx_sw_bytes of Linux (asm/sigcontext.h), in the last 48 of the 512 bytes. */
    const unsigned char *state = (void *)((ucontext_t *)context)->uc_mcontext.fpregs;
    uint32_t magic, size, more;
    uint64_t features, there;
    memcpy(&magic, state + 464, 4);
    memcpy(&features, state + 472, 8);
    memcpy(&size, state + 480, 4);
    memcpy(&there, state + 512, 8);
    memcpy(&more, state + size, 4);
    printf("magic %#x, features %#llx, size %u, then %#x, beyond the features %#llx\n", magic,
           (unsigned long long)features, size, more, (unsigned long long)(there & ~features));
}

int main(int count, char **arguments) {
    const char *what = count > 1 ? arguments[1] : "";
    if (strcmp(what, "frame") == 0) {
        struct sigaction action = {.sa_sigaction = show, .sa_flags = SA_SIGINFO};
        sigaction(SIGUSR1, &action, NULL);
        raise(SIGUSR1);
        printf("AT_MINSIGSTKSZ %lu\n", getauxval(51));
    } else if (strcmp(what, "avx") == 0) {
        __asm__ volatile("vxorps %%ymm0, %%ymm0, %%ymm0" ::: "xmm0");
        printf("AVX runs\n");
    } else if (strcmp(what, "state") == 0) {
        uint32_t low, high;
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        printf("XCR0 %#x\n", low);
    }
    return 0;
}
