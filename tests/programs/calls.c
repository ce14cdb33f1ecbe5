/* Makes known numbers of system calls, in two processes and two threads, for `--trace`. */
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void repeat(int times, long number) {
    for (int i = 0; i < times; i++)
        syscall(number, -1, 0);
}

static void *in_thread(void *unused) {
    repeat(11, SYS_getuid);
    return unused;
}

int main(void) {
    repeat(5, SYS_getppid);
    /* A bad descriptor, a call that nothing has behind it, and a number that was never given. */
    repeat(3, SYS_fsync);
    repeat(4, SYS_afs_syscall);
    repeat(2, 1000);
    pid_t child = fork();
    if (child == 0) {
        pthread_t thread;
        repeat(7, SYS_getppid);
        pthread_create(&thread, 0, in_thread, 0);
        pthread_join(thread, 0);
        _exit(0);
    }
    waitpid(child, 0, 0);
    return 0;
}
