//! How long this process keeps a processor that others wait for.
#![allow(unsafe_code)]

use std::mem::zeroed;

/// Nanoseconds of one turn: a third of what Linux gives where nothing else is said, and some ten times
/// what a switch costs where it is dear.
const TURN: u64 = 500_000;

/// Asks for short turns, for all threads that are started from now on: whoever computes without end
/// lets others in soon, which is what their slowest answers wait for. How much of the processor it has
/// in all stays as it is. A host that knows no such wish (before Linux 6.12) ignores it.
pub(super) fn shorten() {
    const SIZE: u32 = size_of::<libc::sched_attr>() as u32;
    // SAFETY: all fields are integers, for which zero is a value.
    let mut wish: libc::sched_attr = unsafe { zeroed() };
    // SAFETY: the call fills a structure of this size.
    let found = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut wish, SIZE, 0) };
    if found != 0 || wish.sched_policy != libc::SCHED_OTHER as u32 {
        return;
    }
    wish.sched_runtime = TURN;
    // SAFETY: the structure lives until the call is over, and says its own size. A host that does not
    // fulfil the wish has lost nothing.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const wish, 0) };
}
