//! The sqlite3 shell with a database in a file, against native.

use unicell_tests::boxes::tree;
use unicell_tests::run::Run;

#[test]
fn a_database_in_a_file() {
    let shell = Run::new(&tree("sqlite"), "/usr/bin/sqlite3");
    let outcome = shell
        .args(["-bail", "/tmp/test.db", ".read /test/script.sql"])
        .same();
    assert!(outcome.out().contains("ok\n"), "{outcome}");
    assert!(
        outcome.err().contains("no such table: missing"),
        "{outcome}"
    );
}

#[test]
fn statements_on_stdin() {
    let input = "create table t(a);\ninsert into t values(1),(2);\nselect sum(a) from t;\n.dump\n";
    Run::new(&tree("sqlite"), "/usr/bin/sqlite3")
        .arg("/tmp/other.db")
        .input(input)
        .same();
}
