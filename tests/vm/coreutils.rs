//! GNU coreutils, one program at a time, against native.

use unicell_tests::boxes::tree;
use unicell_tests::run::Run;

fn text() -> String {
    (0..2000)
        .map(|n| format!("{:04}\tline {n} {}\n", n * 7919 % 2003, "ab ".repeat(n % 7)))
        .collect()
}

#[test]
fn each_program_does_what_it_does_natively() {
    let coreutils = tree("coreutils");
    for line in PROGRAMS.trim().lines() {
        let mut words = line.split_whitespace();
        let name = words.next().expect("no line of the table is empty");
        let path = ["/usr/bin", "/usr/sbin"]
            .map(|directory| format!("{directory}/{name}"))
            .into_iter()
            .find(|path| coreutils.path().join(&path[1..]).exists())
            .unwrap_or_else(|| panic!("coreutils has no {name}"));
        Run::new(&coreutils, &path).args(words).input(text()).same();
    }
}

/// Programs and arguments; each gets the text on its stdin.
const PROGRAMS: &str = r"
arch
b2sum
base32
base64 -w 40
basename /a/b/c.txt .txt
basenc --base16
cat -n
chgrp 0 /etc
chown 0:0 /etc
cksum
comm - /dev/null
cp -r /usr/share /tmp/copy
csplit -f /tmp/part - 100 200
cut -f 2
date -u -d 2024-02-29T12:00:00 +%A-%j-%s
dd bs=512 count=7 status=none
dir /usr
dirname /a/b/c
echo some words
env
expand
expr 17 % 5
factor 18446744073709551615 97
false
fmt -w 30
fold -w 33
head -c 1000
id
install -m 640 /usr/bin/true /tmp/installed
join - /dev/null
link /usr/bin/true /tmp/linked
ln -s /usr/bin/true /tmp/symbolic
ls -l /usr/bin/true --time-style=+
ls -1aR /usr/lib
md5sum
mkdir -p /tmp/x/y/z
mkfifo /tmp/fifo
mv /usr/bin/true /tmp/moved
nl
numfmt --to=iec 123456789
od -A d -t x2
paste - -
pathchk /tmp/ok
pr -t
printenv HOME
printf %s-%05.2f\n word 3.14159
pwd
readlink -f /bin
realpath /usr/../usr/bin
rm -rf /usr/share
rmdir /tmp/no-such
seq 1 0.5 4
sha1sum
sha224sum
sha256sum /usr/bin/sort
sha384sum
sha512sum
shred -u /usr/bin/true
sleep 0.05
sort -k 2 -s
sort -n --parallel=4
split -l 500 - /tmp/piece
stat -c %n:%s:%a:%F:%h /usr/bin/ls
stty
sum
sync
tac
tail -n 20
tee /tmp/tee
test 3 -gt 2
touch -d 2020-01-01 /tmp/touched
tr -d aeiou
true
truncate -s 1M /tmp/hole
tsort
tty
uname -s
unexpand -a
uniq -c
unlink /usr/bin/true
vdir /no/such
wc -lwc
whoami
yes --help
";
