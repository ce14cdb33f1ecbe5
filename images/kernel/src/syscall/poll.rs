//! Waiting for files: poll, select, epoll.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use linux_raw_sys::general::{self as linux, __kernel_old_timeval, epoll_event, pollfd};

use super::lookup::{file, install};
use super::signal::{read_mask, with_mask};
use super::time::{after, deadline_after, write_timespec};
use super::{Address, Answer, Fd};
use crate::errno::Errno;
use crate::fs::epoll::Epoll;
use crate::fs::{Events, File, OpenFile, readiness};
use crate::memory::user;
use crate::task;
use crate::time::{self, SECOND};

/// The deadline of a timeout in milliseconds; negative for none.
fn deadline_in(milliseconds: i32) -> Option<u64> {
    let ns = u64::try_from(milliseconds).ok()? * 1_000_000;
    Some(match ns {
        0 => 0,
        ns => after(ns),
    })
}

/// The files to wait for.
fn watched(files: &[Option<Arc<OpenFile>>]) -> Vec<Arc<dyn File>> {
    let mut watched = Vec::new();
    for file in files.iter().flatten() {
        watched.push(file.file().clone());
        file.file().members(&mut watched);
    }
    watched
}

/// Fills in what there is to tell of each; returns how many have something.
fn look(asked: &mut [pollfd], files: &[Option<Arc<OpenFile>>]) -> u64 {
    let mut count = 0;
    for (asked, file) in asked.iter_mut().zip(files) {
        let told = match file {
            _ if asked.fd < 0 => 0,
            None => linux::POLLNVAL,
            Some(file) => {
                let wanted = u32::from(asked.events as u16) | Events::ALWAYS.bits();
                file.poll().bits() & wanted
            }
        };
        asked.revents = told as i16;
        count += u64::from(told != 0);
    }
    count
}

fn poll_until(list: Address, count: u32, deadline: Option<u64>) -> Answer {
    let process = task::process();
    if u64::from(count) > process.limits.lock().descriptors() {
        return Err(Errno::EINVAL);
    }
    let mut asked: Vec<pollfd> = user::read_many(list.0, count as usize)?;
    let table = process.files();
    let usable = |file: &Arc<OpenFile>| !file.is_path();
    let open = |asked: &pollfd| table.get(asked.fd).ok().filter(usable);
    let files: Vec<_> = asked.iter().map(open).collect();
    let ready = readiness::wait(&watched(&files), None, deadline, || {
        Some(look(&mut asked, &files)).filter(|count| *count > 0)
    })?;
    for (at, asked) in asked.iter().enumerate() {
        user::write(list.0 + (at * size_of::<pollfd>()) as u64, asked)?;
    }
    Ok(ready.unwrap_or(0))
}

/// poll(2).
pub fn poll(list: Address, count: u32, timeout: i32) -> Answer {
    poll_until(list, count, deadline_in(timeout))
}

/// Tells how much of a timeout is left, as Linux does after select and ppoll.
fn tell_left(timeout: Address, deadline: Option<u64>) {
    if let Some(deadline) = deadline {
        // A timeout in read-only memory is no error.
        let _ = write_timespec(timeout, deadline.saturating_sub(time::monotonic()));
    }
}

/// ppoll(2).
pub fn ppoll(list: Address, count: u32, timeout: Address, mask: Address, size: usize) -> Answer {
    let deadline = deadline_after(timeout)?;
    let mask = read_mask(mask, size)?;
    let answer = with_mask(mask, || poll_until(list, count, deadline));
    tell_left(timeout, deadline);
    answer
}

/// The three sets of select.
const SETS: usize = 3;
/// Descriptors in a word of a set.
const WORD: usize = 64;

/// What each set asks for.
const ASKED: [u32; SETS] = [
    linux::POLLIN | linux::POLLRDNORM | linux::POLLRDBAND | linux::POLLHUP | linux::POLLERR,
    linux::POLLOUT | linux::POLLWRNORM | linux::POLLWRBAND | linux::POLLERR,
    linux::POLLPRI,
];

/// A descriptor, and which sets it is in.
fn members(sets: &[Option<Vec<u64>>; SETS], count: usize) -> BTreeMap<usize, [bool; SETS]> {
    let mut members = BTreeMap::new();
    for (set, words) in sets.iter().enumerate() {
        for fd in 0..count {
            let in_set = words
                .as_ref()
                .is_some_and(|words| words[fd / WORD] >> (fd % WORD) & 1 != 0);
            if in_set {
                members.entry(fd).or_insert([false; SETS])[set] = true;
            }
        }
    }
    members
}

fn select_until(count: i32, at: [Address; SETS], deadline: Option<u64>) -> Answer {
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
    let process = task::process();
    let table = process.files();
    let count = count.min(table.room());
    let words = count.div_ceil(WORD);
    let mut sets = [None, None, None];
    for (set, at) in sets.iter_mut().zip(at) {
        if !at.is_null() {
            *set = Some(user::read_many(at.0, words)?);
        }
    }
    let members = members(&sets, count);
    let mut files = Vec::new();
    for fd in members.keys() {
        files.push(Some(table.get(*fd as i32)?));
    }
    let mut result = [(); SETS].map(|()| vec![0_u64; words]);
    let ready = readiness::wait(&watched(&files), None, deadline, || {
        let mut count = 0;
        for ((fd, asked), file) in members.iter().zip(files.iter().flatten()) {
            let events = file.poll().bits();
            for set in 0..SETS {
                if asked[set] && events & ASKED[set] != 0 {
                    result[set][fd / WORD] |= 1 << (fd % WORD);
                    count += 1;
                }
            }
        }
        Some(count).filter(|count| *count > 0)
    })?;
    for (words, at) in result.iter().zip(at) {
        if !at.is_null() {
            for (index, word) in words.iter().enumerate() {
                user::write(at.0 + 8 * index as u64, word)?;
            }
        }
    }
    Ok(ready.unwrap_or(0))
}

/// select(2).
pub fn select(
    count: i32,
    read: Address,
    write: Address,
    except: Address,
    timeout: Address,
) -> Answer {
    let mut deadline = None;
    if !timeout.is_null() {
        let left: __kernel_old_timeval = user::read(timeout.0)?;
        let (seconds, micros) = (u64::try_from(left.tv_sec), u64::try_from(left.tv_usec));
        let (Ok(seconds), Ok(micros)) = (seconds, micros) else {
            return Err(Errno::EINVAL);
        };
        let ns = seconds
            .saturating_mul(SECOND)
            .saturating_add(micros.saturating_mul(1000));
        deadline = Some(after(ns));
    }
    let answer = select_until(count, [read, write, except], deadline);
    if let Some(deadline) = deadline {
        let left = super::time::timeval(deadline.saturating_sub(time::monotonic()));
        // A timeout in read-only memory is no error.
        let _ = user::write(timeout.0, &left);
    }
    answer
}

/// pselect6(2).
pub fn pselect6(
    count: i32,
    read: Address,
    write: Address,
    except: Address,
    timeout: Address,
    mask: Address,
) -> Answer {
    let deadline = deadline_after(timeout)?;
    let mask = if mask.is_null() {
        None
    } else {
        let [at, size]: [u64; 2] = user::read(mask.0)?;
        read_mask(Address(at), size as usize)?
    };
    let answer = with_mask(mask, || {
        select_until(count, [read, write, except], deadline)
    });
    tell_left(timeout, deadline);
    answer
}

/// epoll_create1(2).
pub fn epoll_create1(flags: u32) -> Answer {
    if flags & !linux::EPOLL_CLOEXEC != 0 {
        return Err(Errno::EINVAL);
    }
    let file = OpenFile::new(Arc::new(Epoll::default()), linux::O_RDWR, None);
    install(file, flags & linux::EPOLL_CLOEXEC != 0)
}

/// epoll_create(2).
pub fn epoll_create(size: i32) -> Answer {
    if size <= 0 {
        Err(Errno::EINVAL)
    } else {
        epoll_create1(0)
    }
}

/// epoll_ctl(2).
pub fn epoll_ctl(set: Fd, operation: u32, fd: Fd, event: Address) -> Answer {
    let event: Option<epoll_event> = match operation {
        linux::EPOLL_CTL_ADD | linux::EPOLL_CTL_MOD => Some(user::read(event.0)?),
        _ => None,
    };
    let (set, file) = (file(set)?, file(fd)?);
    if Arc::ptr_eq(&set, &file) {
        return Err(Errno::EINVAL);
    }
    /// What may be asked for beside EPOLLEXCLUSIVE.
    const WITH_EXCLUSIVE: u32 = linux::EPOLLIN
        | linux::EPOLLOUT
        | linux::EPOLLERR
        | linux::EPOLLHUP
        | linux::EPOLLWAKEUP
        | linux::EPOLLET
        | linux::EPOLLEXCLUSIVE;
    let epoll = set.downcast::<Epoll>().ok_or(Errno::EINVAL)?;
    if let Some(event) = event
        && event.events & linux::EPOLLEXCLUSIVE != 0
        && (event.events & !WITH_EXCLUSIVE != 0 || file.downcast::<Epoll>().is_some())
    {
        return Err(Errno::EINVAL);
    }
    match (operation, event) {
        (linux::EPOLL_CTL_ADD, Some(event)) => epoll.add(fd.0, &file, event.events, event.data)?,
        (linux::EPOLL_CTL_MOD, Some(event)) if event.events & linux::EPOLLEXCLUSIVE == 0 => {
            epoll.modify(fd.0, &file, event.events, event.data)?;
        }
        (linux::EPOLL_CTL_DEL, _) => epoll.remove(fd.0, &file)?,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

fn wait_until(set: Fd, events: Address, max: i32, deadline: Option<u64>) -> Answer {
    /// Events of one call, at most; Linux's limit lies where the list would no longer fit.
    const MAX: usize = i32::MAX as usize / size_of::<epoll_event>();
    let max = usize::try_from(max)
        .ok()
        .filter(|max| (1..=MAX).contains(max));
    let max = max.ok_or(Errno::EINVAL)?;
    let file = file(set)?;
    let epoll = file.downcast::<Epoll>().ok_or(Errno::EINVAL)?;
    let told = epoll.wait(max, deadline)?;
    for (at, (ready, data)) in told.iter().enumerate() {
        let event = epoll_event {
            events: *ready,
            data: *data,
        };
        user::write(
            events
                .0
                .wrapping_add((at * size_of::<epoll_event>()) as u64),
            &event,
        )?;
    }
    Ok(told.len() as u64)
}

/// epoll_wait(2).
pub fn epoll_wait(set: Fd, events: Address, max: i32, timeout: i32) -> Answer {
    wait_until(set, events, max, deadline_in(timeout))
}

/// epoll_pwait(2).
pub fn epoll_pwait(
    set: Fd,
    events: Address,
    max: i32,
    timeout: i32,
    mask: Address,
    size: usize,
) -> Answer {
    let mask = read_mask(mask, size)?;
    with_mask(mask, || wait_until(set, events, max, deadline_in(timeout)))
}

/// epoll_pwait2(2).
pub fn epoll_pwait2(
    set: Fd,
    events: Address,
    max: i32,
    timeout: Address,
    mask: Address,
    size: usize,
) -> Answer {
    let deadline = deadline_after(timeout)?;
    let mask = read_mask(mask, size)?;
    with_mask(mask, || wait_until(set, events, max, deadline))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_read_bit_by_bit() {
        let sets = [
            Some(vec![1 << 3, 1]),
            None,
            Some(vec![1 << 3 | 1 << 63, u64::MAX]),
        ];
        let members = members(&sets, 65);
        let expected = [
            (3, [true, false, true]),
            (63, [false, false, true]),
            (64, [true, false, true]),
        ];
        assert_eq!(members, expected.into());
    }
}
