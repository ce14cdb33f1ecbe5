/* Prints all by which a host, a moment or a schedule could be told, for runs that are to be the
 * same: clocks, the time stamp counter, randomness, processes, directories, features of the
 * processor, and what several threads and timers do in which order. Then it answers each line
 * of its input. With arguments it serves: `PORT COUNT` answers so many connections on that port. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <cpuid.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

enum { WORKERS = 3, TURNS = 5 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static long long now(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void hex(const char *name, const void *bytes, size_t count) {
    printf("%s ", name);
    for (size_t at = 0; at < count; at++)
        printf("%02x", ((const unsigned char *)bytes)[at]);
    printf("\n");
}

static void *work(void *argument) {
    long number = (long)argument;
    for (int turn = 0; turn < TURNS; turn++) {
        struct timespec pause = {.tv_nsec = 700000 * (number + 1)};
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&lock);
        printf("thread %ld turn %d id %d at %lld\n", number, turn, gettid(), now(CLOCK_MONOTONIC));
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void *tick(void *argument) {
    (void)argument;
    struct itimerspec every = {{.tv_nsec = 1500000}, {.tv_nsec = 1500000}};
    int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    timerfd_settime(timer, 0, &every, NULL);
    for (int turn = 0; turn < TURNS; turn++) {
        unsigned long long times;
        if (read(timer, &times, sizeof times) != sizeof times)
            abort();
        pthread_mutex_lock(&lock);
        printf("timer %llu at %lld\n", times, now(CLOCK_MONOTONIC));
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static void processor(void) {
    unsigned a = 0, b = 0, c = 0, d = 0, id;
    unsigned long long first = __rdtsc(), second = __rdtscp(&id);
    printf("time stamps %llu %llu processor %u\n", first, second, id);
    __get_cpuid(1, &a, &b, &c, &d);
    printf("RDRAND offered: %d\n", (c & bit_RDRND) != 0);
    __get_cpuid_count(7, 0, &a, &b, &c, &d);
    printf("RDSEED offered: %d, RDPID: %d\n", (b & bit_RDSEED) != 0, (c & bit_RDPID) != 0);
    __get_cpuid(0x80000001, &a, &b, &c, &d);
    printf("RDTSCP offered: %d\n", (d >> 27 & 1) != 0);
}

static void directory(const char *path) {
    DIR *open = opendir(path);
    printf("%s:", path);
    for (struct dirent *entry; open && (entry = readdir(open));)
        printf(" %s", entry->d_name);
    printf("\n");
    if (open)
        closedir(open);
}

static void file(const char *path) {
    char text[256];
    FILE *open = fopen(path, "r");
    if (open && fgets(text, sizeof text, open))
        printf("%s: %s", path, text);
    if (open)
        fclose(open);
}

static void child(void) {
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        printf("child %d of %d at %lld\n", getpid(), getppid(), now(CLOCK_REALTIME));
        exit(3);
    }
    waitpid(pid, &status, 0);
    printf("child %d ended with %d, processor time %lld\n", pid, WEXITSTATUS(status),
           now(CLOCK_PROCESS_CPUTIME_ID));
}

static void everything(void) {
    unsigned char random[16];
    printf("%lld %lld %d\n", now(CLOCK_REALTIME), now(CLOCK_MONOTONIC), getpid());
    if (getrandom(random, sizeof random, 0) != sizeof random)
        abort();
    hex("getrandom", random, sizeof random);
    hex("AT_RANDOM", (void *)getauxval(AT_RANDOM), 16);
    processor();
    directory("/");
    directory("/proc/self/fd");
    file("/proc/cmdline");
    file("/proc/uptime");
    file("/proc/sys/kernel/random/boot_id");
    pthread_t threads[WORKERS + 1];
    for (long number = 0; number < WORKERS; number++)
        pthread_create(&threads[number], NULL, work, (void *)number);
    pthread_create(&threads[WORKERS], NULL, tick, NULL);
    char line[256];
    while (fgets(line, sizeof line, stdin)) {
        pthread_mutex_lock(&lock);
        printf("line at %lld: %s", now(CLOCK_MONOTONIC), line);
        fflush(stdout);
        pthread_mutex_unlock(&lock);
    }
    for (int number = 0; number <= WORKERS; number++)
        pthread_join(threads[number], NULL);
    child();
}

/* Answers a connection: what came, when, and how many there were before. */
static void answer(int connection, int number) {
    char text[1024], reply[2048];
    ssize_t length, all = 0;
    while ((length = read(connection, text + all, sizeof text - 1 - all)) > 0) {
        all += length;
        text[all] = 0;
        // All of it: who closes with something unread breaks the connection off.
        if (strstr(text, "\r\n\r\n"))
            break;
    }
    text[all] = 0;
    text[strcspn(text, "\r\n")] = 0;
    int body = snprintf(reply, sizeof reply, "%d: %s at %lld\n", number, text, now(CLOCK_MONOTONIC));
    char head[128];
    int count = snprintf(head, sizeof head, "HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n", body);
    if (write(connection, head, count) != count || write(connection, reply, body) != body)
        abort();
    printf("%s", reply);
    fflush(stdout);
}

static int serve(int port, int count) {
    // Of both kinds: a name may stand for either.
    struct sockaddr_in6 here = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    int on = 1, listener = socket(AF_INET6, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 8)) {
        perror("listen");
        return 1;
    }
    printf("listening\n");
    fflush(stdout);
    for (int number = 0; number < count; number++) {
        int connection = accept(listener, NULL, NULL);
        if (connection < 0)
            return 1;
        answer(connection, number);
        close(connection);
    }
    return 0;
}

int main(int count, char **arguments) {
    if (count == 3)
        return serve(atoi(arguments[1]), atoi(arguments[2]));
    everything();
    return 0;
}
