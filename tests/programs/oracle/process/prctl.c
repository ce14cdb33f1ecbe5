/* prctl, personality, umask, arch_prctl. */
#include "../tell.h"
#include <asm/prctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <pthread.h>

/* All five arguments given: the kernel looks at some of them. */
#define control(what, ...) control5(what, __VA_ARGS__, 0l, 0l, 0l, 0l, 0l)
#define control5(what, a, b, c, d, e, ...) call(prctl, what, a, (long)(b), (long)(c), (long)(d), (long)(e))

static void *thread_name(void *argument) {
    char name[16];
    prctl(PR_GET_NAME, name);
    printf("a thread begins with the name %s\n", name);
    prctl(PR_SET_NAME, "other");
    return argument;
}

static void names(void) {
    char name[16];
    pthread_t thread;
    control("PR_SET_NAME", PR_SET_NAME, "a name that is much too long");
    control("PR_GET_NAME", PR_GET_NAME, name);
    printf("name [%s]\n", name);
    pthread_create(&thread, NULL, thread_name, NULL);
    pthread_join(thread, NULL);
    prctl(PR_GET_NAME, name);
    printf("name [%s]\n", name);
    control("PR_SET_NAME nowhere", PR_SET_NAME, NOWHERE);
    control("PR_GET_NAME nowhere", PR_GET_NAME, NOWHERE);
    int fd = open("/proc/self/comm", O_RDONLY);
    ssize_t len = read(fd, name, sizeof name);
    printf("comm %.*s", (int)len, name);
    close(fd);
}

static void dumpable(void) {
    control("PR_GET_DUMPABLE", PR_GET_DUMPABLE);
    control("PR_SET_DUMPABLE 2", PR_SET_DUMPABLE, 2);
    control("PR_SET_DUMPABLE 3", PR_SET_DUMPABLE, 3);
    control("PR_SET_DUMPABLE 0", PR_SET_DUMPABLE, 0);
    control("PR_GET_DUMPABLE", PR_GET_DUMPABLE);
    control("PR_SET_DUMPABLE 1", PR_SET_DUMPABLE, 1);
    control("PR_GET_DUMPABLE", PR_GET_DUMPABLE);
}

static void slack(void) {
    control("PR_GET_TIMERSLACK", PR_GET_TIMERSLACK);
    control("PR_SET_TIMERSLACK", PR_SET_TIMERSLACK, 1234);
    control("PR_GET_TIMERSLACK", PR_GET_TIMERSLACK);
    if (fork() == 0) {
        control("PR_GET_TIMERSLACK of a child", PR_GET_TIMERSLACK);
        control("PR_SET_TIMERSLACK to the default", PR_SET_TIMERSLACK, 0);
        control("PR_GET_TIMERSLACK of a child", PR_GET_TIMERSLACK);
        _exit(0);
    }
    wait(NULL);
}

static void no_new_privileges(void) {
    control("PR_GET_NO_NEW_PRIVS", PR_GET_NO_NEW_PRIVS);
    control("PR_GET_NO_NEW_PRIVS with more", PR_GET_NO_NEW_PRIVS, 1);
    control("PR_SET_NO_NEW_PRIVS 0", PR_SET_NO_NEW_PRIVS, 0);
    control("PR_SET_NO_NEW_PRIVS with more", PR_SET_NO_NEW_PRIVS, 1, 1);
    control("PR_SET_NO_NEW_PRIVS", PR_SET_NO_NEW_PRIVS, 1);
    control("PR_GET_NO_NEW_PRIVS", PR_GET_NO_NEW_PRIVS);
    if (fork() == 0) {
        control("PR_GET_NO_NEW_PRIVS of a child", PR_GET_NO_NEW_PRIVS);
        _exit(0);
    }
    wait(NULL);
}

static void others(void) {
    int value = 9;
    control("unknown option", 9999);
    control("PR_GET_SECCOMP", PR_GET_SECCOMP);
    control("PR_GET_TSC", PR_GET_TSC, &value);
    printf("counter %d\n", value);
    control("PR_GET_TSC nowhere", PR_GET_TSC, NOWHERE);
    control("PR_GET_SECUREBITS", PR_GET_SECUREBITS);
    control("PR_CAP_AMBIENT is set", PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 5);
    control("PR_CAP_AMBIENT not inheritable", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 5);
    control("PR_CAP_AMBIENT wrong", PR_CAP_AMBIENT, 99, 5);
    control("PR_CAP_AMBIENT no capability", PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 99);
    control("PR_CAP_AMBIENT clear", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
}

static void personalities(void) {
    call(personality, "asked", 0xfffffffful);
    call(personality, "ADDR_NO_RANDOMIZE", ADDR_NO_RANDOMIZE);
    call(personality, "asked", 0xfffffffful);
    if (fork() == 0) {
        call(personality, "of a child", 0xfffffffful);
        _exit(0);
    }
    wait(NULL);
    call(personality, "back", 0);
}

static void masks(void) {
    call(umask, "first", 027);
    call(umask, "second", 07777);
    call(umask, "only permission bits", 0);
    call(umask, "back", 022);
}

static void bases(void) {
    unsigned long base = 0, other = 0;
    call(arch_prctl, "ARCH_GET_FS", ARCH_GET_FS, &base);
    printf("FS base set %d\n", base != 0);
    call(arch_prctl, "ARCH_GET_FS nowhere", ARCH_GET_FS, NOWHERE);
    call(arch_prctl, "ARCH_SET_GS", ARCH_SET_GS, &base);
    call(arch_prctl, "ARCH_GET_GS", ARCH_GET_GS, &other);
    printf("GS base as set %d\n", other == (unsigned long)&base);
    call(arch_prctl, "ARCH_SET_GS above the program", ARCH_SET_GS, WILD);
    call(arch_prctl, "ARCH_SET_FS above the program", ARCH_SET_FS, WILD);
    call(arch_prctl, "unknown", 0x7777, &base);
}

int main(void) {
    names();
    dumpable();
    slack();
    in_child("no new privileges", no_new_privileges);
    others();
    personalities();
    masks();
    bases();
    return 0;
}
