//! A node whose databases are damaged: it says which, and what to do, whatever the database that
//! reads them makes of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use unicell_tests::boxes::{tree, unicell};
use unicell_tests::daemon::Node;
use unicell_tests::hosts::scale;
use unicell_tests::process::{Outcome, finish};

/// The code of what found damage.
const FOUND: i32 = 1;
/// The code of what panicked and is not built to abort.
const PANICKED: i32 = 101;
/// 128 and SIGABRT.
const ABORTED: i32 = 134;

fn node(state: &Path, more: &[&str]) -> Outcome {
    let mut command = Command::new(unicell());
    command.arg("node").arg("--state").arg(state);
    command.arg("--socket").arg(state.join("sock")).args(more);
    finish(command, b"")
}

#[test]
fn damage_that_the_database_dies_of_is_told_as_damage() {
    let running = Node::start();
    running.import(
        tree("hello").path(),
        "entrypoint = \"/bin/hello\"\n",
        "hello",
    );
    // What a node leaves that is killed now, closed once by whoever looks at it.
    let copies = tempfile::tempdir().unwrap();
    let state = copies.path().join("state");
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(running.path().join("state")).arg(&state);
    assert_eq!(finish(copy, b"").code, 0);
    assert_eq!(node(&state, &["--examine"]).code, 0);

    for (database, hint) in [
        ("node.redb", "no token is valid then"),
        ("store/index.redb", "have the same ids"),
    ] {
        let path = state.join(database);
        let whole = fs::read(&path).unwrap();
        let written = whole.chunks(4096).enumerate();
        let written = written.filter(|(_, page)| page.iter().any(|byte| *byte != 0));
        // Each with nothing in it: it is refused whichever way that was found out.
        let mut ends = Vec::new();
        for (number, _) in written.take(scale(64, 8)) {
            let mut damaged = whole.clone();
            damaged[number * 4096..][..4096].fill(0);
            damage(&state, database, &damaged);
            let looked = node(&state, &["--examine"]).code;
            assert!([0, FOUND, PANICKED, ABORTED].contains(&looked), "{looked}");
            if looked == 0 || ends.contains(&looked) {
                continue;
            }
            ends.push(looked);
            damage(&state, database, &damaged);
            refused(&state, database, hint);
        }
        assert!(!ends.is_empty(), "{database}: no damage is found");
        damage(&state, database, &whole[..whole.len() / 2]);
        refused(&state, database, hint);
        damage(&state, database, &whole);
        assert_eq!(node(&state, &["--examine"]).code, 0);
    }
}

/// Puts these bytes in the place of a database, as if it had been changed when they came there.
fn damage(state: &Path, database: &str, bytes: &[u8]) {
    fs::write(state.join(database), bytes).unwrap();
    // It is there when a store was closed.
    let _ = fs::remove_file(state.join("store/index.seal"));
}

fn refused(state: &Path, database: &str, hint: &str) {
    let outcome = node(state, &[]);
    assert_eq!(outcome.code, 1, "{outcome}");
    let said = outcome.err();
    let named = database.split('/').next().unwrap();
    let named = state.join(named).display().to_string();
    for word in [&*named, "damaged", hint] {
        assert!(said.contains(word), "{word} is not in {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}
