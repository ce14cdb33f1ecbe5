# fork, pipes, signals and waiting, from Perl.
use strict;
use warnings;
use POSIX qw(:sys_wait_h dup2 _exit);
use IPC::Open3;
use IO::Handle;
use IO::Select;
use Socket;

$| = 1;
pipe(my $from, my $to) or die;
my $pid = fork;
if ($pid == 0) {
    close $from;
    print $to "line $_ of the child\n" for 1 .. 3;
    close $to;
    _exit(3);
}
close $to;
print while <$from>;
waitpid $pid, 0;
print "status ", $? >> 8, "\n";

my @children;
for my $n (1 .. 20) {
    my $child = fork // die "fork: $!";
    _exit($n) if $child == 0;
    push @children, $child;
}
my $sum = 0;
while ((my $ended = waitpid -1, 0) > 0) { $sum += $? >> 8 }
print "sum of statuses $sum\n";

socketpair(my $left, my $right, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die;
$_->autoflush(1) for $left, $right;
if (fork == 0) {
    close $left;
    while (my $line = <$right>) { print $right scalar reverse(substr $line, 0, -1), "\n" }
    _exit(0);
}
close $right;
print $left "question $_\n" for 1 .. 2;
print scalar <$left> for 1 .. 2;
shutdown $left, 1;
wait;
print "echo ended with $?\n";

my $handle = open3(my $in, my $out, undef, $^X, "-e", 'print uc while <STDIN>; warn "warned\n"; exit 5');
print $in "through open3\n";
close $in;
my @lines = sort <$out>;
waitpid $handle, 0;
print @lines, "open3 ", $? >> 8, "\n";

open my $piped, "-|", $^X, "-e", 'print "$_\n" for 1 .. 5' or die;
my @got = <$piped>;
close $piped;
print scalar(@got), " lines, status $?\n";
print `$^X -e 'print "backquoted"'`, "\n";

my @caught;
$SIG{USR1} = sub { push @caught, "USR1" };
$SIG{CHLD} = sub { push @caught, "CHLD"; 1 while waitpid(-1, WNOHANG) > 0 };
$SIG{ALRM} = sub { die "alarm\n" };
if (fork == 0) { kill USR1 => getppid; _exit(0) }
sleep 1 until grep { $_ eq "CHLD" } @caught;
print join(" ", sort keys %{ { map { $_ => 1 } @caught } }), "\n";
eval { alarm 1; sleep 100; alarm 0 };
print "eval: $@";
$SIG{CHLD} = "DEFAULT";

my $stopped = fork;
if ($stopped == 0) { sleep 100; _exit(0) }
kill STOP => $stopped;
waitpid $stopped, WUNTRACED;
print "stopped ", WIFSTOPPED(${^CHILD_STATUS_NATIVE}) ? 1 : 0, "\n";
kill KILL => $stopped;
kill CONT => $stopped;
waitpid $stopped, 0;
print "killed by ", $? & 127, "\n";
exec $^X, "-e", 'print "after exec\n"; exit 8';
