//! Job control: which session a terminal belongs to, and which of its processes may use it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::Terminal;
use crate::errno::{Errno, Result};
use crate::signal::{self, IGNORE, Info, SIGCONT, SIGHUP, SIGTTIN};
use crate::task::{self, Process, group};

/// Whether this is the controlling terminal of a process.
pub fn controls(terminal: &Terminal, process: &Process) -> bool {
    let own = process.terminal.lock();
    own.as_ref()
        .is_some_and(|own| core::ptr::eq(&raw const **own, terminal))
}

/// Whether the running process may do what a process in the background is stopped for.
///
/// # Errors
///
/// RESTART when its group was sent `signal` instead; EIO if it cannot be stopped.
pub fn check(terminal: &Terminal, signal: u32) -> Result<()> {
    let thread = task::current();
    let process = thread.process();
    let foreground = terminal.line().foreground;
    if !controls(terminal, process) || foreground.is_none_or(|group| group == process.group()) {
        return Ok(());
    }
    let deaf = thread.signals.lock().mask.has(signal)
        || process.actions.lock().get(signal).handler == IGNORE;
    if deaf && signal != SIGTTIN {
        return Ok(());
    }
    if deaf || group::is_orphaned(process.group(), None) {
        return Err(Errno::EIO);
    }
    signal::send_to_group(process.group(), Info::from_kernel(signal));
    Err(Errno::RESTART)
}

/// Makes it the controlling terminal of the process's session.
pub fn acquire(terminal: &Arc<Terminal>, process: &Process) {
    {
        let mut line = terminal.line();
        line.session = Some(process.session());
        line.foreground = Some(process.group());
    }
    *process.terminal.lock() = Some(terminal.clone());
    *process.lost_foreground.lock() = None;
}

/// What opening a terminal comes to: a session's leader that has none gets it, if it is nobody's.
pub fn opened(terminal: &Arc<Terminal>) {
    let process = task::process();
    let free = process.leads_session() && process.terminal.lock().is_none();
    if free && terminal.line().session.is_none() {
        acquire(terminal, &process);
    }
}

/// The processes of a session.
fn members(session: u32) -> Vec<Arc<Process>> {
    let mut all = task::processes();
    all.retain(|process| process.session() == session);
    all
}

/// No process of a session has a controlling terminal any more.
pub fn forget(session: u32) {
    for process in members(session) {
        *process.terminal.lock() = None;
    }
}

/// The session loses its terminal, and its leader is told.
pub fn hang_up(terminal: &Terminal) {
    let (session, foreground) = {
        let mut line = terminal.line();
        (line.session.take(), line.foreground.take())
    };
    for process in session.map(members).unwrap_or_default() {
        if controls(terminal, &process) {
            *process.terminal.lock() = None;
        }
        if process.leads_session() {
            *process.lost_foreground.lock() = foreground;
            for signal in [SIGHUP, SIGCONT] {
                // A full queue is of signals that end it as well.
                let _ = signal::send_to_process(&process, Info::from_kernel(signal));
            }
        }
    }
}

/// A session's leader gives its terminal up for the session, or ends.
pub fn give_up(process: &Process, ends: bool) {
    if !process.leads_session() {
        return;
    }
    let terminal = process.terminal.lock().clone();
    let lost = process.lost_foreground.lock().take();
    let Some(terminal) = terminal else {
        // The terminal went first. Whoever was in the foreground is told now.
        if let Some(group) = lost.filter(|_| ends) {
            signal::send_to_group(group, Info::from_kernel(SIGHUP));
            signal::send_to_group(group, Info::from_kernel(SIGCONT));
        }
        return;
    };
    let foreground = terminal.line().foreground;
    if let Some(group) = foreground {
        signal::send_to_group(group, Info::from_kernel(SIGHUP));
        if !ends {
            signal::send_to_group(group, Info::from_kernel(SIGCONT));
        }
    }
    {
        let mut line = terminal.line();
        (line.session, line.foreground) = (None, None);
    }
    forget(process.session());
}
