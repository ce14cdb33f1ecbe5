//! The trace: a line for each system call, with its arguments and its result.

use alloc::collections::BTreeSet;
use alloc::string::String;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU8, Ordering};

use super::argument::Kind;
use super::table::{self, Call};
use super::{Answer, absent};
use crate::device::console;
use crate::memory::user;
use crate::sync::Mutex;
use crate::task;

/// What is told of system calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// Nothing.
    Off,
    /// Each call, and each result.
    Lines,
    /// How many there were of each: see [`super::summary`].
    Summary,
}

static MODE: AtomicU8 = AtomicU8::new(Mode::Off as u8);
/// Calls that the kernel does not know and that were asked for.
static UNKNOWN: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());
/// How many of them are told.
const UNKNOWN_MAX: usize = 1024;
/// The longest string that is shown whole.
const SHOWN: usize = 64;
/// AT_FDCWD.
const WORKING_DIRECTORY: i32 = -100;
/// What is shown of a call that the kernel does not know.
const SIX_NUMBERS: &[Kind] = &[Kind::Address; 6];

/// Shows each call from now on. Called once.
pub fn init() {
    set_mode(Mode::Lines);
}

pub(super) fn set_mode(mode: Mode) {
    MODE.store(mode as u8, Ordering::Relaxed);
}

#[inline]
pub(super) fn mode() -> Mode {
    match MODE.load(Ordering::Relaxed) {
        0 => Mode::Off,
        1 => Mode::Lines,
        _ => Mode::Summary,
    }
}

/// The name of a call, whether the kernel knows it or not.
pub(super) fn name(number: u64) -> &'static str {
    table::call(number)
        .map(|call| call.name)
        .or_else(|| absent::name(number))
        .unwrap_or("unknown")
}

/// Says of a call that the kernel does not know that it was asked for, the first time.
pub(super) fn note_unknown(number: u64) {
    if table::call(number).is_some() {
        return;
    }
    let is_first = {
        let mut unknown = UNKNOWN.lock();
        unknown.len() < UNKNOWN_MAX && unknown.insert(number)
    };
    if is_first {
        let (who, name) = (Who::running(), name(number));
        console::trace(format_args!(
            "{who} {name} (call {number}) is not implemented"
        ));
    }
}

/// Carries a call out, and shows it before and its result after that: another thread's calls may
/// come between, hence who makes it on each line.
pub(super) fn show(
    number: u64,
    call: Option<&Call>,
    arguments: &[u64; 6],
    carry_out: impl FnOnce() -> Answer,
) -> Answer {
    note_unknown(number);
    show_call(number, call, arguments);
    let answer = carry_out();
    let who = Who::running();
    match &answer {
        Ok(value) if *value > 0xffff_ffff => console::trace(format_args!("{who}   = {value:#x}")),
        Ok(value) => console::trace(format_args!("{who}   = {value}")),
        Err(errno) => console::trace(format_args!("{who}   = -1 {errno:?}")),
    }
    answer
}

fn show_call(number: u64, call: Option<&Call>, arguments: &[u64; 6]) {
    let mut line = String::new();
    // Writing to a string does not fail.
    let _ = write!(line, "{} {}(", Who::running(), name(number));
    let kinds = call.map_or(SIX_NUMBERS, |call| call.arguments);
    for (at, (kind, value)) in kinds.iter().zip(arguments).enumerate() {
        let separator = if at == 0 { "" } else { ", " };
        let _ = write!(line, "{separator}");
        show_argument(&mut line, *kind, *value);
    }
    console::trace(format_args!("{line})"));
}

/// A thread as lines of the trace name it: by the number of its process, and by its own if it is
/// not the first one there.
struct Who {
    process: u32,
    thread: u32,
}

impl Who {
    fn running() -> Self {
        Self {
            process: task::process().id(),
            thread: task::thread_id(),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.process == self.thread {
            write!(f, "[{}]", self.process)
        } else {
            write!(f, "[{}/{}]", self.process, self.thread)
        }
    }
}

fn show_argument(line: &mut String, kind: Kind, value: u64) {
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
