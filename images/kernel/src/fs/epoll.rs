//! epoll(7): a set of files that is waited for as a whole.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt::Write;

use linux_raw_sys::general as linux;

use super::file::{Events, File};
use super::open_file::OpenFile;
use super::stat::Stat;
use super::{anonymous, readiness};
use crate::errno::{Errno, Result};
use crate::sync::Mutex;
use crate::task::{self, WaitQueue};

/// How deep sets may lie in sets.
const DEPTH_MAX: u32 = 5;

/// A file is in the set once for each descriptor; the address tells apart files that had the same.
type Key = (i32, usize);

/// A set.
#[derive(Default)]
pub struct Epoll {
    state: Mutex<State>,
    /// Woken when the set changes.
    changed: WaitQueue,
}

#[derive(Default)]
struct State {
    interests: BTreeMap<Key, Interest>,
    /// The one that was told of last: the others come first.
    last: Option<Key>,
}

struct Interest {
    file: Weak<OpenFile>,
    /// EPOLL*.
    events: u32,
    data: u64,
    /// For edge triggering: the file's generation when it was last told of.
    seen: Option<u64>,
    /// Told of once, and not to be told of again before it is changed.
    disarmed: bool,
}

impl Interest {
    /// What there is to tell.
    fn ready(&self, file: &OpenFile) -> u32 {
        if self.disarmed {
            return 0;
        }
        let ready = file.poll().bits() & (self.events | Events::ALWAYS.bits());
        let edge = self.events & linux::EPOLLET != 0;
        if ready != 0 && edge && self.seen == Some(file.file().generation()) {
            0
        } else {
            ready
        }
    }

    fn told(&mut self, file: &OpenFile) {
        self.disarmed = self.events & linux::EPOLLONESHOT != 0;
        self.seen = Some(file.file().generation());
    }
}

impl State {
    /// Calls `each` with all interests, those after the last one told of first, until it says
    /// false. Files that are no longer open are forgotten.
    fn each(&mut self, mut each: impl FnMut(Key, &mut Interest, &Arc<OpenFile>) -> bool) {
        let mut gone = Vec::new();
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for key in self.interests.keys() {
            let list = if Some(*key) <= self.last {
                &mut before
            } else {
                &mut after
            };
            list.push(*key);
        }
        for key in after.into_iter().chain(before) {
            let Some(interest) = self.interests.get_mut(&key) else {
                continue;
            };
            match interest.file.upgrade() {
                None => gone.push(key),
                Some(file) => {
                    if !each(key, interest, &file) {
                        break;
                    }
                }
            }
        }
        for key in gone {
            self.interests.remove(&key);
        }
    }
}

impl Epoll {
    fn key(fd: i32, file: &Arc<OpenFile>) -> Key {
        (fd, Arc::as_ptr(file).addr())
    }

    /// Adds a file.
    ///
    /// # Errors
    ///
    /// EEXIST, EPERM if it is always ready, ELOOP if sets would contain each other.
    pub fn add(&self, fd: i32, file: &Arc<OpenFile>, events: u32, data: u64) -> Result<()> {
        if !file.file().is_pollable() || file.is_path() {
            return Err(Errno::EPERM);
        }
        if let Some(set) = file.downcast::<Self>()
            && (core::ptr::eq(set, self) || set.contains(self, DEPTH_MAX)?)
        {
            return Err(Errno::ELOOP);
        }
        let interest = Interest {
            file: Arc::downgrade(file),
            events,
            data,
            seen: None,
            disarmed: false,
        };
        {
            let interests = &mut self.state.lock().interests;
            let old = interests.get(&Self::key(fd, file));
            if old.is_some_and(|old| old.file.strong_count() > 0) {
                return Err(Errno::EEXIST);
            }
            interests.insert(Self::key(fd, file), interest);
        }
        self.changed.wake_all();
        Ok(())
    }

    /// Whether a set lies in this one, however deep.
    fn contains(&self, other: &Self, depth: u32) -> Result<bool> {
        let depth = depth.checked_sub(1).ok_or(Errno::ELOOP)?;
        for file in self.open_files() {
            if let Some(set) = file.downcast::<Self>()
                && (core::ptr::eq(set, other) || set.contains(other, depth)?)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Changes what a file is waited for.
    ///
    /// # Errors
    ///
    /// ENOENT if it is not in the set.
    pub fn modify(&self, fd: i32, file: &Arc<OpenFile>, events: u32, data: u64) -> Result<()> {
        {
            let interests = &mut self.state.lock().interests;
            let interest = interests
                .get_mut(&Self::key(fd, file))
                .ok_or(Errno::ENOENT)?;
            if interest.events & linux::EPOLLEXCLUSIVE != 0 {
                return Err(Errno::EINVAL);
            }
            (interest.events, interest.data) = (events, data);
            (interest.seen, interest.disarmed) = (None, false);
        }
        self.changed.wake_all();
        Ok(())
    }

    /// Takes a file out.
    ///
    /// # Errors
    ///
    /// ENOENT if it is not in the set.
    pub fn remove(&self, fd: i32, file: &Arc<OpenFile>) -> Result<()> {
        let removed = self.state.lock().interests.remove(&Self::key(fd, file));
        removed.ok_or(Errno::ENOENT)?;
        self.changed.wake_all();
        Ok(())
    }

    fn open_files(&self) -> Vec<Arc<OpenFile>> {
        let state = self.state.lock();
        state
            .interests
            .values()
            .filter_map(|interest| interest.file.upgrade())
            .collect()
    }

    /// Tells of files that are ready: at most `max`, events and data of each.
    fn take(&self, max: usize) -> Vec<(u32, u64)> {
        let mut told = Vec::new();
        let mut held = Vec::new();
        {
            let mut state = self.state.lock();
            let mut last = state.last;
            state.each(|key, interest, file| {
                // Not to be dropped, and with it closed, while the set is locked.
                held.push(file.clone());
                let ready = interest.ready(file);
                if ready != 0 {
                    interest.told(file);
                    told.push((ready, interest.data));
                    last = Some(key);
                }
                told.len() < max
            });
            state.last = last;
        }
        told
    }

    /// Waits until files are ready, or until the deadline (monotonic ns): at most `max`, events
    /// and data of each.
    ///
    /// # Errors
    ///
    /// EINTR.
    pub fn wait(&self, max: usize, deadline: Option<u64>) -> Result<Vec<(u32, u64)>> {
        for file in self.open_files() {
            // What cannot be waited for tells so when it is asked.
            let _ = file.file().prepare();
        }
        loop {
            let generation = self.changed.generation();
            let told = self.take(max);
            let mut files = Vec::new();
            self.members(&mut files);
            if !told.is_empty() || deadline == Some(0) {
                let is_outside = files.iter().any(|file| file.is_outside());
                if told.is_empty() && is_outside && task::look_outside() {
                    return Ok(self.take(max));
                }
                return Ok(told);
            }
            let told = readiness::wait(&files, Some(&self.changed), deadline, || {
                let told = self.take(max);
                let changed = self.changed.generation() != generation;
                (changed || !told.is_empty()).then_some(told)
            });
            // Alone among the calls that wait for files, it is never made again.
            let told = told.map_err(|errno| match errno {
                Errno::RESTART_UNHANDLED => Errno::EINTR,
                other => other,
            })?;
            match told {
                // The set has changed: other files are to be waited for.
                Some(told) if told.is_empty() => {}
                told => return Ok(told.unwrap_or_default()),
            }
        }
    }
}

impl File for Epoll {
    fn details(&self) -> String {
        const ALWAYS: u32 = linux::EPOLLERR | linux::EPOLLHUP;
        let mut text = String::new();
        self.state.lock().each(|(fd, _), interest, file| {
            let (events, data) = (interest.events | ALWAYS, interest.data);
            let (position, stat) = (file.position(), file.stat());
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "tfd: {fd:8} events: {events:8x} data: {data:16x}  pos:{position} ino:{:x} sdev:{:x}",
                stat.ino, stat.device
            );
            true
        });
        text
    }

    fn stat(&self) -> Stat {
        anonymous::stat(0, 0o600)
    }

    fn poll(&self) -> Events {
        let mut ready = false;
        let mut held = Vec::new();
        self.state.lock().each(|_, interest, file| {
            held.push(file.clone());
            ready = interest.ready(file) != 0;
            !ready
        });
        if ready { Events::READ } else { Events::empty() }
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.changed)
    }

    fn generation(&self) -> u64 {
        let files = self.open_files();
        let sum = files
            .iter()
            .map(|file| file.file().generation())
            .fold(0, u64::wrapping_add);
        sum.wrapping_add(self.changed.generation())
    }

    fn members(&self, into: &mut Vec<Arc<dyn File>>) {
        for file in self.open_files() {
            into.push(file.file().clone());
            file.file().members(into);
        }
    }

    fn ignores_seeks(&self) -> bool {
        true
    }

    fn name(&self) -> Vec<u8> {
        b"anon_inode:[eventpoll]".to_vec()
    }
}
