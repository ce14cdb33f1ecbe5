/* Flags of preadv2 and pwritev2 that pipes, and the native test's file system, take since Linux
   6.5. */
#include "../tell.h"
#include <sys/uio.h>

int main(void) {
    int fd = must(open("f", O_CREAT | O_RDWR, 0644)), pipes[2];
    char buffer[8];
    struct iovec text = {"text", 4}, into = {buffer, 8};
    must(pipe(pipes));
    call(preadv2, "of a pipe without waiting", pipes[0], &into, 1L, -1L, -1L, RWF_NOWAIT);
    must(write(pipes[1], "there", 5));
    call(preadv2, "of a pipe without need to wait", pipes[0], &into, 1L, -1L, -1L, RWF_NOWAIT);
    call(pwritev2, "at the start", fd, &text, 1L, 0L, 0L, 0);
    call(pwritev2, "appending at an offset", fd, &text, 1L, 0L, 0L, RWF_APPEND);
    call(lseek, "the end", fd, 0L, SEEK_END);
    return 0;
}
