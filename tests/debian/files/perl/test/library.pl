# Perl's core and the compiled modules that come with it.
use strict;
use warnings;
use List::Util qw(sum max shuffle reduce first);
use POSIX qw(floor strftime fmod);
use Digest::MD5 qw(md5_hex);
use Digest::SHA qw(sha256_hex sha512_hex);
use MIME::Base64 qw(encode_base64 decode_base64);
use Storable qw(dclone freeze thaw);
use Data::Dumper;
use File::Temp qw(tempdir);
use Time::HiRes qw(time sleep);
use Encode qw(encode decode);
use JSON::PP;

print "perl $]\n";
my %words;
$words{$_}++ for split /\W+/, lc "the quick brown fox jumps over the lazy dog and the cat";
print join(", ", map { "$_=$words{$_}" } sort { $words{$b} <=> $words{$a} || $a cmp $b } keys %words), "\n";
print sum(1 .. 1000), " ", max(3, 9, 4), " ", (reduce { $a * $b } 1 .. 10), "\n";
print md5_hex("x" x 100000), " ", sha256_hex("unicell"), " ", substr(sha512_hex(""), 0, 16), "\n";
print encode_base64("bytes \0\1\2"), decode_base64("aGVsbG8="), "\n";
$Data::Dumper::Sortkeys = 1;
$Data::Dumper::Indent = 1;
print Dumper(thaw(freeze(dclone({ list => [1, 2, { deep => 'x' }], text => "t" }))));
print JSON::PP->new->canonical->encode({ b => [1, undef, "x"], a => { c => 1.5 } }), "\n";
print length(encode("UTF-8", "\x{263a}\x{e9}")), " ", ord(decode("UTF-8", "\xc3\xa9")), "\n";
print floor(-2.5), " ", fmod(7.5, 2), " ", strftime("%Y-%m-%d", gmtime(86400 * 365)), "\n";
(my $text = "a1b22c333") =~ s/(\d+)/<@{[length $1]}>/g;
print "$text ", join("|", "2024-02-29" =~ /^(\d+)-(\d+)-(\d+)$/), "\n";

my $dir = tempdir(CLEANUP => 1);
open(my $out, ">", "$dir/lines") or die $!;
printf $out "%05d %s\n", $_, "x" x ($_ % 50) for 1 .. 2000;
close $out;
open(my $in, "<", "$dir/lines") or die $!;
my ($lines, $bytes) = (0, 0);
while (<$in>) { $lines++; $bytes += length }
close $in;
print "$lines lines, $bytes bytes, size ", -s "$dir/lines", "\n";
rename("$dir/lines", "$dir/renamed") or die $!;
opendir(my $handle, $dir) or die $!;
print join(" ", grep { !/^\./ } sort readdir $handle), "\n";

my $before = time;
sleep 0.05;
print "slept ", (time - $before >= 0.05 ? "long enough" : "too short"), "\n";
local $SIG{ALRM} = sub { die "alarm\n" };
eval { alarm 1; select undef, undef, undef, 10; };
print "interrupted by $@";
print STDERR "to stderr\n";
sub fib { my $n = shift; $n < 2 ? $n : fib($n - 1) + fib($n - 2) }
print fib(18), "\n";
exit 5;
