/* lseek, holes, truncate, ftruncate, fallocate. */
#include "../tell.h"
#include <linux/falloc.h>

static void holes(const char *what, int fd) {
    printf("%s:", what);
    off_t size = lseek(fd, 0, SEEK_END), at = 0;
    while (at < size) {
        off_t data = lseek(fd, at, SEEK_DATA);
        if (data < 0) {
            printf(" no more data (%s)", strerrorname_np(errno));
            break;
        }
        at = lseek(fd, data, SEEK_HOLE);
        printf(" %ld-%ld", (long)data, (long)at);
    }
    struct stat status;
    must(fstat(fd, &status));
    printf(" of %ld, %ld blocks\n", (long)size, (long)status.st_blocks);
}

static void bytes(const char *what, int fd, off_t at, int len) {
    unsigned char buffer[64];
    ssize_t got = pread(fd, buffer, len, at);
    printf("%s:", what);
    for (int i = 0; i < got; i++)
        printf(" %d", buffer[i]);
    printf("\n");
}

int main(void) {
    int fd = must(open("f", O_CREAT | O_RDWR, 0644));
    part("lseek");
    call(lseek, "forward", fd, 100L, SEEK_SET);
    call(lseek, "on", fd, 50L, SEEK_CUR);
    call(lseek, "back", fd, -20L, SEEK_CUR);
    call(lseek, "before the start", fd, -200L, SEEK_CUR);
    call(lseek, "to a negative place", fd, -1L, SEEK_SET);
    call(lseek, "from the end", fd, 10L, SEEK_END);
    call(lseek, "before the start from the end", fd, -10L, SEEK_END);
    call(lseek, "an unknown way", fd, 0L, 9);
    call(lseek, "very far", fd, INT64_MAX, SEEK_SET);
    call(lseek, "farther than that", fd, 1L, SEEK_CUR);
    call(lseek, "no descriptor", 999, 0L, SEEK_SET);
    int pipes[2];
    must(pipe(pipes));
    call(lseek, "a pipe", pipes[0], 0L, SEEK_SET);
    call(lseek, "a pipe, an unknown way", pipes[0], 0L, 9);
    call(lseek, "stdin", 0, 0L, SEEK_CUR);
    int d = must(open("/work", O_RDONLY));
    call(lseek, "a directory, to its start", d, 0L, SEEK_SET);
    call(lseek, "a directory, before", d, -1L, SEEK_SET);
    int proc = must(open("/proc/self/status", O_RDONLY));
    call(lseek, "a file of proc", proc, 3L, SEEK_SET);
    call(lseek, "a file of proc, from its end", proc, 0L, SEEK_END);

    part("holes");
    holes("empty", fd);
    call(lseek, "data in nothing", fd, 0L, SEEK_DATA);
    call(lseek, "a hole in nothing", fd, 0L, SEEK_HOLE);
    must(pwrite(fd, "x", 1, 100000));
    holes("one byte", fd);
    must(pwrite(fd, "x", 1, 0));
    holes("two bytes", fd);
    call(lseek, "data beyond the end", fd, 200000L, SEEK_DATA);
    call(lseek, "a hole beyond the end", fd, 200000L, SEEK_HOLE);
    call(lseek, "data before the start", fd, -1L, SEEK_DATA);
    call(lseek, "data within a page", fd, 10L, SEEK_DATA);
    call(lseek, "a hole within a page", fd, 10L, SEEK_HOLE);
    call(lseek, "a hole within a hole", fd, 50001L, SEEK_HOLE);
    call(lseek, "data of a pipe", pipes[0], 0L, SEEK_DATA);
    int box = must(open("/data/long", O_RDWR));
    call(lseek, "data of a file of the box", box, 17L, SEEK_DATA);
    call(lseek, "a hole of a file of the box", box, 17L, SEEK_HOLE);

    part("cutting and extending");
    call(ftruncate, "shorter", fd, 50L);
    holes("shorter", fd);
    call(ftruncate, "longer", fd, 9000L);
    holes("longer", fd);
    bytes("what was cut reads as zeros", fd, 0, 3);
    call(ftruncate, "negative", fd, -1L);
    call(ftruncate, "too long", fd, INT64_MAX);
    call(ftruncate, "a pipe", pipes[1], 0L);
    call(ftruncate, "a directory", d, 0L);
    call(ftruncate, "what is open for reading", proc, 0L);
    call(ftruncate, "no descriptor", 999, 0L);
    call(truncate, "by name", "f", 20000L);
    call(truncate, "a directory", "/work", 0L);
    call(truncate, "nothing", "absent", 0L);
    call(truncate, "negative", "f", -1L);
    call(truncate, "no name", "", 0L);
    call(truncate, "a name of nowhere", NOWHERE, 0L);
    call(truncate, "a device", "/dev/null", 0L);
    call(truncate, "a file of the box", "/data/long", 10000L);
    holes("a file of the box", box);
    call(truncate, "a file of the box, longer", "/data/long", 20000L);
    bytes("its end", box, 9998, 5);
    must(mkfifo("fifo", 0600));
    call(truncate, "a fifo", "fifo", 0L);

    part("fallocate");
    must(ftruncate(fd, 0));
    call(fallocate, "at the start", fd, 0, 0L, 10000L);
    holes("reserved", fd);
    call(fallocate, "beyond the end, keeping the size", fd, FALLOC_FL_KEEP_SIZE, 20000L, 10000L);
    holes("kept", fd);
    char page[8192];
    memset(page, 7, sizeof page);
    must(pwrite(fd, page, sizeof page, 0));
    call(fallocate, "a hole", fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4000L, 4296L);
    holes("with a hole", fd);
    bytes("before the hole", fd, 3998, 4);
    bytes("after the hole", fd, 8294, 4);
    call(fallocate, "a hole over the end", fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 8192L, 90000L);
    call(fallocate, "a hole without keeping", fd, FALLOC_FL_PUNCH_HOLE, 0L, 4096L);
    call(fallocate, "zeros", fd, FALLOC_FL_ZERO_RANGE, 0L, 4096L);
    call(fallocate, "collapse", fd, FALLOC_FL_COLLAPSE_RANGE, 0L, 4096L);
    call(fallocate, "insert", fd, FALLOC_FL_INSERT_RANGE, 0L, 4096L);
    call(fallocate, "unknown modes", fd, 0x1000, 0L, 4096L);
    call(fallocate, "no length", fd, 0, 0L, 0L);
    call(fallocate, "a negative length", fd, 0, 0L, -1L);
    call(fallocate, "a negative offset", fd, 0, -1L, 10L);
    call(fallocate, "too long", fd, 0, INT64_MAX - 10, 10L);
    call(fallocate, "longer than numbers", fd, 0, INT64_MAX - 10, 100L);
    call(fallocate, "a pipe", pipes[1], 0, 0L, 10L);
    call(fallocate, "a directory", d, 0, 0L, 10L);
    call(fallocate, "a device", must(open("/dev/null", O_RDWR)), 0, 0L, 10L);
    call(fallocate, "what is open for reading", proc, 0, 0L, 10L);
    call(fallocate, "no descriptor", 999, 0, 0L, 10L);
    return 0;
}
