//! What a guest finds beside its box.

use unicell_guest_abi::init::{File, Furnishing};
use unicell_tests::boxes::tree;
use unicell_tests::node::{OWN, OWN_V6, start};

use crate::program;

fn shell(script: &str, furnishing: &Furnishing<'_>) -> String {
    let command = ["/bin/busybox", "sh", "-c", script];
    start(&tree("busybox"), &command, furnishing).succeeds()
}

#[test]
fn files_are_written_before_the_program_starts() {
    let file = |path, mode, contents| File {
        path,
        mode,
        contents,
    };
    let large = vec![b'x'; 300_000];
    let files = [
        file(b"/__config__", 0o400, &b"a\0b"[..]),
        file(b"/etc/new/deep/hosts", 0o644, b"127.0.0.1 localhost\n"),
        file(b"/bin/busybox2", 0o755, b"#!/bin/busybox sh\necho script\n"),
        file(b"/large", 0o600, &large),
    ];
    let furnishing = Furnishing {
        files: &files,
        ..Furnishing::default()
    };
    let script = "b=/bin/busybox; $b od -c /__config__; $b cat /etc/new/deep/hosts; \
                  /bin/busybox2; $b wc -c /large; $b stat -c %a /__config__ /large /bin/busybox2";
    let printed = shell(script, &furnishing);
    for expected in [
        "a  \\0   b",
        "127.0.0.1 localhost\n",
        "script\n",
        "300000 /large\n",
        "400\n600\n755\n",
    ] {
        assert!(printed.contains(expected), "{printed}");
    }
}

#[test]
fn files_take_no_more_than_is_permitted() {
    let script = "/bin/busybox dd if=/dev/zero of=/file bs=4096 count=1024 2>&1; \
                  /bin/busybox stat -c %s /file";
    let printed = shell(script, &Furnishing::default());
    assert!(printed.ends_with("4194304\n"), "{printed}");
    let furnishing = Furnishing {
        overlay: Some(1 << 20),
        ..Furnishing::default()
    };
    let printed = shell(script, &furnishing);
    assert!(printed.contains("No space left on device"), "{printed}");
    let size: u64 = printed.lines().last().unwrap().parse().unwrap();
    assert!((1 << 19..=1 << 20).contains(&size), "{printed}");
}

#[test]
fn the_interfaces_are_loopback_and_the_way_out() {
    let printed = program(&["interfaces", ""]).succeeds();
    let expected = "lo: 127.0.0.1\nmask: 255.0.0.0\nflags 49 index 1\n\
                    eth0: 10.0.0.2\nmask: 255.0.0.0\nflags d1 index 2\n";
    assert_eq!(printed, expected);
    let furnishing = Furnishing {
        ipv4: Some(OWN),
        ipv6: Some(OWN_V6),
        ..Furnishing::default()
    };
    let printed = shell(
        "/bin/busybox cat /proc/net/if_inet6 /proc/net/dev",
        &furnishing,
    );
    assert!(
        printed.contains("fd000000000000000000000000000002 02 08 00 80     eth0\n"),
        "{printed}"
    );
    assert!(printed.contains("  eth0:"), "{printed}");
}
