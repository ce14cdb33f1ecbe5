//! `unicell doctor`: what this host offers, what is missing, and how to get it.
//!
//! The facts are in [`Facts`], which `--json` prints as it is; `findings` judges them for people.

pub(crate) mod class;
mod findings;
mod host;
mod kvm;
mod landlock;

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde::Serialize;
use unicell_vmm::jail::{Layer, Report};
use unicell_vmm::probe::{Probe, Sight, probe};

use crate::cache::Cache;
use crate::cli::DoctorArguments;
use crate::exit_code::Code;
use crate::failure::{Failure, Result};
use crate::instance;
use findings::Finding;

/// The instructions that would show the host to a guest, whatever is done.
pub(crate) fn leaks(probe: &Probe) -> Vec<&'static str> {
    let sights = probe.sights.iter();
    let shown = sights.filter(|(_, sight)| *sight == Sight::Shown);
    shown.map(|(instruction, _)| instruction.name()).collect()
}

/// The facts. Fields are added, never changed; one that would change gets another name.
#[derive(Debug, Serialize)]
struct Facts {
    /// Whether boxes can run.
    ready: bool,
    kvm: kvm::Kvm,
    cpu: Cpu,
    /// What a guest found; absent where none could run.
    guest: Option<Guest>,
    /// Why none could run, though the device opens.
    guest_failure: Option<String>,
    limits: host::Limits,
    /// What keeps an instance's process apart from the host, as one that was started for this says;
    /// control groups are among the limits.
    jail: Option<Report>,
    /// Why none could be started.
    jail_failure: Option<String>,
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct Cpu {
    model: String,
}

/// What a guest found.
#[derive(Debug, Serialize)]
struct Guest {
    cpu_class: String,
    /// The class of each baseline that a reproducible run can have in the processor's place.
    baselines: BTreeMap<&'static str, String>,
    /// Why the others cannot be had.
    baselines_lacking: BTreeMap<&'static str, String>,
    /// The highest level of reproducible execution.
    level: Level,
    /// What becomes of each instruction that can show the host.
    instructions: BTreeMap<&'static str, &'static str>,
    exit_ns: u64,
    syscall_ns: u64,
}

/// Levels of reproducible execution, of which every host gives the lower ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Level {
    /// Time, randomness and order are functions of the service and its input.
    D1,
    /// So is what the processor's own instructions say.
    D2,
}

impl Guest {
    fn of(probe: &Probe) -> Self {
        let sights = probe.sights.iter();
        let baselines = probe.baselines.iter();
        let offered = baselines.clone().filter(|(_, refused)| refused.is_none());
        let lacking = baselines.filter_map(|(baseline, refused)| {
            Some((baseline.name(), refused.as_ref()?.to_string()))
        });
        Self {
            cpu_class: class::class(probe),
            baselines: offered
                .map(|(baseline, _)| (baseline.name(), baseline.class()))
                .collect(),
            baselines_lacking: lacking.collect(),
            level: if leaks(probe).is_empty() {
                Level::D2
            } else {
                Level::D1
            },
            instructions: sights
                .map(|(instruction, sight)| (instruction.name(), word(*sight)))
                .collect(),
            exit_ns: probe.exit_ns,
            syscall_ns: probe.syscall_ns,
        }
    }

    /// The instructions that show the host whatever is done.
    fn leaks(&self) -> Vec<&'static str> {
        let shown = |(_, sight): &(_, &&str)| **sight == word(Sight::Shown);
        self.instructions
            .iter()
            .filter(shown)
            .map(|(name, _)| *name)
            .collect()
    }
}

fn word(sight: Sight) -> &'static str {
    match sight {
        Sight::Trapped => "trapped",
        Sight::TrappedByThread => "trapped-by-thread",
        Sight::Masked => "masked",
        Sight::Shown => "shown",
    }
}

/// Says what this host offers.
pub(crate) fn doctor(arguments: &DoctorArguments) -> Result<ExitCode> {
    let report = examine();
    if arguments.json {
        let json = serde_json::to_string_pretty(&report).map_err(Failure::internal)?;
        anstream::println!("{json}");
    } else {
        findings::show(&report.findings);
    }
    Ok(if report.ready {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(Code::NoKvm as u8)
    })
}

/// The jail of a process that is started as for `unicell run`, and ends without becoming an instance;
/// or why there is none.
fn jail() -> std::result::Result<Report, String> {
    let spawned = instance::spawn(Cache::open().as_ref()).map_err(|error| error.to_string())?;
    let waiting = spawned.ready().map_err(|error| error.to_string())?;
    let mut report = waiting.report;
    // Only a node makes them; whether it can is another line.
    report.lacks.retain(|(layer, _)| *layer != Layer::Cgroup);
    Ok(report)
}

fn examine() -> Facts {
    let mut kvm = kvm::Kvm::of_host();
    let probed = match kvm.device {
        kvm::Device::Usable => Some(probe(&class::wanted())),
        _ => None,
    };
    let (guest, guest_failure) = match probed {
        Some(Ok(probe)) => (Some(Guest::of(&probe)), None),
        Some(Err(error)) => {
            kvm.fails();
            (None, Some(error.to_string()))
        }
        None => (None, None),
    };
    let jail = jail();
    let mut report = Facts {
        ready: guest.is_some(),
        kvm,
        cpu: Cpu {
            model: host::cpu_model(),
        },
        guest,
        guest_failure,
        limits: host::Limits::of_host(),
        jail: jail.as_ref().ok().cloned(),
        jail_failure: jail.err(),
        findings: Vec::new(),
    };
    report.findings = findings::of(&report);
    report
}
