//! Signals, as programs ask for them.

use linux_raw_sys::general as linux;

use super::thread::valid_signal;
use super::time::read_timespec;
use super::{Address, Answer, Fd};
use crate::errno::{Errno, Result};
use crate::fs;
use crate::memory::user;
use crate::signal::{self, Action, Actions, IGNORE, Info, MAX, SIGKILL, SIGSTOP, Set};
use crate::task::{self, Process, Thread, numbers};
use crate::time;
use alloc::sync::Arc;

/// Bytes of a set in memory.
const SET_SIZE: usize = 8;
const SI_USER: i32 = 0;
const SI_TKILL: i32 = -6;
/// The flags of an action that there are, SA_RESTORER and SA_EXPOSE_TAGBITS among them; others are
/// forgotten, so that a program can ask which are known.
const ACTION_FLAGS: u64 = 0xdc00_0807;

fn check_set(size: usize) -> Result<()> {
    if size == SET_SIZE {
        Ok(())
    } else {
        Err(Errno::EINVAL)
    }
}

/// rt_sigaction(2).
pub fn rt_sigaction(number: u32, new: Address, old: Address, size: usize) -> Answer {
    check_set(size)?;
    if number == 0 || number > MAX {
        return Err(Errno::EINVAL);
    }
    let process = task::process();
    let before = process.actions.lock().get(number);
    if !new.is_null() {
        if number == SIGKILL || number == SIGSTOP {
            return Err(Errno::EINVAL);
        }
        let [handler, flags, restorer, mask]: [u64; 4] = user::read(new.0)?;
        let mask = Set(mask).without(Set::UNBLOCKABLE);
        let flags = flags & ACTION_FLAGS;
        process.actions.lock().set(
            number,
            Action {
                handler,
                flags,
                restorer,
                mask,
            },
        );
        forget_if_ignored(&process, number);
    }
    if !old.is_null() {
        let words = [before.handler, before.flags, before.restorer, before.mask.0];
        user::write(old.0, &words)?;
    }
    Ok(0)
}

/// What is pending and ignored from now on is gone.
fn forget_if_ignored(process: &Arc<Process>, number: u32) {
    if process.actions.lock().ignores(number) {
        let set = Set::of(number);
        process.pending.lock().discard(set);
        for thread in process.threads.lock().iter() {
            thread.signals.lock().pending.discard(set);
        }
    }
}

/// rt_sigprocmask(2).
pub fn rt_sigprocmask(how: u32, new: Address, old: Address, size: usize) -> Answer {
    check_set(size)?;
    let thread = task::current();
    let before = thread.signals.lock().mask;
    if !new.is_null() {
        let given = Set(user::read(new.0)?).without(Set::UNBLOCKABLE);
        thread.signals.lock().mask = match how {
            linux::SIG_BLOCK => before.with(given),
            linux::SIG_UNBLOCK => before.without(given),
            linux::SIG_SETMASK => given,
            _ => return Err(Errno::EINVAL),
        };
    }
    if !old.is_null() {
        user::write(old.0, &before.0)?;
    }
    Ok(0)
}

/// rt_sigpending(2).
pub fn rt_sigpending(into: Address, size: usize) -> Answer {
    if size > SET_SIZE {
        return Err(Errno::EINVAL);
    }
    let thread = task::current();
    let shared = thread.process().pending.lock().set();
    let signals = thread.signals.lock();
    let blocked = signals.pending.set().with(shared).and(signals.mask).0;
    drop(signals);
    user::copy_out(into.0, &blocked.to_le_bytes()[..size])?;
    Ok(0)
}

/// rt_sigreturn(2).
pub fn rt_sigreturn() -> Answer {
    if signal::return_from_handler().is_err() {
        let info = Info::new(signal::SIGSEGV, 0x80);
        signal::raise_fault(info, || task::crash::describe(None, &info));
    }
    Ok(0)
}

/// Puts another mask in place until a handler has run, or the call has returned.
pub fn with_mask<T>(mask: Option<Set>, wait: impl FnOnce() -> Result<T>) -> Result<T> {
    let Some(mask) = mask else { return wait() };
    let thread = task::current();
    let before = {
        let mut signals = thread.signals.lock();
        core::mem::replace(&mut signals.mask, mask.without(Set::UNBLOCKABLE))
    };
    let result = wait();
    let mut signals = thread.signals.lock();
    if matches!(result, Err(errno) if errno.restarts() || errno == Errno::EINTR) {
        // The handler runs with the mask that was asked for, and puts back the one before.
        signals.saved_mask = Some(before);
    } else {
        signals.mask = before;
    }
    result
}

/// Reads the mask that ppoll and its like are given.
///
/// # Errors
///
/// EINVAL for a wrong size, EFAULT.
pub fn read_mask(address: Address, size: usize) -> Result<Option<Set>> {
    if address.is_null() {
        return Ok(None);
    }
    check_set(size)?;
    Ok(Some(Set(user::read(address.0)?)))
}

/// rt_sigsuspend(2). It never succeeds.
pub fn rt_sigsuspend(mask: Address, size: usize) -> Answer {
    let mask = read_mask(mask, size)?.ok_or(Errno::EFAULT)?;
    with_mask(Some(mask), until_handled)
}

/// Waits until a handler has run.
fn until_handled() -> Answer {
    match task::wait(&[], None, || None::<()>) {
        Err(Errno::RESTART) | Ok(()) => Err(Errno::RESTART_UNHANDLED),
        Err(errno) => Err(errno),
    }
}

/// pause(2).
pub fn pause() -> Answer {
    until_handled()
}

/// rt_sigtimedwait(2).
pub fn rt_sigtimedwait(set: Address, info: Address, timeout: Address, size: usize) -> Answer {
    let wanted = read_mask(set, size)?
        .ok_or(Errno::EFAULT)?
        .without(Set::UNBLOCKABLE);
    let deadline = match timeout.is_null() {
        true => None,
        false => Some(time::monotonic().saturating_add(read_timespec(timeout)?)),
    };
    let thread = task::current();
    thread.signals.lock().awaited = wanted;
    let taken = task::wait(&[], deadline, || signal::take_awaited(&thread, wanted));
    thread.signals.lock().awaited = Set::default();
    let taken = taken.map_err(|errno| match errno {
        Errno::ETIMEDOUT => Errno::EAGAIN,
        _ => Errno::EINTR,
    })?;
    if !info.is_null() {
        user::copy_out(info.0, taken.bytes())?;
    }
    Ok(taken.signal().into())
}

/// sigaltstack(2).
pub fn sigaltstack(new: Address, old: Address) -> Answer {
    let thread = task::current();
    let stack = thread.signals.lock().stack;
    let pointer = thread.context().frame().rsp;
    if !new.is_null() {
        let changed = stack.change(pointer, user::read(new.0)?)?;
        thread.signals.lock().stack = changed;
    }
    if !old.is_null() {
        let state = match stack.size {
            0 => linux::SS_DISABLE,
            _ if stack.is_used(pointer) => linux::SS_ONSTACK,
            _ => 0,
        };
        let flags = state | stack.flags & linux::SS_AUTODISARM;
        user::write(old.0, &[stack.base, flags.into(), stack.size])?;
    }
    Ok(0)
}

fn from_self(number: u32, code: i32) -> Info {
    let process = task::process();
    Info::from_process(number, code, process.id(), process.credentials().uid)
}

/// Whether the caller may send to a process: root, or one of the same user.
fn check_permission(target: &Process, number: u32) -> Result<()> {
    let own = task::process();
    let (ours, theirs) = (own.credentials(), target.credentials());
    let same = [ours.uid, ours.euid]
        .iter()
        .any(|id| *id == theirs.uid || *id == theirs.suid);
    let goes_on = number == signal::SIGCONT && own.session() == target.session();
    if ours.can(linux::CAP_KILL) || same || goes_on {
        Ok(())
    } else {
        Err(Errno::EPERM)
    }
}

fn send_checked(target: &Arc<Process>, number: u32) -> Result<()> {
    check_permission(target, number)?;
    if number == 0 {
        Ok(())
    } else {
        signal::send_to_process(target, from_self(number, SI_USER))
    }
}

/// kill(2).
pub fn kill(id: i32, number: u32) -> Answer {
    valid_signal(number)?;
    let own = task::process();
    let targets = match id {
        0 => numbers::all_in_group(own.group()),
        -1 => {
            let others = task::processes().into_iter();
            others
                .filter(|process| !Arc::ptr_eq(process, &own))
                .collect()
        }
        id if id < 0 => numbers::all_in_group(id.unsigned_abs()),
        id => alloc::vec![numbers::of_number(id as u32).ok_or(Errno::ESRCH)?],
    };
    let mut result = Err(Errno::ESRCH);
    for target in &targets {
        let sent = send_checked(target, number);
        if result != Ok(()) {
            result = sent;
        }
    }
    result.map(|()| 0)
}

/// pidfd_send_signal(2).
pub fn pidfd_send_signal(fd: Fd, number: u32, info: Address, flags: u32) -> Answer {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let target = fs::signalled_process(fd.0)?;
    if info.is_null() {
        valid_signal(number)?;
        return send_checked(&target, number).map(|()| 0);
    }
    if user::read::<u32>(info.0)? != number {
        return Err(Errno::EINVAL);
    }
    rt_sigqueueinfo(target.id().cast_signed(), number, info)
}

fn thread_of(group: Option<i32>, id: i32) -> Result<Arc<Thread>> {
    if id <= 0 || group.is_some_and(|group| group <= 0) {
        return Err(Errno::EINVAL);
    }
    let thread = numbers::thread_by_id(id as u32).ok_or(Errno::ESRCH)?;
    let fits = group.is_none_or(|group| thread.process().id() == group as u32);
    if fits { Ok(thread) } else { Err(Errno::ESRCH) }
}

fn send_to_thread(thread: &Arc<Thread>, info: Info) -> Answer {
    check_permission(thread.process(), info.signal())?;
    if info.signal() != 0 {
        signal::send_to_thread(thread, info)?;
    }
    Ok(0)
}

/// tgkill(2).
pub fn tgkill(group: i32, id: i32, number: u32) -> Answer {
    valid_signal(number)?;
    send_to_thread(&thread_of(Some(group), id)?, from_self(number, SI_TKILL))
}

/// tkill(2).
pub fn tkill(id: i32, number: u32) -> Answer {
    valid_signal(number)?;
    send_to_thread(&thread_of(None, id)?, from_self(number, SI_TKILL))
}

fn given_info(number: u32, info: Address, to_self: bool) -> Result<Info> {
    valid_signal(number)?;
    let info = Info::from_bytes(number, user::read(info.0)?);
    // Only the kernel says that the kernel, or kill, has sent it.
    if (info.code() >= 0 || info.code() == SI_TKILL) && !to_self {
        Err(Errno::EPERM)
    } else {
        Ok(info)
    }
}

/// rt_sigqueueinfo(2).
pub fn rt_sigqueueinfo(id: i32, number: u32, info: Address) -> Answer {
    let target = numbers::of_number(id as u32).ok_or(Errno::ESRCH)?;
    let info = given_info(number, info, target.id() == task::process().id())?;
    check_permission(&target, number)?;
    if number != 0 {
        signal::send_to_process(&target, info)?;
    }
    Ok(0)
}

/// rt_tgsigqueueinfo(2).
pub fn rt_tgsigqueueinfo(group: i32, id: i32, number: u32, info: Address) -> Answer {
    let thread = thread_of(Some(group), id)?;
    let info = given_info(number, info, thread.id() == task::thread_id())?;
    send_to_thread(&thread, info)
}

/// What is ignored by a process, for `/proc`.
#[must_use]
pub fn ignored(actions: &Actions) -> Set {
    let ignored = (1..=MAX).filter(|number| actions.get(*number).handler == IGNORE);
    ignored.fold(Set::default(), |set, number| set.with(Set::of(number)))
}
