//! The trace as a table: how often each call was made and failed, and the time it took.

use alloc::boxed::Box;

use unicell_guest_abi::platform::{CALL_ROWS, CallCount};

use super::{Answer, table, trace};
use crate::device::platform;
use crate::sync::Mutex;
use crate::task;

/// A row for each number that Linux has given, and the last one for all others.
static ROWS: Mutex<&mut [CallCount]> = Mutex::new(&mut []);

const _: () = assert!(table::NUMBERS < CALL_ROWS);

/// Counts from now on. Called once.
pub fn init() {
    let table = Box::leak(Box::new([CallCount::NONE; CALL_ROWS]));
    *ROWS.lock() = platform::tell_calls(table);
    trace::set_mode(trace::Mode::Summary);
}

/// Carries a call out and counts it. As with `strace -c`, one that does not return is not counted,
/// and time is that of the processor: what is waited for takes none.
///
/// The running thread is asked for twice and not kept: a call that ends it never returns here.
pub(super) fn count(number: u64, carry_out: impl FnOnce() -> Answer) -> Answer {
    trace::note_unknown(number);
    let before = task::current().time();
    let answer = carry_out();
    let took = task::current().time().saturating_sub(before);
    let mut rows = ROWS.lock();
    let last = rows.len() - 1;
    let row = &mut rows[usize::try_from(number).unwrap_or(last).min(last)];
    if row.calls == 0 {
        let name = trace::name(number).as_bytes();
        row.name[..name.len()].copy_from_slice(name);
    }
    row.calls += 1;
    row.errors += u64::from(answer.is_err());
    row.ns += took;
    answer
}
