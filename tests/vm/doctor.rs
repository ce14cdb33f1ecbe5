//! What `unicell doctor` says of the host that it runs on.

use std::process::Command;

use serde_json::Value;
use unicell_tests::boxes::unicell;
use unicell_tests::exit;
use unicell_tests::hosts::{Host, skip};
use unicell_tests::process::{Outcome, finish};

fn doctor(arguments: &[&str]) -> Outcome {
    let mut command = Command::new(unicell());
    command.arg("doctor").args(arguments);
    finish(command, b"")
}

/// The facts, of a run that found boxes able to run.
fn facts() -> Value {
    let outcome = doctor(&["--json"]);
    assert_eq!(outcome.code, 0, "{outcome}");
    serde_json::from_slice(&outcome.stdout).unwrap()
}

/// Runs the doctor where `/dev/kvm` is something else.
fn without_kvm(arguments: &[&str]) -> Outcome {
    let script = "mount -o bind /dev/null /dev/kvm && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]);
    command.arg(unicell()).arg("doctor").args(arguments);
    finish(command, b"")
}

#[test]
fn doctor_knows_the_kind_of_kvm() {
    // The flags of the processor as the kernel tells them, not as the doctor asks for them.
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap();
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"));
    let mut flags = flags.unwrap().split_whitespace();
    let hardware = flags.any(|flag| flag == "vmx" || flag == "svm");
    assert!(
        hardware || Host::current() == Host::Local,
        "SVM has hardware"
    );
    let kind = if hardware { "hardware" } else { "page-table" };
    assert_eq!(facts()["kvm"]["kind"], kind);
    assert_eq!(facts()["kvm"]["device"], "usable");
}

#[test]
fn doctor_judges_by_what_a_guest_has_seen() {
    let facts = facts();
    let guest = &facts["guest"];
    let instructions = guest["instructions"].as_object().unwrap();
    assert_eq!(instructions.len(), 7, "{facts}");
    let shown = instructions.values().any(|sight| sight == "shown");
    assert_eq!(guest["level"], if shown { "D1" } else { "D2" });
    assert_eq!(instructions["CPUID"], "trapped");
    if facts["kvm"]["kind"] == "hardware" {
        assert_eq!(instructions["RDTSC"], "trapped");
    }
    for cost in ["exit_ns", "syscall_ns"] {
        assert!(guest[cost].as_u64().is_some_and(|ns| ns > 0), "{facts}");
    }
}

#[test]
fn doctor_finds_the_same_cpu_class_each_time() {
    let class = || facts()["guest"]["cpu_class"].as_str().unwrap().to_owned();
    let first = class();
    assert_eq!(first.len(), 32, "{first}");
    assert_eq!(first, class());
}

#[test]
fn doctor_tells_each_baseline_by_its_class_or_why_it_is_not_offered() {
    let guest = &facts()["guest"];
    let class = guest["baselines"]["x86-64-v2"].as_str().unwrap();
    assert!(class.starts_with("x86-64-v2-"), "{guest}");
    let offered = guest["baselines"]["x86-64-v3"].is_string();
    let lacking = guest["baselines_lacking"]["x86-64-v3"].is_string();
    assert!(offered != lacking, "{guest}");
}

#[test]
fn doctor_tells_people_one_line_each_and_what_to_do() {
    let outcome = doctor(&[]);
    assert_eq!((outcome.code, outcome.err().as_str()), (0, ""));
    let text = outcome.out();
    for word in [
        "KVM",
        "/dev/kvm",
        "determinism",
        "world switch",
        "Landlock",
        "cgroups",
    ] {
        assert!(text.contains(word), "no word of {word}: {outcome}");
    }
    assert!(!text.contains('\x1b'), "colour where there is no terminal");
    for line in text.lines() {
        let mark = line.split_whitespace().next().unwrap();
        let is_remedy = line.starts_with("        ");
        assert!(is_remedy || ["ok", "warn"].contains(&mark), "{outcome}");
    }
}

#[test]
fn doctor_says_what_to_do_where_kvm_does_not_work() {
    let outcome = without_kvm(&[]);
    assert_eq!(outcome.code, exit::NO_KVM, "{outcome}");
    assert!(outcome.out().contains("missing /dev/kvm"), "{outcome}");
    let outcome = without_kvm(&["--json"]);
    assert_eq!(outcome.code, exit::NO_KVM, "{outcome}");
    let facts: Value = serde_json::from_slice(&outcome.stdout).unwrap();
    assert_eq!(facts["ready"], false);
    assert_eq!(facts["kvm"]["kind"], "none");
    assert_eq!(facts["guest"], Value::Null);
    let findings = facts["findings"].as_array().unwrap();
    let device = findings
        .iter()
        .find(|finding| finding["name"] == "/dev/kvm");
    assert!(device.unwrap()["remedy"].is_string(), "{facts}");
}

#[test]
fn doctor_says_what_to_do_where_kvm_is_forbidden() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let mode = std::fs::metadata("/dev/kvm").unwrap().permissions().mode();
    if mode & 0o006 != 0 {
        return skip("everyone may open this machine's /dev/kvm");
    }
    const NOBODY: u32 = 65534;
    let mut command = Command::new(unicell());
    command.arg("doctor").uid(NOBODY).gid(NOBODY);
    let outcome = finish(command, b"");
    assert_eq!(outcome.code, exit::NO_KVM, "{outcome}");
    assert!(outcome.out().contains("usermod -aG"), "{outcome}");
}
