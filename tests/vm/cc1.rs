//! gcc's compiler proper, against native.

use unicell_tests::boxes::tree;
use unicell_tests::run::Run;

fn cc1() -> Run {
    let path = "/usr/lib/gcc/x86_64-linux-gnu/12/cc1";
    // Without -quiet it reports its own times and memory.
    Run::new(&tree("cc1"), path).args(["-quiet", "-nostdinc", "-o", "-"])
}

#[test]
fn compiling_a_file() {
    for level in ["-O0", "-O2", "-O3"] {
        let outcome = cc1().args([level, "-g", "/test/program.c"]).same();
        assert_eq!(outcome.code, 0, "{outcome}");
        assert!(
            outcome.out().contains(".ident\t\"GCC: (Debian"),
            "{outcome}"
        );
    }
}

#[test]
fn errors_in_a_file() {
    let outcome = cc1().arg("/test/wrong.c").same();
    assert_eq!(outcome.code, 1, "{outcome}");
    assert!(
        outcome.err().contains("'undeclared' undeclared"),
        "{outcome}"
    );
}
