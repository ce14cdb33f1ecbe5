//! Names in guests of a node, as the resolvers of glibc and musl find them.

use std::path::{Path, PathBuf};

use unicell_tests::boxes::tree;
use unicell_tests::daemon::Node;

/// Starts a child by the API, as a program in any language does, and asks for names. Then it lets the
/// child go on, which has its name only as long as it is there, and waits for its end.
const PARENT: &str = r#"
echo multi on >/etc/host.conf # As Debian has it.
token=$(sed -n 's/.*"token": *"\([^"]*\)".*/\1/p' /__config__)
call() { wget -q -O - --header "Unicell-Token: $token" "$@"; }
id=$(call --header "Content-Type: application/json" --post-data '{"service":"helper"}' \
    http://gateway/v1/instances | sed -n 's/^{"id":"\([0-9a-f]*\)".*/\1/p')
for linking in musl dynamic; do
    echo "$linking:"
    /$linking/streams resolve gateway boss helper parent localhost
done
until nc helper 7000 </dev/null; do :; done
call "http://gateway/v1/instances/$id/logs?follow=true" >/dev/null
"#;
/// Asks for names when its parent has.
const CHILD: &str = r#"
nc -l -p 7000
echo multi on >/etc/host.conf
for linking in musl dynamic; do /$linking/streams resolve gateway helper parent boss; done
echo "$(hostname) $(cat /etc/hostname /proc/sys/kernel/hostname | uniq)"
"#;

/// A box with a shell, and one program as each libc has it: small, for it is packed here.
pub(crate) fn small_box(directory: &Path) -> PathBuf {
    let (programs, busybox) = (tree("programs"), tree("busybox"));
    let libraries = programs.path().join("usr/lib/x86_64-linux-gnu");
    let loader = "ld-linux-x86-64.so.2";
    let files = [
        (busybox.path().join("bin/busybox"), "bin/busybox"),
        (programs.path().join("musl/streams"), "musl/streams"),
        (programs.path().join("dynamic/streams"), "dynamic/streams"),
        (
            libraries.join("libc.so.6"),
            "lib/x86_64-linux-gnu/libc.so.6",
        ),
        (libraries.join(loader), "lib64/ld-linux-x86-64.so.2"),
    ];
    let small = directory.join("small");
    for (from, to) in files {
        let to = small.join(to);
        std::fs::create_dir_all(to.parent().expect("it has one")).expect("it can be made");
        std::fs::copy(&from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
    small
}

fn manifest(script: &str, rest: &str) -> String {
    format!("entrypoint = \"/bin/busybox\"\nargs = [\"sh\", \"-c\", {script:?}]\n{rest}")
}

#[test]
fn each_finds_the_gateway_its_parent_and_its_children() {
    let node = Node::start();
    let tree = small_box(node.path());
    let helper = node.import(
        &tree,
        &manifest(CHILD, "[[slots]]\nport = 7000\n"),
        "helper",
    );
    let dependency = format!("[dependencies]\nhelper = {{ id = \"{helper}\" }}\n");
    node.import(&tree, &manifest(PARENT, &dependency), "boss");
    node.run(["start", "boss"]);
    let boss = node.output("boss");
    let child = node.output("helper").out();
    let both = |said: &str, name: &str, v4: &str, v6: &str| {
        for address in [v4, v6] {
            let line = format!("{name}: {address} port 80\n");
            // Twice by each libc: with AI_ADDRCONFIG and without.
            assert_eq!(said.matches(&line).count(), 4, "{line}{boss}\n{child}");
        }
    };
    both(&boss.out(), "gateway", "10.0.0.1", "fd00::1");
    both(&boss.out(), "boss", "10.0.0.2", "fd00::2");
    both(&boss.out(), "helper", "10.1.0.1", "fd00::1:1");
    both(&child, "gateway", "10.0.0.1", "fd00::1");
    both(&child, "helper", "10.0.0.2", "fd00::2");
    both(&child, "parent", "10.0.0.3", "fd00::3");
    // The operator's instance has no parent, and nobody knows a parent by its name.
    for (said, nobody) in [(&boss.out(), "parent"), (&child, "boss")] {
        let line = format!("{nobody}: no address (1)\n");
        assert_eq!(said.matches(&line).count(), 4, "{line}{said}");
    }
    assert!(child.ends_with("helper helper\n"), "{child}");
}
