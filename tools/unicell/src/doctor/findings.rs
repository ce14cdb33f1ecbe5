//! What the facts mean to whoever runs this host: a line each, and what to do where something is
//! amiss.

use std::io::Write;

use serde::Serialize;

use super::host::{Cgroups, Limits};
use super::kvm::{Device, Kind};
use super::{Facts, Guest, Level};
use crate::inspect::bytes;

/// How well it stands with something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mark {
    /// As it should be.
    Ok,
    /// Boxes run, but something could be better.
    Warn,
    /// Boxes cannot run.
    Missing,
}

/// One line of the report.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) name: &'static str,
    pub(super) mark: Mark,
    pub(super) text: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
}

impl Finding {
    fn new(name: &'static str, mark: Mark, text: impl Into<String>) -> Self {
        Self {
            name,
            mark,
            text: text.into(),
            remedy: None,
        }
    }

    /// Good, or else to be told with a remedy.
    fn judged(name: &'static str, good: bool, text: impl Into<String>, remedy: &str) -> Self {
        let mark = if good { Mark::Ok } else { Mark::Warn };
        Self {
            remedy: (!good).then(|| remedy.to_owned()),
            ..Self::new(name, mark, text)
        }
    }
}

/// What the facts mean.
pub(super) fn of(report: &Facts) -> Vec<Finding> {
    let mut findings = vec![kind(report), device(report)];
    let cpu = |class: &str| format!("{}{class}", report.cpu.model);
    match &report.guest {
        Some(guest) => {
            let class = cpu(&format!(", class {}", guest.cpu_class));
            findings.push(Finding::new("processor", Mark::Ok, class));
            findings.extend([baselines(guest), determinism(guest), speed(guest)]);
        }
        None => findings.push(Finding::new("processor", Mark::Ok, cpu(""))),
    }
    findings.extend(limits(&report.limits));
    findings.push(jail(report));
    findings
}

fn kind(report: &Facts) -> Finding {
    let (mark, text) = match report.kvm.kind {
        Kind::Hardware => (Mark::Ok, "by hardware virtualisation (VMX or SVM)"),
        Kind::PageTable => (Mark::Ok, "by page tables, without hardware virtualisation"),
        Kind::None => (Mark::Missing, "none"),
    };
    Finding::new("KVM", mark, text)
}

fn device(report: &Facts) -> Finding {
    let (mark, text) = match report.kvm.device {
        Device::Usable => (Mark::Ok, "opens, and a guest has run".to_owned()),
        Device::Absent => (Mark::Missing, "is not there".to_owned()),
        Device::Forbidden => (Mark::Missing, "is not for this user".to_owned()),
        Device::Broken => {
            let why = report
                .guest_failure
                .as_deref()
                .unwrap_or("it does not open");
            (Mark::Missing, format!("does not work: {why}"))
        }
    };
    Finding {
        remedy: report.kvm.remedy(),
        ..Finding::new("/dev/kvm", mark, text)
    }
}

fn baselines(guest: &Guest) -> Finding {
    let offered: Vec<_> = guest.baselines.keys().copied().collect();
    let lacking: Vec<_> = guest
        .baselines_lacking
        .values()
        .map(String::as_str)
        .collect();
    let offered = match &*offered {
        [] => "none".to_owned(),
        offered => offered.join(", "),
    };
    match &*lacking {
        [] => Finding::new("baselines", Mark::Ok, offered),
        lacking => Finding::new(
            "baselines",
            Mark::Ok,
            format!("{offered}; {}", lacking.join("; ")),
        ),
    }
}

fn determinism(guest: &Guest) -> Finding {
    let text = match guest.level {
        Level::D2 => "D2: no instruction shows the host".to_owned(),
        Level::D1 => format!(
            "D1, not D2: {} would show the host",
            guest.leaks().join(", ")
        ),
    };
    Finding::new("determinism", Mark::Ok, text)
}

fn speed(guest: &Guest) -> Finding {
    // On good hosts of either kind a system call takes about a microsecond or less, an exit less
    // than 30.
    const SLOW_SYSCALL_NS: u64 = 4_000;
    const SLOW_EXIT_NS: u64 = 60_000;
    let quick = guest.syscall_ns < SLOW_SYSCALL_NS && guest.exit_ns < SLOW_EXIT_NS;
    let microseconds = |ns: u64| ns as f64 / 1000.0;
    let text = format!(
        "{:.1} µs for a system call, {:.1} µs for an exit",
        microseconds(guest.syscall_ns),
        microseconds(guest.exit_ns)
    );
    Finding::judged(
        "world switch",
        quick,
        text,
        "slow: programs that make many system calls will feel it; a host that is no virtual \
         machine itself is quicker, and so is one that others do not keep busy",
    )
}

fn limits(limits: &Limits) -> Vec<Finding> {
    /// What is enough for a few hundred instances, each of which takes a dozen descriptors.
    const OPEN_FILES: u64 = 4096;
    const MEMORY: u64 = 256 << 20;
    let memory = format!(
        "{} available of {}",
        bytes(limits.memory_available),
        bytes(limits.memory)
    );
    let enough = limits.memory_available >= MEMORY;
    let files = format!("{}, at most {}", limits.open_files, limits.open_files_max);
    let landlock = match limits.landlock {
        Some(version) => format!("version {version}"),
        None => "none".to_owned(),
    };
    vec![
        Finding::new("cores", Mark::Ok, limits.cores.to_string()),
        Finding::judged(
            "memory",
            enough,
            memory,
            "free some memory before boxes are started",
        ),
        Finding::judged(
            "open files",
            limits.open_files >= OPEN_FILES,
            files,
            "for many boxes at once: `ulimit -n 20000`, or LimitNOFILE= of the service",
        ),
        Finding::judged(
            "user namespaces",
            limits.user_namespaces,
            if limits.user_namespaces {
                "allowed"
            } else {
                "not allowed"
            },
            "`sysctl user.max_user_namespaces=10000 kernel.unprivileged_userns_clone=1`, so that \
             instances are jailed better",
        ),
        Finding::judged(
            "Landlock",
            limits.landlock.is_some(),
            landlock,
            "boot with `lsm=landlock,…` or a kernel of 5.13 or later, so that instances are \
             jailed better",
        ),
        cgroups(limits),
    ]
}

fn jail(report: &Facts) -> Finding {
    let remedy = "run the node as root, or see docs/operations.md for what each layer needs";
    let (good, text) = match (&report.jail, &report.jail_failure) {
        (Some(jail), _) if jail.lacks.is_empty() => (true, "whole".to_owned()),
        (Some(jail), _) => {
            let lacking = jail.lacks.iter();
            let lacking: Vec<_> = lacking
                .map(|(layer, why)| format!("{layer} ({why})"))
                .collect();
            (false, format!("without {}", lacking.join(", ")))
        }
        (None, why) => (false, why.clone().unwrap_or_default()),
    };
    Finding::judged("jail", good, text, remedy)
}

fn cgroups(limits: &Limits) -> Finding {
    let layout = match limits.cgroups {
        Cgroups::V2 => "version 2",
        Cgroups::Hybrid => "versions 1 and 2 (hybrid)",
        Cgroups::V1 => "version 1",
        Cgroups::None => "none",
    };
    const NEEDED: [&str; 3] = ["cpu", "memory", "pids"];
    let lacking = |found: &[String]| -> Vec<&str> {
        let absent = |name: &&str| !found.iter().any(|found| found == name);
        NEEDED.into_iter().filter(absent).collect()
    };
    let absent = lacking(&limits.cgroup_controllers);
    let good = absent.is_empty() || lacking(&limits.cgroup_v1_controllers).is_empty();
    let text = match (absent.is_empty(), good) {
        (true, _) => format!("{layout}, with cpu, memory and pids"),
        (_, true) => format!("{layout}; cpu, memory and pids of version 1"),
        _ => format!("{layout}; version 2 lacks {}", absent.join(", ")),
    };
    Finding::judged(
        "cgroups",
        good,
        text,
        "boot with `systemd.unified_cgroup_hierarchy=1`, so that what an instance may use is \
         bounded by the host too",
    )
}

/// Prints them, aligned. Colours and marks are for terminals, the words are for all.
pub(super) fn show(findings: &[Finding]) {
    let mut out = anstream::stdout().lock();
    // If nobody reads it, there is nobody to be told.
    let _ = write(&mut out, findings);
}

fn write(out: &mut impl Write, findings: &[Finding]) -> std::io::Result<()> {
    const RESET: &str = "\x1b[0m";
    for finding in findings {
        let (colour, word) = match finding.mark {
            Mark::Ok => ("\x1b[32m", "ok"),
            Mark::Warn => ("\x1b[33m", "warn"),
            Mark::Missing => ("\x1b[1;31m", "missing"),
        };
        writeln!(
            out,
            "{colour}{word:<8}{RESET}{:<16} {}",
            finding.name, finding.text
        )?;
        if let Some(remedy) = &finding.remedy {
            writeln!(out, "{:24} {remedy}", "")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_and_its_remedy_below() {
        let findings = [
            Finding::new("cores", Mark::Ok, "2"),
            Finding::judged("open files", false, "64", "raise them"),
        ];
        let mut out = Vec::new();
        write(&mut anstream::StripStream::new(&mut out), &findings).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "ok      cores            2");
        assert_eq!(lines[1], "warn    open files       64");
        assert_eq!(lines[2].trim_start(), "raise them");
        assert_eq!(lines.len(), 3);
    }
}
