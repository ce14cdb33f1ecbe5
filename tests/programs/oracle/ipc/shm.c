/* System V shared memory. */
#define _GNU_SOURCE
#include "../tell.h"
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/time.h>

#define KEY 0x1234
#define PAGE 4096L

static int id;

static void stat_of(const char *what, int of) {
    struct shmid_ds found = {};
    if (call(shmctl, what, of, IPC_STAT, &found) == -1)
        return;
    printf(" key %#x, mode %o, %zu bytes, attached %lu, owner %u %u, maker %u %u, mine %d, last mine %d, "
        "attached ever %d, detached ever %d, changed %d\n",
        found.shm_perm.__key, found.shm_perm.mode, found.shm_segsz, found.shm_nattch, found.shm_perm.uid,
        found.shm_perm.gid, found.shm_perm.cuid, found.shm_perm.cgid, found.shm_cpid == getpid(),
        found.shm_lpid == getpid(), found.shm_atime > 0, found.shm_dtime > 0, found.shm_ctime > 0);
}

static char *attach(const char *what, int of, void *at, int flags) {
    long answer = made(shmat, what, of, at, flags);
    return answer == -1 ? NULL : (char *)answer;
}

static void child(void) {
    char *here = attach("by a child", id, NULL, 0);
    stat_of("attached twice", id);
    strcpy(here + PAGE, "from the child");
    call(shmdt, "by a child", here);
}

static void inherits(void) {
    stat_of("attached by both", id);
}

static void unprivileged(void) {
    must(setgid(1000)), must(setuid(1000));
    call(shmget, "another's, to read and write", KEY, PAGE, 0600);
    call(shmget, "another's, asking for nothing", KEY, PAGE, 0);
    attach("another's", id, NULL, 0);
    attach("another's, to read", id, NULL, SHM_RDONLY);
    call(shmctl, "IPC_STAT, another's", id, IPC_STAT, &(struct shmid_ds){});
    call(shmctl, "IPC_SET, another's", id, IPC_SET, &(struct shmid_ds){});
    call(shmctl, "IPC_RMID, another's", id, IPC_RMID, NULL);
    call(shmctl, "SHM_LOCK, another's", id, SHM_LOCK, NULL);
}

static void readable(void) {
    must(setgid(1000)), must(setuid(1000));
    attach("another's that may be read", id, NULL, 0);
    char *here = attach("another's that may be read, to read", id, NULL, SHM_RDONLY);
    printf("%s\n", here + PAGE);
    call(mprotect, "what was attached to be read", here, PAGE, PROT_READ | PROT_WRITE);
}

static void writes_what_is_read(void) {
    char *here = attach("to be read", id, NULL, SHM_RDONLY);
    *here = 1;
}

static void past_the_end(void) {
    char *here = (char *)syscall(SYS_shmat, id, NULL, 0);
    char *grown = mremap(here, 2 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
    printf("grown: %s\n", grown == MAP_FAILED ? strerrorname_np(errno) : "done");
    if (grown != MAP_FAILED)
        printf("%d\n", grown[7 * PAGE]);
}

int main(void) {
    part("getting");
    call(shmget, "no such key", KEY, PAGE, 0);
    call(shmget, "nothing", KEY, 0L, IPC_CREAT | 0600);
    call(shmget, "too much", KEY, -1L, IPC_CREAT | 0600);
    made(shmget, "a new key", KEY, PAGE + 5, IPC_CREAT | IPC_EXCL | 0600);
    id = must(shmget(KEY, 0, 0));
    call(shmget, "a key that is there", KEY, PAGE, IPC_CREAT | IPC_EXCL | 0600);
    call(shmget, "more than there is", KEY, PAGE + 6, IPC_CREAT | 0600);
    printf("the same: %d\n", shmget(KEY, PAGE + 5, IPC_CREAT | 0644) == id);
    int other = made(shmget, "IPC_PRIVATE", IPC_PRIVATE, PAGE, 0600);
    other = must(shmget(IPC_PRIVATE, PAGE, 0600));
    printf("another: %d\n", other != id);
    stat_of("new", id);

    part("attaching");
    char *here = attach("anywhere", id, NULL, 0);
    stat_of("attached", id);
    strcpy(here, "from the parent");
    in_child("a child", child);
    printf("%s, %s\n", here, here + PAGE);
    in_child("a child that inherits", inherits);
    stat_of("after children", id);
    char *room = mmap(NULL, 64 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(munmap(room, 64 * PAGE));
    char *again = attach("again, where there is room", id, room, 0);
    printf("as asked: %d, the same: %d\n", again == room, !strcmp(again, here));
    call(shmat, "where something is", id, here, 0);
    call(shmat, "at an odd address", id, room + 32 * PAGE + 5, 0);
    char *rounded = attach("at an odd address, SHM_RND", id, room + 32 * PAGE + 5, SHM_RND);
    printf("rounded: %d\n", rounded == room + 32 * PAGE);
    char *over = attach("over it, SHM_REMAP", id, rounded, SHM_REMAP | SHM_RDONLY);
    printf("over: %d\n", over == rounded);
    call(shmat, "nowhere, SHM_REMAP", id, NULL, SHM_REMAP);
    call(shmat, "no such number", 0x7fffffff, NULL, 0);
    call(shmat, "below zero", -1, NULL, 0);
    stat_of("attached three times", id);
    in_child("a write to what is read", writes_what_is_read);
    in_child("more than there is", past_the_end);

    part("detaching");
    call(shmdt, "over", over);
    call(shmdt, "twice", over);
    call(shmdt, "an odd address", again + 1);
    call(shmdt, "not its start", again + PAGE);
    must(mprotect(again, PAGE, PROT_READ));
    stat_of("in two parts", id);
    call(shmdt, "two parts", again);
    must(munmap(here, PAGE));
    stat_of("half of it", id);
    call(shmdt, "the other half", here);
    stat_of("not attached", id);

    part("permissions");
    in_child("another user", unprivileged);
    struct shmid_ds set = {};
    must(shmctl(id, IPC_STAT, &set));
    set.shm_perm.mode = 0644;
    set.shm_perm.gid = 7;
    call(shmctl, "IPC_SET", id, IPC_SET, &set);
    stat_of("changed", id);
    in_child("another user, to read", readable);
    call(shmctl, "SHM_LOCK", id, SHM_LOCK, NULL);
    stat_of("locked", id);
    call(shmctl, "SHM_UNLOCK", id, SHM_UNLOCK, NULL);

    part("all");
    struct shminfo limits = {};
    made(shmctl, "IPC_INFO", 0, IPC_INFO, &limits);
    printf("max %lx, min %lu, number %lu, all %lx\n", limits.shmmax, limits.shmmin, limits.shmmni, limits.shmall);
    struct shm_info usage = {};
    int last = must(shmctl(0, SHM_INFO, (void *)&usage));
    printf("used %d, pages %lu\n", usage.used_ids, usage.shm_tot);
    int found = 0;
    for (int at = 0; at <= last; at++)
        if (shmctl(at, SHM_STAT, &set) == id)
            found++;
    printf("found %d\n", found);
    call(shmctl, "SHM_STAT, nothing there", 30000, SHM_STAT, &set);
    call(shmctl, "no command", id, 99, NULL);
    call(shmctl, "IPC_STAT, nowhere", id, IPC_STAT, NOWHERE);
    call(shmctl, "IPC_SET, nowhere", id, IPC_SET, NOWHERE);

    part("removing");
    here = attach("once more", id, NULL, 0);
    call(shmctl, "IPC_RMID, attached", id, IPC_RMID, NULL);
    stat_of("removed and attached", id);
    call(shmget, "what was removed", KEY, PAGE, 0);
    printf("still there: %s\n", here);
    again = attach("what was removed, by its number", id, NULL, 0);
    call(shmdt, "what was removed", here);
    call(shmdt, "what was removed, last", again);
    stat_of("gone", id);
    call(shmctl, "IPC_RMID, gone", id, IPC_RMID, NULL);
    call(shmctl, "IPC_RMID", other, IPC_RMID, NULL);
    stat_of("gone at once", other);
    return 0;
}
