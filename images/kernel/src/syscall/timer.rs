//! Timers that send signals.

use alloc::sync::Arc;

use linux_raw_sys::general as linux;

use super::time::{from_real, read_timespec, timeval, write_timespec};
use super::{Address, Answer};
use crate::errno::{Errno, Result};
use crate::memory::user;
use crate::signal::{Info, MAX, SIGALRM, SIGPROF, SIGVTALRM};
use crate::task::timer::{Clock, Target, Timer};
use crate::task::{self, numbers};
use crate::time::SECOND;

/// Timers of timer_create in one process.
const TIMERS_MAX: usize = 1024;
/// TIMER_ABSTIME.
const ABSOLUTE: u32 = 1;
const MICROSECOND: u64 = 1000;

fn read_timeval(address: u64) -> Result<u64> {
    let [seconds, microseconds]: [i64; 2] = user::read(address)?;
    if seconds < 0 || !(0..1_000_000).contains(&microseconds) {
        return Err(Errno::EINVAL);
    }
    Ok((seconds as u64).saturating_mul(SECOND) + microseconds as u64 * MICROSECOND)
}

/// A process's interval timer; made if it is not there.
fn interval_timer(which: u32) -> Result<Arc<Timer>> {
    let (clock, signal) = match which {
        0 => (Clock::Real, SIGALRM),
        1 => (Clock::Cpu, SIGVTALRM),
        2 => (Clock::Cpu, SIGPROF),
        _ => return Err(Errno::EINVAL),
    };
    let process = task::process();
    let mut timers = process.timers.lock();
    let slot = &mut timers.interval[which as usize];
    let make = || {
        Timer::new(
            &process,
            clock,
            false,
            Target::Process(Info::new(signal, 0x80)),
        )
    };
    Ok(slot.get_or_insert_with(make).clone())
}

fn set_interval_timer(timer: &Arc<Timer>, value: u64, interval: u64) {
    let deadline = (value > 0).then(|| timer.now().saturating_add(value));
    timer.set(deadline, interval);
}

fn write_interval(address: Address, (left, interval): (u64, u64)) -> Result<()> {
    // Rounded up: a timer that is set never shows zero.
    let left = left.div_ceil(MICROSECOND) * MICROSECOND;
    user::write(address.0, &timeval(interval))?;
    user::write(address.0.wrapping_add(16), &timeval(left))
}

/// setitimer(2).
pub fn setitimer(which: u32, new: Address, old: Address) -> Answer {
    let timer = interval_timer(which)?;
    let before = timer.remaining();
    let (interval, value) = match new.is_null() {
        true => (0, 0),
        false => (read_timeval(new.0)?, read_timeval(new.0.wrapping_add(16))?),
    };
    set_interval_timer(&timer, value, interval);
    if !old.is_null() {
        write_interval(old, before)?;
    }
    Ok(0)
}

/// getitimer(2).
pub fn getitimer(which: u32, into: Address) -> Answer {
    write_interval(into, interval_timer(which)?.remaining())?;
    Ok(0)
}

/// alarm(2).
pub fn alarm(seconds: u32) -> Answer {
    let timer = interval_timer(0)?;
    let (left, _) = timer.remaining();
    set_interval_timer(&timer, u64::from(seconds) * SECOND, 0);
    // As Linux: to the nearest second, and a set timer never shows zero.
    Ok(if left == 0 {
        0
    } else {
        ((left + SECOND / 2) / SECOND).max(1)
    })
}

/// The clock, and whether its absolute times are of the wall clock.
fn clock_of(clock: i32) -> Result<(Clock, bool)> {
    match u32::try_from(clock) {
        Ok(linux::CLOCK_PROCESS_CPUTIME_ID | linux::CLOCK_THREAD_CPUTIME_ID) => {
            Ok((Clock::Cpu, false))
        }
        Ok(linux::CLOCK_REALTIME | linux::CLOCK_TAI) => Ok((Clock::Real, true)),
        Ok(linux::CLOCK_MONOTONIC | linux::CLOCK_BOOTTIME) => Ok((Clock::Real, false)),
        _ => Err(Errno::EINVAL),
    }
}

/// timer_create(2).
pub fn timer_create(clock: i32, event: Address, into: Address) -> Answer {
    const SIGNAL: u32 = 0;
    const NONE: u32 = 1;
    const THREAD: u32 = 2;
    const THREAD_ID: u32 = 4;
    let (clock, wall) = clock_of(clock)?;
    let process = task::process();
    let number = {
        let timers = process.timers.lock();
        if timers.created.len() >= TIMERS_MAX {
            return Err(Errno::EAGAIN);
        }
        timers
            .created
            .last_key_value()
            .map_or(0, |(last, _)| last + 1)
    };
    let target = if event.is_null() {
        Target::Process(Info::timer(SIGALRM, number, 0, number.into()))
    } else {
        // sigevent: value, signal, how, thread.
        let value: u64 = user::read(event.0)?;
        let [signal, how, thread]: [u32; 3] = user::read(event.0.wrapping_add(8))?;
        if how != NONE && !(1..=MAX).contains(&signal) {
            return Err(Errno::EINVAL);
        }
        let info = || Info::timer(signal, number, 0, value);
        match how {
            NONE => Target::Nobody,
            SIGNAL | THREAD => Target::Process(info()),
            THREAD_ID => {
                let thread = numbers::thread_by_id(thread).ok_or(Errno::EINVAL)?;
                if thread.process().id() != process.id() {
                    return Err(Errno::EINVAL);
                }
                Target::Thread(info(), Arc::downgrade(&thread))
            }
            _ => return Err(Errno::EINVAL),
        }
    };
    user::write(into.0, &number)?;
    let timer = Timer::new(&process, clock, wall, target);
    process.timers.lock().created.insert(number, timer);
    Ok(0)
}

fn created(number: u32) -> Result<Arc<Timer>> {
    task::process()
        .timers
        .lock()
        .created
        .get(&number)
        .cloned()
        .ok_or(Errno::EINVAL)
}

fn write_created(into: Address, (left, interval): (u64, u64)) -> Result<()> {
    write_timespec(into, interval)?;
    write_timespec(Address(into.0.wrapping_add(16)), left)
}

/// timer_settime(2).
pub fn timer_settime(number: u32, flags: u32, new: Address, old: Address) -> Answer {
    if new.is_null() {
        return Err(Errno::EINVAL);
    }
    let timer = created(number)?;
    let before = timer.remaining();
    let interval = read_timespec(new)?;
    let value = read_timespec(Address(new.0.wrapping_add(16)))?;
    let deadline = if flags & ABSOLUTE == 0 {
        timer.now().saturating_add(value)
    } else {
        if timer.is_wall_clock() {
            from_real(value)
        } else {
            value
        }
    };
    timer.set((value > 0).then_some(deadline), interval);
    if !old.is_null() {
        write_created(old, before)?;
    }
    Ok(0)
}

/// timer_gettime(2).
pub fn timer_gettime(number: u32, into: Address) -> Answer {
    write_created(into, created(number)?.remaining())?;
    Ok(0)
}

/// timer_getoverrun(2).
pub fn timer_getoverrun(number: u32) -> Answer {
    Ok(created(number)?.overrun().into())
}

/// timer_delete(2).
pub fn timer_delete(number: u32) -> Answer {
    created(number)?.set(None, 0);
    task::process().timers.lock().created.remove(&number);
    Ok(0)
}
