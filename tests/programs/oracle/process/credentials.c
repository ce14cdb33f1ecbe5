/* Users and groups: who may become whom, and what it changes for files, signals and limits. */
#include "../tell.h"
#include <grp.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static void show(void) {
    uid_t uid[3], gid[3];
    getresuid(&uid[0], &uid[1], &uid[2]);
    getresgid(&gid[0], &gid[1], &gid[2]);
    printf("  uid %u %u %u fs %ld, gid %u %u %u fs %ld\n", uid[0], uid[1], uid[2],
           syscall(SYS_setfsuid, -1), gid[0], gid[1], gid[2], syscall(SYS_setfsgid, -1));
}

/* Raw calls: glibc's would reach for all threads. */
#define SET(name, what, ...) call(name, what, __VA_ARGS__), show()

static void as_root(void) {
    SET(setuid, "-1", -1);
    SET(setgid, "-1", -1);
    SET(setresuid, "1 2 3", 1, 2, 3);
    SET(setresuid, "own only", 3, 1, 2);
    SET(setresuid, "back to 0", 0, 0, 0);
}

static void unprivileged(void) {
    SET(setresgid, "10 20 30", 10, 20, 30);
    SET(setresuid, "100 200 300", 100, 200, 300);
    SET(setuid, "another", 400);
    SET(setuid, "real", 100);
    SET(setuid, "saved", 300);
    SET(setreuid, "real to saved", 300, -1);
    SET(setreuid, "effective to real", -1, 100);
    SET(setreuid, "another", -1, 500);
    SET(setresuid, "keep all", -1, -1, -1);
    SET(setresuid, "one of another", 100, 100, 7);
    SET(setgid, "another", 40);
    SET(setgid, "real", 10);
    SET(setgid, "saved", 30);
    SET(setregid, "another", 99, -1);
    SET(setregid, "another effective", -1, 99);
    SET(setregid, "swap", 30, 10);
    SET(setresgid, "another", 10, 10, 7);
    SET(setresgid, "another real", 7, -1, -1);
    SET(setresgid, "keep all", -1, -1, -1);
    gid_t group = 5;
    call(setgroups, "as nobody", 1, &group);
}

static void real_and_effective(void) {
    SET(setreuid, "5 6", 5, 6);
    SET(setreuid, "6 5", 6, 5);
}

static void saved_follows(void) {
    SET(setreuid, "keep 7", -1, 7);
    SET(setreuid, "keep 0", -1, 0);
    SET(setregid, "keep 7", -1, 7);
    SET(setregid, "8 keep", 8, -1);
}

static void file_ids(void) {
    tell("setfsuid", "before", syscall(SYS_setfsuid, 1000));
    tell("setfsuid", "asked", syscall(SYS_setfsuid, -1));
    int fd = open("/work/of-1000", O_CREAT | O_WRONLY, 0600);
    tell("open", "as file user 1000", fd > 0 ? 0 : -1);
    mkdir("/work/own", 0700);
    syscall(SYS_setfsuid, 0);
    tell("setfsgid", "before", syscall(SYS_setfsgid, 2000));
    tell("setfsgid", "asked", syscall(SYS_setfsgid, -1));
    struct stat found;
    syscall(SYS_setfsuid, 1000);
    chmod("/work", 0777);
    syscall(SYS_setfsuid, 0);
    chmod("/work", 0777);
    syscall(SYS_setfsuid, 1000);
    fd = open("/work/of-both", O_CREAT | O_WRONLY, 0600);
    fstat(fd, &found);
    printf("owner %u, group %u\n", found.st_uid, found.st_gid);
}

static void groups(void) {
    gid_t given[3] = {5, 4, 6}, found[8] = {0};
    call(getgroups, "size -1", -1, found);
    call(setgroups, "too many", 65537, given);
    call(setgroups, "nowhere", 2, NOWHERE);
    call(setgroups, "three", 3, given);
    call(getgroups, "asked for their number", 0, NULL);
    call(getgroups, "too little room", 2, found);
    call(getgroups, "nowhere", 3, NOWHERE);
    call(getgroups, "enough room", 8, found);
    printf("groups %u %u %u\n", found[0], found[1], found[2]);
    call(setgroups, "none", 0, NULL);
    call(getgroups, "none", 8, found);
    call(getresuid, "nowhere", NOWHERE, NOWHERE, NOWHERE);
    call(getresgid, "nowhere", NOWHERE, NOWHERE, NOWHERE);
    uid_t id;
    call(getresuid, "partly nowhere", &id, &id, NOWHERE);
    call(getresgid, "partly nowhere", &id, NOWHERE, &id);
    call(getresuid, "three places", &id, &id, &id);
    call(getresgid, "three places", &id, &id, &id);
}

static void become(uid_t user, gid_t group) {
    syscall(SYS_setgroups, 0, NULL);
    must(syscall(SYS_setresgid, group, group, group));
    must(syscall(SYS_setresuid, user, user, user));
}

static void files(void) {
    mkdir("/work/closed", 0700);
    int fd = open("/work/root", O_CREAT | O_WRONLY, 0640);
    close(fd);
    chown("/work/root", 0, 50);
    fd = open("/work/mine", O_CREAT | O_WRONLY, 0060);
    close(fd);
    chown("/work/mine", 1000, 1000);
    chmod("/work", 01777);
    gid_t group = 50;
    syscall(SYS_setgroups, 1, &group);
    setresgid(1000, 1000, 1000);
    setresuid(1000, 1000, 1000);
    tell("open", "readable by the group", open("/work/root", O_RDONLY) < 0 ? -1 : 0);
    tell("open", "not writable by the group", open("/work/root", O_WRONLY));
    tell("open", "an owner without rights, group has them", open("/work/mine", O_RDONLY));
    call(access, "by real user", "/work/root", W_OK);
    call(chdir, "closed directory", "/work/closed");
    call(chmod, "not the owner", "/work/root", 0666);
    call(chmod, "the owner", "/work/mine", 0600);
    call(chown, "not root", "/work/mine", 0, -1);
    call(chown, "own group", "/work/mine", -1, 50);
    call(chown, "other group", "/work/mine", -1, 51);
    call(unlink, "sticky directory", "/work/root");
    call(unlink, "own file in it", "/work/mine");
    call(sethostname, "as nobody", "name", 4);
    call(chroot, "as nobody", "/");
    call(setpriority, "lower nice", PRIO_PROCESS, 0, -5);
    call(setpriority, "higher nice", PRIO_PROCESS, 0, 5);
}

static void effective_only(void) {
    int fd = open("/work/secret", O_CREAT | O_WRONLY, 0600);
    close(fd);
    syscall(SYS_setresuid, -1, 1000, -1);
    tell("open", "effective user has no right", open("/work/secret", O_RDONLY));
    call(access, "real user has", "/work/secret", R_OK);
    call(faccessat2, "effective user has not", AT_FDCWD, "/work/secret", R_OK, AT_EACCESS);
    SET(setresuid, "back to the saved root", -1, 0, -1);
    tell("open", "root again", open("/work/secret", O_RDONLY) < 0 ? -1 : 0);
}

static pid_t sleeper(uid_t user) {
    int ready[2];
    char byte;
    pipe(ready);
    pid_t child = fork();
    if (child == 0) {
        become(user, user);
        write(ready[1], "", 1);
        for (;;)
            pause();
    }
    read(ready[0], &byte, 1);
    close(ready[0]), close(ready[1]);
    return child;
}

static void signals(void) {
    pid_t own = sleeper(1000), other = sleeper(1001), root = sleeper(0);
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        become(1000, 1000);
        call(kill, "nothing to own", own, 0);
        call(kill, "nothing to another's", other, 0);
        call(kill, "another's", other, SIGTERM);
        call(kill, "root's", root, SIGTERM);
        call(kill, "SIGCONT in the session", root, SIGCONT);
        call(tkill, "another's", other, SIGTERM);
        call(tgkill, "another's", other, other, SIGTERM);
        call(tgkill, "nothing to another's", other, other, 0);
        siginfo_t info = {.si_code = SI_QUEUE};
        call(rt_sigqueueinfo, "another's", other, SIGUSR1, &info);
        call(setpriority, "another's", PRIO_PROCESS, other, 10);
        call(setpriority, "all of another's", PRIO_USER, 1001, 10);
        call(sched_setscheduler, "another's", other, 0, &(int){0});
        call(sched_setaffinity, "another's", other, 8, &(long){1});
        struct rlimit limit;
        call(prlimit64, "another's", other, RLIMIT_NOFILE, NULL, &limit);
        call(prlimit64, "own", own, RLIMIT_NOFILE, NULL, &limit);
        call(kill, "own", own, SIGTERM);
        _exit(0);
    }
    waitpid(child, &status, 0);
    ended("sender", status);
    waitpid(own, &status, 0);
    ended("own", status);
    kill(other, SIGKILL), kill(root, SIGKILL);
    waitpid(other, NULL, 0), waitpid(root, NULL, 0);
}

static void keeps_over_exec(void) {
    gid_t list[2] = {7, 8};
    setgroups(2, list);
    setresgid(1, 2, 3);
    setresuid(10, 20, 30);
    execl("/proc/self/exe", "credentials", "show", NULL);
    _exit(99);
}

int main(int count, char **arguments) {
    (void)arguments;
    if (count > 1) {
        gid_t list[4];
        printf("after execve: %d groups\n", getgroups(4, list));
        show();
        return 0;
    }
    show();
    printf("%ld %ld %ld %ld\n", syscall(SYS_getuid), syscall(SYS_geteuid), syscall(SYS_getgid),
           syscall(SYS_getegid));
    call(getuid, "it");
    call(geteuid, "it");
    call(getgid, "it");
    call(getegid, "it");
    in_child("as root", as_root);
    in_child("setuid of root", unprivileged);
    in_child("real and effective", real_and_effective);
    in_child("the saved one follows", saved_follows);
    in_child("groups", groups);
    in_child("file ids", file_ids);
    in_child("files", files);
    in_child("effective only", effective_only);
    in_child("signals", signals);
    in_child("exec", keeps_over_exec);
    return 0;
}
