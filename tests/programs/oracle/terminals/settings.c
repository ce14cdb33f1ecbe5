/* What a terminal is asked and told by ioctl. */
#include "../pty.h"
#include <asm/ioctls.h>
#include <sys/sysmacros.h>

/* Linux's, without the C library's. */
struct settings {
    unsigned flags[4];
    unsigned char line, chars[19];
    unsigned speeds[2];
};

static void show(const char *what) {
    struct settings t;
    memset(&t, 0x55, sizeof t);
    asks(what, slave, 0x802c542a /* TCGETS2 */, &t);
    printf("  %o %o %o %o %u:", t.flags[0], t.flags[1], t.flags[2], t.flags[3], t.line);
    for (int i = 0; i < 19; i++)
        printf(" %u", t.chars[i]);
    printf(", %u %u\n", t.speeds[0], t.speeds[1]);
}

static void settings(void) {
    part("settings");
    open_pty();
    show("as it begins");
    struct settings t;
    asks("of the master", master, TCGETS, &t);
    t.flags[0] ^= 0xffffffff;
    t.flags[1] ^= 0xffffffff;
    t.flags[2] ^= 0xffffffff;
    t.flags[3] ^= 0xffffffff;
    t.line = 77;
    asks("every flag changed, by the master", master, TCSETS, &t);
    show("now");
    memset(&t, 0, sizeof t);
    asks("all zero", slave, TCSETSW, &t);
    show("now");
    t.flags[2] = B115200 | CS5 | PARENB | CSTOPB;
    asks("a wire", slave, TCSETSF, &t);
    show("now");
    t.flags[2] = 010000 /* BOTHER */;
    t.speeds[0] = t.speeds[1] = 12345;
    asks("a speed of its own", slave, 0x402c542b /* TCSETS2 */, &t);
    show("now");
    t.flags[2] = 010000 | B9600 << 16;
    asks("another for input", slave, 0x402c542c /* TCSETSW2 */, &t);
    show("now");
    t.flags[2] = B300;
    asks("a speed by its name", slave, 0x402c542d /* TCSETSF2 */, &t);
    show("now");
    unsigned short old[9];
    memset(old, 0, sizeof old);
    asks("the old way", slave, TCGETA, old);
    for (int i = 0; i < 9; i++)
        printf(" %o", old[i]);
    printf("\n");
    old[0] = ICRNL;
    old[4] = 0x0203;
    asks("set the old way", slave, TCSETA, old);
    asks("and so", slave, TCSETAW, old);
    asks("and so", slave, TCSETAF, old);
    show("now");
    asks("nowhere", slave, TCGETS, NOWHERE);
    asks("from nowhere", slave, TCSETS, NOWHERE);
    asks("the old way nowhere", slave, TCGETA, NOWHERE);
    asks("the new way nowhere", slave, 0x802c542a, NOWHERE);

    part("what a terminal is not asked");
    asks("nonsense", slave, 0x54ff, 0);
    asks("a modem's lines", slave, TIOCMGET, &t);
    asks("a serial port", slave, TIOCGSERIAL, &t);
    asks("its number, as a slave", slave, TIOCGPTN, &t);
    asks("its lock, as a slave", slave, TIOCSPTLCK, &t);
    asks("packets, as a slave", slave, TIOCPKT, &t);
    asks("a peer, as a slave", slave, TIOCGPTPEER, O_RDWR);
    int pair[2];
    must(pipe(pair));
    asks("settings of a pipe", pair[0], TCGETS, &t);
    asks("the size of a pipe", pair[0], TIOCGWINSZ, &t);
    int null = must(open("/dev/null", O_RDWR));
    asks("settings of /dev/null", null, TCGETS, &t);

    part("small things");
    int number = -1;
    asks("the discipline", slave, TIOCGETD, &number);
    printf("  %d\n", number);
    number = 0;
    asks("the same discipline", slave, TIOCSETD, &number);
    number = 99;
    asks("one that is not there", slave, TIOCSETD, &number);
    asks("a break", slave, TCSBRK, 0);
    asks("drain", slave, TCSBRK, 1);
    asks("a longer break", slave, TCSBRKP, 5);
    asks("output on its way", slave, TIOCOUTQ, &number);
    printf("  %d\n", number);
    must(write(slave, "abc", 3));
    polls("the master", master);
    asks("output to be read", master, FIONREAD, &number);
    printf("  %d\n", number);
    asks("output on its way", slave, TIOCOUTQ, &number);
    printf("  %d\n", number);
    asks("exclusive", slave, TIOCEXCL, 0);
    asks("is it", slave, TIOCGEXCL, &number);
    printf("  %d\n", number);
    asks("not exclusive", slave, TIOCNXCL, 0);
    asks("is it", slave, TIOCGEXCL, &number);
    printf("  %d\n", number);
    answers("seek", lseek(slave, 0, SEEK_SET));
    close_pty();
}

static void size(void) {
    part("size");
    open_pty();
    struct winsize w = {1, 2, 3, 4};
    asks("as it begins", slave, TIOCGWINSZ, &w);
    printf("  %u %u %u %u\n", w.ws_row, w.ws_col, w.ws_xpixel, w.ws_ypixel);
    w = (struct winsize){25, 81, 640, 480};
    asks("set by the master", master, TIOCSWINSZ, &w);
    memset(&w, 0, sizeof w);
    asks("seen by the slave", slave, TIOCGWINSZ, &w);
    printf("  %u %u %u %u\n", w.ws_row, w.ws_col, w.ws_xpixel, w.ws_ypixel);
    w = (struct winsize){65535, 0, 0, 0};
    asks("set by the slave", slave, TIOCSWINSZ, &w);
    memset(&w, 0, sizeof w);
    asks("seen by the master", master, TIOCGWINSZ, &w);
    printf("  %u %u %u %u\n", w.ws_row, w.ws_col, w.ws_xpixel, w.ws_ypixel);
    asks("nowhere", slave, TIOCGWINSZ, NOWHERE);
    asks("from nowhere", slave, TIOCSWINSZ, NOWHERE);
    close_pty();
}

static void names(void) {
    part("names and locks");
    master = must(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK));
    int number = -1, locked = -1;
    asks("its number", master, TIOCGPTN, &number);
    asks("its lock", master, TIOCGPTLCK, &locked);
    printf("  %d\n", locked);
    char name[64], link[64], seen[64];
    snprintf(name, sizeof name, "/dev/pts/%d", number);
    answers("open while locked", open(name, O_RDWR | O_NOCTTY));
    asks("a peer while locked", master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
    locked = 0;
    asks("unlock", master, TIOCSPTLCK, &locked);
    slave = must(open(name, O_RDWR | O_NOCTTY | O_NONBLOCK));
    struct stat s, t;
    must(fstat(slave, &s));
    must(stat(name, &t));
    printf("a device %d, its number %d, itself %d, links %d\n", S_ISCHR(s.st_mode),
           major(s.st_rdev) == 136 && (int)minor(s.st_rdev) == number,
           s.st_ino == t.st_ino && s.st_dev == t.st_dev, (int)s.st_nlink);
    printf("ttyname %s\n", strcmp(ttyname(slave), name) ? "another" : "its name");
    printf("isatty %d %d\n", isatty(slave), isatty(master));
    unsigned device = 0;
    asks("its device", slave, 0x80045432 /* TIOCGDEV */, &device);
    printf("  as stat has it: %d\n", device == s.st_rdev);
    int peer = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    printf("a peer: %d, close on exec %d\n", peer >= 0, fcntl(peer, F_GETFD));
    snprintf(link, sizeof link, "/proc/self/fd/%d", peer);
    seen[must(readlink(link, seen, sizeof seen - 1))] = 0;
    printf("the peer's name: %d\n", !strcmp(seen, name));
    close(peer);
    must(fstat(master, &s));
    printf("the master is %u:%u\n", major(s.st_rdev), minor(s.st_rdev));
    must(chmod(name, 0600));
    must(fchown(slave, 12, 34));
    must(stat(name, &t));
    printf("mode %o, owner %u %u\n", t.st_mode & 07777, t.st_uid, t.st_gid);
    answers("a name of nothing", open("/dev/pts/4000", O_RDWR));
    answers("make a name", open("/dev/pts/x", O_RDWR | O_CREAT, 0666));
    close(master);
    answers("after the master", open(name, O_RDWR | O_NOCTTY));
    close(slave);
}

static void packets(void) {
    part("packets");
    open_pty();
    int on = 1;
    asks("on", master, TIOCPKT, &on);
    on = -1;
    asks("is it", master, TIOCGPKT, &on);
    printf("  %d\n", on);
    write_text("bytes", "abc");
    polls("with nothing", master);
    must(tcflow(slave, TCOOFF));
    polls("stopped", master);
    master_reads();
    must(tcflow(slave, TCOON));
    master_reads();
    must(tcflush(slave, TCIFLUSH));
    master_reads();
    must(tcflush(slave, TCIOFLUSH));
    master_reads();
    set(0, 0, 0, IXON, 0, 0);
    master_reads();
    set(IXON, 0, 0, 0, 0, 0);
    master_reads();
    set_char(VSTOP, 'x');
    master_reads();
    set_char(VERASE, 'y');
    master_reads();
    on = 0;
    asks("off", master, TIOCPKT, &on);
    write_text("bytes", "abc");
    asks("from nowhere", master, TIOCPKT, NOWHERE);
    close_pty();
}

int main(void) {
    settings();
    size();
    names();
    packets();
    return 0;
}
