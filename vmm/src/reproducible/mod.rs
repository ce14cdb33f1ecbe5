//! Reproducible execution, the host's part: levels, the transcript of what came from outside, and
//! the backend that records it or plays it back. What the guest's kernel does is in its module of
//! the same name; `docs/reproducible.md` is for people.
//!
//! The guest asks for input at moments of its own choice, and the device brings it at no other, one
//! message at a time. So the order of asking is a function of the program, and what came at which
//! asking is all that there is to know of the outside.

mod configuration;
mod log;
pub mod transcript;

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

pub use crate::cpu::baseline::{Baseline, NotOffered};
pub use configuration::{Configuration, ConfigurationError};
pub(crate) use log::Logged;

/// What is promised of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// Nothing.
    #[default]
    D0,
    /// Time, randomness, process ids, scheduling and order are functions of the service, its
    /// configuration and its ordered input.
    D1,
    /// So is what the processor's own instructions say, as far as they can show the host.
    D2,
}

impl Level {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::D0 => "D0",
            Self::D1 => "D1",
            Self::D2 => "D2",
        }
    }

    /// Its number in the guest ABI.
    pub(crate) const fn number(self) -> u32 {
        self as u32
    }

    /// Whether anything is promised.
    #[must_use]
    pub const fn is_reproducible(self) -> bool {
        !matches!(self, Self::D0)
    }
}

/// What becomes of a program that makes no system call for long while others wait for theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spin {
    /// Nanoseconds of processor time without a system call.
    pub limit_ns: u64,
    /// It is interrupted, and the level is D0 from then on; else the instance ends.
    pub lowers: bool,
}

impl Default for Spin {
    fn default() -> Self {
        Self {
            limit_ns: 60_000_000_000,
            lowers: false,
        }
    }
}

/// A file that says, or is to say, what came from outside.
#[derive(Debug)]
pub enum Log {
    /// It is written, from its end on.
    Record(OwnedFd),
    /// It is read from its beginning, and nothing else comes from outside.
    Replay(OwnedFd),
}

/// How an instance is run so that another run can be compared with it.
#[derive(Debug, Default)]
pub struct Reproduction {
    /// What is promised.
    pub level: Level,
    /// About programs that spin.
    pub spin: Spin,
    /// The processor that a reproducible run finds, if not the host's own.
    pub cpu: Option<Baseline>,
    /// Where the transcript is, if there is one.
    pub log: Option<Log>,
}

/// What a recorded run came to. Digests are BLAKE3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// Of the guest's kernel.
    pub kernel: [u8; 32],
    /// Of everything on standard output.
    pub stdout: [u8; 32],
    /// Of everything on standard error.
    pub stderr: [u8; 32],
    /// Of every message that was sent on streams.
    pub streams: [u8; 32],
    /// In a replay, the first difference from the transcript.
    pub difference: Option<String>,
    /// Why the transcript is not whole.
    pub failure: Option<String>,
}

/// What an instance's threads know of the promise.
#[derive(Debug)]
pub(crate) struct Promise {
    level: Level,
    pub(crate) spin: Spin,
    lowered: AtomicBool,
}

impl Promise {
    pub(crate) fn new(level: Level, spin: Spin) -> Self {
        Self {
            level,
            spin,
            lowered: AtomicBool::new(false),
        }
    }

    /// The level that was begun with.
    pub(crate) fn begun(&self) -> Level {
        self.level
    }

    /// The level that holds.
    pub(crate) fn level(&self) -> Level {
        if self.lowered.load(Ordering::Relaxed) {
            Level::D0
        } else {
            self.level
        }
    }

    /// The program is interrupted from now on.
    pub(crate) fn lower(&self) {
        self.lowered.store(true, Ordering::Relaxed);
    }
}
