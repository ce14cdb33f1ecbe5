//! bash, dash, and what scripts call, against native.

use unicell_tests::boxes::tree;
use unicell_tests::hosts::too_long_here;
use unicell_tests::run::Run;

fn shell(path: &str, script: &str) -> Run {
    Run::new(&tree("shell"), path).arg(format!("/test/{script}"))
}

#[test]
fn the_same_script_in_dash_and_bash() {
    if too_long_here() {
        return;
    }
    for path in ["/bin/dash", "/bin/bash"] {
        let outcome = shell(path, "common.sh").same();
        assert_eq!(outcome.code, 6, "{outcome}");
        assert!(outcome.out().contains("ran true 300 times\n"), "{outcome}");
    }
}

#[test]
fn what_only_bash_does() {
    if too_long_here() {
        return;
    }
    let outcome = shell("/bin/bash", "bash.sh").same();
    assert!(outcome.out().contains("running\nstatus 143\n"), "{outcome}");
}

#[test]
fn find_xargs_awk_sed_and_archives() {
    if too_long_here() {
        return;
    }
    let outcome = shell("/bin/sh", "tools.sh").same();
    assert_eq!(outcome.code, 0, "{outcome}");
}
