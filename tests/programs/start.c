/* What a program is given at its start: arguments, environment, auxiliary
 * vector, descriptors, working directory. Values that differ from run to run
 * (addresses, random bytes) are shown only as present and sound. */
#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static const char *kind(mode_t mode) {
    return S_ISREG(mode) ? "file" : S_ISDIR(mode) ? "directory" : S_ISFIFO(mode) ? "pipe"
         : S_ISCHR(mode) ? "character device" : S_ISSOCK(mode) ? "socket" : "other";
}

int main(int argc, char **argv) {
    for (int i = 0; i < argc; i++)
        printf("argument %d: %s\n", i, argv[i]);
    printf("argv ends: %d\n", argv[argc] == NULL);
    for (char **e = environ; *e; e++)
        printf("environment: %s\n", *e);

    char cwd[4096];
    printf("working directory: %s\n", getcwd(cwd, sizeof cwd) ? cwd : "none");

    printf("page size: %lu\n", getauxval(AT_PAGESZ));
    printf("clock ticks: %lu\n", getauxval(AT_CLKTCK));
    printf("program header size: %lu\n", getauxval(AT_PHENT));
    const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
    printf("program headers: %s\n", headers && getauxval(AT_PHNUM) > 2 ? "yes" : "no");
    int loads = 0;
    for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++)
        loads += headers[i].p_type == PT_LOAD;
    printf("load segments: %s\n", loads >= 2 ? "yes" : "no");
    printf("entry: %s\n", getauxval(AT_ENTRY) ? "yes" : "no");
    printf("secure: %lu\n", getauxval(AT_SECURE));
    printf("program: %s\n", getauxval(AT_EXECFN) ? (char *)getauxval(AT_EXECFN) : "none");
    printf("platform: %s\n", getauxval(AT_PLATFORM) ? (char *)getauxval(AT_PLATFORM) : "none");
    const uint8_t *random = (const uint8_t *)getauxval(AT_RANDOM);
    uint8_t any = 0;
    for (int i = 0; random && i < 16; i++)
        any |= random[i];
    printf("random bytes: %s\n", any ? "yes" : "no");
    printf("stack aligned: %d\n", ((uintptr_t)__builtin_frame_address(0) & 15) == 0);

    for (int fd = 0; fd < 3; fd++) {
        struct stat status;
        if (fstat(fd, &status) == 0)
            printf("descriptor %d: %s\n", fd, kind(status.st_mode));
        else
            printf("descriptor %d: closed\n", fd);
    }
    for (int fd = 3; fd < 64; fd++) {
        struct stat status;
        if (fstat(fd, &status) == 0)
            printf("descriptor %d: leaked\n", fd);
    }
    return 0;
}
