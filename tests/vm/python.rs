//! CPython 3.11 in one process, against native.

use unicell_tests::boxes::tree;
use unicell_tests::hosts::scale;
use unicell_tests::run::Run;

fn python() -> Run {
    Run::new(&tree("python"), "/usr/bin/python3.11")
}

#[test]
fn a_line() {
    let outcome = python()
        .args(["-c", "import sys; print('hello', sys.argv)", "a b"])
        .same();
    assert_eq!(outcome.out(), "hello ['-c', 'a b']\n");
}

#[test]
fn json_sqlite_hashlib_zipfile_decimal() {
    let outcome = python().arg("/test/library.py").same();
    assert_eq!(outcome.code, 3, "{outcome}");
}

#[test]
fn threads_with_queues() {
    let native = python().arg("/test/threads.py").same();
    for _ in 0..scale(10, 1) {
        assert_eq!(python().arg("/test/threads.py").guest(), native);
    }
}

#[test]
fn a_script_on_stdin_and_an_uncaught_exception() {
    let script = "import os\nprint(sorted(os.environ))\nraise RuntimeError('at the end')\n";
    let outcome = python().arg("-").input(script).same();
    assert_eq!(outcome.code, 1);
    assert!(outcome.err().contains("RuntimeError: at the end"));
}

#[test]
fn megabytes_through_stdin_and_stdout() {
    let input: Vec<u8> = (0..scale(20_000_000_u32, 2_000_000))
        .map(|n| (n % 251) as u8)
        .collect();
    let script = "import sys\nfor part in iter(lambda: sys.stdin.buffer.read(65537), b''):\n \
                  sys.stdout.buffer.write(part)";
    let outcome = python().args(["-c", script]).input(input.clone()).guest();
    assert_eq!(outcome.code, 0, "{}", outcome.err());
    assert!(
        outcome.stdout == input,
        "{} bytes came back of {}",
        outcome.stdout.len(),
        input.len()
    );
}

#[test]
fn web_server_asyncio_and_descriptors_over_sockets() {
    let outcome = python().arg("/test/sockets.py").same();
    assert!(outcome.out().contains("b'message and file'\n"), "{outcome}");
}

#[test]
fn subprocess_and_multiprocessing() {
    // Spawned children start an interpreter each, which emulation takes seconds for.
    let methods = scale(vec!["fork", "spawn", "forkserver"], vec!["fork"]);
    let outcome = python().arg("/test/processes.py").args(methods).same();
    assert_eq!(outcome.code, 0, "{outcome}");
}
