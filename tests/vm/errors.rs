//! What cannot start: one clear error each, and a documented exit code.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use unicell_tests::boxes::{tree, unicell};
use unicell_tests::exit;
use unicell_tests::hosts::skip;
use unicell_tests::process::{Outcome, finish};

/// A box with this one program at `/program`.
fn box_of(program: &[u8]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("program");
    fs::write(&path, program).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

fn run(directory: &Path, options: &[&str]) -> Outcome {
    let mut command = Command::new(unicell());
    command
        .arg("run")
        .arg(directory)
        .args(["--entrypoint", "/program"])
        .args(options);
    finish(command, b"")
}

/// Requires this code, no output, and one error of few lines, in words.
#[track_caller]
fn assert_error(outcome: &Outcome, code: i32, word: &str) {
    assert_eq!(outcome.code, code, "{outcome}");
    assert_eq!(outcome.out(), "", "an error belongs on stderr");
    let error = outcome.err();
    assert!(
        (1..=4).contains(&error.lines().count()),
        "not one clear error: {outcome}"
    );
    assert!(!error.contains("panicked at"), "{outcome}");
    assert!(error.contains(word), "no word of {word:?}: {outcome}");
}

fn hello() -> Vec<u8> {
    fs::read(tree("hello").path().join("bin/hello")).unwrap()
}

/// The offset of the machine number in an ELF header (System V gABI, figure 4-3).
const E_MACHINE: usize = 18;

#[test]
fn the_base_of_these_tests_starts() {
    let outcome = run(box_of(&hello()).path(), &[]);
    assert_eq!(
        (outcome.code, outcome.out().as_str()),
        (0, "hello from a box\n"),
        "{outcome}"
    );
}

#[test]
fn entrypoint_absent() {
    let directory = box_of(&hello());
    fs::remove_file(directory.path().join("program")).unwrap();
    assert_error(
        &run(directory.path(), &[]),
        exit::ENTRYPOINT_ABSENT,
        "/program",
    );
}

#[test]
fn entrypoint_not_elf() {
    let text: &[&[u8]] = &[b"just some text\n", b"", b"\0", b"\x7fEL", &[0xff; 4096]];
    for bytes in text {
        assert_error(
            &run(box_of(bytes).path(), &[]),
            exit::NOT_EXECUTABLE,
            "/program",
        );
    }
}

#[test]
fn entrypoint_truncated() {
    let whole = hello();
    for length in [4, 16, 63, 64, 120, whole.len() / 2] {
        let outcome = run(box_of(&whole[..length]).path(), &[]);
        assert_error(&outcome, exit::NOT_EXECUTABLE, "/program");
    }
}

#[test]
fn entrypoint_for_another_processor() {
    let mut program = hello();
    // EM_AARCH64, EM_RISCV, EM_386.
    for machine in [183_u16, 243, 3] {
        program[E_MACHINE..][..2].copy_from_slice(&machine.to_le_bytes());
        assert_error(
            &run(box_of(&program).path(), &[]),
            exit::FOREIGN_ARCHITECTURE,
            "/program",
        );
    }
}

#[test]
fn interpreter_missing() {
    let dynamic = fs::read(tree("programs").path().join("dynamic/hello")).unwrap();
    let outcome = run(box_of(&dynamic).path(), &[]);
    assert_error(
        &outcome,
        exit::INTERPRETER_MISSING,
        "/lib64/ld-linux-x86-64.so.2",
    );
    let outcome = run(box_of(b"#!/no/such/shell\n").path(), &[]);
    assert_error(&outcome, exit::INTERPRETER_MISSING, "/no/such/shell");
}

#[test]
fn library_missing_is_the_loaders_own_error() {
    let programs = tree("programs");
    let dynamic = fs::read(programs.path().join("dynamic/hello")).unwrap();
    let directory = box_of(&dynamic);
    fs::create_dir(directory.path().join("lib64")).unwrap();
    let loader = programs
        .path()
        .join("lib/x86_64-linux-gnu/ld-linux-x86-64.so.2");
    fs::copy(loader, directory.path().join("lib64/ld-linux-x86-64.so.2")).unwrap();
    let outcome = run(directory.path(), &[]);
    assert_error(&outcome, exit::LIBRARY_MISSING, "libc.so.6");
}

#[test]
fn memory_limit_too_small_to_start() {
    let directory = box_of(&hello());
    assert_error(
        &run(directory.path(), &["--memory", "64K"]),
        exit::MEMORY_TOO_SMALL,
        "memory",
    );
}

#[test]
fn no_kvm() {
    // A mount namespace in which /dev/kvm is something else.
    let script = "mount -o bind /dev/null /dev/kvm && exec \"$@\"";
    let directory = box_of(&hello());
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(unicell())
        .arg("run");
    command
        .arg(directory.path())
        .args(["--entrypoint", "/program"]);
    assert_error(&finish(command, b""), exit::NO_KVM, "/dev/kvm");
}

#[test]
fn no_right_to_kvm() {
    let mode = fs::metadata("/dev/kvm").unwrap().permissions().mode();
    if mode & 0o006 != 0 {
        return skip("everyone may open this machine's /dev/kvm");
    }
    const NOBODY: u32 = 65534;
    let mut command = Command::new(unicell());
    command
        .arg("run")
        .arg(tree("hello").package())
        .args(["--entrypoint", "/bin/hello"]);
    command.uid(NOBODY).gid(NOBODY);
    assert_error(&finish(command, b""), exit::NO_KVM, "/dev/kvm");
}

#[test]
fn a_command_line_that_makes_no_sense() {
    for arguments in [
        &["run"][..],
        &["run", "--memory"],
        &["no-such-verb"],
        &["run", "/", "--memory", "much"],
    ] {
        let mut command = Command::new(unicell());
        command.args(arguments);
        let outcome = finish(command, b"");
        assert_eq!(outcome.code, exit::USAGE, "{arguments:?}: {outcome}");
        assert!(!outcome.stderr.is_empty());
    }
}

#[test]
fn no_such_box() {
    let mut command = Command::new(unicell());
    command.args(["run", "/no/such/box"]);
    let outcome = finish(command, b"");
    assert!(
        outcome.code != 0 && outcome.err().contains("/no/such/box"),
        "{outcome}"
    );
}
