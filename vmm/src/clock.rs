//! Time: the host's monotonic clock, and the page from which the guest computes it.
//!
//! The guest never sees the clock go back: where the page's rate ran ahead of the host, time goes
//! on from where the guest is, a little slower, until the host has caught up.
#![allow(unsafe_code)]

use std::sync::atomic::{Ordering, fence};

use rustix::time::{ClockId, Timespec, clock_gettime};
use unicell_guest_abi::layout::SHARED_GPA;
use unicell_guest_abi::platform::{Clock, NEVER};
use vm_memory::{Bytes, GuestAddress};

use crate::memory::{Abi, Memory};

/// Nanoseconds of the monotonic clock.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Nanoseconds of the monotonic clock as of the last tick of the host's kernel: without a look at the
/// time stamp counter, for a thread that may not read it.
pub(crate) fn monotonic_coarse_ns() -> u64 {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The clock of this thread's processor time, for other threads to read; 0 if there is none.
pub(crate) fn own_cpu_clock() -> libc::clockid_t {
    let mut clock = 0;
    // SAFETY: the thread exists, for it is this one; the clock is written to a local.
    let found = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &raw mut clock) };
    if found == 0 { clock } else { 0 }
}

/// Processor time of another process, in nanoseconds; none if there is none of this number.
pub(crate) fn process_cpu_ns(pid: u32) -> Option<u64> {
    /// What the kernel makes clock numbers of: a process, not a thread, by the scheduler's count
    /// (CPUCLOCK_SCHED, include/linux/posix-timers.h; clock_getcpuclockid(3)).
    const OF_PROCESS: i32 = 2;
    let clock = !i32::try_from(pid).ok()? << 3 | OF_PROCESS;
    nanoseconds(clock)
}

/// Nanoseconds of a clock of [`own_cpu_clock`]; 0 if its thread has gone.
pub(crate) fn cpu_ns(clock: libc::clockid_t) -> u64 {
    match clock {
        0 => 0,
        clock => nanoseconds(clock).unwrap_or(0),
    }
}

/// Nanoseconds of a clock; none if whose time it tells has gone. That may be 0 for what has just
/// begun: the kernel counts a thread that runs at its next tick.
fn nanoseconds(clock: libc::clockid_t) -> Option<u64> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes to a local.
    let told = unsafe { libc::clock_gettime(clock, &raw mut time) };
    (told == 0).then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// A moment of the monotonic clock, `None` for [`NEVER`].
pub(crate) fn timespec(ns: u64) -> Option<Timespec> {
    (ns != NEVER).then_some(Timespec {
        tv_sec: (ns / 1_000_000_000) as i64,
        tv_nsec: (ns % 1_000_000_000) as i64,
    })
}

/// The host's time stamp counter.
pub(crate) fn tsc() -> u64 {
    // SAFETY: RDTSC has no effect on memory.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Where monotonic time begins in a reproducible run: a second, for programs that take zero for none.
const VIRTUAL_MONO_NS: u64 = 1_000_000_000;
/// When a reproducible run begins, less the second before: 2020-01-01 00:00:00 UTC.
const VIRTUAL_EPOCH_NS: i64 = (1_577_836_800 - 1) * 1_000_000_000;

/// Writes the guest's clock page.
pub(crate) struct ClockWriter {
    /// What to add to the host's counter to get the guest's.
    tsc_offset: u64,
    /// Nanoseconds for each count, times 2^32.
    mult: u64,
    last: Clock,
    is_virtual: bool,
}

impl ClockWriter {
    /// `tsc_khz` is the rate of the counter, `tsc_offset` the guest's lead over the host's.
    pub(crate) fn new(tsc_khz: u32, tsc_offset: u64) -> Self {
        let khz = u128::from(tsc_khz.max(1));
        Self {
            tsc_offset,
            mult: ((1_000_000u128 << 32) / khz) as u64,
            last: Clock {
                seq: 0,
                reserved: 0,
                tsc: 0,
                mono_ns: 0,
                realtime_offset: 0,
                mult: 0,
            },
            is_virtual: false,
        }
    }

    /// Has the guest count time by itself, from a beginning that is the same in each run.
    pub(crate) fn make_virtual(&mut self) {
        self.is_virtual = true;
    }

    /// Brings the page up to date.
    pub(crate) fn refresh(&mut self, memory: &Memory) {
        if self.is_virtual {
            return self.begin(memory);
        }
        let before = tsc();
        let mono_ns = monotonic_ns();
        let tsc = before
            .wrapping_add(tsc().wrapping_sub(before) / 2)
            .wrapping_add(self.tsc_offset);
        let real = clock_gettime(ClockId::Realtime);
        let real_ns = real.tv_sec * 1_000_000_000 + real.tv_nsec;
        self.last = next(
            &self.last,
            tsc,
            mono_ns,
            real_ns - mono_ns as i64,
            self.mult,
        );
        publish(memory, self.last);
    }

    /// Writes where virtual time begins, once.
    fn begin(&mut self, memory: &Memory) {
        if self.last.seq == 0 {
            self.last = Clock {
                seq: 2,
                mono_ns: VIRTUAL_MONO_NS,
                realtime_offset: VIRTUAL_EPOCH_NS,
                ..self.last
            };
            publish(memory, self.last);
        }
    }

    /// When the guest's counter showed `tsc`, in nanoseconds of the monotonic clock. A guest may
    /// name any moment: the result says no more than that it did.
    pub(crate) fn moment(&self, tsc: u64) -> u64 {
        let passed = i128::from(tsc.wrapping_sub(self.last.tsc) as i64) * i128::from(self.mult);
        self.last
            .mono_ns
            .saturating_add_signed((passed >> 32) as i64)
    }
}

/// What the guest computes from `clock` at `tsc`.
fn read(clock: &Clock, tsc: u64) -> u64 {
    let passed = u128::from(tsc.saturating_sub(clock.tsc)) * u128::from(clock.mult);
    clock.mono_ns + (passed >> 32) as u64
}

fn next(last: &Clock, tsc: u64, mono_ns: u64, realtime_offset: i64, mult: u64) -> Clock {
    let seen = read(last, tsc);
    let ahead = seen > mono_ns;
    Clock {
        seq: last.seq.wrapping_add(2),
        reserved: 0,
        tsc,
        mono_ns: seen.max(mono_ns),
        realtime_offset,
        mult: if ahead { mult - mult / 1024 } else { mult },
    }
}

/// Stores the page under its sequence lock. Only `memory`'s own guest can be hurt by a failure, and
/// the page lies in every RAM.
fn publish(memory: &Memory, clock: Clock) {
    let seq = GuestAddress(SHARED_GPA);
    let ram = memory.ram();
    let _ = ram.store(clock.seq.wrapping_sub(1), seq, Ordering::Relaxed);
    fence(Ordering::SeqCst);
    let odd = Clock {
        seq: clock.seq.wrapping_sub(1),
        ..clock
    };
    let _ = ram.write_obj(Abi(odd), seq);
    fence(Ordering::SeqCst);
    let _ = ram.store(clock.seq, seq, Ordering::Release);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MULT: u64 = 1 << 31;

    fn at(tsc: u64, mono_ns: u64) -> Clock {
        Clock {
            seq: 2,
            reserved: 0,
            tsc,
            mono_ns,
            realtime_offset: 0,
            mult: MULT,
        }
    }

    #[test]
    fn a_clock_that_ran_ahead_goes_on_more_slowly() {
        let last = at(1000, 500);
        assert_eq!(read(&last, 3000), 1500);
        let clock = next(&last, 3000, 1400, 0, MULT);
        assert_eq!(clock.mono_ns, 1500, "it never goes back");
        assert!(clock.mult < MULT);
        let clock = next(&clock, 10_003_000, 5_001_400, 0, MULT);
        assert_eq!(
            (clock.mono_ns, clock.mult),
            (5_001_400, MULT),
            "the host has caught up"
        );
    }

    #[test]
    fn a_clock_that_fell_behind_jumps_to_the_host() {
        let clock = next(&at(1000, 500), 3000, 1600, 7, MULT);
        assert_eq!((clock.mono_ns, clock.mult, clock.seq), (1600, MULT, 4));
        assert_eq!(clock.realtime_offset, 7);
    }
}
