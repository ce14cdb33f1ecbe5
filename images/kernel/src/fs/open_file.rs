//! An open file description: what descriptors of one `open` share, and where all waiting for
//! files is done.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use linux_raw_sys::general as linux;

use super::claim::Claim;
use super::file::{DirEntry, Events, File};
use super::location::Location;
use super::owner::FileOwner;
use super::stat::{Kind, Stat};
use super::{inotify, limit, lock, mount};
use crate::errno::{Errno, Result};
use crate::io::{Sink, Source};
use crate::sync::Mutex;
use crate::task;
use crate::time;

/// Flags that `F_SETFL` can change.
const CHANGEABLE: u32 =
    linux::O_APPEND | linux::O_NONBLOCK | linux::O_DIRECT | linux::O_NOATIME | linux::FASYNC;
/// Flags that say how to open, not what is open.
const ONLY_OPENING: u32 =
    linux::O_CREAT | linux::O_EXCL | linux::O_NOCTTY | linux::O_TRUNC | linux::O_CLOEXEC;

/// An open file: a [`File`] with position and flags.
pub struct OpenFile {
    file: Arc<dyn File>,
    location: Option<Location>,
    /// O_*, without those that only say how to open.
    flags: AtomicU32,
    position: AtomicU64,
    /// Whether it may hold locks that end with it.
    locks: AtomicBool,
    /// Its part in what is written and what runs.
    claim: Mutex<Option<Claim>>,
    /// Whom its signals are meant for.
    pub owner: Mutex<FileOwner>,
}

/// The file behind a descriptor that was opened with O_PATH.
struct PathOnly;

impl File for PathOnly {
    fn stat(&self) -> Stat {
        Stat::new(0, 0, 0)
    }
}

impl OpenFile {
    /// A file opened with `flags` (O_*), found at `location` if it was found by a path.
    #[must_use]
    pub fn new(file: Arc<dyn File>, flags: u32, location: Option<Location>) -> Arc<Self> {
        Arc::new(Self {
            file,
            location,
            flags: AtomicU32::new(flags & !ONLY_OPENING),
            position: AtomicU64::new(0),
            locks: AtomicBool::new(false),
            claim: Mutex::new(None),
            owner: Mutex::new(FileOwner::default()),
        })
    }

    /// As [`OpenFile::new`], for what a program has opened by a path: told to who watches.
    #[must_use]
    pub fn opened(file: Arc<dyn File>, flags: u32, location: Location) -> Arc<Self> {
        let open = Self::new(file, flags, Some(location));
        open.tell(linux::IN_OPEN);
        open
    }

    /// Keeps others from running what it writes, or from writing what it runs, or does so no more.
    pub(super) fn set_claim(&self, claim: Option<Claim>) {
        let old = core::mem::replace(&mut *self.claim.lock(), claim);
        drop(old);
    }

    /// Tells whoever watches it what has happened (IN_*).
    pub fn tell(&self, event: u32) {
        if let Some(location) = self.location.as_ref().filter(|_| !self.is_path()) {
            inotify::file(location, event);
        }
    }

    fn tell_moved(&self, event: u32, bytes: usize) {
        if bytes > 0 {
            self.tell(event);
        }
    }

    /// What O_PATH opens.
    #[must_use]
    pub fn path_only(location: Location, flags: u32) -> Arc<Self> {
        let kept = linux::O_PATH | linux::O_DIRECTORY | linux::O_NOFOLLOW;
        Self::new(Arc::new(PathOnly), flags & kept, Some(location))
    }

    /// What is open.
    #[must_use]
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// What is open, if it is of this type.
    #[must_use]
    pub fn downcast<T: File>(&self) -> Option<&T> {
        let any: &dyn Any = &*self.file;
        any.downcast_ref()
    }

    /// By which path, if by any.
    #[must_use]
    pub fn location(&self) -> Option<&Location> {
        self.location.as_ref()
    }

    /// O_*.
    #[must_use]
    pub fn flags(&self) -> u32 {
        self.flags.load(Ordering::Relaxed)
    }

    fn has(&self, flag: u32) -> bool {
        self.flags() & flag != 0
    }

    /// Changes the flags that can be changed.
    pub fn set_flags(&self, flags: u32) {
        self.flags.store(
            self.flags() & !CHANGEABLE | flags & CHANGEABLE,
            Ordering::Relaxed,
        );
    }

    /// Whether it was opened with O_PATH.
    #[must_use]
    pub fn is_path(&self) -> bool {
        self.has(linux::O_PATH)
    }

    /// Whether operations that cannot be done at once fail.
    #[must_use]
    pub fn is_nonblocking(&self) -> bool {
        self.has(linux::O_NONBLOCK)
    }

    /// Whether it may be read.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        !self.is_path() && self.flags() & linux::O_ACCMODE != linux::O_WRONLY
    }

    /// Whether it may be written.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        !self.is_path()
            && matches!(
                self.flags() & linux::O_ACCMODE,
                linux::O_WRONLY | linux::O_RDWR
            )
    }

    /// Its attributes.
    #[must_use]
    pub fn stat(&self) -> Stat {
        match &self.location {
            Some(location) => location.inode.stat(),
            None => self.file.stat(),
        }
    }

    /// Which file it is, among all: device and inode number.
    #[must_use]
    pub fn file_identity(&self) -> (u32, u64) {
        let stat = self.stat();
        (stat.device, stat.ino)
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.location
            .as_ref()
            .is_some_and(|location| location.inode.kind() == Kind::Directory)
    }

    /// Does something as soon as it can be done, or fails with EAGAIN at once if `nonblocking`.
    ///
    /// # Errors
    ///
    /// What `operation` fails with; RESTART.
    pub fn attempt<T>(&self, nonblocking: bool, operation: impl FnMut() -> Result<T>) -> Result<T> {
        self.attempt_within(nonblocking, None, operation)
    }

    /// As [`OpenFile::attempt`], failing with EAGAIN after `patience` nanoseconds, too.
    ///
    /// # Errors
    ///
    /// What `operation` fails with; RESTART, or EINTR if the time is limited.
    pub fn attempt_within<T>(
        &self,
        nonblocking: bool,
        patience: Option<u64>,
        mut operation: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        self.file.prepare()?;
        match operation() {
            Err(Errno::EAGAIN) if !nonblocking => {}
            Err(Errno::EAGAIN) if self.file.is_outside() && task::look_outside() => {
                return operation();
            }
            result => return result,
        }
        let end = patience.map(|patience| time::monotonic().saturating_add(patience));
        loop {
            let queue = self.file.queue();
            let deadline = self.file.deadline().into_iter().chain(end).min();
            let done = task::wait(queue.as_slice(), deadline, || match operation() {
                Err(Errno::EAGAIN) => None,
                result => Some(result),
            });
            match done {
                Ok(result) => return result,
                Err(Errno::ETIMEDOUT) if end.is_some_and(|end| end <= time::monotonic()) => {
                    return Err(Errno::EAGAIN);
                }
                // It was the file's own deadline: it has changed.
                Err(Errno::ETIMEDOUT) => {}
                // Made again, the call would wait for all of its time again.
                Err(Errno::RESTART) if end.is_some() => return Err(Errno::EINTR),
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Reads from where it stands.
    ///
    /// # Errors
    ///
    /// EBADF if it was not opened for that, and as [`File::read`], RESTART.
    pub fn read(&self, sink: &mut Sink<'_>) -> Result<usize> {
        if !self.is_readable() {
            return Err(Errno::EBADF);
        }
        if let Some(read) = self.file.read_in_time(self.is_nonblocking(), sink) {
            return read;
        }
        if !self.file.is_seekable() {
            let patience = self.file.patience(false);
            return self
                .attempt_within(self.is_nonblocking(), patience, || self.file.read(0, sink));
        }
        let position = self.position.load(Ordering::Relaxed);
        let read = self.file.read(position, sink)?;
        self.position
            .store(position + read as u64, Ordering::Relaxed);
        self.tell_moved(linux::IN_ACCESS, read);
        Ok(read)
    }

    /// Reads from an offset.
    ///
    /// # Errors
    ///
    /// As [`OpenFile::read`]; ESPIPE if it has no position.
    pub fn read_at(&self, offset: u64, sink: &mut Sink<'_>) -> Result<usize> {
        if !self.is_readable() {
            return Err(Errno::EBADF);
        }
        if !self.file.is_seekable() {
            return Err(Errno::ESPIPE);
        }
        let read = self.file.read(offset, sink)?;
        self.tell_moved(linux::IN_ACCESS, read);
        Ok(read)
    }

    /// Lets a write that begins at `start` (or at the end, if that is `u64::MAX`) go no further
    /// than the limit on the size of files.
    fn limit(&self, start: u64, source: &mut Source<'_>) -> Result<()> {
        let limit = limit::file_size();
        if limit == u64::MAX || self.stat().kind() != Kind::Regular || source.remaining() == 0 {
            return Ok(());
        }
        let start = match start {
            u64::MAX => self.file.size(),
            start => start,
        };
        limit::check_size(start.saturating_add(1))?;
        source.shorten((limit - start).try_into().unwrap_or(usize::MAX));
        Ok(())
    }

    /// Writes to where it stands, or to the end if it is open so.
    ///
    /// # Errors
    ///
    /// EBADF if it was not opened for that, and as [`File::write`], RESTART. A thread that writes
    /// where nobody reads gets SIGPIPE, too.
    pub fn write(&self, source: &mut Source<'_>) -> Result<usize> {
        if !self.is_writable() {
            return Err(Errno::EBADF);
        }
        if !self.file.is_seekable() {
            return self.write_all(source).inspect_err(|errno| {
                if *errno == Errno::EPIPE && self.file.signals_broken_pipe() {
                    task::raise_sigpipe();
                }
            });
        }
        let position = self.position.load(Ordering::Relaxed);
        let append = self.has(linux::O_APPEND);
        let start = if append { u64::MAX } else { position };
        self.limit(start, source)?;
        let written = self.file.write(start, source)?;
        let end = if append {
            self.file.size()
        } else {
            position + written as u64
        };
        self.position.store(end, Ordering::Relaxed);
        self.tell_moved(linux::IN_MODIFY, written);
        Ok(written)
    }

    /// Writes to a stream, waiting until it has taken everything.
    fn write_all(&self, source: &mut Source<'_>) -> Result<usize> {
        let nonblocking = self.is_nonblocking();
        let mut written = 0;
        loop {
            let patience = self.file.patience(true);
            match self.attempt_within(nonblocking, patience, || self.file.write(0, source)) {
                Ok(0) => return Ok(written),
                Ok(part) => written += part,
                Err(_) if written > 0 => return Ok(written),
                Err(errno) => return Err(errno),
            }
            if source.remaining() == 0 || nonblocking {
                return Ok(written);
            }
        }
    }

    /// Writes to an offset (or to the end, as Linux does, if it is open so).
    ///
    /// # Errors
    ///
    /// As [`OpenFile::write`]; ESPIPE if it has no position.
    pub fn write_at(&self, offset: u64, source: &mut Source<'_>) -> Result<usize> {
        if !self.is_writable() {
            return Err(Errno::EBADF);
        }
        if !self.file.is_seekable() {
            return Err(Errno::ESPIPE);
        }
        let offset = if self.has(linux::O_APPEND) {
            u64::MAX
        } else {
            offset
        };
        self.limit(offset, source)?;
        let written = self.file.write(offset, source)?;
        self.tell_moved(linux::IN_MODIFY, written);
        Ok(written)
    }

    /// Where it stands.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position.load(Ordering::Relaxed)
    }

    /// Lets it stand elsewhere.
    pub fn set_position(&self, position: u64) {
        self.position.store(position, Ordering::Relaxed);
    }

    /// Reads directory entries from where it stands; `each` says false to one that it does not
    /// take.
    ///
    /// # Errors
    ///
    /// As [`File::entries`].
    pub fn entries(&self, each: &mut dyn FnMut(&DirEntry<'_>) -> bool) -> Result<()> {
        let mut position = self.position();
        self.file.entries(position, &mut |entry| {
            let taken = each(entry);
            if taken {
                position = entry.next;
            }
            taken
        })?;
        self.set_position(position);
        self.tell(linux::IN_ACCESS);
        Ok(())
    }

    /// What can be done with it now.
    #[must_use]
    pub fn poll(&self) -> Events {
        self.file.poll()
    }

    /// Notes that it holds locks.
    pub fn note_lock(&self) {
        self.locks.store(true, Ordering::Relaxed);
    }

    /// What `/proc/self/fd` says.
    #[must_use]
    pub fn display(&self) -> Vec<u8> {
        match &self.location {
            Some(location) => location.display(&mount::root()),
            None => self.file.name(),
        }
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.tell(if self.is_writable() {
            linux::IN_CLOSE_WRITE
        } else {
            linux::IN_CLOSE_NOWRITE
        });
        if self.locks.load(Ordering::Relaxed) {
            lock::release(lock::Owner::of_file(self), None);
        }
        self.file.released();
    }
}
