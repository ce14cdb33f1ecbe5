//! How an instance ended, and what it cost.

use std::fmt;

use serde::{Deserialize, Serialize};

use unicell_guest_abi::exit::ExitKind;
use unicell_guest_abi::platform::{CallCount, Counters};

use crate::reproducible::{Level, Recorded};
use crate::timeline::Timeline;

/// What ended an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// The guest said so; the status is what [`ExitKind`] says of it.
    Guest {
        /// What happened.
        #[serde(with = "exit_kind")]
        kind: ExitKind,
        /// An exit status or a signal's number.
        status: u32,
    },
    /// The guest broke the protocol of a device.
    Violation,
    /// The vCPU could not go on: a triple fault, or a state that KVM cannot run.
    Crash,
    /// `/dev/kvm` is not there, or this process may not use it.
    NoKvm,
    /// The host failed: KVM, or something that every host has.
    Host,
    /// A stop handle was used.
    Stopped,
    /// The deadline passed.
    TimedOut,
    /// It used more memory than it was permitted while it ran.
    MemoryLimit,
    /// In a reproducible run, it made no system call for too long while others waited.
    Spinning,
    /// A replay went another way than its transcript says.
    Diverged,
}

impl End {
    /// Whether the state of the vCPU is of interest.
    pub(crate) fn deserves_report(self) -> bool {
        match self {
            Self::Guest { kind, .. } => kind == ExitKind::Panic,
            Self::Violation | Self::Crash | Self::TimedOut | Self::Spinning => true,
            Self::NoKvm | Self::Host | Self::Stopped | Self::MemoryLimit | Self::Diverged => false,
        }
    }
}

/// How an instance ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// What ended it.
    pub end: End,
    /// One sentence about it; empty where `end` says everything. What the guest contributed to it
    /// is free of control characters.
    pub text: String,
    /// Registers and a symbolised backtrace of the vCPU at its end, in lines, where that matters:
    /// after a panic, a violation, a crash or a time-out.
    pub report: Option<String>,
    /// What it cost.
    pub stats: Stats,
    /// The level of reproducible execution that held to the end.
    pub level: Level,
    /// What a run with a transcript came to.
    pub recorded: Option<Recorded>,
}

impl Outcome {
    /// An end before the guest ran.
    #[must_use]
    pub fn failed(end: End, text: String, timeline: Timeline) -> Self {
        Self {
            end,
            text,
            report: None,
            stats: Stats {
                timeline,
                exits: Exits::default(),
                guest: Counters::default(),
                calls: Vec::new(),
            },
            level: Level::D0,
            recorded: None,
        }
    }
}

impl Outcome {
    /// Removes what a terminal would obey.
    pub(crate) fn make_printable(&mut self) {
        self.text = printable(&self.text);
        self.report = self.report.as_deref().map(printable);
        self.stats.timeline.make_printable();
        for call in &mut self.stats.calls {
            call.name = printable(&call.name);
        }
        if let Some(recorded) = &mut self.recorded {
            recorded.difference = recorded.difference.as_deref().map(printable);
            recorded.failure = recorded.failure.as_deref().map(printable);
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        match self.end {
            End::Guest { kind, status } => match kind {
                ExitKind::Exited => write!(f, "the program exited with status {status}"),
                ExitKind::Signaled => write!(f, "the program was killed by signal {status}"),
                ExitKind::Panic => write!(f, "the guest kernel panicked"),
                ExitKind::NoEntrypoint => write!(f, "the entrypoint is not in the box"),
                ExitKind::NotExecutable => write!(f, "the entrypoint is no program"),
                ExitKind::ForeignArchitecture => {
                    write!(f, "the entrypoint is a program for another architecture")
                }
                ExitKind::NoInterpreter => {
                    write!(f, "the program's ELF interpreter is not in the box")
                }
                ExitKind::BadBox => write!(f, "the box image is damaged"),
                ExitKind::MemoryTooSmall => write!(f, "too little memory to start the program"),
                ExitKind::OutOfMemory => write!(f, "the program ran out of memory"),
            },
            End::Violation => write!(f, "the guest broke the device's protocol"),
            End::Crash => write!(f, "the vCPU crashed"),
            End::NoKvm => write!(f, "this host offers no KVM"),
            End::Host => write!(f, "the host failed"),
            End::Stopped => write!(f, "the instance was stopped"),
            End::TimedOut => write!(f, "the instance's time was up"),
            End::MemoryLimit => write!(f, "the instance used more memory than it may"),
            End::Spinning => write!(
                f,
                "the program made no system call for too long, while others waited"
            ),
            End::Diverged => write!(f, "the replay went another way than its transcript"),
        }?;
        if text.is_empty() {
            Ok(())
        } else {
            write!(f, ": {text}")
        }
    }
}

/// Text of a guest (or of a process that a guest may have taken over) as it may be shown on a
/// terminal: without control characters other than ends of lines.
pub(crate) fn printable(text: &str) -> String {
    let safe = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    text.chars().map(safe).collect()
}

/// What an instance cost. Times are of the monotonic clock.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stats {
    /// The phases of its start, and its end.
    pub timeline: Timeline,
    /// What the vCPU thread and the I/O thread counted.
    pub exits: Exits,
    /// What the guest says it counted. Never to be trusted for billing.
    #[serde(with = "CountersFrame")]
    pub guest: Counters,
    /// What the guest says of each system call that was made, where it was told to count them
    /// (`flags::COUNT_CALLS`).
    pub calls: Vec<Call>,
}

/// How often a system call was made, and what it took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// How often it returned.
    pub calls: u64,
    /// How often with an error.
    pub errors: u64,
    /// Nanoseconds of the processor.
    pub ns: u64,
}

impl From<CallCount> for Call {
    fn from(count: CallCount) -> Self {
        let name = count.name.iter().take_while(|byte| byte.is_ascii_graphic());
        Self {
            name: name.map(|byte| char::from(*byte)).collect(),
            calls: count.calls,
            errors: count.errors,
            ns: count.ns,
        }
    }
}

/// Exits of the vCPU to this process, and what else the two threads did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exits {
    /// Parkings.
    pub parks: u64,
    /// Accesses to the device's registers.
    pub registers: u64,
    /// Returns because of a kick.
    pub kicks: u64,
    /// Interrupts injected.
    pub injections: u64,
    /// Wake-ups of the I/O thread.
    pub io_wakeups: u64,
    /// Chains that the device has used.
    pub chains: u64,
}

/// How [`Counters`] are encoded.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Counters")]
struct CountersFrame {
    kernel_start: u64,
    program_start: u64,
    syscalls: u64,
    page_faults: u64,
    gates: u64,
    switches: u64,
    preemptions: u64,
    pages_used: u64,
    pages_peak: u64,
}

/// How an [`ExitKind`] is encoded: by its number in the guest ABI.
mod exit_kind {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;
    use unicell_guest_abi::exit::ExitKind;

    pub(super) fn serialize<S: Serializer>(kind: &ExitKind, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u32(*kind as u32)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<ExitKind, D::Error> {
        let number = u32::deserialize(from)?;
        ExitKind::from_u32(number).ok_or_else(|| D::Error::custom("an end of unknown kind"))
    }
}
