//! Servers that Debian has, with their clients in the same box, against native.

use unicell_tests::boxes::tree;
use unicell_tests::hosts::{scale, too_long_here};
use unicell_tests::run::Run;

#[test]
fn redis_saves_in_the_background() {
    if too_long_here() {
        return;
    }
    let outcome = Run::new(&tree("redis"), "/bin/sh")
        .args(["/test/session.sh", &scale(20_000, 2_000).to_string()])
        .same();
    assert!(outcome.out().ends_with("server 0\nfile 0\n"), "{outcome}");
}

#[test]
fn nginx_with_a_master_and_workers() {
    if too_long_here() {
        return;
    }
    let outcome = Run::new(&tree("nginx"), "/bin/sh")
        .arg("/test/session.sh")
        .same();
    assert!(outcome.out().contains("new workers 2\n"), "{outcome}");
    assert!(outcome.out().ends_with("master 0\nlogged\n"), "{outcome}");
}
