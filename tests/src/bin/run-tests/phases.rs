//! The phases, each of which ends with its own summary.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use kvm_ioctls::Kvm;
use unicell_tests::boxes::repository;
use unicell_tests::hosts::{HOST_VARIABLE, Host};

use crate::build::{Test, Tests, cargo_command};
use crate::count::{Count, Lines, Summary, counted, counted_to};

/// Formatting and clippy, the latter of the kernel's image too, which no other build makes.
pub(crate) fn lint(summary: &mut Summary) {
    println!("==> lint");
    let mut count = Count::default();
    let checks: [&[&str]; 3] = [
        &["fmt", "--all", "--check"],
        &[
            "clippy",
            "-q",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
        &[
            "clippy",
            "-q",
            "--package",
            "unicell-kernel",
            "--features",
            "image",
            "--lib",
            "--",
            "-D",
            "warnings",
        ],
    ];
    for arguments in checks {
        let passed = cargo_command()
            .args(arguments)
            .status()
            .is_ok_and(|status| status.success());
        println!(
            "cargo {}: {}",
            arguments[0],
            if passed { "ok" } else { "FAILED" }
        );
        count.add(Count::of(passed));
    }
    summary.add("lint", count);
}

/// The tests that need no KVM, and those in documentation.
pub(crate) fn unit(tests: &Tests, filters: &[String], summary: &mut Summary) {
    println!("==> unit tests");
    let mut count = Count::default();
    for test in tests.of_units() {
        println!("--- {}", test.name);
        let mut command = Command::new(&test.executable);
        command.current_dir(&test.directory).args(filters);
        count.add(counted(command, 1));
    }
    println!("--- documentation");
    let mut command = cargo_command();
    command
        .args(["test", "-q", "--workspace", "--doc", "--"])
        .args(filters);
    count.add(counted(command, 0));
    summary.add("unit", count);
}

/// The VM tests on this machine, if it can run them.
pub(crate) fn local(tests: &Tests, filters: &[String], summary: &mut Summary) {
    if let Err(error) = Kvm::new().and_then(|kvm| kvm.create_vm()) {
        summary.note(&format!(
            "no VM test ran on this machine's own KVM ({error}): the emulated host alone runs them"
        ));
        return;
    }
    println!("==> VM tests on this machine");
    let mut count = Count::default();
    for test in tests.of_vms() {
        println!("--- {}", test.name);
        let mut command = Command::new(&test.executable);
        command
            .args(harness_arguments(filters))
            .current_dir(&test.directory);
        command
            .env("UNICELL", &tests.unicell)
            .env(HOST_VARIABLE, Host::Local.name());
        count.add(counted(command, 1));
    }
    summary.add("vm on local", count);
}

/// Machines that are emulated at once: each takes one processor.
const MACHINES: usize = 2;
/// Tests that one boot is for: it takes as long as two or three tests.
const TESTS_A_BOOT: usize = 24;

/// The VM tests in emulated hosts. Each has its tests to itself, so that they
/// are shared out among as many machines as this one has processors for.
pub(crate) fn svm(tests: &Tests, filters: &[String], summary: &mut Summary) {
    println!("==> VM tests in the emulated SVM host");
    let mut shares: Vec<(&Test, Vec<String>)> = Vec::new();
    for test in tests.of_vms() {
        let names = names(test, filters);
        let boots = names.len().div_ceil(TESTS_A_BOOT);
        // In turns: neighbours are alike, and the long ones among them too.
        shares.extend((0..boots).map(|boot| {
            let share = names.iter().skip(boot).step_by(boots).cloned();
            (test, share.collect())
        }));
    }
    let (next, count) = (AtomicUsize::new(0), Mutex::new(Count::default()));
    thread::scope(|scope| {
        for _ in 0..MACHINES {
            scope.spawn(|| {
                while let Some((test, names)) = shares.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let lines = Lines::Kept(Mutex::default());
                    let seen = counted_to(&lines, in_svm(test, tests, names), 1);
                    let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
                    println!("--- {}", test.name);
                    lines.show();
                    count.add(seen);
                }
            });
        }
    });
    let count = count.into_inner().unwrap_or_else(PoisonError::into_inner);
    summary.add("vm on svm", count);
}

/// The names of a binary's tests that are wanted.
fn names(test: &Test, filters: &[String]) -> Vec<String> {
    let list = Command::new(&test.executable)
        .args(["--list", "--format", "terse"])
        .args(filters)
        .output();
    let list = list.map(|output| output.stdout).unwrap_or_default();
    let list = String::from_utf8_lossy(&list);
    let names = list.lines().filter_map(|line| line.strip_suffix(": test"));
    names.map(str::to_owned).collect()
}

/// Longer than any test binary takes in emulation: for a host that hangs.
const SVM_SECONDS: u32 = 900;

fn in_svm(test: &Test, tests: &Tests, names: &[String]) -> Command {
    let target = tests.unicell.parent().unwrap_or(Path::new("/"));
    let mut command = Command::new(repository().join("tests/hosts/svm/run"));
    command.arg("--share").arg(repository());
    // Cargo's target directory may lie elsewhere.
    if !target.starts_with(repository()) {
        command.arg("--share").arg(target);
    }
    command
        .arg("--env")
        .arg(format!("{HOST_VARIABLE}={}", Host::Svm.name()));
    command
        .arg("--env")
        .arg(format!("UNICELL={}", tests.unicell.display()));
    command.arg("--timeout").arg(SVM_SECONDS.to_string());
    command.arg("--workdir").arg(&test.directory);
    command
        .arg("--")
        .arg(&test.executable)
        .arg("--exact")
        .args(harness_arguments(names));
    command
}

fn harness_arguments(filters: &[String]) -> Vec<String> {
    // Two at a time: each test runs a VM of its own.
    [&["--test-threads=2".to_owned()], filters].concat()
}
