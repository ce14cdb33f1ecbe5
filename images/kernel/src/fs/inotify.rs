//! inotify(7): telling programs what happens to files.
//!
//! Whoever does something to a file says so by [`file`], [`entry`] or [`gone`]; nothing is done
//! where nobody watches. A watch is on an inode, by its number: it does not keep the inode alive.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use linux_raw_sys::general as linux;
use linux_raw_sys::ioctl::FIONREAD;

use super::anonymous;
use super::file::{Events, File};
use super::inode::Inode;
use super::location::{Location, above};
use super::stat::{Kind, Stat};
use crate::errno::{Errno, Result};
use crate::io::Sink;
use crate::memory::user;
use crate::sync::Mutex;
use crate::task::WaitQueue;

/// Bytes of an event without its name; names are padded to a multiple.
const HEADER: usize = size_of::<linux::inotify_event>();
/// Events that wait to be read, as Linux's default `fs.inotify.max_queued_events`.
const EVENTS_MAX: usize = 16_384;
/// Watches of one instance.
const WATCHES_MAX: usize = 65_536;
/// What a watch asks for that is no event, and stays with it.
const KEPT: u32 = linux::IN_ALL_EVENTS | linux::IN_ONESHOT | linux::IN_EXCL_UNLINK;

/// Which file, among all.
type Identity = (u32, u64);

static INSTANCES: Mutex<Vec<Weak<Inotify>>> = Mutex::new(Vec::new());
/// Watches of all instances.
static WATCHES: AtomicUsize = AtomicUsize::new(0);
static NEXT_COOKIE: AtomicU32 = AtomicU32::new(1);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Event {
    watch: i32,
    mask: u32,
    cookie: u32,
    name: Vec<u8>,
}

impl Event {
    fn size(&self) -> usize {
        let name = match self.name.len() {
            0 => 0,
            len => (len + 1).next_multiple_of(HEADER),
        };
        HEADER + name
    }

    fn pack(&self, into: &mut Vec<u8>) {
        let (start, size) = (into.len(), self.size());
        let name = (size - HEADER) as u32;
        for word in [self.watch as u32, self.mask, self.cookie, name] {
            into.extend_from_slice(&word.to_le_bytes());
        }
        into.extend_from_slice(&self.name);
        into.resize(start + size, 0);
    }
}

struct Watch {
    file: Identity,
    mask: u32,
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    watches: BTreeMap<i32, Watch>,
    /// The number of the last watch; numbers are not used again.
    last: i32,
}

impl State {
    fn watch_on(&self, file: Identity) -> Option<i32> {
        let mut watches = self.watches.iter();
        let found = watches.find(|(_, watch)| watch.file == file)?;
        Some(*found.0)
    }

    fn push(&mut self, event: Event) {
        // The same as the last that nobody has read yet is told once, whatever its cookie.
        let same = self.events.back().is_some_and(|last| {
            (last.watch, last.mask) == (event.watch, event.mask) && last.name == event.name
        });
        if same {
            return;
        }
        match self.events.len() {
            EVENTS_MAX.. => {}
            len if len + 1 == EVENTS_MAX => self.events.push_back(Event {
                watch: -1,
                mask: linux::IN_Q_OVERFLOW,
                cookie: 0,
                name: Vec::new(),
            }),
            _ => self.events.push_back(event),
        }
    }

    /// Ends a watch and tells so.
    fn remove(&mut self, watch: i32) -> bool {
        let was = self.watches.remove(&watch).is_some();
        if was {
            WATCHES.fetch_sub(1, Ordering::Relaxed);
            self.push(Event {
                watch,
                mask: linux::IN_IGNORED,
                cookie: 0,
                name: Vec::new(),
            });
        }
        was
    }

    /// Tells of an event, if the file is watched for it.
    fn tell(&mut self, file: Identity, mask: u32, cookie: u32, name: &[u8]) -> bool {
        let Some(watch) = self.watch_on(file) else {
            return false;
        };
        let wanted = self.watches.get(&watch).map_or(0, |watch| watch.mask);
        if wanted & mask & linux::IN_ALL_EVENTS == 0 {
            return false;
        }
        self.push(Event {
            watch,
            mask,
            cookie,
            name: name.to_vec(),
        });
        if wanted & linux::IN_ONESHOT != 0 {
            self.remove(watch);
        }
        true
    }
}

/// An instance: watches, and the events that were not read yet.
#[derive(Default)]
pub struct Inotify {
    state: Mutex<State>,
    changed: WaitQueue,
}

impl Inotify {
    /// One without watches.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let instance = Arc::new(Self::default());
        let mut instances = INSTANCES.lock();
        instances.retain(|instance| instance.strong_count() > 0);
        instances.push(Arc::downgrade(&instance));
        drop(instances);
        instance
    }

    /// Watches a file for what `mask` (IN_*) says. Returns the watch's number.
    ///
    /// # Errors
    ///
    /// EEXIST if it is watched already and must not be, ENOSPC if there are too many watches.
    pub fn watch(&self, inode: &dyn Inode, mask: u32) -> Result<i32> {
        let file = inode.identity();
        let mut state = self.state.lock();
        if let Some(number) = state.watch_on(file) {
            if mask & linux::IN_MASK_CREATE != 0 {
                return Err(Errno::EEXIST);
            }
            if let Some(watch) = state.watches.get_mut(&number) {
                let before = if mask & linux::IN_MASK_ADD != 0 {
                    watch.mask
                } else {
                    0
                };
                watch.mask = before | mask & KEPT;
            }
            return Ok(number);
        }
        if state.watches.len() >= WATCHES_MAX {
            return Err(Errno::ENOSPC);
        }
        state.last += 1;
        let (number, mask) = (state.last, mask & KEPT);
        state.watches.insert(number, Watch { file, mask });
        WATCHES.fetch_add(1, Ordering::Relaxed);
        Ok(number)
    }

    /// Ends a watch.
    ///
    /// # Errors
    ///
    /// EINVAL if there is none with this number.
    pub fn unwatch(&self, watch: i32) -> Result<()> {
        if !self.state.lock().remove(watch) {
            return Err(Errno::EINVAL);
        }
        self.changed.wake_all();
        Ok(())
    }
}

impl File for Inotify {
    fn stat(&self) -> Stat {
        anonymous::stat(0, 0o600)
    }

    fn read(&self, _: u64, sink: &mut Sink<'_>) -> Result<usize> {
        let mut packed = Vec::new();
        {
            let mut state = self.state.lock();
            let first = state.events.front().ok_or(Errno::EAGAIN)?;
            if first.size() > sink.remaining() {
                return Err(Errno::EINVAL);
            }
            while let Some(event) = state.events.front() {
                if packed.len() + event.size() > sink.remaining() {
                    break;
                }
                event.pack(&mut packed);
                state.events.pop_front();
            }
        }
        sink.write(&packed)
    }

    fn poll(&self) -> Events {
        if self.state.lock().events.is_empty() {
            Events::empty()
        } else {
            Events::READ
        }
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.changed)
    }

    fn ignores_seeks(&self) -> bool {
        true
    }

    fn ioctl(&self, command: u32, argument: u64) -> Result<u64> {
        if command != FIONREAD {
            return Err(Errno::ENOTTY);
        }
        let size: usize = self.state.lock().events.iter().map(Event::size).sum();
        user::write(argument, &(size as u32))?;
        Ok(0)
    }

    fn name(&self) -> Vec<u8> {
        b"anon_inode:inotify".to_vec()
    }
}

impl Drop for Inotify {
    fn drop(&mut self) {
        WATCHES.fetch_sub(self.state.get_mut().watches.len(), Ordering::Relaxed);
    }
}

fn is_watched() -> bool {
    WATCHES.load(Ordering::Relaxed) > 0
}

/// Runs `tell` on every instance; it says whether there is something to be read now.
fn each(mut tell: impl FnMut(&mut State) -> bool) {
    let instances: Vec<_> = INSTANCES.lock().iter().filter_map(Weak::upgrade).collect();
    for instance in instances {
        let told = tell(&mut instance.state.lock());
        if told {
            instance.changed.wake_all();
        }
    }
}

fn directory_bit(is_directory: bool) -> u32 {
    if is_directory { linux::IN_ISDIR } else { 0 }
}

/// Something (IN_*) has happened to a file: told to whoever watches its directory, by its name
/// there, and to whoever watches the file itself.
pub fn file(location: &Location, mask: u32) {
    if !is_watched() {
        return;
    }
    let up = match &location.name {
        Some(name) => Some(name.clone()),
        None if location.inode.kind() == Kind::Directory => above(&location.inode),
        None => None,
    };
    let mask = mask | directory_bit(location.inode.kind() == Kind::Directory);
    let own = location.inode.identity();
    each(|state| {
        let above = up
            .as_ref()
            .is_some_and(|(directory, name)| state.tell(directory.identity(), mask, 0, name));
        state.tell(own, mask, 0, b"") || above
    });
}

/// Something (IN_*) has happened to a file by itself: told to whoever watches it.
pub fn inode(inode: &dyn Inode, mask: u32) {
    if is_watched() {
        each(|state| state.tell(inode.identity(), mask, 0, b""));
    }
}

/// A name has come or gone in a directory.
pub fn entry(directory: &dyn Inode, name: &[u8], is_directory: bool, mask: u32) {
    tell_entry(directory, name, is_directory, mask, 0);
}

fn tell_entry(directory: &dyn Inode, name: &[u8], is_directory: bool, mask: u32, cookie: u32) {
    if is_watched() {
        let mask = mask | directory_bit(is_directory);
        each(|state| state.tell(directory.identity(), mask, cookie, name));
    }
}

/// A name has moved from one directory to another, or within one.
pub fn moved(from: (&dyn Inode, &[u8]), to: (&dyn Inode, &[u8]), is_directory: bool) {
    if is_watched() {
        let cookie = NEXT_COOKIE.fetch_add(1, Ordering::Relaxed);
        tell_entry(from.0, from.1, is_directory, linux::IN_MOVED_FROM, cookie);
        tell_entry(to.0, to.1, is_directory, linux::IN_MOVED_TO, cookie);
    }
}

/// A file without names is used by nobody any more.
pub fn gone(file: (u32, u64)) {
    if is_watched() {
        each(|state| {
            let watch = state.watch_on(file);
            state.tell(file, linux::IN_DELETE_SELF, 0, b"");
            watch.is_some_and(|watch| state.remove(watch))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(watch: i32, name: &[u8]) -> Event {
        Event {
            watch,
            mask: linux::IN_OPEN,
            cookie: 0,
            name: name.to_vec(),
        }
    }

    #[test]
    fn names_are_padded_with_at_least_one_zero() {
        let sizes = [0, 1, 15, 16, 31].map(|len| event(1, &alloc::vec![b'n'; len]).size());
        assert_eq!(sizes, [16, 32, 32, 48, 48]);
        let mut packed = Vec::new();
        event(7, b"name").pack(&mut packed);
        assert_eq!(packed[..4], 7u32.to_le_bytes());
        assert_eq!(packed[12..], *b"\x10\0\0\0name\0\0\0\0\0\0\0\0\0\0\0\0");
    }

    #[test]
    fn equal_neighbours_are_told_once_and_too_many_as_an_overflow() {
        let mut state = State::default();
        state.push(event(1, b"a"));
        state.push(event(1, b"a"));
        state.push(event(1, b"b"));
        assert_eq!(state.events.len(), 2);
        for number in 0..2 * EVENTS_MAX {
            state.push(event(number as i32, b"c"));
        }
        assert_eq!(state.events.len(), EVENTS_MAX);
        assert_eq!(state.events.back().unwrap().mask, linux::IN_Q_OVERFLOW);
    }
}
