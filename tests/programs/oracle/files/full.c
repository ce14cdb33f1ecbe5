/* A file system without room: ENOSPC from every call that takes some, and room again afterwards.
   Natively a small tmpfs does not stand ready, so that it is the kernel's bound that both reach:
   sizes are not printed. */
#include "../tell.h"

static char block[1 << 20];

int main(void) {
    memset(block, 'x', sizeof block);
    int fd = must(open("f", O_CREAT | O_RDWR, 0644));
    call(fallocate, "far more than there is", fd, 0, 0L, 1L << 50);
    struct stat status;
    must(fstat(fd, &status));
    printf("size %ld\n", (long)status.st_size);
    call(ftruncate, "far more than there is, as a hole", fd, 1L << 50);
    must(fstat(fd, &status));
    printf("size %ld, blocks %ld\n", (long)status.st_size, (long)status.st_blocks);
    call(pwrite64, "at its end", fd, "end", 3L, (1L << 50) - 3);
    char text[4] = "";
    call(pread64, "it", fd, text, 3L, (1L << 50) - 3);
    printf("%s\n", text);
    call(write, "to the device that is full", must(open("/dev/full", O_WRONLY)), block, sizeof block);
    return 0;
}
