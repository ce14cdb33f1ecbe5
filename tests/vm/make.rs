//! make and gcc over Lua's sources, against native.

use unicell_tests::boxes::tree;
use unicell_tests::hosts::{scale, too_long_here};
use unicell_tests::run::Run;

#[test]
fn a_c_project_built_and_run() {
    if too_long_here() {
        return;
    }
    let run = Run::new(&tree("build"), "/bin/sh").arg("/test/make.sh");
    // Without optimisation the compiler is quicker, and what make does is the same.
    let fast = ["CFLAGS=-std=gnu99 -DLUA_USE_LINUX", "MYLIBS=-Wl,-E -ldl"];
    let targets = scale(vec!["lua"], vec!["lctype.o", "lzio.o", "linit.o"]);
    let outcome = run
        .args(fast)
        .args(targets)
        .options(["--memory", "512M"])
        .same();
    assert!(outcome.out().ends_with("up to date: 0\n"), "{outcome}");
}
