/* read, write and their forms with vectors and offsets. */
#include "../tell.h"
#include <sys/uio.h>

static char buffer[20000];

static void plain(int fd) {
    part("plain");
    call(write, "five bytes", fd, "hello", 5L);
    call(write, "none", fd, "", 0L);
    call(write, "none from nowhere", fd, NOWHERE, 0L);
    call(write, "from nowhere", fd, NOWHERE, 5L);
    call(write, "from a wild place", fd, WILD, 5L);
    call(write, "too much from nowhere", fd, NOWHERE, -1L);
    call(write, "to no descriptor", 999, "x", 1L);
    call(lseek, "to the start", fd, 0L, SEEK_SET);
    memset(buffer, '.', 10);
    call(read, "all", fd, buffer, 10L);
    printf("%.10s\n", buffer);
    call(read, "at the end", fd, buffer, 10L);
    call(lseek, "to the start", fd, 0L, SEEK_SET);
    call(read, "none", fd, buffer, 0L);
    call(read, "none to nowhere", fd, NOWHERE, 0L);
    call(read, "to nowhere", fd, NOWHERE, 1L);
    call(read, "to a wild place", fd, WILD, 1L);
    call(read, "too much", fd, buffer, -1L);
    call(lseek, "where it stands", fd, 0L, SEEK_CUR);
    call(read, "from no descriptor", 999, buffer, 1L);
    call(read, "from a negative one", -1, buffer, 1L);
    int directory = must(open(".", O_RDONLY));
    call(read, "from a directory", directory, buffer, 1L);
    call(pread64, "from a directory", directory, buffer, 1L, 0L);
    close(directory);
    int one = must(open("f", O_RDONLY));
    call(write, "to what is open for reading", one, "x", 1L);
    close(one);
    one = must(open("f", O_WRONLY));
    call(read, "from what is open for writing", one, buffer, 1L);
    close(one);
}

static void offsets(int fd) {
    part("offsets");
    call(pwrite64, "beyond the end", fd, "tail", 4L, 10L);
    call(pwrite64, "at a negative offset", fd, "x", 1L, -1L);
    call(pwrite64, "to no descriptor", 999, "x", 1L, 0L);
    call(pwrite64, "from nowhere", fd, NOWHERE, 1L, 0L);
    call(pwrite64, "too far", fd, "x", 1L, INT64_MAX);
    call(pread64, "over a hole", fd, buffer, 20L, 3L);
    for (int i = 0; i < 11; i++)
        printf("%d ", buffer[i]);
    printf("\n");
    call(pread64, "beyond the end", fd, buffer, 20L, 100L);
    call(pread64, "far beyond", fd, buffer, 20L, INT64_MAX);
    call(pread64, "at a negative offset", fd, buffer, 20L, -5L);
    call(pread64, "to nowhere", fd, NOWHERE, 20L, 0L);
    call(pread64, "from no descriptor", 999, buffer, 1L, 0L);
    call(lseek, "where it stands still", fd, 0L, SEEK_CUR);
    int append = must(open("f", O_WRONLY | O_APPEND));
    call(pwrite64, "at an offset of what appends", append, "end", 3L, 0L);
    call(lseek, "before appending", append, 0L, SEEK_CUR);
    call(write, "appended", append, "!", 1L);
    call(lseek, "after appending", append, 0L, SEEK_CUR);
    close(append);
    int pipes[2];
    must(pipe(pipes));
    call(pread64, "from a pipe", pipes[0], buffer, 1L, 0L);
    call(pwrite64, "to a pipe", pipes[1], buffer, 1L, 0L);
    close(pipes[0]);
    close(pipes[1]);
}

static void vectors(int fd) {
    part("vectors");
    char a[4] = "....", b[4] = "....", c[4] = "....";
    struct iovec three[3] = {{a, 4}, {b, 0}, {c, 4}};
    must(ftruncate(fd, 0));
    must(lseek(fd, 0, SEEK_SET));
    struct iovec text[3] = {{"one", 3}, {NULL, 0}, {"three", 5}};
    call(writev, "three pieces", fd, text, 3L);
    call(writev, "no pieces", fd, text, 0L);
    call(writev, "no pieces nowhere", fd, NOWHERE, 0L);
    call(writev, "pieces nowhere", fd, NOWHERE, 1L);
    call(writev, "too many pieces", fd, text, 1025L);
    call(writev, "a negative count", fd, text, -1L);
    call(writev, "to no descriptor", 999, text, 3L);
    struct iovec wrong[2] = {{"ok", 2}, {NOWHERE, 5}};
    call(writev, "a piece from nowhere last", fd, wrong, 2L);
    struct iovec huge[2] = {{"ok", 2}, {"x", (size_t)-1}};
    call(writev, "a negative length", fd, huge, 2L);
    must(lseek(fd, 0, SEEK_SET));
    call(readv, "three pieces", fd, three, 3L);
    printf("%.4s %.4s\n", a, c);
    must(lseek(fd, 0, SEEK_SET));
    struct iovec to_nowhere[2] = {{a, 4}, {NOWHERE, 4}};
    call(readv, "a piece to nowhere last", fd, to_nowhere, 2L);
    call(lseek, "where it stands then", fd, 0L, SEEK_CUR);
    call(readv, "pieces nowhere", fd, NOWHERE, 1L);
    call(readv, "too many pieces", fd, three, 1025L);
    call(readv, "a negative length", fd, huge, 2L);
    call(readv, "from no descriptor", 999, three, 3L);
    call(preadv, "at an offset", fd, three, 3L, 1L, 0L);
    printf("%.4s %.4s\n", a, c);
    call(preadv, "at a negative offset", fd, three, 3L, -1L, -1L);
    call(preadv, "from no descriptor", 999, three, 3L, 0L, 0L);
    call(pwritev, "at an offset", fd, text, 3L, 2L, 0L);
    call(pwritev, "at a negative offset", fd, text, 3L, -1L, -1L);
    call(pwritev, "pieces nowhere", fd, NOWHERE, 3L, 0L, 0L);
    call(pwritev, "to no descriptor", 999, text, 3L, 0L, 0L);
    int pipes[2];
    must(pipe(pipes));
    call(preadv, "from a pipe", pipes[0], three, 1L, 0L, 0L);
    call(pwritev, "to a pipe", pipes[1], three, 1L, 0L, 0L);

    part("vectors with flags");
    call(preadv2, "at an offset", fd, three, 3L, 0L, 0L, 0);
    call(preadv2, "where it stands", fd, three, 3L, -1L, -1L, 0);
    call(preadv2, "unknown flags", fd, three, 3L, 0L, 0L, 0x10000);
    call(preadv2, "appending", fd, three, 3L, 0L, 0L, RWF_APPEND);
    call(preadv2, "of a pipe at an offset", pipes[0], three, 1L, 0L, 0L, 0);
    call(preadv2, "at offset -2", fd, three, 1L, -2L, -1L, 0);
    call(preadv2, "from no descriptor", 999, three, 3L, 0L, 0L, 0);
    call(pwritev2, "at an offset", fd, text, 3L, 0L, 0L, 0);
    call(pwritev2, "where it stands", fd, text, 3L, -1L, -1L, 0);
    call(pwritev2, "synchronous", fd, text, 3L, 0L, 0L, RWF_SYNC | RWF_DSYNC);
    call(pwritev2, "unknown flags", fd, text, 3L, 0L, 0L, 0x10000);
    call(pwritev2, "to no descriptor", 999, text, 3L, 0L, 0L, 0);
    call(lseek, "the end", fd, 0L, SEEK_END);
    close(pipes[0]);
    close(pipes[1]);
}

/* What lies before the fault is moved. */
static void faults(int fd) {
    part("a buffer that ends");
    char *edge = (char *)syscall(SYS_mmap, 0, 8192L, 3, 0x22, -1, 0L);
    must(syscall(SYS_munmap, edge + 4096, 4096L));
    must(ftruncate(fd, 0));
    memset(edge, 'e', 4096);
    call(pwrite64, "ten bytes before the end", fd, edge + 4086, 10L, 0L);
    call(pwrite64, "over the end", fd, edge + 4086, 100L, 0L);
    call(lseek, "the size", fd, 0L, SEEK_END);
    call(pread64, "over the end", fd, edge + 4091, 10L, 0L);
    int pipes[2];
    must(pipe(pipes));
    call(write, "over the end, to a pipe", pipes[1], edge + 4086, 100L);
    call(write, "ten, to a pipe", pipes[1], edge + 4086, 10L);
    call(read, "over the end, from a pipe", pipes[0], edge + 4091, 10L);
    close(pipes[0]);
    close(pipes[1]);
}

int main(void) {
    int fd = must(open("f", O_CREAT | O_RDWR, 0644));
    plain(fd);
    offsets(fd);
    vectors(fd);
    faults(fd);
    part("a file of the box");
    int box = must(open("/data/short", O_RDWR));
    call(pwrite64, "over its start", box, "A FILE", 6L, 0L);
    call(read, "it", box, buffer, 100L);
    printf("%.18s\n", buffer);
    part("devices");
    int null = must(open("/dev/null", O_RDWR)), zero = must(open("/dev/zero", O_RDWR));
    int full = must(open("/dev/full", O_RDWR));
    call(write, "to null", null, buffer, 20000L);
    call(read, "from null", null, buffer, 1L);
    call(write, "to zero", zero, buffer, 20000L);
    call(read, "from zero", zero, buffer, 20000L);
    call(write, "to full", full, buffer, 1L);
    call(read, "from full", full, buffer, 1L);
    call(pread64, "from zero at an offset", zero, buffer, 1L, 99L);
    call(lseek, "in zero", zero, 99L, SEEK_SET);
    call(lseek, "in full", full, 99L, SEEK_CUR);
    return 0;
}
