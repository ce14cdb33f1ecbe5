//! New threads and processes, and what a thread is asked about itself.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use linux_raw_sys::general::{self as linux, clone_args};

use super::{Address, Answer};
use crate::arch::{Context, cpu};
use crate::errno::{Errno, Result};
use crate::memory::{plain, user};
use crate::signal::{self, MAX, SIGCHLD, Stack};
use crate::task::process::Process;
use crate::task::{self, Thread, exit, numbers, process, scheduler};
use unicell_guest_abi::layout::USER_END;

/// What is asked of clone, in one form.
#[derive(Default)]
struct Clone {
    flags: u64,
    exit_signal: u32,
    stack: u64,
    parent_id: u64,
    child_id: u64,
    pidfd: u64,
    thread_area: u64,
}

/// Flags of namespaces, which are the node's business.
const NAMESPACES: u64 = (linux::CLONE_NEWNS
    | linux::CLONE_NEWCGROUP
    | linux::CLONE_NEWUTS
    | linux::CLONE_NEWIPC
    | linux::CLONE_NEWUSER
    | linux::CLONE_NEWPID
    | linux::CLONE_NEWNET) as u64;

fn has(flags: u64, flag: u32) -> bool {
    flags & u64::from(flag) != 0
}

/// clone(2).
pub fn clone(flags: u64, stack: Address, parent: Address, child: Address, area: u64) -> Answer {
    // They would be told in the same place.
    if has(flags, linux::CLONE_PIDFD) && has(flags, linux::CLONE_PARENT_SETTID) {
        return Err(Errno::EINVAL);
    }
    run(&Clone {
        flags: flags & !0xff,
        exit_signal: (flags & 0xff) as u32,
        stack: stack.0,
        parent_id: parent.0,
        child_id: child.0,
        pidfd: parent.0,
        thread_area: area,
    })
}

/// clone3(2).
pub fn clone3(arguments: Address, size: usize) -> Answer {
    /// The first version of the structure, and more than any will ever have.
    const SIZES: core::ops::RangeInclusive<usize> = 64..=4096;
    if !SIZES.contains(&size) {
        return Err(if size > *SIZES.end() {
            Errno::E2BIG
        } else {
            Errno::EINVAL
        });
    }
    let mut bytes = alloc::vec![0; size.max(size_of::<clone_args>())];
    user::copy_in(arguments.0, &mut bytes[..size])?;
    if bytes[size_of::<clone_args>()..]
        .iter()
        .any(|byte| *byte != 0)
    {
        return Err(Errno::E2BIG);
    }
    let given: clone_args = plain::from_bytes(&bytes).ok_or(Errno::EINVAL)?;
    /// All flags up to CLONE_INTO_CGROUP; the place of the signal in clone's is not one.
    const KNOWN: u64 = 0x3_ffff_ff00 & !(linux::CLONE_DETACHED as u64);
    let clear_and_share = u64::from(linux::CLONE_SIGHAND) | linux::CLONE_CLEAR_SIGHAND;
    let no_signal = u64::from(linux::CLONE_THREAD | linux::CLONE_PARENT);
    if given.flags & !KNOWN != 0
        || given.flags & clear_and_share == clear_and_share
        || given.exit_signal > u64::from(MAX)
        || given.exit_signal != 0 && given.flags & no_signal != 0
        || given.set_tid_size != 0
    {
        return Err(Errno::EINVAL);
    }
    if given.flags & linux::CLONE_INTO_CGROUP != 0 {
        // There are no control groups, so no descriptor of one.
        return Err(Errno::EBADF);
    }
    if (given.stack == 0) != (given.stack_size == 0) {
        return Err(Errno::EINVAL);
    }
    run(&Clone {
        flags: given.flags,
        exit_signal: given.exit_signal as u32,
        stack: given
            .stack
            .checked_add(given.stack_size)
            .ok_or(Errno::EINVAL)?,
        parent_id: given.parent_tid,
        child_id: given.child_tid,
        pidfd: given.pidfd,
        thread_area: given.tls,
    })
}

/// fork(2).
pub fn fork() -> Answer {
    run(&Clone {
        exit_signal: SIGCHLD,
        ..Clone::default()
    })
}

/// vfork(2).
pub fn vfork() -> Answer {
    let flags = u64::from(linux::CLONE_VM | linux::CLONE_VFORK);
    run(&Clone {
        flags,
        exit_signal: SIGCHLD,
        ..Clone::default()
    })
}

fn check(wish: &Clone) -> Result<()> {
    let flags = wish.flags;
    let implies = |flag, needs| !has(flags, flag) || has(flags, needs);
    if !implies(linux::CLONE_SIGHAND, linux::CLONE_VM)
        || !implies(linux::CLONE_THREAD, linux::CLONE_SIGHAND)
        || has(flags, linux::CLONE_PIDFD)
            && (has(flags, linux::CLONE_THREAD) || has(flags, linux::CLONE_DETACHED))
        || has(flags, linux::CLONE_FS) && has(flags, linux::CLONE_NEWNS)
        || wish.exit_signal > MAX
    {
        return Err(Errno::EINVAL);
    }
    if flags & NAMESPACES != 0 {
        return Err(Errno::EPERM);
    }
    if has(flags, linux::CLONE_SETTLS) && wish.thread_area >= USER_END {
        return Err(Errno::EPERM);
    }
    Ok(())
}

fn run(wish: &Clone) -> Answer {
    check(wish)?;
    let parent = task::current();
    let ours = parent.process().clone();
    if !numbers::may_have_more(&ours) {
        return Err(Errno::EAGAIN);
    }
    let id = numbers::new_number()?;
    let in_thread = has(wish.flags, linux::CLONE_THREAD);
    let theirs = if in_thread {
        Ok(ours.clone())
    } else {
        new_process(wish, &ours, id)
    };
    let theirs = theirs.inspect_err(|_| numbers::free_number())?;

    let mut frame = parent.context().frame();
    frame.rax = 0;
    if wish.stack != 0 {
        frame.rsp = wish.stack;
    }
    let fs = if has(wish.flags, linux::CLONE_SETTLS) {
        wish.thread_area
    } else {
        cpu::fs_base()
    };
    let context = Context::new(&frame, parent.context().current_state(), fs, cpu::gs_base())
        .inspect_err(|_| numbers::free_number())?;
    let thread = Thread::new(id, theirs.clone(), context, *parent.name.lock());
    let slack = parent.timer_slack.load(Ordering::Relaxed);
    thread.timer_slack.store(slack, Ordering::Relaxed);
    thread.default_slack.store(slack, Ordering::Relaxed);
    *thread.scheduling.lock() = parent.scheduling.lock().inherited();
    {
        let from = parent.signals.lock();
        let mut to = thread.signals.lock();
        to.mask = from.mask;
        // The alternative stack is kept where the memory is the child's own.
        let own_memory = !has(wish.flags, linux::CLONE_VM) || has(wish.flags, linux::CLONE_VFORK);
        to.stack = if own_memory {
            from.stack
        } else {
            Stack::disabled()
        };
    }
    if has(wish.flags, linux::CLONE_CHILD_CLEARTID) {
        thread.clear_at_end.store(wish.child_id, Ordering::Relaxed);
    }
    if has(wish.flags, linux::CLONE_PIDFD) {
        tell_pidfd(&ours, &theirs, wish.pidfd).inspect_err(|_| {
            theirs.forget_stillborn();
            numbers::free_number();
        })?;
    }
    // As in Linux, words that cannot be written are not.
    if has(wish.flags, linux::CLONE_PARENT_SETTID) {
        let _ = user::write(wish.parent_id, &id);
    }
    if has(wish.flags, linux::CLONE_CHILD_SETTID) {
        let _ = set_child_word(&ours, &theirs, wish.child_id, id);
    }
    theirs.threads.lock().push(thread.clone());
    scheduler::start(thread);
    if has(wish.flags, linux::CLONE_VFORK) {
        // The child runs in our memory until it has its own or is gone.
        task::wait_uninterrupted(&[&theirs.ended], || {
            let over = !theirs.shares_space_with(&ours) || ours.life() != process::Life::Alive;
            over.then_some(())
        });
    }
    Ok(id.into())
}

fn tell_pidfd(ours: &Process, theirs: &Arc<Process>, into: u64) -> Result<()> {
    let fd = crate::fs::open_pidfd(ours, theirs, 0)?;
    user::write(into, &fd).inspect_err(|_| {
        // Just opened, so it is there.
        let _ = ours.files().close(fd.cast_signed());
    })
}

fn new_process(wish: &Clone, ours: &Arc<Process>, id: u32) -> Result<Arc<Process>> {
    let space = if has(wish.flags, linux::CLONE_VM) {
        ours.space()
    } else {
        Arc::new(ours.space().fork()?)
    };
    let files = if has(wish.flags, linux::CLONE_FILES) {
        ours.files()
    } else {
        Arc::new(ours.files().fork())
    };
    let context = if has(wish.flags, linux::CLONE_FS) {
        ours.context()
    } else {
        Arc::new(ours.context().fork())
    };
    let (parent, exit_signal) = if has(wish.flags, linux::CLONE_PARENT) {
        (ours.parent(), ours.exit_signal())
    } else {
        (None, wish.exit_signal)
    };
    let parent = parent.as_ref().unwrap_or(ours);
    let child = ours.child(parent, id, space, files, context, exit_signal);
    if has(wish.flags, linux::CLONE_SIGHAND) {
        *child.actions.lock() = ours.actions.lock().share();
    }
    if wish.flags & linux::CLONE_CLEAR_SIGHAND != 0 {
        child.actions.lock().reset_handlers();
    }
    Ok(child)
}

/// Writes the child's number into its memory, which may not be the one that is seen.
fn set_child_word(ours: &Arc<Process>, theirs: &Arc<Process>, at: u64, id: u32) -> Result<()> {
    if theirs.shares_space_with(ours) {
        return user::write(at, &id);
    }
    theirs.space().write_word(at, id);
    Ok(())
}

/// exit(2): the thread ends.
pub fn exit(status: u32) -> Answer {
    exit::end_thread(status)
}

/// exit_group(2): the process ends.
pub fn exit_group(status: u32) -> Answer {
    exit::begin(&task::process(), exit::exited(status));
    exit::end_thread(status)
}

/// gettid(2).
pub fn gettid() -> Answer {
    Ok(task::thread_id().into())
}

/// set_tid_address(2).
pub fn set_tid_address(address: Address) -> Answer {
    let thread = task::current();
    thread.clear_at_end.store(address.0, Ordering::Relaxed);
    Ok(thread.id().into())
}

/// sched_yield(2).
pub fn sched_yield() -> Answer {
    scheduler::yield_now();
    Ok(0)
}

/// getcpu(2).
pub fn getcpu(cpu: Address, node: Address, _: Address) -> Answer {
    for into in [cpu, node] {
        if !into.is_null() {
            user::write(into.0, &0_u32)?;
        }
    }
    Ok(0)
}

/// arch_prctl(2).
pub fn arch_prctl(code: u32, address: Address) -> Answer {
    const SET_GS: u32 = 0x1001;
    const SET_FS: u32 = 0x1002;
    const GET_FS: u32 = 0x1003;
    const GET_GS: u32 = 0x1004;
    match code {
        SET_GS | SET_FS if address.0 >= USER_END => return Err(Errno::EPERM),
        SET_GS => cpu::set_gs_base(address.0),
        SET_FS => cpu::set_fs_base(address.0),
        GET_FS => user::write(address.0, &cpu::fs_base())?,
        GET_GS => user::write(address.0, &cpu::gs_base())?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// Sends nothing, and tells whether there is such a thread or process.
pub(super) fn valid_signal(number: u32) -> Result<()> {
    if number > signal::MAX {
        Err(Errno::EINVAL)
    } else {
        Ok(())
    }
}
