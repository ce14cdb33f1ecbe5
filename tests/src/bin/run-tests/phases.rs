//! The phases, each of which ends with its own summary.

use std::path::Path;
use std::process::Command;

use kvm_ioctls::Kvm;
use unicell_tests::boxes::repository;
use unicell_tests::hosts::{HOST_VARIABLE, Host};

use crate::build::{Test, Tests, cargo_command};
use crate::count::{Count, Summary, counted};

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

/// The VM tests in the emulated host: one boot for each binary.
pub(crate) fn svm(tests: &Tests, filters: &[String], summary: &mut Summary) {
    println!("==> VM tests in the emulated SVM host");
    let mut count = Count::default();
    for test in tests.of_vms() {
        println!("--- {}", test.name);
        count.add(counted(in_svm(test, tests, filters), 1));
    }
    summary.add("vm on svm", count);
}

/// Longer than any test binary takes in emulation: for a host that hangs.
const SVM_SECONDS: u32 = 900;

fn in_svm(test: &Test, tests: &Tests, filters: &[String]) -> Command {
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
        .args(harness_arguments(filters));
    command
}

fn harness_arguments(filters: &[String]) -> Vec<String> {
    // Two at a time: each test runs a VM of its own.
    [&["--test-threads=2".to_owned()], filters].concat()
}
