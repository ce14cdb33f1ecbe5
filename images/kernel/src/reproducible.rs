//! Reproducible execution: the same service with the same input does the same, whatever the host.
//!
//! **Time** is virtual. It passes by [`CALL_NS`] with each system call and by [`LOOK_NS`] with each
//! look at a clock, and jumps to the next deadline when all threads sleep. **Threads** take turns
//! at system calls only, after [`SLICE_NS`]. **Input** is asked for at moments that depend on
//! nothing but the program: see [`crate::device::outside`]. What the device does with output can
//! be noticed by nobody: who would wait for it waits where it is, with everything else.
//!
//! In an ordinary run nothing of this is in force.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::device::platform;

/// Virtual nanoseconds of a system call.
pub const CALL_NS: u64 = 1_000;
/// Virtual nanoseconds of a look at a clock that is no system call.
pub const LOOK_NS: u64 = 100;
/// Virtual nanoseconds after which another thread has its turn.
pub const SLICE_NS: u64 = 100_000;
/// Virtual nanoseconds after which input is asked for though some thread always could run.
pub const PATIENCE_NS: u64 = 100_000_000;

/// Virtual nanoseconds of an interruption by the host.
const PREEMPTED_NS: u64 = 4_000_000;

static LEVEL: AtomicU32 = AtomicU32::new(0);
/// When input was asked for last, or all threads slept.
static ASKED: AtomicU64 = AtomicU64::new(0);

/// Takes the level of this run. Called once, before anything else.
pub fn init(level: u32) {
    LEVEL.store(level, Ordering::Relaxed);
}

/// The level: 0 promises nothing.
#[must_use]
pub fn level() -> u32 {
    LEVEL.load(Ordering::Relaxed)
}

/// Whether the run is reproducible.
#[must_use]
pub fn is_on() -> bool {
    level() > 0
}

/// A system call takes its time.
pub fn call() {
    if is_on() {
        platform::advance(CALL_NS);
    }
}

/// The host has interrupted the program, which it does only where a program may spin at the cost of
/// the level: time passes for those who wait.
pub fn preempted() {
    if is_on() {
        platform::advance(PREEMPTED_NS);
    }
}

/// All threads sleep, or input was asked for.
pub fn rested(now: u64) {
    ASKED.store(now, Ordering::Relaxed);
}

/// Whether input is to be asked for though some thread could run.
pub fn is_impatient(now: u64) -> bool {
    now.saturating_sub(ASKED.load(Ordering::Relaxed)) >= PATIENCE_NS
}

/// RDTSC, which is a look at the virtual clock: its nanoseconds.
pub fn time_stamp() -> u64 {
    platform::advance(LOOK_NS);
    platform::monotonic()
}
