/* execve and execveat: scripts, refusals, limits of arguments, descriptors, exec from a thread. */
#include "../tell.h"
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

static char *const environment[] = {"A=1", NULL};

static void put(const char *path, const char *text, mode_t mode) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (write(fd, text, strlen(text)) < 0)
        perror(path);
    fchmod(fd, mode);
    close(fd);
}

/* Runs a program in a child; what comes back is an error. */
static void run(const char *path, char **arguments) {
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        execve(path, arguments, environment);
        tell("execve", "as above", -1);
        _exit(126);
    }
    waitpid(child, &status, 0);
    ended(path, status);
}

static void refused(const char *what, const char *path) {
    char *arguments[] = {(char *)path, NULL};
    tell("execve", what, execve(path, arguments, environment));
}

static void refusals(void) {
    char *self[] = {"self", NULL};
    refused("missing", "/tmp/missing");
    refused("empty path", "");
    refused("through a file", "/tmp/text/x");
    refused("directory", "/tmp");
    refused("device", "/dev/null");
    put("/tmp/text", "no program", 0644);
    refused("not executable", "/tmp/text");
    chmod("/tmp/text", 0755);
    refused("neither ELF nor script", "/tmp/text");
    put("/tmp/empty", "", 0755);
    refused("empty file", "/tmp/empty");
    put("/tmp/elf", "\177ELF", 0755);
    refused("cut short", "/tmp/elf");
    put("/tmp/script", "#!   \n", 0755);
    refused("script with blanks only", "/tmp/script");
    put("/tmp/script", "#!/tmp/missing\n", 0755);
    refused("script with a missing interpreter", "/tmp/script");
    put("/tmp/script", "#!/tmp\n", 0755);
    refused("script with a directory", "/tmp/script");
    put("/tmp/script", "#!/tmp/text\n", 0755);
    refused("script with no program", "/tmp/script");
    put("/tmp/loop", "#!/tmp/loop\n", 0755);
    refused("script of itself", "/tmp/loop");
    symlink("/tmp/link", "/tmp/link");
    refused("link to itself", "/tmp/link");
    char *wrong[] = {NOWHERE, NULL};
    call(execve, "path nowhere", NOWHERE, self, environment);
    call(execve, "arguments nowhere", "/proc/self/exe", NOWHERE, environment);
    call(execve, "argument nowhere", "/proc/self/exe", wrong, environment);
    call(execve, "environment nowhere", "/proc/self/exe", self, NOWHERE);
    char *longest = malloc(5000);
    memset(longest, 'a', 4999);
    longest[4999] = 0;
    refused("long path", longest);
    memset(longest, '/', 2);
    longest[300] = 0;
    refused("long name", longest);
    free(longest);
}

static void scripts(void) {
    char *arguments[] = {"name", "one", "two", NULL};
    char text[300];
    put("/tmp/one", "#!/proc/self/exe show\n", 0755);
    run("/tmp/one", arguments);
    put("/tmp/one", "#! \t/tmp/self\tshow  a b\t \nrest\n", 0755);
    run("/tmp/one", arguments);
    put("/tmp/one", "#!/tmp/self", 0755);
    run("/tmp/one", arguments);
    put("/tmp/two", "#!/tmp/one show\n", 0755);
    run("/tmp/two", arguments);
    memset(text, 'x', sizeof text);
    memcpy(text, "#!/tmp/self show ", 17);
    text[299] = 0;
    put("/tmp/one", text, 0755);
    run("/tmp/one", arguments);
    memset(text + 2, '/', 260);
    put("/tmp/one", text, 0755);
    run("/tmp/one", arguments);
    char *none[] = {NULL};
    put("/tmp/one", "#!/tmp/self show\n", 0755);
    run("/tmp/one", none);
    put("/tmp/depth1", "#!/tmp/self\n", 0755);
    for (int depth = 2; depth <= 6; depth++) {
        char path[32], previous[32];
        snprintf(path, sizeof path, "/tmp/depth%d", depth);
        snprintf(previous, sizeof previous, "#!/tmp/depth%d\n", depth - 1);
        put(path, previous, 0755);
        run(path, arguments);
    }
}

static char *repeated(size_t len) {
    char *text = malloc(len + 1);
    memset(text, 'x', len);
    text[len] = 0;
    return text;
}

static void limits(void) {
    char *arguments[] = {"self", "count", NULL, NULL};
    arguments[2] = repeated(131071);
    run("/proc/self/exe", arguments);
    arguments[2] = repeated(131072);
    run("/proc/self/exe", arguments);
    /* Strings and pointers together may take a quarter of the stack's limit. */
    char *piece = repeated(99999);
    char **many = calloc(300000, sizeof *many);
    many[0] = "self", many[1] = "count";
    for (int at = 2; at < 21; at++)
        many[at] = piece;
    run("/proc/self/exe", many);
    many[21] = many[22] = piece;
    run("/proc/self/exe", many);
    for (int at = 2; at < 190000; at++)
        many[at] = "";
    run("/proc/self/exe", many);
    for (int at = 2; at < 260000; at++)
        many[at] = "";
    run("/proc/self/exe", many);
    memset(many, 0, 300000 * sizeof *many);
    many[0] = "self", many[1] = "count";
    for (int at = 2; at < 8; at++)
        many[at] = piece;
    struct rlimit limit = {1 << 20, 1 << 20};
    if (fork() == 0) {
        setrlimit(RLIMIT_STACK, &limit);
        run("/proc/self/exe", many);
        _exit(0);
    }
    wait(NULL);
    char *none[] = {NULL};
    run("/proc/self/exe", none);
}

static void descriptors(void) {
    char *arguments[] = {"self", "descriptors", NULL};
    int kept = open("/", O_RDONLY), closed = open("/", O_RDONLY | O_CLOEXEC), pipes[2];
    dup2(kept, 10);
    fcntl(kept, F_DUPFD_CLOEXEC, 11);
    pipe2(pipes, O_CLOEXEC);
    fcntl(pipes[0], F_SETFD, 0);
    run("/proc/self/exe", arguments);
    close(10), close(11), close(kept), close(closed), close(pipes[0]), close(pipes[1]);
}

static void at(void) {
    char *arguments[] = {"self", "show", NULL};
    int tmp = open("/tmp", O_PATH), file = open("/tmp/self", O_PATH), text = open("/tmp/text", O_PATH);
#define AT(what, ...) do { \
        fflush(stdout); \
        pid_t child = fork(); \
        if (child == 0) { \
            tell("execveat", what, syscall(SYS_execveat, __VA_ARGS__)); \
            _exit(126); \
        } \
        int status; \
        waitpid(child, &status, 0); \
        if (WEXITSTATUS(status) == 3) \
            tell_made("execveat", what, 0); \
        ended(what, status); \
    } while (0)
    AT("relative", tmp, "self", arguments, environment, 0);
    AT("absolute", -1, "/tmp/self", arguments, environment, 0);
    AT("empty", file, "", arguments, environment, AT_EMPTY_PATH);
    AT("empty without the flag", file, "", arguments, environment, 0);
    AT("empty, directory", tmp, "", arguments, environment, AT_EMPTY_PATH);
    AT("empty, no program", text, "", arguments, environment, AT_EMPTY_PATH);
    AT("wrong descriptor", 99, "self", arguments, environment, 0);
    AT("not a directory", file, "self", arguments, environment, 0);
    AT("unknown flag", tmp, "self", arguments, environment, 0x8000);
    symlink("self", "/tmp/symlink");
    AT("symlink", tmp, "symlink", arguments, environment, 0);
    AT("symlink not followed", tmp, "symlink", arguments, environment, AT_SYMLINK_NOFOLLOW);
    close(tmp), close(file), close(text);
}

static void *exec_now(void *argument) {
    char *arguments[] = {"self", "thread", argument, NULL};
    execve("/proc/self/exe", arguments, environment);
    return NULL;
}

static void *wait_long(void *argument) {
    pause();
    return argument;
}

static void from_a_thread(void) {
    static char number[16];
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        pthread_t other, executing;
        snprintf(number, sizeof number, "%d", getpid());
        pthread_create(&other, NULL, wait_long, NULL);
        pthread_create(&executing, NULL, exec_now, number);
        pthread_join(executing, NULL);
        _exit(1);
    }
    int status;
    waitpid(child, &status, 0);
    ended("execve from a thread", status);
}

static void state(void) {
    char *arguments[] = {"self", "state", NULL};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGALRM);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGUSR1, SIG_IGN);
        signal(SIGHUP, (void (*)(int))exit);
        sigprocmask(SIG_BLOCK, &set, NULL);
        raise(SIGUSR2);
        alarm(500);
        umask(051);
        chdir("/tmp");
        setpriority(PRIO_PROCESS, 0, 5);
        execve("/proc/self/exe", arguments, environment);
    }
    int status;
    waitpid(child, &status, 0);
    ended("state over execve", status);
}

static int show(int count, char **arguments, char **names) {
    printf("  %d arguments:", count);
    for (int at = 0; at < count; at++)
        printf(" [%.40s]", arguments[at]);
    for (; *names; names++)
        printf(" {%s}", *names);
    printf("\n");
    return 3;
}

static int again(int count, char **arguments, char **names) {
    if (count > 1 && strcmp(arguments[1], "count") == 0) {
        size_t sum = 0;
        for (int at = 0; at < count; at++)
            sum += strlen(arguments[at]) + 1;
        printf("  %d arguments of %zu bytes\n", count, sum);
        return 4;
    }
    if (count > 1 && strcmp(arguments[1], "descriptors") == 0) {
        for (int fd = 3; fd < 20; fd++)
            if (fcntl(fd, F_GETFD) >= 0)
                printf("  open: %d, flags %d\n", fd, fcntl(fd, F_GETFD));
        return 5;
    }
    if (count > 2 && strcmp(arguments[1], "thread") == 0) {
        printf("  same process %d, first thread %d\n", atoi(arguments[2]) == getpid(),
               syscall(SYS_gettid) == getpid());
        return 6;
    }
    if (count > 1 && strcmp(arguments[1], "state") == 0) {
        sigset_t mask, pending;
        struct sigaction one, two;
        char directory[64];
        sigprocmask(SIG_BLOCK, NULL, &mask);
        sigpending(&pending);
        sigaction(SIGUSR1, NULL, &one);
        sigaction(SIGHUP, NULL, &two);
        printf("  ignored %d, handled %d, blocked %d, pending %d, alarm %d, umask %03o, in %s, nice %d\n",
               one.sa_handler == SIG_IGN, two.sa_handler != SIG_DFL, sigismember(&mask, SIGUSR2),
               sigismember(&pending, SIGUSR2), alarm(0) > 400, umask(0),
               getcwd(directory, sizeof directory), getpriority(PRIO_PROCESS, 0));
        return 7;
    }
    return show(count, arguments, names);
}

int main(int count, char **arguments, char **names) {
    if (names[0] && strcmp(names[0], "A=1") == 0)
        return again(count, arguments, names);
    char self[256];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    self[len] = 0;
    symlink(self, "/tmp/self");
    refusals();
    scripts();
    limits();
    descriptors();
    at();
    from_a_thread();
    state();
    return 0;
}
