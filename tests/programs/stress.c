/* Many processes, threads and writers: stress WHAT COUNT. Each part says what it saw, and that as
   much memory, and as many descriptors and processes, are in use afterwards as were before. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(what) ((what) ? (void)0 : fail(#what, __LINE__))

static void fail(const char *what, int line) {
    printf("line %d: %s: %s\n", line, what, strerror(errno));
    fflush(stdout);
    _exit(1);
}

static int entries(const char *path, int numbers_only) {
    DIR *directory = opendir(path);
    CHECK(directory != NULL);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += numbers_only ? entry->d_name[0] >= '0' && entry->d_name[0] <= '9' : 1;
    closedir(directory);
    return count;
}

static long memory_free(void) {
    long kib = -1;
    char line[256];
    FILE *file = fopen("/proc/meminfo", "r");
    CHECK(file != NULL);
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "MemFree: %ld", &kib) == 1)
            break;
    fclose(file);
    return kib;
}

/* What is counted before and after. On a whole machine others take memory and start processes. */
static int alone;
static struct {
    int descriptors, processes;
    long memory;
} before;

static void count_before(void) {
    before.descriptors = entries("/proc/self/fd", 0);
    before.processes = entries("/proc", 1);
    before.memory = memory_free();
}

static void count_after(void) {
    CHECK(entries("/proc/self/fd", 0) == before.descriptors);
    if (alone) {
        /* What the kernel's heap has once taken may stay with it, once. */
        long lost = before.memory - memory_free();
        if (entries("/proc", 1) != before.processes || lost > 4096)
            printf("left: %d processes, %ld KiB\n", entries("/proc", 1) - before.processes, lost);
    }
    puts("nothing left");
}

static void forks(int count) {
    long sum = 0;
    for (int n = 0; n < count; n++) {
        int status;
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0)
            _exit(n % 100);
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
        sum += WEXITSTATUS(status);
    }
    printf("%d forks, sum %ld\n", count, sum);
}

/* All are alive at once: each has said so before the first may end. */
static void processes(int count) {
    int up[2], gate[2];
    char byte = 0;
    pid_t *children = calloc((size_t)count, sizeof *children);
    CHECK(children && pipe(up) == 0 && pipe(gate) == 0);
    for (int n = 0; n < count; n++) {
        children[n] = fork();
        CHECK(children[n] >= 0);
        if (children[n] == 0) {
            close(gate[1]);
            CHECK(write(up[1], "u", 1) == 1);
            CHECK(read(gate[0], &byte, 1) == 0);
            _exit(n % 7);
        }
    }
    for (int n = 0; n < count; n++)
        CHECK(read(up[0], &byte, 1) == 1);
    for (int n = 0; n < count; n++)
        CHECK(kill(children[n], 0) == 0);
    close(gate[1]);
    int sum = 0;
    for (int n = 0, status; n < count; n++) {
        CHECK(waitpid(children[n], &status, 0) == children[n] && WIFEXITED(status));
        sum += WEXITSTATUS(status);
    }
    CHECK(wait(NULL) == -1 && errno == ECHILD);
    close(up[0]), close(up[1]), close(gate[0]);
    free(children);
    printf("%d processes at once, sum %d\n", count, sum);
}

static pthread_barrier_t barrier;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long counter;

static void *thread(void *number) {
    pthread_barrier_wait(&barrier);
    for (int n = 0; n < 10; n++) {
        pthread_mutex_lock(&mutex);
        counter += (long)number;
        pthread_mutex_unlock(&mutex);
    }
    return number;
}

static void threads(int count) {
    pthread_t *all = calloc((size_t)count, sizeof *all);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, 64 << 10) == 0);
    pthread_barrier_init(&barrier, NULL, (unsigned)count + 1);
    for (long n = 0; n < count; n++)
        CHECK((errno = pthread_create(&all[n], &attributes, thread, (void *)n)) == 0);
    /* Nobody passes the barrier before all are there. */
    CHECK(entries("/proc/self/task", 1) == count + 1);
    pthread_barrier_wait(&barrier);
    long joined = 0;
    for (int n = 0; n < count; n++) {
        void *number;
        CHECK(pthread_join(all[n], &number) == 0);
        joined += (long)number;
    }
    free(all);
    printf("%d threads at once, %ld, %ld\n", count, joined, counter);
    counter = 0;
}

/* Everybody forks, and everybody's children do, until they are refused. */
static void bomb_goes_off(int gate, _Atomic int *refused, int depth) {
    char byte;
    for (int n = 0; n < 3 && depth < 7; n++) {
        pid_t child = fork();
        if (child == 0) {
            bomb_goes_off(gate, refused, depth + 1);
            _exit(0);
        }
        CHECK(child > 0 || errno == EAGAIN);
        *refused += child < 0;
    }
    CHECK(read(gate, &byte, 1) == 0);
    while (wait(NULL) > 0)
        ;
}

static void bomb(int limit) {
    const struct rlimit few = {(rlim_t)limit, (rlim_t)limit};
    int gate[2], made = 0;
    pid_t child;
    _Atomic int *refused =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(refused != MAP_FAILED && pipe(gate) == 0);
    /* The limit does not hold root. */
    CHECK(setrlimit(RLIMIT_NPROC, &few) == 0);
    CHECK(getuid() != 0 || (setgid(12345) == 0 && setuid(12345) == 0));
    while ((child = fork()) > 0)
        made++;
    if (child == 0) {
        char byte;
        close(gate[1]);
        CHECK(read(gate[0], &byte, 1) == 0);
        _exit(0);
    }
    CHECK(errno == EAGAIN);
    printf("refused after %d\n", made);
    close(gate[1]), close(gate[0]);
    while (wait(NULL) > 0)
        ;
    CHECK(errno == ECHILD && pipe(gate) == 0);
    child = fork();
    if (child == 0) {
        close(gate[1]);
        bomb_goes_off(gate[0], refused, 1);
        _exit(0);
    }
    /* The bomb is as large as it can become when somebody was refused. */
    while (*refused == 0)
        usleep(1000);
    close(gate[1]), close(gate[0]);
    CHECK(waitpid(child, NULL, 0) == child);
    puts("survived");
    munmap((void *)refused, 4096);
}

/* What each writes at once stays whole, up to PIPE_BUF bytes; what all write arrives. */
static void writers(int count) {
    enum { LINES = 20 };
    int pipe_ends[2];
    int *seen = calloc((size_t)count, sizeof *seen);
    CHECK(seen && pipe(pipe_ends) == 0);
    for (int n = 0; n < count; n++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            int size = n % 4 == 0 ? 4096 : 40 + n * 37 % 3000;
            char *line = malloc((size_t)size);
            CHECK(line);
            for (int at = 0; at < LINES; at++) {
                memset(line, 'a' + n % 26, (size_t)size);
                int head = sprintf(line, "%d %d %d ", n, at, size);
                line[head] = 'a' + n % 26;
                line[size - 1] = '\n';
                CHECK(write(pipe_ends[1], line, (size_t)size) == size);
            }
            _exit(0);
        }
    }
    close(pipe_ends[1]);
    FILE *all = fdopen(pipe_ends[0], "r");
    static char line[8192];
    int whole = 0;
    while (fgets(line, sizeof line, all)) {
        int from, at, size, head;
        CHECK(sscanf(line, "%d %d %d %n", &from, &at, &size, &head) == 3);
        CHECK(from >= 0 && from < count && seen[from]++ == at && (int)strlen(line) == size);
        for (int n = head; n < size - 1; n++)
            CHECK(line[n] == 'a' + from % 26);
        whole++;
    }
    fclose(all);
    free(seen);
    while (wait(NULL) > 0)
        ;
    printf("%d whole lines\n", whole);
}

/* A child takes all the memory there is: it is killed, and nobody else. */
static void hog(int mebibytes) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        for (int n = 0; n < mebibytes; n++) {
            char *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (memory == MAP_FAILED)
                _exit(1);
            memset(memory, 1, 1 << 20);
        }
        _exit(2);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    printf("killed by %d\n", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static const struct {
    const char *name;
    void (*run)(int);
} parts[] = {
    {"forks", forks},     {"processes", processes}, {"threads", threads},
    {"bomb", bomb},       {"writers", writers},     {"hog", hog},
};

int main(int argc, char **argv) {
    CHECK(argc == 3);
    setvbuf(stdout, NULL, _IOLBF, 0);
    alone = getenv("ALONE") != NULL;
    for (size_t n = 0; n < sizeof parts / sizeof *parts; n++) {
        if (strcmp(parts[n].name, argv[1]) == 0) {
            /* Once to have what is kept for good, and again to see whether it grows. */
            parts[n].run(atoi(argv[2]));
            count_before();
            parts[n].run(atoi(argv[2]));
            count_after();
            return 0;
        }
    }
    return 2;
}
