//! The trace: a line for each system call, with its arguments and its result.

use alloc::collections::BTreeSet;
use alloc::string::String;
use core::fmt::Write;
use core::sync::atomic::{AtomicBool, Ordering};

use super::argument::Kind;
use super::table::Call;
use super::{Answer, absent};
use crate::device::console;
use crate::memory::user;
use crate::sync::Mutex;
use crate::task;

static ON: AtomicBool = AtomicBool::new(false);
/// Calls that the kernel does not know and that were asked for.
static UNKNOWN: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());
/// The longest string that is shown whole.
const SHOWN: usize = 64;
/// AT_FDCWD.
const WORKING_DIRECTORY: i32 = -100;

/// Turns the trace on or off. Called once.
pub fn init(on: bool) {
    ON.store(on, Ordering::Relaxed);
}

/// Shows a call that is about to be carried out. Its result follows on a line of its own if other
/// threads' calls come between, hence the thread's number on each.
pub(super) fn enter(number: u64, call: Option<&Call>, arguments: &[u64; 6]) {
    if !ON.load(Ordering::Relaxed) {
        return;
    }
    let Some(call) = call else {
        if UNKNOWN.lock().insert(number) {
            let name = absent::name(number).unwrap_or("no name");
            let id = task::thread_id();
            console::trace(format_args!(
                "[{id}] system call {number} ({name}) is not known"
            ));
        }
        return;
    };
    let mut line = String::new();
    // Writing to a string does not fail.
    let _ = write!(line, "[{}] {}(", task::thread_id(), call.name);
    for (at, (kind, value)) in call.arguments.iter().zip(arguments).enumerate() {
        let separator = if at == 0 { "" } else { ", " };
        let _ = write!(line, "{separator}");
        show(&mut line, *kind, *value);
    }
    console::trace(format_args!("{line})"));
}

/// Shows the result of the running thread's call.
pub(super) fn leave(answer: &Answer) {
    if !ON.load(Ordering::Relaxed) {
        return;
    }
    let id = task::thread_id();
    match answer {
        Ok(value) if *value > 0xffff_ffff => console::trace(format_args!("[{id}]   = {value:#x}")),
        Ok(value) => console::trace(format_args!("[{id}]   = {value}")),
        Err(errno) => console::trace(format_args!("[{id}]   = -1 {errno:?}")),
    }
}

fn show(line: &mut String, kind: Kind, value: u64) {
    let _ = match kind {
        Kind::Signed => write!(line, "{}", value as i64),
        Kind::Unsigned => write!(line, "{value}"),
        Kind::Flags => write!(line, "{:#x}", value as u32),
        Kind::Fd if value as i32 == WORKING_DIRECTORY => write!(line, "AT_FDCWD"),
        Kind::Fd => write!(line, "{}", value as i32),
        Kind::Address if value == 0 => write!(line, "NULL"),
        Kind::Address => write!(line, "{value:#x}"),
        Kind::Path => match user::string(value, 4096) {
            Ok(text) => {
                let shown = &text[..text.len().min(SHOWN)];
                let more = if text.len() > SHOWN { "..." } else { "" };
                write!(line, "{:?}{more}", String::from_utf8_lossy(shown))
            }
            Err(_) => write!(line, "{value:#x}"),
        },
    };
}
