//! Perl with its compiled modules, against native.

use unicell_tests::boxes::tree;
use unicell_tests::run::Run;

#[test]
fn perl_and_its_modules() {
    let outcome = Run::new(&tree("perl"), "/usr/bin/perl")
        .arg("/test/library.pl")
        .same();
    assert_eq!(outcome.code, 5, "{outcome}");
}

#[test]
fn a_filter() {
    let input: String = (0..5000).map(|n| format!("{n} {}\n", n % 97)).collect();
    let script = "$s += $F[0] if $F[1] =~ /7/; END { print \"$s\\n\" }";
    Run::new(&tree("perl"), "/usr/bin/perl")
        .args(["-lane", script])
        .input(input)
        .same();
}

#[test]
fn fork_pipes_signals_and_waiting() {
    let outcome = Run::new(&tree("perl"), "/usr/bin/perl")
        .arg("/test/processes.pl")
        .same();
    assert_eq!(outcome.code, 8, "{outcome}");
}
