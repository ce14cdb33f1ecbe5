/* uname, sysinfo, getrandom, sethostname, syslog, getrusage, and calls that a box is refused. */
#include "../tell.h"
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>

static void as_user(void) {
    syscall(SYS_setresuid, 1000, 1000, 1000);
    call(sethostname, "as a user", "name", 4ul);
    call(syslog, "as a user", 3, NULL, 0);
    call(clock_settime, "as a user", 0, &(struct timespec){1, 0});
}

int main(void) {
    struct utsname names;
    call(uname, "it", &names);
    call(uname, "nowhere", NOWHERE);
    call(uname, "beyond the program", WILD);
    printf("%s %s, a name %d, a release %d\n", names.sysname, names.machine, names.nodename[0] != 0,
           names.release[0] >= '5');
    struct sysinfo info;
    call(sysinfo, "it", &info);
    call(sysinfo, "nowhere", NOWHERE);
    call(sysinfo, "beyond the program", WILD);
    printf("memory %d, free %d, processes %d, unit %u\n", info.totalram > 0, info.freeram <= info.totalram,
           info.procs > 0, info.mem_unit);
    unsigned char bytes[64] = {0};
    call(getrandom, "64 bytes", bytes, 64ul, 0);
    int zeroes = 0;
    for (int at = 0; at < 64; at++)
        zeroes += bytes[at] == 0;
    printf("random %d\n", zeroes < 16);
    call(getrandom, "nothing", bytes, 0ul, 0);
    call(getrandom, "GRND_RANDOM", bytes, 16ul, GRND_RANDOM);
    call(getrandom, "GRND_NONBLOCK", bytes, 16ul, GRND_NONBLOCK);
    call(getrandom, "unknown flag", bytes, 16ul, 0x80);
    call(getrandom, "RANDOM and INSECURE", bytes, 16ul, 6);
    call(getrandom, "nowhere", NOWHERE, 16ul, 0);
    call(sethostname, "too long", "x", 65ul);
    call(sethostname, "nowhere", NOWHERE, 4ul);
    call(sethostname, "as it is", names.nodename, strlen(names.nodename));
    struct rusage usage;
    call(getrusage, "RUSAGE_SELF", RUSAGE_SELF, &usage);
    printf("memory %d, little time %d\n", usage.ru_maxrss > 0, usage.ru_utime.tv_sec < 10);
    call(getrusage, "RUSAGE_CHILDREN", RUSAGE_CHILDREN, &usage);
    printf("no child yet: memory %ld, time %ld\n", usage.ru_maxrss, usage.ru_utime.tv_sec);
    call(getrusage, "RUSAGE_THREAD", RUSAGE_THREAD, &usage);
    call(getrusage, "unknown", 5, &usage);
    call(getrusage, "nowhere", RUSAGE_SELF, NOWHERE);
    in_child("as a user", as_user);
    call(getrusage, "RUSAGE_CHILDREN", RUSAGE_CHILDREN, &usage);
    printf("a child: memory %d\n", usage.ru_maxrss > 0);
    return 0;
}
