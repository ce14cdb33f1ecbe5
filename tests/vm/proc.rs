//! `/proc` and `/sys` as programs read them, against native.

use unicell_tests::boxes::tree;
use unicell_tests::hosts::{scale, too_long_here};
use unicell_tests::run::Run;

#[test]
fn processes_threads_and_descriptors() {
    if too_long_here() {
        return;
    }
    let outcome = Run::new(&tree("proc"), "/usr/bin/python3.11")
        .arg("/test/processes.py")
        .same();
    assert!(outcome.out().contains("--- who may look"), "{outcome}");
}

/// Tools that give up where a file they look for is not there, or not as they know it.
#[test]
fn tools_find_what_they_look_for() {
    if too_long_here() {
        return;
    }
    let tools: &[&[&str]] = &[
        &["/usr/bin/ps", "-e", "-o", "comm,nice,nlwp,stat,wchan"],
        &["/usr/bin/top", "-b", "-n", "1"],
        &["/usr/bin/free"],
        &["/usr/bin/vmstat"],
        &["/usr/bin/uptime"],
        &["/usr/bin/pmap", "-x", "2"],
        &["/usr/bin/pstree", "-p"],
        &["/usr/bin/lsof", "-p", "2"],
        &["/usr/bin/lscpu"],
        &["/usr/bin/findmnt"],
        &["/usr/bin/prlimit"],
        &["/usr/sbin/sysctl", "-a"],
    ];
    for tool in &tools[..scale(tools.len(), 4)] {
        let outcome = Run::new(&tree("proc"), tool[0])
            .args(tool[1..].iter().copied())
            .env("TERM", "dumb")
            .guest();
        assert_eq!(outcome.code, 0, "{tool:?}: {outcome}");
        assert!(!outcome.stdout.is_empty(), "{tool:?}: {outcome}");
        assert_eq!(outcome.err(), "", "{tool:?}");
    }
}
