//! What a thread or a process has used.

use core::sync::atomic::{AtomicU64, Ordering};

/// Something that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Used {
    /// Nanoseconds of the processor.
    Time,
    /// How often it waited.
    Waits,
    /// How often it had to let another run.
    Preemptions,
    /// Page faults.
    Faults,
    /// Calls that read, and the bytes that they read.
    Reads,
    /// See [`Used::Reads`].
    ReadBytes,
    /// Calls that write, and the bytes that they wrote.
    Writes,
    /// See [`Used::Writes`].
    WrittenBytes,
}

const COUNTS: usize = Used::WrittenBytes as usize + 1;

/// Counts of everything in [`Used`].
#[derive(Default)]
pub struct Accounts([AtomicU64; COUNTS]);

impl Accounts {
    /// Counts so much more.
    pub fn add(&self, what: Used, count: u64) {
        self.0[what as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// The count so far.
    pub fn get(&self, what: Used) -> u64 {
        self.0[what as usize].load(Ordering::Relaxed)
    }

    /// Counts all that another has used, too.
    pub fn add_all(&self, other: &Self) {
        for (to, from) in self.0.iter().zip(&other.0) {
            to.fetch_add(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
}
