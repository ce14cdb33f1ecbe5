//! `unicell run --trace`: each call, and the table of `strace -c`, of a program whose calls are
//! known.

use std::process::Command;

use unicell_tests::boxes::tree;
use unicell_tests::hosts::skip;
use unicell_tests::process::{Outcome, finish};
use unicell_tests::run::Run;

const PROGRAM: &str = "/static/calls";
/// What `tests/programs/calls.c` calls: the name, how often, how often with an error.
const CALLS: [(&str, u64, u64); 4] = [
    ("getppid", 12, 0),
    ("getuid", 11, 0),
    ("fsync", 3, 3),
    ("afs_syscall", 4, 4),
];

fn traced(option: &str) -> Outcome {
    let run = Run::new(&tree("programs"), PROGRAM);
    let outcome = run.options([option]).guest();
    assert_eq!(outcome.code, 0, "{outcome}");
    outcome
}

/// Calls and errors by name, of a table of `strace -c`.
fn counts(table: &str, name: &str) -> (u64, u64) {
    let mut rows = table.lines().map(str::split_whitespace).map(Vec::from_iter);
    let row = rows.find(|row| row.len() >= 5 && row.last() == Some(&name));
    let row = row.unwrap_or_else(|| panic!("no {name} in\n{table}"));
    let number = |at: usize| row[at].parse().expect("a column of the table is a number");
    (number(3), if row.len() == 6 { number(4) } else { 0 })
}

#[test]
fn each_line_names_its_process_and_thread() {
    let outcome = traced("--trace");
    let trace = outcome.err();
    let lines = |who: &str, call: &str| {
        let start = format!("{who} {call}(");
        let calls = trace.lines().filter(|line| line.starts_with(&start));
        calls.count()
    };
    assert_eq!(lines("[2]", "getppid"), 5, "{outcome}");
    assert_eq!(lines("[3]", "getppid"), 7, "{outcome}");
    assert_eq!(lines("[3/4]", "getuid"), 11, "{outcome}");
    assert_eq!(lines("[2]", "fsync"), 3, "{outcome}");
    assert_eq!(lines("[2]", "exit_group"), 1, "{outcome}");
    assert!(
        trace.contains("[2] fsync(-1)\n[2]   = -1 EBADF\n"),
        "{outcome}"
    );
}

#[test]
fn the_summary_counts_calls_and_errors() {
    for option in ["--trace=SUMMARY", "--trace=summary"] {
        let outcome = traced(option);
        let table = outcome.err();
        for (name, calls, errors) in CALLS {
            assert_eq!(counts(&table, name), (calls, errors), "{name}: {outcome}");
        }
        assert_eq!(counts(&table, "unknown"), (2, 2), "{outcome}");
        let rows = table.lines().filter(|line| !line.starts_with(['-', '[']));
        let sum: u64 = rows
            .filter(|row| !row.ends_with(" total") && !row.ends_with(" syscall"))
            .map(|row| {
                row.split_whitespace()
                    .nth(3)
                    .unwrap()
                    .parse::<u64>()
                    .unwrap()
            })
            .sum();
        assert_eq!(counts(&table, "total").0, sum, "{outcome}");
        // One that never returns is not counted, and none is shown.
        assert!(!table.contains("exit_group"), "{outcome}");
        assert!(!table.contains("getppid("), "{outcome}");
    }
}

#[test]
fn what_is_not_implemented_is_told_once_by_name() {
    for option in ["--trace", "--trace=SUMMARY"] {
        let outcome = traced(option);
        let trace = outcome.err();
        let told = trace
            .lines()
            .filter(|line| line.contains("is not implemented"));
        let told: Vec<&str> = told.filter(|line| !line.contains("rseq")).collect();
        let expected = [
            "[2] afs_syscall (call 183) is not implemented",
            "[2] unknown (call 1000) is not implemented",
        ];
        assert_eq!(told, expected, "{outcome}");
    }
}

#[test]
fn a_program_whose_time_is_up_has_its_summary() {
    let run = Run::new(&tree("busybox"), "/bin/busybox").args(["sleep", "1000"]);
    let outcome = run.options(["--trace=SUMMARY", "--timeout", "1s"]).guest();
    assert_eq!(outcome.code, 209, "{outcome}");
    assert!(outcome.err().contains(" total\n"), "{outcome}");
}

#[test]
fn strace_counts_the_same() {
    if Command::new("strace").arg("-V").output().is_err() {
        return skip("there is no strace here");
    }
    let program = tree("programs").path().join(&PROGRAM[1..]);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-c", "-o", "/dev/stderr"]).arg(program);
    let outcome = finish(strace, b"");
    let (native, guest) = (outcome.err(), traced("--trace=SUMMARY").err());
    for name in CALLS
        .map(|call| call.0)
        .iter()
        .chain(&["brk", "prlimit64", "wait4"])
    {
        assert_eq!(
            counts(&native, name),
            counts(&guest, name),
            "{name}\n{native}\n{guest}"
        );
    }
}
