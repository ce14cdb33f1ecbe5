//! System calls: plain safe functions, a file for each family, and one table that lists them all.

pub mod absent;
pub mod argument;
mod lookup;
pub mod summary;
pub mod table;
pub mod trace;

// Families.
pub mod attribute;
pub mod descriptor;
pub mod directory;
pub mod event;
pub mod exec;
pub mod file;
pub mod futex;
pub mod identity;
pub mod inotify;
pub mod ipc;
pub mod memory;
pub mod message;
pub mod mount;
pub mod mqueue;
pub mod open;
pub mod pipe;
pub mod poll;
pub mod prctl;
pub mod process;
pub mod scheduling;
pub mod signal;
pub mod socket;
pub mod system;
pub mod thread;
pub mod time;
pub mod timer;
pub mod xattr;

pub use argument::{Address, Fd, Path};

use crate::errno::Errno;
use trace::Mode;

/// What a call returns to the program.
pub type Answer = crate::errno::Result<u64>;

/// Carries out a call. `None` if the program's registers are already what they have to be.
pub fn dispatch(number: u64, arguments: &[u64; 6]) -> Option<Answer> {
    let call = table::call(number);
    let carry_out = || match call {
        Some(call) => (call.run)(arguments),
        None => Err(Errno::ENOSYS),
    };
    let answer = match trace::mode() {
        Mode::Off => carry_out(),
        Mode::Lines => trace::show(number, call, arguments, carry_out),
        Mode::Summary => summary::count(number, carry_out),
    };
    // Returning from a handler is no return from the call.
    let restored = number == u64::from(linux_raw_sys::general::__NR_rt_sigreturn) && answer.is_ok();
    (!restored).then_some(answer)
}
