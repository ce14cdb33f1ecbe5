/* utimensat, utimes, utime, futimesat, and which calls change which times. */
#include "../tell.h"
#include <sys/time.h>
#include <utime.h>

static void show(const char *what, const char *path) {
    struct stat status;
    must(lstat(path, &status));
    printf("%s: %ld.%09ld %ld.%09ld\n", what, status.st_atim.tv_sec, status.st_atim.tv_nsec,
           status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
}

static void set(const char *path) {
    struct timespec old[2] = {{1000, 1}, {1000, 1}};
    must(utimensat(AT_FDCWD, path, old, AT_SYMLINK_NOFOLLOW));
}

/* Which of a file's times a call made new. */
static void changed(const char *what, const char *path) {
    struct stat status;
    must(lstat(path, &status));
    printf("%s changes:%s\n", what, status.st_mtim.tv_sec != 1000 ? " mtime" : "");
    set(path);
}

static void setting(void) {
    int fd = must(open("f", O_RDWR)), d = must(open("d", O_RDONLY));
    part("setting");
    struct timespec times[2] = {{1, 123456789}, {2, 999999999}};
    call(utimensat, "nanoseconds", AT_FDCWD, "f", times, 0);
    show("f", "f");
    struct timespec early[2] = {{-5, 5}, {0, 0}};
    call(utimensat, "before 1970", AT_FDCWD, "f", early, 0);
    show("f", "f");
    struct timespec late[2] = {{5000000000, 5}, {8000000000, 0}};
    call(utimensat, "after 2106", AT_FDCWD, "f", late, 0);
    show("f", "f");
    struct timespec omit[2] = {{0, UTIME_OMIT}, {3, 4}};
    call(utimensat, "only the second", AT_FDCWD, "f", omit, 0);
    show("f", "f");
    struct timespec neither[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}};
    call(utimensat, "neither", AT_FDCWD, "f", neither, 0);
    call(utimensat, "neither, of nothing", AT_FDCWD, "absent", neither, 0);
    struct timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
    call(utimensat, "the first now", AT_FDCWD, "f", now, 0);
    struct stat status;
    must(stat("f", &status));
    printf("now: %d, the second kept: %ld.%ld\n", status.st_atim.tv_sec > 1000000000,
           status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
    struct timespec wrong[2] = {{0, 1000000000}, {0, 0}}, negative[2] = {{0, 0}, {0, -1}};
    call(utimensat, "too many nanoseconds", AT_FDCWD, "f", wrong, 0);
    call(utimensat, "negative nanoseconds", AT_FDCWD, "f", negative, 0);
    call(utimensat, "nothing", AT_FDCWD, "absent", times, 0);
    call(utimensat, "a link itself", AT_FDCWD, "link", times, AT_SYMLINK_NOFOLLOW);
    show("link", "link");
    call(utimensat, "through a link", AT_FDCWD, "link", NULL, 0);
    call(utimensat, "a descriptor", fd, NULL, times, 0);
    show("f", "f");
    call(utimensat, "a descriptor and flags", fd, NULL, times, AT_SYMLINK_NOFOLLOW);
    call(utimensat, "no descriptor", 999, NULL, times, 0);
    call(utimensat, "no path here", AT_FDCWD, NULL, times, 0);
    call(utimensat, "in a directory", d, "../f", times, 0);
    call(utimensat, "a descriptor itself", fd, "", times, AT_EMPTY_PATH);
    call(utimensat, "no name", fd, "", times, 0);
    call(utimensat, "unknown flags", fd, "", times, 1);
    call(utimensat, "times of nowhere", AT_FDCWD, "f", NOWHERE, 0);
    call(utimensat, "a file of the box", AT_FDCWD, "/data/long", times, 0);
    show("a file of the box", "/data/long");

    part("the old ways");
    struct timeval old[2] = {{11, 999999}, {12, 1}}, bad[2] = {{1, 1000000}, {1, 0}};
    call(utimes, "microseconds", "f", old);
    show("f", "f");
    call(utimes, "now", "f", NULL);
    call(utimes, "too many microseconds", "f", bad);
    call(utimes, "nothing", "absent", old);
    struct utimbuf seconds = {21, 22};
    call(utime, "seconds", "f", &seconds);
    show("f", "f");
    call(utime, "now", "f", NULL);
    call(utime, "nothing", "absent", &seconds);
    call(utime, "from nowhere", "f", NOWHERE);
    call(futimesat, "in a directory", d, "../f", old);
    show("f", "f");
    call(futimesat, "a descriptor", fd, NULL, old);
    call(futimesat, "at no descriptor", 999, "f", old);
    call(futimesat, "too many microseconds", d, "../f", bad);
}

static void changing(void) {
    part("what changes them");
    set("f");
    set("d");
    int fd = must(open("f", O_RDWR));
    changed("opening", "f");
    must(write(fd, "x", 1));
    changed("writing", "f");
    must(write(fd, "", 0));
    changed("writing nothing", "f");
    must(ftruncate(fd, 1));
    changed("cutting to the same size", "f");
    must(ftruncate(fd, 100));
    changed("extending", "f");
    must(fallocate(fd, 0, 0, 200));
    changed("allocating", "f");
    must(close(must(open("f", O_WRONLY | O_TRUNC))));
    changed("opening to cut", "f");
    must(close(must(open("f", O_WRONLY | O_TRUNC))));
    changed("opening to cut what is empty", "f");
    must(truncate("f", 0));
    changed("cutting by name to the same size", "f");
    must(chmod("f", 0600));
    changed("chmod", "f");
    must(rename("f", "g"));
    must(rename("g", "f"));
    changed("renaming", "f");
    must(close(must(creat("d/x", 0600))));
    changed("a new name in a directory", "d");
    must(write(must(open("d/x", O_WRONLY)), "x", 1));
    changed("writing to a file in a directory", "d");
    must(link("f", "d/y"));
    changed("a link in a directory", "d");
    must(rename("d/y", "d/z"));
    changed("renaming in a directory", "d");
    must(unlink("d/z"));
    changed("removing from a directory", "d");
    must(mkdir("d/s", 0755));
    changed("a directory in a directory", "d");
    must(close(must(creat("d/s/t", 0600))));
    changed("a name farther below", "d");
    struct stat before, after;
    must(stat("f", &before));
    must(chmod("f", 0644));
    must(stat("f", &after));
    printf("chmod changes the change time: %d\n",
           before.st_ctim.tv_sec != after.st_ctim.tv_sec ||
               before.st_ctim.tv_nsec <= after.st_ctim.tv_nsec);
}

int main(void) {
    must(close(must(creat("f", 0644))));
    must(mkdir("d", 0755));
    must(symlink("f", "link"));
    setting();
    changing();
    return 0;
}
