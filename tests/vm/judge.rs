//! The modules of CPython's own test suite that take seconds; `./judge` runs all that are judged.

use unicell_tests::hosts::{scale, too_long_here};
use unicell_tests::judge::{Comparison, MODULES, known};

/// Every test that passes natively passes in the guest, but for those whose reason is known.
fn judged(name: &str) {
    let module = MODULES.into_iter().find(|module| module.name == name);
    let comparison = Comparison::of(module.unwrap());
    assert!(comparison.native > 0, "nothing passes natively");
    let unexplained: Vec<_> = comparison
        .missing
        .iter()
        .filter(|(test, _)| known(test).is_none())
        .collect();
    assert!(
        unexplained.is_empty(),
        "pass natively and not in the guest: {unexplained:#?}\n{}",
        comparison.logs[1]
    );
}

#[test]
fn modules_about_files_and_processes() {
    if too_long_here() {
        return;
    }
    for name in scale(&["fcntl", "mmap", "posix", "resource"][..], &["resource"]) {
        judged(name);
    }
}

#[test]
fn modules_about_waiting_and_json() {
    if too_long_here() {
        return;
    }
    for name in scale(&["epoll", "json", "select"][..], &["select"]) {
        judged(name);
    }
}
