//! A node under systemd, installed as docs/operations.md says: started, killed, back again, stopped.

// All of it is tests: what cannot be done fails them.
#![allow(clippy::expect_used)]

use std::process::Command;

use unicell_tests::boxes::{repository, tree, unicell};
use unicell_tests::hosts::{Host, skip};
use unicell_tests::process::finish;

#[test]
fn the_unit_starts_restarts_and_stops_a_node_whose_jails_are_whole() {
    if Host::current() != Host::Svm {
        skip("systemd would take over the control groups of this machine");
        return;
    }
    let mut boot = Command::new("sh");
    boot.arg(repository().join("tests/vm_systemd/boot.sh"))
        .arg(tree("systemd").path())
        .arg(unicell())
        .arg(repository().join("tools/unicell/unicell.service"))
        .arg(repository().join("target/examples/hello.cell"));
    let outcome = finish(boot, b"");
    assert_eq!(outcome.code, 0, "{outcome}");
    let expected = "\
        started: active\n\
        Hello from a micro-VM.\n\
        instances whose jail is whole: 1\n\
        lost: 1\n\
        instances whose jail is whole: 1\n\
        stopped: success\n\
        no group\n\
        no socket\n";
    assert_eq!(outcome.out(), expected, "{outcome}");
}
