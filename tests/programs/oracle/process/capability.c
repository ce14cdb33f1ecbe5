/* capget, capset and what capabilities permit. */
#include "../tell.h"
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
static struct __user_cap_data_struct data[2];

static void get(void) {
    header = (struct __user_cap_header_struct){_LINUX_CAPABILITY_VERSION_3, 0};
    must(syscall(SYS_capget, &header, data));
}

static int has(int capability) {
    return data[capability / 32].effective >> capability % 32 & 1;
}

static void show(const char *what) {
    get();
    printf("%s: chown %d kill %d setuid %d net_bind %d, permitted kill %d, inheritable kill %d\n", what,
           has(CAP_CHOWN), has(CAP_KILL), has(CAP_SETUID), has(CAP_NET_BIND_SERVICE),
           data[0].permitted >> CAP_KILL & 1, data[0].inheritable >> CAP_KILL & 1);
}

static void errors(void) {
    call(capget, "nowhere", NOWHERE, data);
    header.version = 1;
    call(capget, "unknown version", &header, data);
    printf("version told %#x\n", header.version);
    header.version = 1;
    call(capget, "asking for the version", &header, NULL);
    printf("version told %#x\n", header.version);
    header.pid = -1;
    call(capget, "process -1", &header, data);
    header.pid = 4194303;
    call(capget, "missing process", &header, data);
    header.pid = 0;
    call(capget, "data nowhere", &header, NOWHERE);
    call(capget, "own", &header, data);
    header.pid = getpid();
    call(capget, "own by number", &header, data);
    call(capget, "the parent's", &header, data);
    header.version = _LINUX_CAPABILITY_VERSION_1, header.pid = 0;
    call(capget, "first version", &header, data);
    header.version = 1;
    call(capset, "unknown version", &header, data);
    get();
    header.pid = getppid();
    call(capset, "another process", &header, data);
    header.pid = 0;
    call(capset, "nowhere", &header, NOWHERE);
    call(capset, "header nowhere", NOWHERE, data);
    call(capset, "as it is", &header, data);
}

static void dropped(void) {
    show("root");
    data[0].effective &= ~(1 << CAP_KILL);
    call(capset, "without effective KILL", &header, data);
    show("dropped");
    data[0].effective |= 1 << CAP_KILL;
    call(capset, "KILL again", &header, data);
    data[0].effective &= ~(1 << CAP_KILL);
    data[0].permitted &= ~(1 << CAP_KILL);
    call(capset, "without permitted KILL", &header, data);
    show("dropped");
    data[0].effective |= 1 << CAP_KILL;
    call(capset, "effective without permitted", &header, data);
    get();
    data[0].permitted |= 1 << CAP_KILL;
    call(capset, "permitted again", &header, data);
    get();
    data[0].inheritable |= 1 << CAP_CHOWN;
    call(capset, "inheritable", &header, data);
    memset(data, 0, sizeof data);
    call(capset, "nothing", &header, data);
    show("nothing");
    call(sethostname, "without SYS_ADMIN", "x", 1);
    call(chroot, "without SYS_CHROOT", "/");
    call(setuid, "without SETUID", 5);
    call(setgroups, "without SETGID", 0, NULL);
    call(setgid, "without SETGID", 5);
    struct rlimit limit;
    getrlimit(RLIMIT_CORE, &limit);
    limit.rlim_max = 0, limit.rlim_cur = 0;
    setrlimit(RLIMIT_CORE, &limit);
    limit.rlim_max = 1;
    call(setrlimit, "raise without SYS_RESOURCE", RLIMIT_CORE, &limit);
    int fd = open("/work/file", O_CREAT | O_WRONLY, 0);
    tell_made("open", "own file of no rights made", fd);
    tell("open", "own file of no rights without DAC_OVERRIDE", open("/work/file", O_RDONLY));
    call(chown, "without CHOWN", "/work/file", 5, 5);
}

static void users(void) {
    syscall(SYS_setresuid, 1000, 1000, 1000);
    show("user 1000");
}

static void effective_user(void) {
    syscall(SYS_setresuid, -1, 1000, -1);
    show("effective 1000");
    syscall(SYS_setresuid, -1, 0, -1);
    show("effective 0 again");
}

static void kept(void) {
    call(prctl, "PR_GET_KEEPCAPS", PR_GET_KEEPCAPS, 0, 0, 0, 0);
    call(prctl, "PR_SET_KEEPCAPS 2", PR_SET_KEEPCAPS, 2, 0, 0, 0);
    call(prctl, "PR_SET_KEEPCAPS", PR_SET_KEEPCAPS, 1, 0, 0, 0);
    call(prctl, "PR_GET_KEEPCAPS", PR_GET_KEEPCAPS, 0, 0, 0, 0);
    syscall(SYS_setresuid, 1000, 1000, 1000);
    show("kept over setresuid");
    get();
    data[0].effective |= 1 << CAP_CHOWN;
    call(capset, "effective from permitted", &header, data);
    show("raised");
}

static void over_exec(void) {
    get();
    data[0].effective &= ~(1 << CAP_KILL);
    data[0].permitted &= ~(1 << CAP_KILL);
    must(syscall(SYS_capset, &header, data));
    execl("/proc/self/exe", "capability", "root gets them back over execve", NULL);
}

static void over_exec_user(void) {
    prctl(PR_SET_KEEPCAPS, 1);
    syscall(SYS_setresuid, 1000, 1000, 1000);
    execl("/proc/self/exe", "capability", "a user loses them over execve", NULL);
}

static void bounding(void) {
    call(prctl, "PR_CAPBSET_READ", PR_CAPBSET_READ, CAP_KILL, 0, 0, 0);
    call(prctl, "PR_CAPBSET_READ 64", PR_CAPBSET_READ, 64, 0, 0, 0);
    call(prctl, "PR_CAPBSET_DROP 64", PR_CAPBSET_DROP, 64, 0, 0, 0);
    call(prctl, "PR_CAPBSET_DROP", PR_CAPBSET_DROP, CAP_KILL, 0, 0, 0);
    call(prctl, "PR_CAPBSET_READ dropped", PR_CAPBSET_READ, CAP_KILL, 0, 0, 0);
    show("still held");
    execl("/proc/self/exe", "capability", "gone over execve", NULL);
}

int main(int count, char **arguments) {
    if (count > 1) {
        show(arguments[1]);
        return 0;
    }
    errors();
    in_child("dropped", dropped);
    in_child("users", users);
    in_child("effective user", effective_user);
    in_child("kept", kept);
    in_child("exec as root", over_exec);
    in_child("exec as user", over_exec_user);
    in_child("bounding", bounding);
    return 0;
}
