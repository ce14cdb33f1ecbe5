//! What an open descriptor leads to: the operations that every kind of file may offer.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;

use linux_raw_sys::general as linux;

use super::stat::{Kind, Stat};
use crate::errno::{Errno, Result};
use crate::io::{Sink, Source};
use crate::memory::Page;
use crate::task::WaitQueue;

bitflags::bitflags! {
    /// What `poll` tells of a file.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Events: u32 {
        /// A read would not have to wait.
        const IN = linux::EPOLLIN;
        /// There is something urgent.
        const PRI = linux::EPOLLPRI;
        /// A write would not have to wait.
        const OUT = linux::EPOLLOUT;
        /// Something is broken.
        const ERR = linux::EPOLLERR;
        /// The other end has gone.
        const HUP = linux::EPOLLHUP;
        /// As IN.
        const RDNORM = linux::EPOLLRDNORM;
        /// As OUT.
        const WRNORM = linux::EPOLLWRNORM;
        /// The other end will send no more.
        const RDHUP = linux::EPOLLRDHUP;
        /// What there is to be read.
        const READ = Self::IN.bits() | Self::RDNORM.bits();
        /// What there is to be written.
        const WRITE = Self::OUT.bits() | Self::WRNORM.bits();
        /// What is told whether it was asked for or not.
        const ALWAYS = Self::ERR.bits() | Self::HUP.bits();
    }
}

/// A name in a directory, as reading the directory tells it.
pub struct DirEntry<'a> {
    /// The inode's number.
    pub ino: u64,
    /// What it is.
    pub kind: Kind,
    /// The name.
    pub name: &'a [u8],
    /// Where the next entry is read from.
    pub next: u64,
}

/// An open file. Descriptors share it through [`super::OpenFile`], which keeps position and flags
/// and does the waiting: an operation that cannot be done yet is EAGAIN here, always.
///
/// An implementation wakes its [`File::queue`] after every change that may make an operation
/// possible, and never touches the program's memory with a lock held that a page fault could need.
pub trait File: Any + Send + Sync {
    /// Its attributes, where it has no inode.
    fn stat(&self) -> Stat;

    /// Whether it has a position.
    fn is_seekable(&self) -> bool {
        false
    }

    /// Whether the position means something; if not it always is 0.
    fn keeps_position(&self) -> bool {
        true
    }

    /// Whether seeking in it does nothing, although it has no position.
    fn ignores_seeks(&self) -> bool {
        false
    }

    /// Its size.
    fn size(&self) -> u64 {
        0
    }

    /// Its end, for SEEK_END.
    ///
    /// # Errors
    ///
    /// EINVAL if nobody knows it.
    fn end(&self) -> Result<u64> {
        Ok(self.size())
    }

    /// Where data is next (or, if not `data`, a hole) from an offset on. Where it does not know
    /// better, a file says that all of it is data, and that a hole follows.
    ///
    /// # Errors
    ///
    /// ENXIO if there is none before the end, EINVAL if nobody knows it.
    fn next(&self, from: u64, data: bool) -> Result<u64> {
        let end = self.end()?;
        if from >= end {
            return Err(Errno::ENXIO);
        }
        Ok(if data { from } else { end })
    }

    /// Reads bytes, from `offset` if it is seekable. Returns 0 at the end.
    ///
    /// # Errors
    ///
    /// EAGAIN, EINVAL if it cannot be read, EISDIR, EFAULT.
    fn read(&self, _offset: u64, _sink: &mut Sink<'_>) -> Result<usize> {
        Err(Errno::EINVAL)
    }

    /// Reads bytes and waits for them itself, if there is more to that than waiting until a read is
    /// possible; none if not.
    fn read_in_time(&self, _nonblocking: bool, _sink: &mut Sink<'_>) -> Option<Result<usize>> {
        None
    }

    /// Writes bytes, at `offset` if it is seekable (at the end if that is `u64::MAX`).
    ///
    /// # Errors
    ///
    /// EAGAIN, EINVAL if it cannot be written, EPIPE, ENOSPC, EFBIG, EFAULT.
    fn write(&self, _offset: u64, _source: &mut Source<'_>) -> Result<usize> {
        Err(Errno::EINVAL)
    }

    /// Gets ready to be waited for, which may itself take waiting.
    ///
    /// # Errors
    ///
    /// What makes it impossible.
    fn prepare(&self) -> Result<()> {
        Ok(())
    }

    /// What can be done now.
    fn poll(&self) -> Events {
        Events::READ | Events::WRITE
    }

    /// Whether `poll` can ever tell anything else (epoll refuses what cannot).
    fn is_pollable(&self) -> bool {
        true
    }

    /// Where to wait for a change.
    fn queue(&self) -> Option<&WaitQueue> {
        None
    }

    /// The running process has closed a descriptor of it.
    fn descriptor_closed(&self) {}

    /// Nobody has it open any more. Who waits for it may still hold it for a while.
    fn released(&self) {}

    /// Adds the files whose changes are its own, those of a set.
    fn members(&self, _into: &mut Vec<Arc<dyn File>>) {}

    /// How long a read (or, if `writes`, a write) waits at most, in nanoseconds; none for as long as
    /// it takes.
    fn patience(&self, _writes: bool) -> Option<u64> {
        None
    }

    /// Whether SIGPIPE comes with EPIPE.
    fn signals_broken_pipe(&self) -> bool {
        true
    }

    /// Whether it changes by what comes from outside the guest.
    fn is_outside(&self) -> bool {
        false
    }

    /// When it will change by itself: monotonic nanoseconds.
    fn deadline(&self) -> Option<u64> {
        None
    }

    /// Counts the changes, for edge-triggered waiting.
    fn generation(&self) -> u64 {
        self.queue().map_or(0, WaitQueue::generation)
    }

    /// Does what is particular to this kind of file.
    ///
    /// # Errors
    ///
    /// ENOTTY if the command is not known here.
    fn ioctl(&self, _command: u32, _argument: u64) -> Result<u64> {
        Err(Errno::ENOTTY)
    }

    /// The page to map, as [`crate::mm::Pages::page`].
    ///
    /// # Errors
    ///
    /// ENODEV if it cannot be mapped, EFAULT past its end, ENOMEM.
    fn page(&self, _index: u64, _write: bool) -> Result<Page> {
        Err(Errno::ENODEV)
    }

    /// Whether it can be mapped.
    fn is_mappable(&self) -> bool {
        false
    }

    /// Notes that there is one more shared mapping through which it can be written, or one less.
    fn note_writable_mapping(&self, _more: bool) {}

    /// Cuts or extends it.
    ///
    /// # Errors
    ///
    /// EINVAL if that cannot be, EFBIG, EPERM if it is sealed.
    fn truncate(&self, _size: u64) -> Result<()> {
        Err(Errno::EINVAL)
    }

    /// Reserves, or with `mode` (FALLOC_FL_*) frees or zeros a range.
    ///
    /// # Errors
    ///
    /// ENODEV if it has no ranges, EOPNOTSUPP, ENOSPC, EFBIG.
    fn allocate(&self, _mode: u32, _offset: u64, _len: u64) -> Result<()> {
        Err(Errno::ENODEV)
    }

    /// Reads a directory: calls `each` for entries from `from` on until it says false.
    ///
    /// # Errors
    ///
    /// ENOTDIR if it is none, EIO.
    fn entries(&self, _from: u64, _each: &mut dyn FnMut(&DirEntry<'_>) -> bool) -> Result<()> {
        Err(Errno::ENOTDIR)
    }

    /// Another open file on the same object, when it is opened through `/proc/self/fd`.
    ///
    /// # Errors
    ///
    /// ENXIO if that cannot be (a socket).
    fn reopen(self: Arc<Self>, _flags: u32) -> Result<Arc<dyn File>> {
        Err(Errno::ENXIO)
    }

    /// What `/proc/self/fd` calls it, where it has no path.
    fn name(&self) -> Vec<u8> {
        b"anon_inode:[file]".to_vec()
    }

    /// What `/proc/self/fdinfo` says of it beside its position and flags: whole lines.
    fn details(&self) -> String {
        String::new()
    }

    /// The seals of a file in memory (F_SEAL_*), after adding some.
    ///
    /// # Errors
    ///
    /// EINVAL if it cannot be sealed, EPERM if it may not be any more, EBUSY if it is to be sealed
    /// against writing while it can be written through a mapping.
    fn seal(&self, _add: u32) -> Result<u32> {
        Err(Errno::EINVAL)
    }
}
