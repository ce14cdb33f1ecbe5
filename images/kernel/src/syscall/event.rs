//! Descriptors for events: counters, timers, processes, signals.

use alloc::sync::Arc;

use linux_raw_sys::general::{self as linux, __kernel_itimerspec, __kernel_timespec};

use super::lookup::{file, install};
use super::signal::read_mask;
use super::{Address, Answer, Fd};
use crate::errno::{Errno, Result};
use crate::fs::eventfd::EventFd;
use crate::fs::signalfd::SignalFd;
use crate::fs::timerfd::TimerFd;
use crate::fs::{self, OpenFile};
use crate::memory::user;
use crate::signal::Set;
use crate::task::{self, numbers, process};
use crate::time::SECOND;

/// Times beyond are as good as never, and sums of two of them fit.
const TIME_MAX: u64 = 1 << 61;

/// eventfd2(2).
pub fn eventfd2(count: u32, flags: u32) -> Answer {
    if flags & !(linux::EFD_SEMAPHORE | linux::EFD_CLOEXEC | linux::EFD_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let event = EventFd::new(count.into(), flags & linux::EFD_SEMAPHORE != 0);
    let status = linux::O_RDWR | flags & linux::EFD_NONBLOCK;
    install(
        OpenFile::new(Arc::new(event), status, None),
        flags & linux::EFD_CLOEXEC != 0,
    )
}

/// eventfd(2).
pub fn eventfd(count: u32) -> Answer {
    eventfd2(count, 0)
}

/// timerfd_create(2).
pub fn timerfd_create(clock: u32, flags: u32) -> Answer {
    if flags & !linux::TFD_CREATE_FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    let realtime = match clock {
        linux::CLOCK_REALTIME | linux::CLOCK_REALTIME_ALARM => true,
        linux::CLOCK_MONOTONIC | linux::CLOCK_BOOTTIME | linux::CLOCK_BOOTTIME_ALARM => false,
        _ => return Err(Errno::EINVAL),
    };
    let status = linux::O_RDWR | flags & linux::TFD_NONBLOCK;
    let timer = OpenFile::new(Arc::new(TimerFd::new(realtime)), status, None);
    install(timer, flags & linux::TFD_CLOEXEC != 0)
}

fn nanoseconds(time: &__kernel_timespec) -> Result<u64> {
    if time.tv_sec < 0 || !(0..SECOND as i64).contains(&time.tv_nsec) {
        return Err(Errno::EINVAL);
    }
    let seconds = (time.tv_sec as u64).saturating_mul(SECOND);
    Ok(seconds.saturating_add(time.tv_nsec as u64).min(TIME_MAX))
}

fn timespec(ns: u64) -> __kernel_timespec {
    __kernel_timespec {
        tv_sec: (ns / SECOND) as i64,
        tv_nsec: (ns % SECOND) as i64,
    }
}

fn tell(timer: &TimerFd, into: Address) -> Result<()> {
    let (left, interval) = timer.get();
    let told = __kernel_itimerspec {
        it_interval: timespec(interval),
        it_value: timespec(left),
    };
    user::write(into.0, &told)
}

/// timerfd_settime(2).
pub fn timerfd_settime(fd: Fd, flags: u32, new: Address, old: Address) -> Answer {
    if flags & !(linux::TFD_TIMER_ABSTIME | linux::TFD_TIMER_CANCEL_ON_SET) != 0 {
        return Err(Errno::EINVAL);
    }
    let new: __kernel_itimerspec = user::read(new.0)?;
    let (first, interval) = (nanoseconds(&new.it_value)?, nanoseconds(&new.it_interval)?);
    let file = file(fd)?;
    let timer = file.downcast::<TimerFd>().ok_or(Errno::EINVAL)?;
    if !old.is_null() {
        tell(timer, old)?;
    }
    timer.set(first, interval, flags & linux::TFD_TIMER_ABSTIME != 0);
    Ok(0)
}

/// timerfd_gettime(2).
pub fn timerfd_gettime(fd: Fd, into: Address) -> Answer {
    let file = file(fd)?;
    tell(file.downcast::<TimerFd>().ok_or(Errno::EINVAL)?, into)?;
    Ok(0)
}

/// pidfd_open(2).
pub fn pidfd_open(id: i32, flags: u32) -> Answer {
    let id = u32::try_from(id)
        .ok()
        .filter(|id| *id > 0)
        .ok_or(Errno::EINVAL)?;
    if flags & !linux::O_NONBLOCK != 0 {
        return Err(Errno::EINVAL);
    }
    let theirs = numbers::by_id(id).ok_or(Errno::ESRCH)?;
    fs::open_pidfd(&task::process(), &theirs, flags).map(u64::from)
}

/// signalfd4(2).
pub fn signalfd4(fd: i32, mask: Address, size: usize, flags: u32) -> Answer {
    if flags & !(linux::O_CLOEXEC | linux::O_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let mask = read_mask(mask, size)?.ok_or(Errno::EFAULT)?;
    let mask = mask.without(Set::UNBLOCKABLE);
    if fd != -1 {
        let file = file(Fd(fd))?;
        file.downcast::<SignalFd>().ok_or(Errno::EINVAL)?.set(mask);
        return Ok(fd as u64);
    }
    let status = linux::O_RDWR | flags & linux::O_NONBLOCK;
    install(
        OpenFile::new(Arc::new(SignalFd::new(mask)), status, None),
        flags & linux::O_CLOEXEC != 0,
    )
}

/// signalfd(2).
pub fn signalfd(fd: i32, mask: Address, size: usize) -> Answer {
    signalfd4(fd, mask, size, 0)
}

/// pidfd_getfd(2).
pub fn pidfd_getfd(pidfd: Fd, fd: i32, flags: u32) -> Answer {
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    let theirs = fs::pidfd_process(pidfd.0)?;
    if theirs.life() != process::Life::Alive {
        return Err(Errno::ESRCH);
    }
    let own = task::process();
    let (caller, target) = (own.credentials(), theirs.credentials());
    if !caller.can(linux::CAP_SYS_PTRACE) && caller.uid != target.uid {
        return Err(Errno::EPERM);
    }
    let file = theirs.files().get(fd)?;
    let limit = own.limits.lock().descriptors();
    own.files().install(file, true, limit).map(u64::from)
}
