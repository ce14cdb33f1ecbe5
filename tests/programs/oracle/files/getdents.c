/* getdents64 and getdents: what is listed, positions, small buffers, changes while listing. */
#include "../tell.h"
#include <dirent.h>

struct entry {
    uint64_t ino;
    int64_t next;
    uint16_t len;
    uint8_t type;
    char name[];
};

static char buffer[32768];
static char *names[3000];
static int count;

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Lists from where the descriptor stands. The order of Linux's file systems is their own. */
static void list(const char *what, int fd, size_t size) {
    count = 0;
    long len;
    while ((len = syscall(SYS_getdents64, fd, buffer, size)) > 0)
        for (long at = 0; at < len;) {
            struct entry *entry = (struct entry *)(buffer + at);
            char line[300];
            snprintf(line, sizeof line, "%s (%d)", entry->name, entry->type);
            names[count++] = strdup(line);
            at += entry->len;
        }
    qsort(names, count, sizeof *names, by_name);
    printf("%s: %d entries", what, count);
    for (int i = 0; i < count && i < 12; i++)
        printf(", %s", names[i]);
    printf("%s\n", len < 0 ? strerrorname_np(errno) : "");
}

static void list_again(const char *what, int fd, size_t size) {
    must(lseek(fd, 0, SEEK_SET));
    list(what, fd, size);
}

int main(void) {
    must(mkdir("d", 0755));
    int fd = must(open("d", O_RDONLY | O_DIRECTORY));
    list("an empty directory", fd, sizeof buffer);
    made(getdents64, "at the end", fd, buffer, sizeof buffer);
    must(close(must(creat("d/file", 0644))));
    must(mkdir("d/dir", 0755));
    must(symlink("x", "d/link"));
    must(mkfifo("d/fifo", 0600));
    must(mknod("d/socket", S_IFSOCK | 0600, 0));
    must(mknod("d/device", S_IFCHR | 0600, 0x103));
    list_again("all types", fd, sizeof buffer);
    list_again("in small pieces", fd, 32);
    must(lseek(fd, 0, SEEK_SET));
    call(getdents64, "a buffer too small", fd, buffer, 10L);
    call(getdents64, "no buffer", fd, buffer, 0L);
    call(getdents64, "to nowhere", fd, NOWHERE, 1000L);
    call(getdents64, "no descriptor", 999, buffer, sizeof buffer);
    int file = must(open("d/file", O_RDONLY));
    call(getdents64, "a file", file, buffer, sizeof buffer);
    call(getdents, "a file", file, buffer, sizeof buffer);
    call(getdents, "no descriptor", 999, buffer, sizeof buffer);
    call(getdents, "a buffer too small", fd, buffer, 10L);
    made(getdents, "all", fd, buffer, sizeof buffer);

    part("many");
    char name[32];
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "d/n%03d", i);
        must(close(must(creat(name, 0644))));
    }
    list_again("five hundred more", fd, 1000);
    must(lseek(fd, 0, SEEK_SET));
    long len = must(syscall(SYS_getdents64, fd, buffer, 2000L));
    struct entry *entry = (struct entry *)buffer;
    int first = 0;
    while ((char *)entry < buffer + len) {
        first++;
        entry = (struct entry *)((char *)entry + entry->len);
    }
    while ((len = must(syscall(SYS_getdents64, fd, buffer, 1000L))) > 0)
        for (long at = 0; at < len; at += ((struct entry *)(buffer + at))->len)
            first++;
    printf("none twice, none lost: %d\n", first == 508);

    part("removing while listing");
    must(lseek(fd, 0, SEEK_SET));
    int removed = 0;
    while ((len = must(syscall(SYS_getdents64, fd, buffer, 500L))) > 0)
        for (long at = 0; at < len; at += ((struct entry *)(buffer + at))->len) {
            struct entry *entry = (struct entry *)(buffer + at);
            if (entry->name[0] == 'n' && unlinkat(fd, entry->name, 0) == 0)
                removed++;
        }
    printf("removed %d\n", removed);
    list_again("what is left", fd, sizeof buffer);

    part("of the box");
    int data = must(open("/data", O_RDONLY));
    list("a directory of the box", data, sizeof buffer);
    must(close(must(creat("/data/added", 0644))));
    must(unlink("/data/short"));
    list_again("changed", data, sizeof buffer);
    must(rename("/data/long", "/data/longer"));
    list_again("changed more", data, sizeof buffer);

    part("a removed directory");
    must(mkdir("gone", 0755));
    int gone = must(open("gone", O_RDONLY));
    must(rmdir("gone"));
    call(getdents64, "it", gone, buffer, sizeof buffer);

    part("telldir and seekdir");
    DIR *dir = opendir("d");
    long place = 0;
    char third[256] = "";
    for (int i = 0; i < 4; i++) {
        if (i == 2)
            place = telldir(dir);
        struct dirent *read = readdir(dir);
        if (i == 2)
            strcpy(third, read->d_name);
    }
    seekdir(dir, place);
    printf("the same: %d\n", strcmp(readdir(dir)->d_name, third) == 0);
    return 0;
}
