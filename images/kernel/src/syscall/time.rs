//! Clocks and sleeping.

use linux_raw_sys::general::{self as linux, __kernel_old_timeval, __kernel_timespec};

use super::{Address, Answer};
use crate::device::platform;
use crate::errno::{Errno, Result};
use crate::memory::user;
use crate::task::accounts::Used;
use crate::task::{self, numbers};
use crate::time::{self, SECOND};

/// TIMER_ABSTIME.
const ABSOLUTE: u32 = 1;

/// Nanoseconds of a timespec.
///
/// # Errors
///
/// EFAULT, EINVAL if it is negative or has too many nanoseconds.
pub fn read_timespec(address: Address) -> Result<u64> {
    let spec: __kernel_timespec = user::read(address.0)?;
    if spec.tv_sec < 0 || !(0..SECOND as i64).contains(&spec.tv_nsec) {
        return Err(Errno::EINVAL);
    }
    Ok((spec.tv_sec as u64)
        .saturating_mul(SECOND)
        .saturating_add(spec.tv_nsec as u64))
}

/// Writes nanoseconds as a timespec.
///
/// # Errors
///
/// EFAULT.
pub fn write_timespec(address: Address, ns: u64) -> Result<()> {
    let spec = __kernel_timespec {
        tv_sec: (ns / SECOND) as i64,
        tv_nsec: (ns % SECOND) as i64,
    };
    user::write(address.0, &spec)
}

/// Nanoseconds as a timeval.
#[must_use]
pub fn timeval(ns: u64) -> __kernel_old_timeval {
    __kernel_old_timeval {
        tv_sec: (ns / SECOND) as i64,
        tv_usec: (ns % SECOND / 1000) as i64,
    }
}

/// The deadline of a call that waits for so many nanoseconds; if it is made again after it was
/// broken off, the deadline that it has had.
#[must_use]
pub fn after(ns: u64) -> u64 {
    let resumed = task::current().resumed();
    resumed.unwrap_or_else(|| time::monotonic().saturating_add(ns))
}

/// The deadline of a relative timespec, `None` for a null pointer.
///
/// # Errors
///
/// As [`read_timespec`].
pub fn deadline_after(timeout: Address) -> Result<Option<u64>> {
    if timeout.is_null() {
        return Ok(None);
    }
    Ok(Some(after(read_timespec(timeout)?)))
}

/// The deadline of an absolute timespec, `None` for a null pointer.
///
/// # Errors
///
/// As [`read_timespec`].
pub fn absolute_deadline(timeout: Address, real_time: bool) -> Result<Option<u64>> {
    if timeout.is_null() {
        return Ok(None);
    }
    let at = read_timespec(timeout)?;
    Ok(Some(if real_time { from_real(at) } else { at }))
}

/// Monotonic time of a real time.
#[must_use]
pub fn from_real(at: u64) -> u64 {
    let offset = platform::realtime_offset();
    at.saturating_add_signed(offset.saturating_neg())
}

/// What a clock says, in nanoseconds.
///
/// # Errors
///
/// EINVAL for an unknown clock.
pub fn read_clock(clock: i32) -> Result<u64> {
    match u32::try_from(clock) {
        Ok(linux::CLOCK_REALTIME | linux::CLOCK_REALTIME_COARSE | linux::CLOCK_TAI) => {
            Ok(time::realtime())
        }
        Ok(
            linux::CLOCK_MONOTONIC
            | linux::CLOCK_MONOTONIC_RAW
            | linux::CLOCK_MONOTONIC_COARSE
            | linux::CLOCK_BOOTTIME
            | linux::CLOCK_BOOTTIME_ALARM
            | linux::CLOCK_REALTIME_ALARM,
        ) => Ok(time::monotonic()),
        Ok(linux::CLOCK_PROCESS_CPUTIME_ID) => Ok(task::process().time()),
        Ok(linux::CLOCK_THREAD_CPUTIME_ID) => Ok(task::current().time()),
        Ok(_) => Err(Errno::EINVAL),
        Err(_) => read_cpu_clock(clock),
    }
}

/// Clocks of other processes and threads: the number is in the clock's, inverted.
fn read_cpu_clock(clock: i32) -> Result<u64> {
    let (id, of_thread) = (!(clock >> 3) as u32, clock & 4 != 0);
    Ok(match (id, of_thread) {
        (0, true) => task::current().time(),
        (0, false) => task::process().time(),
        (id, true) => numbers::thread_by_id(id).ok_or(Errno::EINVAL)?.time(),
        (id, false) => numbers::by_id(id).ok_or(Errno::EINVAL)?.time(),
    })
}

/// clock_gettime(2).
pub fn clock_gettime(clock: i32, into: Address) -> Answer {
    write_timespec(into, read_clock(clock)?)?;
    Ok(0)
}

/// clock_getres(2).
pub fn clock_getres(clock: i32, into: Address) -> Answer {
    /// Of the coarse clocks: a tick of a kernel with 250 in a second.
    const TICK: u64 = 4_000_000;
    read_clock(clock)?;
    let resolution = match u32::try_from(clock) {
        Ok(linux::CLOCK_REALTIME_COARSE | linux::CLOCK_MONOTONIC_COARSE) => TICK,
        _ => 1,
    };
    if !into.is_null() {
        write_timespec(into, resolution)?;
    }
    Ok(0)
}

/// clock_settime(2) and settimeofday(2): the time is the host's.
pub fn clock_settime(clock: i32, from: Address) -> Answer {
    if u32::try_from(clock) != Ok(linux::CLOCK_REALTIME) {
        return Err(Errno::EINVAL);
    }
    read_timespec(from)?;
    Err(Errno::EPERM)
}

/// gettimeofday(2).
pub fn gettimeofday(into: Address, zone: Address) -> Answer {
    if !into.is_null() {
        user::write(into.0, &timeval(time::realtime()))?;
    }
    if !zone.is_null() {
        user::write(zone.0, &[0_i32; 2])?;
    }
    Ok(0)
}

/// time(2).
pub fn time(into: Address) -> Answer {
    let seconds = time::realtime() / SECOND;
    if !into.is_null() {
        user::write(into.0, &seconds)?;
    }
    Ok(seconds)
}

/// nanosleep(2).
pub fn nanosleep(request: Address, remaining: Address) -> Answer {
    sleep(after(read_timespec(request)?), remaining)
}

/// clock_nanosleep(2).
pub fn clock_nanosleep(clock: i32, flags: u32, request: Address, remaining: Address) -> Answer {
    let now = read_clock(clock)?;
    let unfit = [
        linux::CLOCK_THREAD_CPUTIME_ID,
        linux::CLOCK_MONOTONIC_RAW,
        linux::CLOCK_MONOTONIC_COARSE,
        linux::CLOCK_REALTIME_COARSE,
    ];
    if u32::try_from(clock).is_ok_and(|clock| unfit.contains(&clock)) {
        return Err(Errno::EOPNOTSUPP);
    }
    let wanted = read_timespec(request)?;
    let absolute = flags & ABSOLUTE != 0;
    let deadline = match u32::try_from(clock) {
        _ if !absolute => after(wanted),
        Ok(linux::CLOCK_REALTIME | linux::CLOCK_TAI) => from_real(wanted),
        Ok(linux::CLOCK_PROCESS_CPUTIME_ID) => {
            time::monotonic().saturating_add(wanted.saturating_sub(now))
        }
        _ => wanted,
    };
    sleep(deadline, if absolute { Address(0) } else { remaining })
}

/// Sleeps until a moment; interrupted, tells how much is left. A handler ends it; without one it
/// goes on to the same moment.
fn sleep(deadline: u64, remaining: Address) -> Answer {
    match task::wait(&[], Some(deadline), || None::<()>) {
        Err(Errno::RESTART) => {
            if !remaining.is_null() {
                write_timespec(remaining, deadline.saturating_sub(time::monotonic()))?;
            }
            Err(Errno::RESTART_UNHANDLED)
        }
        _ => Ok(0),
    }
}

/// times(2), in hundredths of a second.
pub fn times(into: Address) -> Answer {
    const TICK: u64 = SECOND / 100;
    let process = task::process();
    if !into.is_null() {
        let children = process.children_accounts.get(Used::Time);
        user::write(into.0, &[process.time() / TICK, 0, children / TICK, 0])?;
    }
    Ok(time::monotonic() / TICK)
}
