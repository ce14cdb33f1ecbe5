/* getrlimit, setrlimit, prlimit64, and limits that are enforced. */
#include "../tell.h"
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <pthread.h>

static void set(int resource, rlim_t soft, rlim_t hard) {
    struct rlimit limit = {soft, hard};
    must(setrlimit(resource, &limit));
}

static void soft(int resource, rlim_t value) {
    struct rlimit limit;
    getrlimit(resource, &limit);
    limit.rlim_cur = value;
    must(setrlimit(resource, &limit));
}

static void errors(void) {
    struct rlimit limit = {5, 4};
    call(getrlimit, "resource 16", 16, &limit);
    call(getrlimit, "nowhere", RLIMIT_CORE, NOWHERE);
    limit = (struct rlimit){5, 4};
    call(setrlimit, "soft above hard", RLIMIT_CORE, &limit);
    call(setrlimit, "resource 16", 16, &limit);
    call(setrlimit, "nowhere", RLIMIT_CORE, NOWHERE);
    limit = (struct rlimit){1ul << 40, 1ul << 40};
    call(setrlimit, "more descriptors than there can be", RLIMIT_NOFILE, &limit);
    call(prlimit64, "resource 16", 0, 16, NULL, &limit);
    call(prlimit64, "missing process", 4194303, RLIMIT_CORE, NULL, &limit);
    call(prlimit64, "process -1", -1, RLIMIT_CORE, NULL, &limit);
    call(prlimit64, "new nowhere", 0, RLIMIT_CORE, NOWHERE, NULL);
    call(prlimit64, "old nowhere", 0, RLIMIT_CORE, NULL, NOWHERE);
    call(prlimit64, "nothing asked", 0, RLIMIT_CORE, NULL, NULL);
    limit = (struct rlimit){100, 200};
    call(prlimit64, "set", 0, RLIMIT_NOFILE, &limit, NULL);
    limit = (struct rlimit){50, 150};
    struct rlimit old;
    call(prlimit64, "set and get", 0, RLIMIT_NOFILE, &limit, &old);
    printf("before %ld %ld\n", (long)old.rlim_cur, (long)old.rlim_max);
    call(getrlimit, "get", RLIMIT_NOFILE, &old);
    printf("now %ld %ld\n", (long)old.rlim_cur, (long)old.rlim_max);
    limit = (struct rlimit){150, 150};
    call(setrlimit, "soft up to hard", RLIMIT_NOFILE, &limit);
}

static void other_process(void) {
    struct rlimit limit = {77, 88}, old;
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    call(prlimit64, "a child's", child, RLIMIT_NOFILE, &limit, &old);
    call(prlimit64, "a child's again", child, RLIMIT_NOFILE, NULL, &old);
    printf("child has %ld %ld\n", (long)old.rlim_cur, (long)old.rlim_max);
    kill(child, SIGKILL);
    wait(NULL);
    getrlimit(RLIMIT_NOFILE, &old);
    printf("own is not changed %d\n", old.rlim_cur != 77);
}

static void inherited(void) {
    set(RLIMIT_CPU, 1000, 2000);
    if (fork() == 0) {
        struct rlimit limit;
        getrlimit(RLIMIT_CPU, &limit);
        printf("inherited %ld %ld\n", (long)limit.rlim_cur, (long)limit.rlim_max);
        execl("/proc/self/exe", "limits", "again", NULL);
    }
    wait(NULL);
}

static void descriptors(void) {
    soft(RLIMIT_NOFILE, 8);
    int last = 0, next;
    while ((next = dup(0)) >= 0)
        last = next;
    printf("last descriptor %d\n", last);
    call(open, "no descriptor left", "/", O_RDONLY);
    call(pipe2, "no descriptor left", (int[2]){}, 0);
    call(socket, "no descriptor left", AF_UNIX, SOCK_STREAM, 0);
    call(dup2, "to the limit", 0, 8);
    call(dup2, "below it", 0, 7);
    call(dup3, "to the limit", 0, 8, 0);
    call(fcntl, "F_DUPFD at the limit", 0, F_DUPFD, 8);
    call(fcntl, "F_DUPFD none left", 0, F_DUPFD, 3);
    soft(RLIMIT_NOFILE, 5);
    call(write, "descriptors above the limit stay", 7, "", 0);
}

static int xfsz;
static void on_xfsz(int signal) {
    xfsz = signal;
}

static void file_size(void) {
    char block[4096] = {0};
    int fd = must(open("/work/file", O_CREAT | O_RDWR | O_TRUNC, 0600));
    signal(SIGXFSZ, on_xfsz);
    soft(RLIMIT_FSIZE, 6000);
    call(write, "up to the limit", fd, block, 4096);
    call(write, "cut at the limit", fd, block, 4096);
    call(write, "at the limit", fd, block, 1);
    printf("signal %d\n", xfsz), xfsz = 0;
    call(pwrite64, "beyond the limit", fd, block, 1, 7000l);
    printf("signal %d\n", xfsz), xfsz = 0;
    call(pwrite64, "within", fd, block, 10, 100l);
    call(ftruncate, "beyond", fd, 6001l);
    printf("signal %d\n", xfsz), xfsz = 0;
    call(ftruncate, "to the limit", fd, 6000l);
    call(truncate, "beyond", "/work/file", 6001l);
    printf("signal %d\n", xfsz), xfsz = 0;
    call(fallocate, "beyond", fd, 0, 0l, 6001l);
    printf("signal %d\n", xfsz), xfsz = 0;
    int pipes[2];
    pipe(pipes);
    call(write, "a pipe has no limit", pipes[1], block, 4096);
    signal(SIGXFSZ, SIG_DFL);
}

static void file_size_kills(void) {
    int fd = must(open("/work/kill", O_CREAT | O_RDWR | O_TRUNC, 0600));
    soft(RLIMIT_FSIZE, 10);
    write(fd, "12345678901", 11);
    write(fd, "1", 1);
}

static void *memory(size_t size) {
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void address_space(void) {
    soft(RLIMIT_AS, 256 << 20);
    tell_made("mmap", "within the limit of addresses", (long)memory(32 << 20));
    tell_made("mmap", "beyond it", (long)memory(512 << 20));
    void *old = memory(8 << 20);
    tell_made("mremap", "beyond it", (long)mremap(old, 8 << 20, 512 << 20, MREMAP_MAYMOVE));
    tell_made("mremap", "within", (long)mremap(old, 8 << 20, 16 << 20, MREMAP_MAYMOVE));
    printf("brk grows %d\n", sbrk(512 << 20) != (void *)-1);
    printf("brk grows a little %d\n", sbrk(1 << 20) != (void *)-1);
}

static void data(void) {
    soft(RLIMIT_DATA, 64 << 20);
    tell_made("mmap", "private writable within the limit of data", (long)memory(16 << 20));
    tell_made("mmap", "private writable beyond it", (long)memory(128 << 20));
    tell_made("mmap", "shared is no data", (long)mmap(NULL, 128 << 20, PROT_READ | PROT_WRITE,
                                                       MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    tell_made("mmap", "read-only is no data", (long)mmap(NULL, 128 << 20, PROT_READ,
                                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    printf("brk grows %d\n", sbrk(128 << 20) != (void *)-1);
    printf("brk grows a little %d\n", sbrk(1 << 20) != (void *)-1);
}

static volatile int depth;
static int deeper(int n) {
    volatile char room[4096];
    room[0] = n, depth = n;
    return n == 0 ? room[0] : deeper(n - 1) + room[0];
}

static void stack_overflow(void) {
    deeper(1 << 20);
}

static void larger_stack(void) {
    deeper(500);
    printf("a stack of 2 MiB is deep enough\n");
}

static void locked(void) {
    void *page = memory(1 << 20);
    soft(RLIMIT_MEMLOCK, 64 << 10);
    syscall(SYS_setresuid, 1000, 1000, 1000);
    call(mlock, "within the limit", page, 32ul << 10);
    call(mlock, "beyond it", page, 128ul << 10);
    call(munlock, "again", page, 32ul << 10);
    set(RLIMIT_MEMLOCK, 0, 0);
    call(mlock, "no right", page, 4096ul);
    call(mlockall, "no right", MCL_CURRENT);
}

/* A user that no other run of this program has at the same time: Linux counts over all of them. */
static int nobody_elses(void) {
    return 100000 + getpid();
}

static void processes(void) {
    int user = nobody_elses();
    syscall(SYS_setresuid, user, user, user);
    soft(RLIMIT_NPROC, 4);
    int made = 0;
    pid_t child;
    while ((child = fork()) > 0)
        made++;
    if (child == 0)
        for (;;)
            pause();
    printf("children %d\n", made);
    tell("fork", "at the limit", -1);
    pthread_t thread;
    printf("a thread: %s\n", strerrorname_np(pthread_create(&thread, NULL, (void *(*)(void *))exit, NULL)));
    kill(-1, SIGKILL);
    while (wait(NULL) > 0)
        ;
    child = fork();
    if (child == 0)
        _exit(0);
    tell_made("fork", "below it again", child);
}

static void on_xcpu(int signal) {
    printf("signal %d\n", signal);
}

/* A signal after a second of work, the end after another. */
static void processor(void) {
    signal(SIGXCPU, on_xcpu);
    set(RLIMIT_CPU, 1, 2);
    for (volatile int work = 0;;)
        work++;
}

static void pending(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    int user = nobody_elses();
    syscall(SYS_setresuid, user, user, user);
    soft(RLIMIT_SIGPENDING, 3);
    union sigval value = {7};
    for (int at = 0; at < 5; at++)
        tell("rt_sigqueueinfo", "one more", sigqueue(getpid(), SIGRTMIN, value));
    call(kill, "not queued, so never refused", getpid(), SIGUSR1);
    call(tgkill, "real time, by kill", getpid(), getpid(), SIGRTMIN + 1);
}

static void priority(void) {
    syscall(SYS_setresuid, 1000, 1000, 1000);
    call(setpriority, "lower", PRIO_PROCESS, 0, -1);
}

int main(int count, char **arguments) {
    (void)arguments;
    if (count > 1) {
        struct rlimit limit;
        getrlimit(RLIMIT_CPU, &limit);
        printf("over execve %ld %ld\n", (long)limit.rlim_cur, (long)limit.rlim_max);
        return 0;
    }
    in_child("errors", errors);
    in_child("other process", other_process);
    in_child("inherited", inherited);
    in_child("RLIMIT_NOFILE", descriptors);
    in_child("RLIMIT_FSIZE", file_size);
    in_child("RLIMIT_FSIZE by default", file_size_kills);
    in_child("RLIMIT_AS", address_space);
    in_child("RLIMIT_DATA", data);
    in_child("RLIMIT_STACK", stack_overflow);
    in_child("enough stack", larger_stack);
    in_child("RLIMIT_MEMLOCK", locked);
    in_child("RLIMIT_NPROC", processes);
    in_child("RLIMIT_CPU", processor);
    in_child("RLIMIT_SIGPENDING", pending);
    in_child("nice", priority);
    return 0;
}
