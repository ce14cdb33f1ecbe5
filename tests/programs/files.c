/* Writes, reads, maps, renames, lists and removes files in /tmp. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void check(int ok, const char *what) {
    printf("%s: %s\n", what, ok ? "ok" : strerror(errno));
    if (!ok)
        exit(1);
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int main(void) {
    enum { SIZE = 300000 };
    static unsigned char data[SIZE], back[SIZE];
    struct stat status;

    mkdir("/tmp", 0777);
    check(mkdir("/tmp/dir", 0755) == 0, "mkdir");
    check(mkdir("/tmp/dir", 0755) < 0 && errno == EEXIST, "mkdir again");
    for (int i = 0; i < SIZE; i++)
        data[i] = (unsigned char)(i * 31 + i / 251);

    int fd = open("/tmp/dir/a", O_RDWR | O_CREAT | O_EXCL, 0640);
    check(fd >= 0, "create");
    check(write(fd, data, SIZE) == SIZE, "write");
    check(pread(fd, back, SIZE, 0) == SIZE && !memcmp(data, back, SIZE), "read back");
    check(fstat(fd, &status) == 0 && status.st_size == SIZE, "size");
    check((status.st_mode & 0777) == 0640, "mode");
    check(lseek(fd, -10, SEEK_END) == SIZE - 10, "seek");
    check(read(fd, back, 100) == 10, "read to the end");
    check(read(fd, back, 100) == 0, "end of file");

    unsigned char *map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    check(map != MAP_FAILED, "map");
    check(!memcmp(map, data, SIZE), "mapped bytes");
    map[12345] ^= 0xff;
    check(pread(fd, back, 1, 12345) == 1 && back[0] == (data[12345] ^ 0xff), "shared write is seen");
    check(munmap(map, SIZE) == 0, "unmap");
    check(ftruncate(fd, 5) == 0 && fstat(fd, &status) == 0 && status.st_size == 5, "truncate");
    check(ftruncate(fd, 9000) == 0 && pread(fd, back, 9000, 0) == 9000 && back[8999] == 0, "extend");
    close(fd);

    check(rename("/tmp/dir/a", "/tmp/dir/b") == 0, "rename");
    check(open("/tmp/dir/a", O_RDONLY) < 0 && errno == ENOENT, "old name is gone");
    check(link("/tmp/dir/b", "/tmp/dir/c") == 0 && stat("/tmp/dir/c", &status) == 0 && status.st_nlink == 2, "link");
    check(symlink("b", "/tmp/dir/d") == 0, "symlink");
    ssize_t length = readlink("/tmp/dir/d", (char *)back, SIZE);
    check(length == 1 && back[0] == 'b', "readlink");

    char *names[64];
    int count = 0;
    DIR *dir = opendir("/tmp/dir");
    check(dir != NULL, "opendir");
    for (struct dirent *entry; (entry = readdir(dir)) && count < 64;)
        names[count++] = strdup(entry->d_name);
    closedir(dir);
    qsort(names, (size_t)count, sizeof *names, by_name);
    for (int i = 0; i < count; i++)
        printf("entry %s\n", names[i]);

    check(rmdir("/tmp/dir") < 0 && errno == ENOTEMPTY, "rmdir of a full directory");
    check(unlink("/tmp/dir/b") == 0 && unlink("/tmp/dir/c") == 0 && unlink("/tmp/dir/d") == 0, "unlink");
    check(rmdir("/tmp/dir") == 0, "rmdir");

    /* A file without a name lives as long as its descriptor. */
    fd = open("/tmp/unlinked", O_RDWR | O_CREAT, 0600);
    check(fd >= 0 && unlink("/tmp/unlinked") == 0, "unlink an open file");
    check(write(fd, "still here", 10) == 10 && pread(fd, back, 10, 0) == 10, "use it on");
    close(fd);
    return 0;
}
