//! Waiting for children, process groups and sessions, limits, usage.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use linux_raw_sys::general::{self as linux, rlimit64, rusage, siginfo_t};

use super::time::timeval;
use super::{Address, Answer, Fd};
use crate::errno::{Errno, Result};
use crate::memory::{plain, user};
use crate::signal::{Info, SIGCHLD};
use crate::task;
use crate::task::accounts::{Accounts, Used};
use crate::task::limits::RESOURCES;
use crate::task::numbers::{self, all_in_group, of_number};
use crate::task::process::{Life, Process, Stop};

/// getpid(2).
pub fn getpid() -> Answer {
    Ok(task::process().id().into())
}

/// getppid(2).
pub fn getppid() -> Answer {
    Ok(task::process().parent_id().into())
}

fn process_or_self(id: i32) -> Result<Arc<Process>> {
    match u32::try_from(id) {
        Ok(0) => Ok(task::process()),
        Ok(id) => of_number(id).ok_or(Errno::ESRCH),
        Err(_) => Err(Errno::EINVAL),
    }
}

/// getpgid(2).
pub fn getpgid(id: i32) -> Answer {
    Ok(process_or_self(id)
        .map_err(|_| Errno::ESRCH)?
        .group()
        .into())
}

/// getpgrp(2).
pub fn getpgrp() -> Answer {
    getpgid(0)
}

/// getsid(2).
pub fn getsid(id: i32) -> Answer {
    Ok(process_or_self(id)
        .map_err(|_| Errno::ESRCH)?
        .session()
        .into())
}

/// setsid(2).
pub fn setsid() -> Answer {
    let process = task::process();
    let leads = all_in_group(process.id());
    if !leads.is_empty() {
        return Err(Errno::EPERM);
    }
    process.lead_session();
    Ok(process.id().into())
}

/// vhangup(2): everybody loses the terminal of the caller.
pub fn vhangup() -> Answer {
    let process = task::process();
    if !process.credentials().can(linux::CAP_SYS_TTY_CONFIG) {
        return Err(Errno::EPERM);
    }
    let terminal = process.terminal.lock().clone();
    if let Some(terminal) = terminal {
        terminal.hang_up();
    }
    Ok(0)
}

/// setpgid(2).
pub fn setpgid(id: i32, group: i32) -> Answer {
    let own = task::process();
    let target = process_or_self(id)?;
    let group = u32::try_from(group).map_err(|_| Errno::EINVAL)?;
    let group = if group == 0 { target.id() } else { group };
    let is_child = target
        .parent()
        .is_some_and(|parent| Arc::ptr_eq(&parent, &own));
    if !Arc::ptr_eq(&target, &own) && !is_child {
        return Err(Errno::ESRCH);
    }
    if is_child && target.has_run.load(Ordering::Relaxed) && target.session() == own.session() {
        return Err(Errno::EACCES);
    }
    if target.session() == target.id() || target.session() != own.session() {
        return Err(Errno::EPERM);
    }
    let exists = all_in_group(group)
        .iter()
        .any(|member| member.session() == own.session());
    if group != target.id() && !exists {
        return Err(Errno::EPERM);
    }
    target.set_group(group);
    Ok(0)
}

/// Whom a wait is for.
#[derive(Clone, Copy)]
enum Whom {
    Any,
    Group(u32),
    One(u32),
}

/// Options for children that were cloned with another signal than SIGCHLD: those too, or only.
const WALL: u32 = linux::__WALL;
const WCLONE: u32 = linux::__WCLONE;
/// Options that there are besides events, `__WNOTHREAD` among them.
const KNOWN: u32 = linux::WNOHANG | WALL | WCLONE | linux::__WNOTHREAD;

impl Whom {
    fn from_number(number: i32) -> Self {
        match number {
            -1 => Self::Any,
            0 => Self::Group(task::process().group()),
            number if number < 0 => Self::Group(number.unsigned_abs()),
            number => Self::One(number.unsigned_abs()),
        }
    }

    fn is(self, child: &Process) -> bool {
        match self {
            Self::Any => true,
            Self::Group(group) => child.group() == group,
            Self::One(id) => child.id() == id,
        }
    }
}

/// What has happened to a child: its status as wait(2) gives it, and si_code with si_status.
struct Event {
    child: Arc<Process>,
    status: u32,
    code: (i32, u32),
}

/// An event of a child that the options ask for.
fn event(child: &Arc<Process>, options: u32) -> Option<Event> {
    if let Life::Zombie(status) = child.life() {
        let code = match status & 0x7f {
            0 => (1, status >> 8 & 0xff),
            signal => (2, signal),
        };
        let wanted = options & linux::WEXITED != 0;
        return wanted.then(|| Event {
            child: child.clone(),
            status,
            code,
        });
    }
    let mut stop = child.stop.lock();
    let keep = options & linux::WNOWAIT != 0;
    match *stop {
        Stop::Stopped(signal, false) if options & linux::WSTOPPED != 0 => {
            *stop = Stop::Stopped(signal, !keep);
            Some(Event {
                child: child.clone(),
                status: signal << 8 | 0x7f,
                code: (5, signal),
            })
        }
        Stop::Continued if options & linux::WCONTINUED != 0 => {
            if !keep {
                *stop = Stop::No;
            }
            Some(Event {
                child: child.clone(),
                status: 0xffff,
                code: (6, 18),
            })
        }
        _ => None,
    }
}

/// Waits for an event of a child; `None` if there is none yet and it must not wait.
fn wait_for(whom: Whom, options: u32) -> Result<Option<Event>> {
    let own = task::process();
    let look = || -> Result<Option<Event>> {
        let children = own.children.lock().clone();
        let of_kind = |child: &Process| {
            options & WALL != 0 || (child.exit_signal() != SIGCHLD) == (options & WCLONE != 0)
        };
        let mut mine = children
            .iter()
            .filter(|child| whom.is(child) && of_kind(child))
            .peekable();
        if mine.peek().is_none() {
            return Err(Errno::ECHILD);
        }
        Ok(mine.find_map(|child| event(child, options)))
    };
    let found = if options & linux::WNOHANG != 0 {
        look()?
    } else {
        Some(task::wait(&[&own.child_events], None, || {
            look().transpose()
        })??)
    };
    let Some(found) = found else { return Ok(None) };
    let gone = matches!(found.child.life(), Life::Zombie(_)) && options & linux::WNOWAIT == 0;
    if gone {
        own.children
            .lock()
            .retain(|child| !Arc::ptr_eq(child, &found.child));
        numbers::release(&found.child);
        own.children_accounts.add_all(&found.child.accounts);
        own.children_accounts
            .add_all(&found.child.children_accounts);
        let peak = peak_of_child(&found.child);
        own.children_peak.fetch_max(peak, Ordering::Relaxed);
    }
    Ok(Some(found))
}

fn usage_of(time: u64, accounts: &[&Accounts]) -> rusage {
    let sum = |what| accounts.iter().map(|part| part.get(what)).sum::<u64>() as i64;
    let mut usage: rusage = plain::zeroed();
    usage.ru_utime = timeval(time);
    usage.ru_minflt = sum(Used::Faults);
    usage.ru_nvcsw = sum(Used::Waits);
    usage.ru_nivcsw = sum(Used::Preemptions);
    usage
}

/// What a child and the children that it waited for have used.
fn usage_of_child(child: &Process) -> rusage {
    let theirs = &child.children_accounts;
    let time = child.time() + theirs.get(Used::Time);
    let mut usage = usage_of(time, &[&child.accounts, theirs]);
    usage.ru_maxrss = peak_of_child(child) as i64;
    usage
}

/// The most memory of a child or one of those that it waited for, in KiB.
fn peak_of_child(child: &Process) -> u64 {
    let below = child.children_peak.load(Ordering::Relaxed);
    child.peak.load(Ordering::Relaxed).max(below)
}

/// wait4(2).
pub fn wait4(id: i32, status: Address, options: u32, usage: Address) -> Answer {
    if options & !(KNOWN | linux::WUNTRACED | linux::WCONTINUED) != 0 {
        return Err(Errno::EINVAL);
    }
    if id == i32::MIN {
        return Err(Errno::ESRCH);
    }
    let Some(event) = wait_for(Whom::from_number(id), options | linux::WEXITED)? else {
        return Ok(0);
    };
    if !status.is_null() {
        user::write(status.0, &event.status)?;
    }
    if !usage.is_null() {
        user::write(usage.0, &usage_of_child(&event.child))?;
    }
    Ok(event.child.id().into())
}

/// waitid(2).
pub fn waitid(kind: u32, id: i32, info: Address, options: u32, usage: Address) -> Answer {
    let events = linux::WEXITED | linux::WSTOPPED | linux::WCONTINUED;
    if options & !(KNOWN | events | linux::WNOWAIT) != 0 || options & events == 0 {
        return Err(Errno::EINVAL);
    }
    let mut must_not_wait = false;
    let whom = match kind {
        linux::P_ALL => Whom::Any,
        linux::P_PID if id > 0 => Whom::One(id as u32),
        linux::P_PGID if id == 0 => Whom::Group(task::process().group()),
        linux::P_PGID if id > 0 => Whom::Group(id as u32),
        linux::P_PIDFD if id >= 0 => {
            let (process, waits) = crate::fs::pidfd_waits(Fd(id).0)?;
            must_not_wait = !waits && options & linux::WNOHANG == 0;
            Whom::One(process.id())
        }
        _ => return Err(Errno::EINVAL),
    };
    let options = if must_not_wait {
        options | linux::WNOHANG
    } else {
        options
    };
    let event = wait_for(whom, options)?;
    if must_not_wait && event.is_none() {
        return Err(Errno::EAGAIN);
    }
    if !info.is_null() {
        let mut bytes = [0; size_of::<siginfo_t>()];
        if let Some(event) = &event {
            let (code, status) = event.code;
            let uid = event.child.credentials.lock().uid;
            let told = Info::child(SIGCHLD, code, event.child.id(), uid, status);
            bytes.copy_from_slice(told.bytes());
        }
        user::copy_out(info.0, &bytes)?;
    }
    if let Some(event) = event.filter(|_| !usage.is_null()) {
        user::write(usage.0, &usage_of_child(&event.child))?;
    }
    Ok(0)
}

/// getrusage(2).
pub fn getrusage(whose: i32, into: Address) -> Answer {
    let process = task::process();
    let thread = task::current();
    let (time, accounts) = match whose {
        0 => (process.time(), &process.accounts),
        -1 => (
            process.children_accounts.get(Used::Time),
            &process.children_accounts,
        ),
        1 => (thread.time(), thread.accounts()),
        _ => return Err(Errno::EINVAL),
    };
    let mut usage = usage_of(time, &[accounts]);
    let peak = match whose {
        -1 => process.children_peak.load(Ordering::Relaxed),
        _ => process.peak(),
    };
    usage.ru_maxrss = peak as i64;
    user::write(into.0, &usage)?;
    Ok(0)
}

fn limit(process: &Process, resource: u32) -> Result<(u64, u64)> {
    process
        .limits
        .lock()
        .get(resource as usize)
        .ok_or(Errno::EINVAL)
}

/// prlimit64(2).
pub fn prlimit64(id: i32, resource: u32, new: Address, old: Address) -> Answer {
    if resource as usize >= RESOURCES {
        return Err(Errno::EINVAL);
    }
    let process = process_or_self(id).map_err(|_| Errno::ESRCH)?;
    may_limit(&process)?;
    let before = limit(&process, resource)?;
    if !new.is_null() {
        let wanted: rlimit64 = user::read(new.0)?;
        set_limit(&process, resource, (wanted.rlim_cur, wanted.rlim_max))?;
    }
    if !old.is_null() {
        user::write(
            old.0,
            &rlimit64 {
                rlim_cur: before.0,
                rlim_max: before.1,
            },
        )?;
    }
    Ok(0)
}

/// Whether the limits of a process may be looked at and set: one's own, those of the same users
/// and groups, or with the capability.
fn may_limit(process: &Arc<Process>) -> Result<()> {
    let own = task::process();
    let (who, them) = (own.credentials(), process.credentials());
    let same = [them.uid, them.euid, them.suid] == [who.uid; 3]
        && [them.gid, them.egid, them.sgid] == [who.gid; 3];
    if Arc::ptr_eq(&own, process) || same || who.can(linux::CAP_SYS_RESOURCE) {
        Ok(())
    } else {
        Err(Errno::EPERM)
    }
}

fn set_limit(process: &Arc<Process>, resource: u32, wanted: (u64, u64)) -> Result<()> {
    /// As Linux's default `fs.nr_open`.
    const DESCRIPTORS_MAX: u64 = 1 << 20;
    let before = limit(process, resource)?;
    if wanted.0 > wanted.1 {
        return Err(Errno::EINVAL);
    }
    let raised = wanted.1 > before.1 && !task::process().credentials().can(linux::CAP_SYS_RESOURCE);
    if raised || resource == linux::RLIMIT_NOFILE && wanted.1 > DESCRIPTORS_MAX {
        return Err(Errno::EPERM);
    }
    process.limits.lock().set(resource as usize, wanted);
    if resource == linux::RLIMIT_CPU {
        process.watch_cpu_limit();
    }
    Ok(())
}

/// getrlimit(2).
pub fn getrlimit(resource: u32, into: Address) -> Answer {
    let (soft, hard) = limit(&task::process(), resource)?;
    user::write(
        into.0,
        &rlimit64 {
            rlim_cur: soft,
            rlim_max: hard,
        },
    )?;
    Ok(0)
}

/// setrlimit(2).
pub fn setrlimit(resource: u32, from: Address) -> Answer {
    if resource as usize >= RESOURCES {
        return Err(Errno::EINVAL);
    }
    let wanted: rlimit64 = user::read(from.0)?;
    set_limit(
        &task::process(),
        resource,
        (wanted.rlim_cur, wanted.rlim_max),
    )?;
    Ok(0)
}
