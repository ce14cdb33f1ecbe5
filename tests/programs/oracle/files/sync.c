/* fsync, fdatasync, sync, syncfs, sync_file_range, readahead, fadvise64: nothing to be done, and
   what they refuse all the same. */
#include "../tell.h"

int main(void) {
    int fd = must(open("f", O_CREAT | O_RDWR, 0644)), d = must(open(".", O_RDONLY)), p[2];
    int reading = must(open("f", O_RDONLY)), writing = must(open("f", O_WRONLY));
    int null = must(open("/dev/null", O_RDWR)), proc = must(open("/proc/self/stat", O_RDONLY));
    int named = must(open("f", O_PATH));
    must(pipe(p));
    must(write(fd, "text", 4));
    call(fsync, "a file", fd);
    call(fsync, "what is open for reading", reading);
    call(fsync, "a directory", d);
    call(fsync, "a pipe", p[0]);
    call(fsync, "a device", null);
    call(fsync, "a file of proc", proc);
    call(fsync, "no descriptor", 999);
    call(fsync, "what is only named", named);
    call(fdatasync, "a file", fd);
    call(fdatasync, "a pipe", p[1]);
    call(fdatasync, "no descriptor", 999);
    call(fdatasync, "what is only named", named);
    call(syncfs, "a file", fd);
    call(syncfs, "a directory", d);
    call(syncfs, "no descriptor", 999);
    call(syncfs, "what is only named", named);
    call(sync, "everything");
    call(sync_file_range, "all", fd, 0L, 0L, 7);
    call(sync_file_range, "some", fd, 1L, 2L, 2);
    call(sync_file_range, "unknown flags", fd, 0L, 0L, 8);
    call(sync_file_range, "a negative offset", fd, -1L, 0L, 2);
    call(sync_file_range, "a negative length", fd, 0L, -1L, 2);
    call(sync_file_range, "a pipe", p[0], 0L, 0L, 2);
    call(sync_file_range, "a device", null, 0L, 0L, 2);
    call(sync_file_range, "a directory", d, 0L, 0L, 2);
    call(sync_file_range, "no descriptor", 999, 0L, 0L, 2);
    call(readahead, "a file", fd, 0L, 100L);
    call(readahead, "what is open for writing", writing, 0L, 100L);
    call(readahead, "a pipe", p[0], 0L, 100L);
    call(readahead, "a directory", d, 0L, 100L);
    call(readahead, "no descriptor", 999, 0L, 100L);
    for (int advice = 0; advice < 6; advice++)
        call(fadvise64, "each advice", fd, 0L, 0L, advice);
    call(fadvise64, "unknown advice", fd, 0L, 0L, 6);
    call(fadvise64, "a negative length", fd, 0L, -1L, 0);
    call(fadvise64, "a negative offset", fd, -1L, 0L, 0);
    call(fadvise64, "a pipe", p[0], 0L, 0L, 0);
    call(fadvise64, "no descriptor", 999, 0L, 0L, 0);
    return 0;
}
