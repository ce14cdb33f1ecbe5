//! The end of threads and processes.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::numbers::{self, FIRST};
use super::process::{Life, Process};
use super::thread::Thread;
use super::{futex, group, scheduler};
use crate::device::platform;
use crate::fs::{FdTable, FsContext};
use crate::ipc::semaphore;
use crate::memory::user;
use crate::mm::Space;
use crate::signal;
use unicell_guest_abi::exit::ExitKind;

/// The status of an end by exit, as wait(2) gives it.
#[must_use]
pub fn exited(code: u32) -> u32 {
    (code & 0xff) << 8
}

/// Lets a process end with a status: its threads go as soon as they would return to the program.
/// Of several ends the first counts. With the first process the instance ends, at once.
pub fn begin(process: &Arc<Process>, status: u32) {
    {
        let mut life = process.life.lock();
        if *life != Life::Alive {
            return;
        }
        *life = Life::Ending(status);
    }
    if process.id() == FIRST {
        end_instance(process, status);
    }
    let threads = process.threads.lock().clone();
    for thread in threads {
        thread.kill();
    }
    process.continued.wake_all();
}

/// The running thread ends, with its process if it was the last.
pub fn end_thread(code: u32) -> ! {
    let space = leave(code);
    scheduler::end_current(space)
}

/// Everything up to the switch, so that nothing is held on the stack that is left for ever. Returns
/// the address space that is seen, if it is nobody's any more.
fn leave(code: u32) -> Option<Arc<Space>> {
    let thread = scheduler::current();
    let process = thread.process().clone();
    signal_end(&thread);
    numbers::free_number();
    *process.last_name.lock() = *thread.name.lock();
    let last = {
        let mut threads = process.threads.lock();
        threads.retain(|other| !Arc::ptr_eq(other, &thread));
        threads.is_empty()
    };
    if last {
        let status = match process.life() {
            Life::Ending(status) => status,
            _ => exited(code),
        };
        finish(&process, status)
    } else {
        // Whoever execs waits for the others to be gone.
        process.ended.wake_all();
        None
    }
}

/// Tells who waits for the thread: by its word, and by its robust futexes.
fn signal_end(thread: &Arc<Thread>) {
    futex::end_of_owner(thread);
    let address = thread
        .clear_at_end
        .load(core::sync::atomic::Ordering::Relaxed);
    if address != 0 && user::write(address, &0_u32).is_ok() {
        futex::wake_at_end(address);
    }
}

/// The last thread is gone.
fn finish(process: &Arc<Process>, status: u32) -> Option<Arc<Space>> {
    if process.id() == FIRST {
        end_instance(process, status);
    }
    process.timers.lock().forget_all();
    semaphore::undo(process.id());
    process.set_files(Arc::new(FdTable::empty()));
    process.set_context(Arc::new(FsContext::empty()));
    let children = core::mem::take(&mut *process.children.lock());
    crate::tty::job::give_up(process, true);
    let reaper = process.subreaper();
    for child in &children {
        give_up(process, child.clone(), reaper.as_ref());
        if matches!(child.life(), Life::Alive | Life::Ending(_)) {
            group::connection_lost(child, Some(process));
        }
    }
    drop(children);
    group::connection_lost(process, None);
    *process.life.lock() = Life::Zombie(status);
    // What comes next has a space of its own: until then this one is seen.
    let seen = process.space();
    process.peak();
    if let Ok(empty) = Space::new() {
        process.set_space(Arc::new(empty));
    }
    process.ended.wake_all();
    match process.parent() {
        Some(parent) => signal::child_ended(&parent, process, status),
        None => forget(process),
    }
    Some(seen)
}

/// A child loses its parent, and gets another or the kernel for one.
fn give_up(parent: &Arc<Process>, child: Arc<Process>, reaper: Option<&Arc<Process>>) {
    let death_signal = child.settings.lock().death_signal;
    if death_signal != 0 && matches!(child.life(), Life::Alive) {
        let uid = parent.credentials.lock().uid;
        let told = signal::Info::from_process(death_signal, 0, parent.id(), uid);
        // A full queue of the child is its own matter.
        let _ = signal::send_to_process(&child, told);
    }
    child.set_parent(reaper.map(Arc::downgrade).unwrap_or_default());
    match (reaper, child.life()) {
        (Some(reaper), Life::Zombie(status)) => {
            reaper.children.lock().push(child.clone());
            signal::child_ended(reaper, &child, status);
        }
        (Some(reaper), _) => reaper.children.lock().push(child),
        // Of the kernel, a zombie goes with the last reference.
        (None, Life::Zombie(_)) => numbers::release(&child),
        (None, _) => adopt(child),
    }
}

/// Live orphans, so that they stay alive until they end.
static ORPHANS: crate::sync::Mutex<Vec<Arc<Process>>> = crate::sync::Mutex::new(Vec::new());

fn adopt(child: Arc<Process>) {
    ORPHANS.lock().push(child);
}

fn forget(process: &Arc<Process>) {
    numbers::release(process);
    ORPHANS
        .lock()
        .retain(|orphan| !Arc::ptr_eq(orphan, process));
}

fn end_instance(process: &Arc<Process>, status: u32) -> ! {
    crate::tty::console::drain();
    let signal = status & 0x7f;
    if signal == 0 {
        platform::end(ExitKind::Exited, status >> 8 & 0xff, format_args!(""));
    }
    if let Some(report) = OUT_OF_MEMORY.lock().take() {
        platform::end(ExitKind::OutOfMemory, signal, format_args!("{report}"));
    }
    let fault = signal::last_fault(process.id());
    match fault {
        Some(fault) => platform::end(ExitKind::Signaled, signal, format_args!("{fault}")),
        None => platform::end(ExitKind::Signaled, signal, format_args!("")),
    }
}

static OUT_OF_MEMORY: crate::sync::Mutex<Option<&'static str>> = crate::sync::Mutex::new(None);

/// A process needed memory that is not there.
pub(super) fn kill_for_memory(process: &Arc<Process>) {
    if process.id() == FIRST {
        *OUT_OF_MEMORY.lock() = Some("memory ran out while the program touched a page");
    }
    begin(process, signal::SIGKILL);
}
