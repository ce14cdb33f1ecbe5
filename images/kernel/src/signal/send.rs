//! Sending signals, and finding those that are due.

use alloc::string::String;
use alloc::sync::Arc;

use linux_raw_sys::general::RLIMIT_SIGPENDING;

use super::info::{Info, SI_USER};
use super::{
    DEFAULT, DefaultAction, IGNORE, REAL_TIME, SIGCHLD, SIGCONT, SIGKILL, SIGSTOP, SIGTSTP,
    SIGTTIN, SIGTTOU, Set, default_of,
};
use crate::errno::{Errno, Result};
use crate::sync::Mutex;
use crate::task::process::{Life, Stop};
use crate::task::{self, Process, Thread, exit, numbers};

const STOPS: Set = Set::of(SIGSTOP)
    .with(Set::of(SIGTSTP))
    .with(Set::of(SIGTTIN))
    .with(Set::of(SIGTTOU));

/// SA_NOCLDSTOP and SA_NOCLDWAIT.
const NO_CHILD_STOP: u64 = 1;
const NO_CHILD_WAIT: u64 = 2;

/// What happens at once, whatever is blocked: stop and continue cancel each other.
fn before_sending(process: &Arc<Process>, signal: u32) {
    if signal == SIGCONT || signal == SIGKILL {
        discard(process, STOPS);
        let mut stop = process.stop.lock();
        if matches!(*stop, Stop::Stopped(..)) {
            *stop = if signal == SIGCONT {
                Stop::Continued
            } else {
                Stop::No
            };
            drop(stop);
            process.continued.wake_all();
            if let Some(parent) = process.parent().filter(|_| signal == SIGCONT) {
                child_continued(&parent, process);
            }
        }
    } else if STOPS.has(signal) {
        discard(process, Set::of(SIGCONT));
    }
}

fn discard(process: &Arc<Process>, set: Set) {
    process.pending.lock().discard(set);
    for thread in process.threads.lock().iter() {
        thread.signals.lock().pending.discard(set);
    }
}

/// Whether a signal would do nothing when it comes to this thread.
fn is_lost(process: &Process, thread: &Thread, signal: u32) -> bool {
    let signals = thread.signals.lock();
    !signals.mask.has(signal)
        && !signals.awaited.has(signal)
        && process.actions.lock().ignores(signal)
}

/// Whether the limit on queued signals (RLIMIT_SIGPENDING) lets a process get one more. Those
/// that are not of real time, and those of kill(2), always come through.
fn may_queue(process: &Process, info: &Info) -> bool {
    if info.signal() < REAL_TIME || info.code() == SI_USER {
        return true;
    }
    let limit = process.limits.lock().of(RLIMIT_SIGPENDING).0;
    let threads = process.threads.lock();
    let of_threads = threads.iter().map(|t| t.signals.lock().pending.count());
    let queued = process.pending.lock().count() + of_threads.sum::<usize>();
    (queued as u64) < limit
}

/// Sends a signal to one thread.
///
/// # Errors
///
/// EAGAIN if too many are queued.
pub fn send_to_thread(thread: &Arc<Thread>, info: Info) -> Result<()> {
    let (process, signal) = (thread.process(), info.signal());
    before_sending(process, signal);
    if is_lost(process, thread, signal) {
        return Ok(());
    }
    if !may_queue(process, &info) {
        return Err(Errno::EAGAIN);
    }
    thread.signals.lock().pending.add(info);
    thread.interrupt();
    // A descriptor of signalfd may wait for it.
    process.child_events.wake_all();
    Ok(())
}

/// Sends a signal to a process: to whichever thread takes it.
///
/// # Errors
///
/// EAGAIN if too many are queued.
pub fn send_to_process(process: &Arc<Process>, info: Info) -> Result<()> {
    let signal = info.signal();
    if matches!(process.life(), Life::Zombie(_)) {
        return Ok(());
    }
    before_sending(process, signal);
    let threads = process.threads.lock().clone();
    if threads
        .iter()
        .all(|thread| is_lost(process, thread, signal))
    {
        return Ok(());
    }
    if !may_queue(process, &info) {
        return Err(Errno::EAGAIN);
    }
    process.pending.lock().add(info);
    // One that waits for it, else one that does not block it, the first thread first.
    let takes = |thread: &&Arc<Thread>| {
        let signals = thread.signals.lock();
        signals.awaited.has(signal) || !signals.mask.has(signal)
    };
    let waits = |thread: &&Arc<Thread>| thread.signals.lock().awaited.has(signal);
    if let Some(thread) = threads
        .iter()
        .find(waits)
        .or_else(|| threads.iter().find(takes))
    {
        thread.interrupt();
    }
    // A descriptor of signalfd may wait for it too.
    process.child_events.wake_all();
    Ok(())
}

/// Sends a signal to every process of a group; returns how many there are.
pub fn send_to_group(group: u32, info: Info) -> usize {
    let members = numbers::all_in_group(group);
    for member in &members {
        // A full queue of one does not keep it from the others.
        let _ = send_to_process(member, info);
    }
    members.len()
}

/// The running thread gets a signal from the kernel.
pub fn raise_on_current(signal: u32) {
    // The queue of a thread that does not get to handle anything does not matter.
    let _ = send_to_thread(&task::current(), Info::from_kernel(signal));
}

static LAST_FAULT: Mutex<Option<(u32, String)>> = Mutex::new(None);

/// What is known of the fault that a process has had last.
pub fn last_fault(process: u32) -> Option<String> {
    LAST_FAULT
        .lock()
        .take()
        .filter(|(id, _)| *id == process)
        .map(|(_, text)| text)
}

/// The running thread has caused a fault. If it blocks or ignores the signal, it is ended by it.
pub fn raise_fault(info: Info, describe: impl FnOnce() -> String) {
    let (thread, signal) = (task::current(), info.signal());
    let process = thread.process();
    let unheard = {
        let mut actions = process.actions.lock();
        let action = actions.get(signal);
        let blocked = thread.signals.lock().mask.has(signal);
        if blocked || action.handler == IGNORE {
            actions.set(signal, super::Action::default());
            let mut signals = thread.signals.lock();
            signals.mask = signals.mask.without(Set::of(signal));
        }
        blocked || matches!(action.handler, DEFAULT | IGNORE)
    };
    if unheard {
        let text = describe();
        *LAST_FAULT.lock() = Some((process.id(), text));
    }
    thread.signals.lock().pending.add(info);
}

/// Whether a signal has to be handled before the thread goes on.
pub fn is_due(thread: &Thread) -> bool {
    let process = thread.process();
    let pending = {
        let signals = thread.signals.lock();
        signals
            .pending
            .set()
            .with(process.pending.lock().set())
            .without(signals.mask)
    };
    !pending.is_empty() || matches!(*process.stop.lock(), Stop::Stopped(..))
}

/// Takes a pending signal of a set, for sigtimedwait and signalfd.
pub fn take_awaited(thread: &Thread, of: Set) -> Option<Info> {
    let own = thread.signals.lock().pending.take(of);
    let mut info = own.or_else(|| thread.process().pending.lock().take(of))?;
    if info.is_of_timer() {
        let timers = thread.process().timers.lock();
        // A program may have sent one that only looks like a timer's.
        if let Some(timer) = timers.created.get(&info.sender()) {
            info.set_overrun(timer.taken());
        }
    }
    Some(info)
}

/// CLD_EXITED and its like.
fn child_code(status: u32) -> (i32, u32) {
    match status & 0x7f {
        0 => (1, status >> 8 & 0xff),
        signal => (2, signal),
    }
}

/// A child has ended: the parent is told, and reaps it at once if it does not care.
pub fn child_ended(parent: &Arc<Process>, child: &Arc<Process>, status: u32) {
    let action = parent.actions.lock().get(SIGCHLD);
    let signal = child.exit_signal();
    if signal == SIGCHLD && (action.handler == IGNORE || action.flags & NO_CHILD_WAIT != 0) {
        parent
            .children
            .lock()
            .retain(|other| !Arc::ptr_eq(other, child));
        numbers::release(child);
    }
    if signal != 0 {
        let (code, status) = child_code(status);
        let uid = child.credentials.lock().uid;
        let _ = send_to_process(parent, Info::child(signal, code, child.id(), uid, status));
    }
    parent.child_events.wake_all();
}

/// A child was stopped by a signal.
pub fn child_stopped(parent: &Arc<Process>, child: &Arc<Process>, by: u32) {
    tell_parent(parent, child, 5, by);
}

fn child_continued(parent: &Arc<Process>, child: &Arc<Process>) {
    tell_parent(parent, child, 6, SIGCONT);
}

fn tell_parent(parent: &Arc<Process>, child: &Arc<Process>, code: i32, status: u32) {
    if parent.actions.lock().get(SIGCHLD).flags & NO_CHILD_STOP == 0 {
        let uid = child.credentials.lock().uid;
        let _ = send_to_process(parent, Info::child(SIGCHLD, code, child.id(), uid, status));
    }
    parent.child_events.wake_all();
}

/// Ends the process by a signal that it does not handle.
pub(super) fn end_by(process: &Arc<Process>, signal: u32) {
    debug_assert!(default_of(signal) == DefaultAction::End || signal == SIGKILL);
    exit::begin(process, signal);
}
