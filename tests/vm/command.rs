//! The command line as its user meets it.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use unicell_tests::boxes::{tree, unicell};
use unicell_tests::process::{Outcome, finish};
use unicell_tests::run::Run;

fn command(arguments: &[&str]) -> Outcome {
    let mut command = Command::new(unicell());
    command.args(arguments);
    finish(command, b"")
}

#[test]
fn help_tells_a_newcomer_how_to_run_a_program() {
    let outcome = command(&["run", "--help"]);
    assert_eq!(outcome.code, 0);
    let help = outcome.out();
    for word in [
        "--memory",
        "--env",
        "--entrypoint",
        "--timeout",
        "--workdir",
        "--trace",
        "--stats",
        "xample",
    ] {
        assert!(help.contains(word), "no word of {word}:\n{help}");
    }
}

#[test]
fn doctor_says_what_this_host_offers() {
    let outcome = command(&["doctor"]);
    assert_eq!(outcome.code, 0, "{outcome}");
    assert!(outcome.out().to_lowercase().contains("kvm"), "{outcome}");
}

#[test]
fn streams_pass_while_the_program_runs() {
    // Each line must come back before the next is sent: nothing waits for
    // the end of input or of the program.
    let mut child = Run::new(&tree("busybox"), "/bin/busybox")
        .args([
            "sh",
            "-c",
            "while read -r line; do echo \"got $line\"; done; echo end >&2",
        ])
        .command()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    for n in 0..20 {
        writeln!(input, "{n}").unwrap();
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, format!("got {n}\n"));
    }
    drop(input);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut rest)
        .unwrap();
    assert_eq!(rest, "end\n");
}

#[test]
fn a_reader_that_goes_away_ends_the_program() {
    let mut child = Run::new(&tree("busybox"), "/bin/busybox")
        .arg("yes")
        .command()
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut some = [0; 4096];
    output.read_exact(&mut some).unwrap();
    drop(output);
    assert!(!child.wait().unwrap().success());
}

#[test]
fn stats_leave_the_programs_output_alone() {
    let measured = Run::new(&tree("hello"), "/bin/hello")
        .options(["--stats"])
        .guest();
    assert_eq!(
        (measured.code, measured.out().as_str()),
        (0, "hello from a box\n")
    );
    assert!(measured.err().contains("µs"), "{measured}");
}
