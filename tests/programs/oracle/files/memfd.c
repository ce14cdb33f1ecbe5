/* memfd_create and seals. */
#include "../tell.h"
#include <linux/memfd.h>
#include <sys/mman.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

static int sealable(void) {
    int fd = must(memfd_create("sealed", MFD_ALLOW_SEALING));
    must(write(fd, "0123456789", 10));
    return fd;
}

static void try(const char *what, int fd) {
    printf("%s:\n", what);
    char byte = 'x';
    call(pwrite64, "over what is there", fd, &byte, 1L, 0L);
    call(pwrite64, "beyond the end", fd, &byte, 1L, 20L);
    call(ftruncate, "shorter", fd, 5L);
    call(ftruncate, "longer", fd, 30L);
    call(fallocate, "beyond the end", fd, 0, 0L, 10000L);
    call(fallocate, "a hole", fd, 3, 0L, 4096L);
    void *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    tell("mmap", "shared, to be written", map == MAP_FAILED ? -1 : 0);
    if (map != MAP_FAILED)
        munmap(map, 4096);
    map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    tell("mmap", "shared, to be read", map == MAP_FAILED ? -1 : 0);
    if (map != MAP_FAILED) {
        call(mprotect, "to be written then", map, 4096L, PROT_READ | PROT_WRITE);
        munmap(map, 4096);
    }
    map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    tell("mmap", "private, to be written", map == MAP_FAILED ? -1 : 0);
    if (map != MAP_FAILED)
        munmap(map, 4096);
    close(fd);
}

int main(void) {
    part("making");
    int fd = call(memfd_create, "a file", "name", 0);
    struct stat status;
    must(fstat(fd, &status));
    printf("mode %o, links %d, size %d, flags %o\n", status.st_mode, (int)status.st_nlink,
           (int)status.st_size, fcntl(fd, F_GETFL));
    char path[64], link[64] = "";
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    must(readlink(path, link, sizeof link - 1));
    printf("%s\n", link);
    call(fcntl, "its seals", fd, F_GET_SEALS);
    call(fcntl, "sealing it", fd, F_ADD_SEALS, F_SEAL_WRITE);
    call(write, "to it", fd, "text", 4L);
    int again = call(open, "it again", path, O_RDWR);
    char text[8] = "";
    call(read, "from it", again, text, 8L);
    printf("%s\n", text);
    close(again);
    close(fd);
    fd = call(memfd_create, "on exec", "", MFD_CLOEXEC);
    printf("on exec %d\n", fcntl(fd, F_GETFD));
    close(fd);
    char name[300];
    memset(name, 'n', sizeof name);
    name[249] = 0;
    fd = call(memfd_create, "a name of 249 bytes", name, 0);
    close(fd);
    name[249] = 'n';
    name[250] = 0;
    call(memfd_create, "a name of 250 bytes", name, 0);
    call(memfd_create, "unknown flags", "x", 0x100);
    call(memfd_create, "a name of nowhere", NOWHERE, 0);

    part("seals");
    fd = sealable();
    call(fcntl, "none yet", fd, F_GET_SEALS);
    call(fcntl, "unknown ones", fd, F_ADD_SEALS, 0x1000);
    call(fcntl, "two", fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
    call(fcntl, "them", fd, F_GET_SEALS);
    call(fcntl, "no more", fd, F_ADD_SEALS, F_SEAL_SEAL);
    call(fcntl, "one more", fd, F_ADD_SEALS, F_SEAL_WRITE);
    close(fd);
    int file = must(open("f", O_CREAT | O_RDWR, 0600)), p[2];
    must(pipe(p));
    call(fcntl, "of a pipe", p[0], F_GET_SEALS);
    call(fcntl, "on a pipe", p[1], F_ADD_SEALS, F_SEAL_GROW);
    call(fcntl, "on a file that is not sealed", file, F_ADD_SEALS, 0x1000);
    fd = sealable();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int reading = must(open(path, O_RDONLY));
    call(fcntl, "by what is open for reading", reading, F_ADD_SEALS, F_SEAL_WRITE);
    close(reading);
    char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    call(fcntl, "against writing, while mapped to be written", fd, F_ADD_SEALS, F_SEAL_WRITE);
    call(fcntl, "against writing in future", fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE);
    map[0] = 'M';
    char byte;
    must(pread(fd, &byte, 1, 0));
    printf("what was mapped still writes: %c\n", byte);
    munmap(map, 4096);
    call(fcntl, "against writing, no longer mapped", fd, F_ADD_SEALS, F_SEAL_WRITE);
    close(fd);
    const struct {
        const char *name;
        int seals;
    } kinds[] = {{"unsealed", 0},
                 {"shrink", F_SEAL_SHRINK},
                 {"grow", F_SEAL_GROW},
                 {"write", F_SEAL_WRITE},
                 {"future write", F_SEAL_FUTURE_WRITE},
                 {"all", F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE}};
    for (int i = 0; i < 6; i++) {
        fd = sealable();
        must(fcntl(fd, F_ADD_SEALS, kinds[i].seals));
        try(kinds[i].name, fd);
    }
    return 0;
}
