//! The platform page: time, counters, the preemption word, sleeping, and the end.
#![allow(unsafe_code)]

use core::arch::asm;
use core::fmt::{self, Write};
use core::ptr::{addr_of, addr_of_mut};
use core::sync::atomic::{AtomicU64, Ordering};

use unicell_guest_abi::exit::{ExitKind, REPORT_FRAMES, REPORT_TEXT, Report, encode};
use unicell_guest_abi::layout::{DEVICE_VA, DIRECT_MAP, REPORT_GPA, SHARED_GPA};
use unicell_guest_abi::platform::{
    CALL_ROWS, CallCount, Clock, Counters, EXIT, INPUT, PARK, REGISTERS, Shared,
};

use crate::reproducible;

fn shared() -> *mut Shared {
    (DIRECT_MAP + SHARED_GPA) as *mut Shared
}

/// Writes a device register: a plain 8-byte `mov`, the only store that every host accepts.
fn store_register(offset: u64, value: u64) {
    // SAFETY: the VMM maps the register's page; the store has no effect on memory that Rust knows.
    unsafe {
        asm!("mov [{}], {}", in(reg) DEVICE_VA + REGISTERS + offset, in(reg) value,
            options(nostack, preserves_flags));
    }
}

/// Changes the counters that the VMM shows.
pub fn count(change: impl FnOnce(&mut Counters)) {
    // SAFETY: the page is mapped for as long as the guest runs. Only this vCPU writes the
    // counters; the host reads them when the vCPU is stopped.
    change(unsafe { &mut *addr_of_mut!((*shared()).counters) });
}

/// Tells the VMM where system calls are counted. The table lies on the kernel's heap, hence in the
/// direct map, and is never given back.
pub fn tell_calls(table: &'static mut [CallCount; CALL_ROWS]) -> &'static mut [CallCount] {
    let address = table.as_ptr() as u64 - DIRECT_MAP;
    // SAFETY: the page is mapped and the word is the guest's.
    unsafe { addr_of_mut!((*shared()).calls).write_volatile(address) };
    table
}

/// Time stamp counter; 0 in a reproducible run, where it cannot be read.
#[must_use]
pub fn tsc() -> u64 {
    if reproducible::is_on() {
        return 0;
    }
    // SAFETY: reads a register.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The clock as the host has written it last, whole.
fn host_clock() -> Clock {
    loop {
        // SAFETY: the page is mapped; the host may write it at any moment, hence the volatile
        // reads and the sequence number around them.
        let (before, clock, after) = unsafe {
            let clock = addr_of!((*shared()).clock);
            let before = addr_of!((*clock).seq).read_volatile();
            let copy = clock.read_volatile();
            (before, copy, addr_of!((*clock).seq).read_volatile())
        };
        if before == after && before.is_multiple_of(2) {
            return clock;
        }
        core::hint::spin_loop();
    }
}

fn scale(clock: &Clock, counts: u64) -> u64 {
    ((u128::from(counts) * u128::from(clock.mult)) >> 32) as u64
}

/// Thousands of time stamp counts in a second. In a reproducible run the counter counts
/// nanoseconds.
#[must_use]
pub fn tsc_khz() -> u64 {
    const NANOSECONDS: u64 = 1_000_000;
    (NANOSECONDS << 32)
        .checked_div(host_clock().mult)
        .unwrap_or(NANOSECONDS)
}

/// Nanoseconds of the monotonic clock.
#[must_use]
pub fn monotonic() -> u64 {
    let clock = host_clock();
    if clock.mult == 0 {
        return LATEST
            .fetch_max(clock.mono_ns, Ordering::Relaxed)
            .max(clock.mono_ns);
    }
    let ns = clock
        .mono_ns
        .wrapping_add(scale(&clock, tsc().saturating_sub(clock.tsc)));
    // The host corrects its clock now and then; time never goes back for a program all the same.
    LATEST.fetch_max(ns, Ordering::Relaxed).max(ns)
}

/// Lets virtual time pass.
pub fn advance(ns: u64) {
    LATEST.fetch_add(ns, Ordering::Relaxed);
}

/// The latest moment that anybody has been told: by the kernel, or by the vDSO. Virtual time itself,
/// which passes with each look of the vDSO too.
pub(crate) static LATEST: AtomicU64 = AtomicU64::new(0);

/// Nanoseconds to add to monotonic time to get the time since 1970.
#[must_use]
pub fn realtime_offset() -> i64 {
    host_clock().realtime_offset
}

/// Whether the host wants the program to be left, which is true once for each wish.
pub fn take_preempt() -> bool {
    // SAFETY: mapped; the host only ever sets it to 1.
    unsafe {
        let word = addr_of_mut!((*shared()).preempt);
        let wanted = word.read_volatile() != 0;
        if wanted {
            word.write_volatile(0);
        }
        wanted
    }
}

/// Tells the host whether to slice time, and when the next sleeper is due.
pub fn announce(contended: bool, deadline: u64) {
    // SAFETY: mapped; these words are the guest's.
    unsafe {
        addr_of_mut!((*shared()).contended).write_volatile(u32::from(contended));
        addr_of_mut!((*shared()).deadline).write_volatile(deadline);
    }
}

/// Sleeps until the device has news or the deadline (monotonic ns) has come. May return early.
pub fn park(deadline: u64) {
    store_register(PARK, deadline);
}

/// Asks for input in a reproducible run, for at most so many nanoseconds of the host.
pub fn ask_for_input(wait: u64) {
    store_register(INPUT, wait);
}

/// The report, as text is added to it.
struct Writer(*mut Report);

impl Write for Writer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: the page is mapped and only this vCPU writes it; in bounds.
        unsafe {
            let len = addr_of!((*self.0).text_len).read() as usize;
            let part = &text.as_bytes()[..text.len().min(REPORT_TEXT - len.min(REPORT_TEXT))];
            addr_of_mut!((*self.0).text)
                .cast::<u8>()
                .add(len)
                .copy_from_nonoverlapping(part.as_ptr(), part.len());
            addr_of_mut!((*self.0).text_len).write((len + part.len()) as u32);
        }
        Ok(())
    }
}

/// Ends the instance, with words for who started it.
pub fn end(kind: ExitKind, status: u32, text: fmt::Arguments<'_>) -> ! {
    end_with_frames(kind, status, text, &[])
}

/// Ends the instance, with words and the kernel's backtrace.
pub fn end_with_frames(kind: ExitKind, status: u32, text: fmt::Arguments<'_>, trace: &[u64]) -> ! {
    let report = (DIRECT_MAP + REPORT_GPA) as *mut Report;
    // Truncated at worst: the writer never fails.
    let _ = Writer(report).write_fmt(text);
    for (at, frame) in trace.iter().take(REPORT_FRAMES).enumerate() {
        // SAFETY: the page is mapped and only this vCPU writes it; in bounds.
        unsafe {
            addr_of_mut!((*report).frames)
                .cast::<u64>()
                .add(at)
                .write(*frame);
            addr_of_mut!((*report).frame_count).write(at as u32 + 1);
        }
    }
    loop {
        store_register(EXIT, encode(kind, status));
    }
}
