/* sendfile, splice, tee, vmsplice, copy_file_range. */
#include "../tell.h"
#include <sys/sendfile.h>
#include <sys/uio.h>

static char buffer[200000];

static void show(const char *what, int fd) {
    char text[64] = "";
    ssize_t got = pread(fd, text, 40, 0);
    printf("%s: %zd %s\n", what, got, text);
}

int main(void) {
    int in = must(open("in", O_CREAT | O_RDWR, 0644)), out = must(open("out", O_CREAT | O_RDWR, 0644));
    must(write(in, "0123456789abcdefghij", 20));
    int d = must(open(".", O_RDONLY)), p[2], q[2];
    must(pipe2(p, O_NONBLOCK));
    must(pipe2(q, O_NONBLOCK));
    int64_t at = 5;

    part("sendfile");
    call(sendfile, "at an offset", out, in, &at, 5L);
    printf("offset %ld, position %ld\n", (long)at, (long)lseek(in, 0, SEEK_CUR));
    must(lseek(in, 2, SEEK_SET));
    call(sendfile, "where it stands", out, in, NULL, 4L);
    printf("position %ld\n", (long)lseek(in, 0, SEEK_CUR));
    call(sendfile, "more than there is", out, in, NULL, 1000L);
    call(sendfile, "at the end", out, in, NULL, 1000L);
    call(sendfile, "none", out, in, NULL, 0L);
    show("out", out);
    at = 0;
    call(sendfile, "to a pipe", p[1], in, &at, 10L);
    call(read, "it", p[0], buffer, 100L);
    call(sendfile, "from a pipe", out, p[0], NULL, 10L);
    call(sendfile, "from a pipe at an offset", out, p[0], &at, 10L);
    call(sendfile, "from a directory", out, d, NULL, 10L);
    at = -1;
    call(sendfile, "at a negative offset", out, in, &at, 10L);
    call(sendfile, "an offset of nowhere", out, in, NOWHERE, 10L);
    call(sendfile, "from no descriptor", out, 999, NULL, 10L);
    call(sendfile, "to no descriptor", 999, in, NULL, 10L);
    int reading = must(open("in", O_RDONLY)), appending = must(open("out", O_WRONLY | O_APPEND));
    call(sendfile, "to what is open for reading", reading, in, NULL, 10L);
    call(sendfile, "to what appends", appending, reading, NULL, 10L);
    int null = must(open("/dev/null", O_RDWR)), box = must(open("/data/long", O_RDONLY));
    call(sendfile, "a file of the box", null, box, NULL, 1000000L);

    part("splice");
    must(lseek(in, 0, SEEK_SET));
    must(lseek(out, 0, SEEK_SET));
    call(splice, "a file into a pipe", in, NULL, p[1], NULL, 7L, 0);
    at = 10;
    call(splice, "a file at an offset", in, &at, p[1], NULL, 3L, 0);
    printf("offset %ld, position %ld\n", (long)at, (long)lseek(in, 0, SEEK_CUR));
    call(splice, "a pipe into a pipe", p[0], NULL, q[1], NULL, 4L, 0);
    call(splice, "a pipe into a file", p[0], NULL, out, NULL, 100L, 0);
    show("out", out);
    at = 30;
    call(splice, "a pipe into a file at an offset", q[0], NULL, out, &at, 100L, 0);
    printf("offset %ld, position %ld\n", (long)at, (long)lseek(out, 0, SEEK_CUR));
    call(splice, "an empty pipe", p[0], NULL, out, NULL, 100L, 0);
    call(splice, "none", p[0], NULL, out, NULL, 0L, 0);
    call(splice, "two files", in, NULL, out, NULL, 10L, 0);
    call(splice, "a pipe into itself", p[0], NULL, p[1], NULL, 10L, 0);
    call(splice, "a pipe with an offset", p[0], &at, out, NULL, 10L, 0);
    call(splice, "into a pipe with an offset", in, NULL, p[1], &at, 10L, 0);
    call(splice, "the wrong ends", p[1], NULL, out, NULL, 10L, 0);
    call(splice, "unknown flags", p[0], NULL, out, NULL, 10L, 0x100);
    call(splice, "from no descriptor", 999, NULL, p[1], NULL, 10L, 0);
    call(splice, "to no descriptor", p[0], NULL, 999, NULL, 10L, 0);
    must(write(p[1], "append", 6));
    call(splice, "to what appends", p[0], NULL, appending, NULL, 10L, 0);
    must(lseek(in, 0, SEEK_END));
    call(splice, "at the end of a file", in, NULL, p[1], NULL, 10L, 0);
    while (read(p[0], buffer, sizeof buffer) > 0)
        ;

    part("tee");
    must(write(p[1], "twice", 5));
    call(tee, "a pipe", p[0], q[1], 100L, 0);
    call(read, "the first", p[0], buffer, 100L);
    call(read, "the second", q[0], buffer, 100L);
    call(tee, "an empty pipe", p[0], q[1], 100L, 0);
    call(tee, "a file", in, q[1], 100L, 0);
    call(tee, "a pipe into itself", p[0], p[1], 100L, 0);
    call(tee, "unknown flags", p[0], q[1], 100L, 0x100);
    call(tee, "no descriptor", 999, q[1], 100L, 0);
    call(tee, "none", p[0], q[1], 0L, 0);

    part("vmsplice");
    struct iovec pieces[2] = {{"some", 4}, {"memory", 6}}, wrong = {NOWHERE, 10};
    call(vmsplice, "two pieces", p[1], pieces, 2L, 0);
    call(read, "them", p[0], buffer, 100L);
    printf("%.10s\n", buffer);
    call(vmsplice, "no pieces", p[1], pieces, 0L, 0);
    call(vmsplice, "from nowhere", p[1], &wrong, 1L, 0);
    call(vmsplice, "pieces of nowhere", p[1], NOWHERE, 1L, 0);
    call(vmsplice, "too many pieces", p[1], pieces, 2000L, 0);
    call(vmsplice, "unknown flags", p[1], pieces, 1L, 0x100);
    call(vmsplice, "a file", in, pieces, 1L, 0);
    call(vmsplice, "no descriptor", 999, pieces, 1L, 0);
    must(write(p[1], "to user", 7));
    struct iovec into = {buffer, 100};
    call(vmsplice, "out of a pipe", p[0], &into, 1L, 0);
    printf("%.7s\n", buffer);
    call(vmsplice, "out of an empty pipe", p[0], &into, 1L, SPLICE_F_NONBLOCK);

    part("copy_file_range");
    must(ftruncate(out, 0));
    must(lseek(in, 0, SEEK_SET));
    must(lseek(out, 0, SEEK_SET));
    int64_t from = 3, to = 8;
    call(copy_file_range, "at offsets", in, &from, out, &to, 5L, 0);
    printf("%ld %ld\n", (long)from, (long)to);
    call(copy_file_range, "where they stand", in, NULL, out, NULL, 4L, 0);
    show("out", out);
    call(copy_file_range, "more than there is", in, NULL, out, NULL, 1000L, 0);
    call(copy_file_range, "at the end", in, NULL, out, NULL, 1000L, 0);
    call(copy_file_range, "none", in, NULL, out, NULL, 0L, 0);
    from = 0, to = 10;
    call(copy_file_range, "within a file", in, &from, in, &to, 5L, 0);
    show("in", in);
    from = 0, to = 3;
    call(copy_file_range, "over itself", in, &from, in, &to, 5L, 0);
    call(copy_file_range, "unknown flags", in, NULL, out, NULL, 5L, 1);
    call(copy_file_range, "from a directory", d, NULL, out, NULL, 5L, 0);
    call(copy_file_range, "from a pipe", p[0], NULL, out, NULL, 5L, 0);
    call(copy_file_range, "to what is open for reading", in, NULL, reading, NULL, 5L, 0);
    call(copy_file_range, "to what appends", in, NULL, appending, NULL, 5L, 0);
    call(copy_file_range, "from no descriptor", 999, NULL, out, NULL, 5L, 0);
    call(copy_file_range, "to no descriptor", in, NULL, 999, NULL, 5L, 0);
    from = -100;
    call(copy_file_range, "from a negative offset", in, &from, out, NULL, 5L, 0);
    call(copy_file_range, "an offset of nowhere", in, NOWHERE, out, NULL, 5L, 0);
    return 0;
}
