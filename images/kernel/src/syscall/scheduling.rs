//! What a thread says of its claim to the processor (`task/scheduling.rs`): policies, priorities,
//! niceness, affinity.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use super::{Address, Answer};
use crate::errno::{Errno, Result};
use crate::memory::user;
use crate::task::scheduling::{Scheduling, is_real_time};
use crate::task::{self, Credentials, Process, Thread, numbers};

/// The size of `struct sched_attr` in its first version, and the most that is read of one.
const ATTRIBUTE_SIZE: usize = 48;
const ATTRIBUTE_SIZES: core::ops::RangeInclusive<usize> = ATTRIBUTE_SIZE..=4096;
/// What a thread of an ordinary policy, and one of SCHED_RR, may run before another's turn.
const SLICE: u64 = 4_000_000;
const ROUND_ROBIN_SLICE: u64 = 100_000_000;

/// The thread with this number; 0 is the caller's.
fn thread(id: i32) -> Result<Arc<Thread>> {
    match u32::try_from(id) {
        Ok(0) => Ok(task::current()),
        Ok(id) => numbers::thread_by_id(id).ok_or(Errno::ESRCH),
        Err(_) => Err(Errno::ESRCH),
    }
}

/// As [`thread`], for the calls that find a negative number invalid.
fn positive(id: i32) -> Result<Arc<Thread>> {
    if id < 0 {
        return Err(Errno::EINVAL);
    }
    thread(id)
}

/// Whether the caller is root, or the thread's user.
fn may_change(caller: &Credentials, target: &Process) -> bool {
    let target = target.credentials();
    caller.can(linux::CAP_SYS_NICE) || [target.uid, target.euid].contains(&caller.euid)
}

/// The lowest niceness that a process may give itself, from its limit.
fn least_nice(process: &Process) -> i64 {
    let limit = process.limits.lock().get(linux::RLIMIT_NICE as usize);
    limit.map_or(20, |(soft, _)| 20 - soft.min(40).cast_signed())
}

fn priorities(policy: u32) -> Result<core::ops::RangeInclusive<u32>> {
    match policy {
        linux::SCHED_NORMAL | linux::SCHED_BATCH | linux::SCHED_IDLE => Ok(0..=0),
        linux::SCHED_FIFO | linux::SCHED_RR => Ok(1..=99),
        _ => Err(Errno::EINVAL),
    }
}

/// Sets what is asked for, if it is valid and the caller may.
fn set(target: &Arc<Thread>, wanted: Scheduling) -> Answer {
    if !priorities(wanted.policy)?.contains(&wanted.priority) {
        return Err(Errno::EINVAL);
    }
    let own = task::process();
    let caller = own.credentials();
    let now = *target.scheduling.lock();
    let raised = is_real_time(wanted.policy)
        && (wanted.policy != now.policy || wanted.priority > now.priority);
    let left_idle = now.policy == linux::SCHED_IDLE && wanted.policy != now.policy;
    let nicer = i64::from(wanted.nice) >= least_nice(target.process());
    let refused = raised
        || !may_change(&caller, target.process())
        || (left_idle || wanted.nice < now.nice) && !nicer
        || now.reset_on_fork && !wanted.reset_on_fork;
    if refused && !caller.can(linux::CAP_SYS_NICE) {
        return Err(Errno::EPERM);
    }
    *target.scheduling.lock() = wanted;
    Ok(0)
}

/// sched_setscheduler(2).
pub fn sched_setscheduler(id: i32, policy: i32, parameter: Address) -> Answer {
    let Ok(policy) = u32::try_from(policy) else {
        return Err(Errno::EINVAL);
    };
    set_policy(id, Some(policy), parameter)
}

/// sched_setparam(2).
pub fn sched_setparam(id: i32, parameter: Address) -> Answer {
    set_policy(id, None, parameter)
}

fn set_policy(id: i32, policy: Option<u32>, parameter: Address) -> Answer {
    if parameter.is_null() || id < 0 {
        return Err(Errno::EINVAL);
    }
    let priority: u32 = user::read(parameter.0)?;
    let target = thread(id)?;
    let now = *target.scheduling.lock();
    let policy = policy.map_or(now, |policy| Scheduling {
        policy: policy & !linux::SCHED_RESET_ON_FORK,
        reset_on_fork: policy & linux::SCHED_RESET_ON_FORK != 0,
        ..now
    });
    set(&target, Scheduling { priority, ..policy })
}

/// sched_getscheduler(2).
pub fn sched_getscheduler(id: i32) -> Answer {
    let scheduling = *positive(id)?.scheduling.lock();
    let flag = if scheduling.reset_on_fork {
        linux::SCHED_RESET_ON_FORK
    } else {
        0
    };
    Ok((scheduling.policy | flag).into())
}

/// sched_getparam(2).
pub fn sched_getparam(id: i32, into: Address) -> Answer {
    if into.is_null() {
        return Err(Errno::EINVAL);
    }
    let priority = positive(id)?.scheduling.lock().priority;
    user::write(into.0, &priority)?;
    Ok(0)
}

/// sched_setattr(2). Of the structure, what came with its first version.
pub fn sched_setattr(id: i32, from: Address, flags: u32) -> Answer {
    if from.is_null() || id < 0 || flags != 0 {
        return Err(Errno::EINVAL);
    }
    let size = match user::read::<u32>(from.0)? as usize {
        0 => ATTRIBUTE_SIZE,
        size => size,
    };
    if !ATTRIBUTE_SIZES.contains(&size) {
        user::write(from.0, &(ATTRIBUTE_SIZE as u32))?;
        return Err(Errno::E2BIG);
    }
    let words: Vec<u32> = user::read_many(from.0, 6)?;
    let [_, policy, flags, _, nice, priority] = words[..] else {
        return Err(Errno::EINVAL);
    };
    let target = thread(id)?;
    let wanted = Scheduling {
        policy,
        priority,
        nice: nice.cast_signed().clamp(-20, 19),
        reset_on_fork: flags & linux::SCHED_FLAG_RESET_ON_FORK != 0,
    };
    set(&target, wanted)
}

/// sched_getattr(2).
pub fn sched_getattr(id: i32, into: Address, size: usize, flags: u32) -> Answer {
    if into.is_null() || id < 0 || flags != 0 || !ATTRIBUTE_SIZES.contains(&size) {
        return Err(Errno::EINVAL);
    }
    let scheduling = *thread(id)?.scheduling.lock();
    let flag = if scheduling.reset_on_fork {
        linux::SCHED_FLAG_RESET_ON_FORK
    } else {
        0
    };
    let mut words = [0; ATTRIBUTE_SIZE / 4];
    words[..6].copy_from_slice(&[
        ATTRIBUTE_SIZE as u32,
        scheduling.policy,
        flag,
        0,
        scheduling.nice.cast_unsigned(),
        scheduling.priority,
    ]);
    user::write(into.0, &words)?;
    Ok(0)
}

/// sched_rr_get_interval(2).
pub fn sched_rr_get_interval(id: i32, into: Address) -> Answer {
    let nanoseconds = match positive(id)?.scheduling.lock().policy {
        linux::SCHED_FIFO => 0,
        linux::SCHED_RR => ROUND_ROBIN_SLICE,
        _ => SLICE,
    };
    user::write(into.0, &[0, nanoseconds])?;
    Ok(0)
}

/// sched_get_priority_max(2).
pub fn sched_get_priority_max(policy: u32) -> Answer {
    Ok((*priorities(policy)?.end()).into())
}

/// sched_get_priority_min(2).
pub fn sched_get_priority_min(policy: u32) -> Answer {
    Ok((*priorities(policy)?.start()).into())
}

/// sched_getaffinity(2): there is one vCPU.
pub fn sched_getaffinity(id: i32, len: usize, into: Address) -> Answer {
    if len < 8 || !len.is_multiple_of(8) {
        return Err(Errno::EINVAL);
    }
    thread(id)?;
    user::write(into.0, &1_u64)?;
    Ok(8)
}

/// sched_setaffinity(2).
pub fn sched_setaffinity(id: i32, len: usize, from: Address) -> Answer {
    let mut mask = [0; 8];
    let len = len.min(mask.len());
    user::copy_in(from.0, &mut mask[..len])?;
    if !may_change(&task::process().credentials(), thread(id)?.process()) {
        return Err(Errno::EPERM);
    }
    if mask[0] & 1 == 0 {
        return Err(Errno::EINVAL);
    }
    Ok(0)
}

/// The threads that getpriority(2) and setpriority(2) mean.
fn meant(which: u32, who: i32) -> Result<Vec<Arc<Thread>>> {
    let own = task::process();
    let who = who.cast_unsigned();
    let whose = |test: &dyn Fn(&Process) -> bool| {
        let processes = task::processes().into_iter();
        let matching = processes.filter(|process| test(process));
        matching
            .flat_map(|process| process.threads.lock().clone())
            .collect()
    };
    let threads: Vec<_> = match which {
        linux::PRIO_PROCESS if who == 0 => alloc::vec![task::current()],
        linux::PRIO_PROCESS => numbers::thread_by_id(who).into_iter().collect(),
        linux::PRIO_PGRP => {
            let group = if who == 0 { own.group() } else { who };
            whose(&|process| process.group() == group)
        }
        linux::PRIO_USER => {
            let user = if who == 0 { own.credentials().uid } else { who };
            whose(&|process| process.credentials().uid == user)
        }
        _ => return Err(Errno::EINVAL),
    };
    if threads.is_empty() {
        return Err(Errno::ESRCH);
    }
    Ok(threads)
}

/// getpriority(2), as the raw call gives it: 20 - nice.
pub fn getpriority(which: u32, who: i32) -> Answer {
    let threads = meant(which, who)?;
    let nice = threads.iter().map(|thread| thread.scheduling.lock().nice);
    Ok((20 - nice.min().unwrap_or(0)).cast_unsigned().into())
}

/// setpriority(2).
pub fn setpriority(which: u32, who: i32, nice: i32) -> Answer {
    let nice = nice.clamp(-20, 19);
    let caller = task::process().credentials();
    let mut answer = Ok(0);
    for thread in meant(which, who)? {
        let mut scheduling = thread.scheduling.lock();
        let allowed = i64::from(nice) >= least_nice(thread.process());
        if !may_change(&caller, thread.process()) {
            answer = Err(Errno::EPERM);
        } else if nice < scheduling.nice && !allowed && !caller.can(linux::CAP_SYS_NICE) {
            answer = Err(Errno::EACCES);
        } else {
            scheduling.nice = nice;
        }
    }
    answer
}
