//! Busybox applets, each in a box of its own, against native.

use unicell_tests::boxes::tree;
use unicell_tests::process::Outcome;
use unicell_tests::run::Run;

fn applet(arguments: &[&str]) -> Run {
    Run::new(&tree("busybox"), "/bin/busybox").args(arguments)
}

fn text() -> String {
    (0..3000)
        .map(|n| {
            format!(
                "{:05} line {} of {}\n",
                n * 7919 % 3001,
                n,
                "text ".repeat(n % 5)
            )
        })
        .collect()
}

#[track_caller]
fn same(arguments: &[&str]) -> Outcome {
    applet(arguments).input(text()).same()
}

#[test]
fn applets_that_only_print() {
    same(&["echo", "-e", "a\\tb", "c"]);
    same(&["printf", "%05d|%-6s|%x\\n", "42", "ab", "255"]);
    same(&["seq", "1", "3", "40"]);
    same(&["expr", "6", "*", "7"]);
    same(&["basename", "/usr/lib/x.so", ".so"]);
    same(&["dirname", "/usr/lib/x.so"]);
    same(&["cal", "2", "2024"]);
    same(&["env"]);
    same(&["pwd"]);
    same(&["id", "-u"]);
    same(&["uname", "-s"]);
    same(&["uname", "-m"]);
    same(&["factor", "1234567890123"]);
    same(&["date", "-u", "-d", "@86400"]);
    assert_eq!(same(&["false"]).code, 1);
    assert_eq!(same(&["true"]).code, 0);
    assert_eq!(same(&["test", "-f", "/nowhere"]).code, 1);
}

#[test]
fn applets_that_ask_about_the_network() {
    for arguments in [
        &["ip", "address"][..],
        &["ip", "link", "show", "dev", "lo"],
        &["ip", "-4", "route", "show", "table", "all"],
        &["ip", "neigh"],
    ] {
        same(arguments);
    }
}

#[test]
fn applets_that_filter() {
    for arguments in [
        &["cat"][..],
        &["sort"],
        &["sort", "-rn"],
        &["tac"],
        &["rev"],
        &["wc"],
        &["head", "-n", "7"],
        &["tail", "-n", "7"],
        &["cut", "-d", " ", "-f", "1,3"],
        &["tr", "a-z", "A-Z"],
        &["uniq", "-c"],
        &["nl"],
        &["fold", "-w", "20"],
        &["md5sum"],
        &["sha1sum"],
        &["sha256sum"],
        &["sha512sum"],
        &["cksum"],
        &["base64"],
        &["hexdump", "-C"],
        &["od", "-c"],
        &["xxd"],
        &["gzip", "-c", "-n"],
        &["bzip2", "-c"],
        &["grep", "-c", "text text"],
        &["grep", "-E", "^0+1?[37] "],
        &["sed", "-n", "s/line \\([0-9]*\\)/<\\1>/p"],
        &[
            "awk",
            "{ s += $1; n[$4]++ } END { print s, NR, n[\"text\"] }",
        ],
        &["dd", "bs=100", "count=3", "status=none"],
        &["strings"],
    ] {
        // Not every applet is in every build: native says the same then.
        same(arguments);
    }
}

#[test]
fn applets_on_files() {
    same(&["ls", "-1", "/usr/bin"]);
    same(&["stat", "-c", "%n %s %a %F", "/usr/bin/busybox"]);
    same(&["sha256sum", "/usr/bin/busybox"]);
    // In no order of its own: a directory of the host has its files in another.
    same(&["sh", "-c", "find /usr -type f | sort"]);
    same(&["realpath", "/bin/../bin/busybox"]);
    same(&["readlink", "/bin"]);
    same(&["cat", "/no/such/file"]);
    same(&["touch", "/tmp/new"]);
    same(&["mkdir", "-p", "/tmp/a/b/c"]);
    same(&["cp", "/usr/bin/busybox", "/tmp/copy"]);
    same(&["ln", "-s", "busybox", "/usr/bin/alias"]);
    same(&["rm", "/usr/bin/busybox"]);
    same(&["cmp", "/usr/bin/busybox", "/usr/bin/busybox"]);
    same(&["vi", "--no-such-option"]);
}

#[test]
fn the_shell_with_builtins() {
    // One process: no forks, no pipes between commands.
    let script = r#"
        i=0; sum=0
        while [ $i -lt 500 ]; do i=$((i + 1)); sum=$((sum + i * i)); done
        echo "sum $sum"
        echo "to a file" >/tmp/file; read -r line </tmp/file; echo "read: $line"
        f() { local x=$1; [ "$x" -le 1 ] && { r=1; return; }; f $((x - 1)); r=$((r * x)); }
        f 12; echo "factorial $r"
        case abc in a*) echo matched ;; esac
        for word in one "two three" four; do echo "<$word>"; done
        cd /usr && pwd; set -- a b c; shift; echo "$# $1 ${2:-none} ${3:-none}"
        trap 'echo leaving' EXIT
        exit 9
    "#;
    assert_eq!(same(&["sh", "-c", script]).code, 9);
    let input = "echo from stdin $((6 * 7))\nexit 4\n";
    assert_eq!(applet(&["sh"]).input(input).same().code, 4);
}
