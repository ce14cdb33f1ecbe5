/* The line discipline: editing, echo, what becomes of each byte on its way in and out. */
#include "../pty.h"

static void editing(void) {
    part("editing a line");
    open_pty();
    type("a line", "hello\n");
    type("a carriage return", "hello\r");
    type("no end yet", "abc");
    type("erase", "\x7f\x7fXY\n");
    type("erase too much", "ab\x7f\x7f\x7f\x7f\x7f" "c\n");
    type("erase a word", "one two_2  three.. \x17\x17" "x\n");
    type("kill the line", "one two\x15three\n");
    type("reprint", "one \x01two\x12 three\n");
    type("literal next", "a\x16\x03" "b\x16\x16" "c\x16\x7f" "d\x16\n" "e\n");
    type("control characters and back", "a\x01\x02\x7f\x7f" "b\n");
    type("a tab and back", "ab\tcd\x7f\x7f\x7f" "e\n");
    type("a tab after a tab and back", "\ta\t\x7f" "b\n");
    type("a tab after control characters", "\x01\x02" "a\t\x7f" "b\n");
    write_text("a prompt", "prompt> ");
    type("a tab after a prompt and back", "x\t\x7f" "y\n");
    type("Latin-1", "\xe9\xe8\x7f\n");
    set(IUTF8, 0, 0, 0, 0, 0);
    type("UTF-8", "a\xc3\xa9\xe2\x82\xac\x7f\x7f" "b\n");
    type("UTF-8 without a beginning", "\xa9\xa9\x7f\x7f" "b\n");
    type("a word of UTF-8", "x \xc3\xa9\xc3\xa9\x17" "b\n");
    set(0, 0, 0, IUTF8, 0, 0);
    close_pty();

    part("ends");
    open_pty();
    type("end of file", "\x04");
    type("after text", "abc\x04");
    type("twice after text", "abc\x04\x04");
    type("after text and a line", "abc\ndef\x04ghi\n");
    set_char(VEOL, ';');
    set_char(VEOL2, '!');
    type("other ends", "abc;def!ghi\n");
    set(0, 0, 0, 0, 0, IEXTEN);
    type("without extensions", "abc!\x16\x12\x17;def\n");
    set(0, 0, IEXTEN, 0, 0, 0);
    set_char(VEOF, 0);
    type("no end of file", "a\x04" "b\n");
    set_char(VEOF, 4);
    printf("read in parts\n");
    must(write(master, "abcdef\ngh\n", 10));
    slave_reads(4);
    printf("read in parts, with the end of file\n");
    must(write(master, "abcd\x04", 5));
    slave_reads(4);
    printf("read in parts, with the end of file within\n");
    must(write(master, "abcdef\x04gh\n", 10));
    slave_reads(4);
    close_pty();
}

static void echoing(void) {
    part("echo");
    open_pty();
    set(0, 0, 0, 0, 0, ECHO);
    type("none", "abc\x7f\x15" "d\n");
    set(0, 0, ECHONL, 0, 0, 0);
    type("newlines only", "abc\n");
    set(0, 0, ECHO, 0, 0, ECHONL);
    set(0, 0, 0, 0, 0, ECHOCTL);
    type("control characters as they are", "a\x01\x02\x7f" "b\n");
    type("literal without sight", "a\x16\x03\n");
    type("a tab after control characters", "\x01\x02" "a\t\x7f" "b\n");
    set(0, 0, ECHOCTL, 0, 0, ECHOE);
    type("erase shown as a character", "abc\x7f\x17\x15" "d\n");
    set(0, 0, ECHOE, 0, 0, ECHOKE);
    type("kill with a newline", "abc\x15" "d\n");
    set(0, 0, 0, 0, 0, ECHOK);
    type("kill as a character", "abc\x15" "d\n");
    set(0, 0, ECHOK | ECHOKE | ECHOPRT, 0, 0, 0);
    type("on paper", "one two\x7f\x7f\x17" "three\x15" "four\n");
    type("on paper, all of it", "ab\x7f\x7f" "c\n");
    set(IUTF8, 0, 0, 0, 0, 0);
    type("on paper, UTF-8", "a\xc3\xa9\x7f" "b\n");
    close_pty();
}

static void incoming(void) {
    part("input flags");
    open_pty();
    set(IGNCR, 0, 0, 0, 0, 0);
    type("carriage returns ignored", "a\rb\n");
    set(0, 0, 0, IGNCR | ICRNL, 0, 0);
    type("carriage returns kept", "a\rb\n");
    set(INLCR, 0, 0, 0, 0, 0);
    type("newlines as carriage returns", "a\nb\x04");
    set(ICRNL, 0, 0, 0, 0, 0);
    type("the two exchanged", "a\nb\r");
    set(0, 0, 0, INLCR, 0, 0);
    set(ISTRIP, 0, 0, 0, 0, 0);
    type("seven bits", "\xe1\xe2\x8a");
    set(0, 0, 0, ISTRIP, 0, 0);
    set(IUCLC, 0, 0, 0, 0, 0);
    type("lower case", "ABC\n");
    set(0, 0, 0, IUCLC, 0, 0);
    set(PARMRK, 0, 0, 0, 0, 0);
    type("marks doubled", "a\xff" "b\n");
    set(0, 0, 0, PARMRK, 0, 0);
    type("marks not doubled", "a\xff" "b\n");

    part("flow control");
    type("stop", "\x13");
    write_text("a write while stopped", "abc");
    polls("the slave", slave);
    type("typing while stopped", "xy\n");
    type("start", "\x11");
    write_text("a write while not stopped", "abc\n");
    set(IXANY, 0, 0, 0, 0, 0);
    type("stop, and any key", "\x13q\n");
    set(0, 0, 0, IXANY, 0, 0);
    type("stop again", "\x13");
    set(0, 0, 0, IXON, 0, 0);
    write_text("no flow control undoes it", "abc");
    type("then they are characters", "\x11\x13\n");
    set(IXON, 0, 0, 0, 0, 0);
    must(tcflow(slave, TCOOFF));
    write_text("held", "abc");
    type("the start character does not help", "\x11");
    write_text("held still", "abc");
    must(tcflow(slave, TCOON));
    write_text("let go", "abc\n");
    must(tcflow(slave, TCIOFF));
    must(tcflow(slave, TCION));
    master_reads();
    answers("no such flow", tcflow(slave, 7));
    close_pty();
}

static void outgoing(void) {
    part("output flags");
    open_pty();
    write_text("as it begins", "a\nb\rc\td\be\x01\n");
    set(0, TAB3, 0, 0, 0, 0);
    write_text("tabs as spaces", "\ta\tabcdefgh\t\b\b\tx\n");
    set(0, 0, 0, 0, TAB3, 0);
    set(0, OCRNL, 0, 0, 0, 0);
    write_text("carriage returns as newlines", "a\rb\n");
    set(0, ONLRET, 0, 0, OCRNL, 0);
    write_text("newlines return", "abc\n\t");
    set(0, ONOCR, 0, 0, ONLRET, 0);
    write_text("no return where it begins", "\r\rabc\r\r\n");
    set(0, OLCUC, 0, 0, ONOCR, 0);
    write_text("upper case", "abc\xe9\n");
    set(0, 0, 0, 0, OLCUC | ONLCR, 0);
    write_text("newlines as they are", "abc\ndef\n");
    set(0, TAB3, 0, 0, 0, 0);
    write_text("so that columns go on", "abc\ndef\tx\n");
    set(0, 0, 0, 0, OPOST, 0);
    write_text("as it is", "a\n\r\tb\x01");
    type("echo as it is", "a\n");
    close_pty();
}

static void pending(const char *what) {
    int count = -1;
    must(ioctl(slave, FIONREAD, &count));
    printf("%s: %d\n", what, count);
}

static void buffers(void) {
    part("long lines");
    static char line[6000];
    memset(line, 'a', sizeof line);
    open_pty();
    set(0, 0, 0, 0, 0, ECHO);
    line[4095] = '\n';
    type_bytes("4095 and a newline", line, 4096);
    line[4095] = 'b';
    line[4999] = '\n';
    type_bytes("4999 and a newline", line, 5000);
    line[4999] = '\x7f';
    line[5000] = '\n';
    type_bytes("4999, an erase and a newline", line, 5001);

    part("counts");
    type("nothing", "");
    pending("nothing");
    must(write(master, "abc\ndef\x04ghi", 11));
    polls("the slave", slave);
    polls("the slave", slave);
    /* All of it has arrived when the unfinished line is erased by a flush. */
    slave_reads(4096);
    pending("an unfinished line");
    must(write(master, "jkl\n", 4));
    polls("the slave", slave);
    pending("a line");
    must(tcflush(slave, TCIFLUSH));
    pending("after a flush");
    polls("the slave", slave);
    must(write(master, "unfinished", 10));
    polls("the slave", slave);
    must(tcflush(slave, TCIOFLUSH));
    type("an unfinished line was flushed", "x\n");
    answers("no such flush", tcflush(slave, 7));

    part("changes of mode");
    must(write(master, "unfinished", 10));
    polls("the slave", slave);
    set_raw(1, 0);
    printf("no longer canonical\n");
    slave_reads(4096);
    type("raw", "a\x03\x04\r\n\x7f");
    must(write(master, "loose", 5));
    polls("the slave", slave);
    set(0, 0, ICANON, 0, 0, 0);
    printf("canonical again\n");
    pending("what was loose");
    slave_reads(4096);
    type("and the next line", "more\n");
    set(0, 0, ECHO | ECHOCTL, 0, 0, ICANON);
    type("echo without lines", "a\x01\r\n\x7f");
    set(ICRNL, OPOST | ONLCR, 0, 0, 0, 0);
    type("with newlines", "a\r\n");
    must(write(master, "typed before", 12));
    polls("the slave", slave);
    struct termios t;
    must(tcgetattr(slave, &t));
    must(tcsetattr(slave, TCSAFLUSH, &t));
    printf("settings that flush\n");
    slave_reads(4096);
    master_reads();
    close_pty();
}

int main(void) {
    editing();
    echoing();
    incoming();
    outgoing();
    buffers();
    return 0;
}
