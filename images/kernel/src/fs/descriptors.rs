//! The descriptors of a process.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use super::lock;
use super::open_file::OpenFile;
use crate::errno::{Errno, Result};
use crate::sync::Mutex;

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

#[derive(Clone)]
struct Slot {
    file: Arc<OpenFile>,
    close_on_exec: bool,
}

#[derive(Clone, Default)]
struct Slots {
    slots: Vec<Option<Slot>>,
    /// No descriptor below is free.
    first_free: usize,
}

/// A table of descriptors. Threads share one; a fork has a copy.
pub struct FdTable {
    slots: Mutex<Slots>,
    /// Who holds record locks that were taken through it.
    id: u64,
}

impl Slots {
    fn slot(&mut self, fd: i32) -> Result<&mut Slot> {
        let slot = usize::try_from(fd)
            .ok()
            .and_then(|fd| self.slots.get_mut(fd));
        slot.and_then(Option::as_mut).ok_or(Errno::EBADF)
    }

    /// The lowest free descriptor from `from` on.
    fn free(&self, from: usize) -> usize {
        let from = from.max(self.first_free);
        let tail = self.slots.get(from..).unwrap_or_default();
        let used = tail.iter().position(Option::is_none);
        used.map_or(from.max(self.slots.len()), |used| from + used)
    }

    fn put(&mut self, fd: usize, slot: Slot) -> Option<Slot> {
        if self.slots.len() <= fd {
            self.slots.resize(fd + 1, None);
        }
        if fd == self.first_free {
            self.first_free += 1;
        }
        self.slots[fd].replace(slot)
    }

    fn take(&mut self, fd: usize) -> Option<Slot> {
        let taken = self.slots.get_mut(fd)?.take()?;
        self.first_free = self.first_free.min(fd);
        Some(taken)
    }
}

impl FdTable {
    /// A table without descriptors.
    #[must_use]
    pub fn empty() -> Self {
        Self::of(Slots::default())
    }

    fn of(slots: Slots) -> Self {
        Self {
            slots: Mutex::new(slots),
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// A copy, as a fork gets it. Record locks are not inherited.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::of(self.slots.lock().clone())
    }

    /// Gives a file the lowest free descriptor, below `limit`.
    ///
    /// # Errors
    ///
    /// EMFILE if none is free.
    pub fn install(&self, file: Arc<OpenFile>, close_on_exec: bool, limit: u64) -> Result<u32> {
        self.install_from(0, file, close_on_exec, limit)
    }

    /// Gives a file the lowest free descriptor from `from` on, below `limit`.
    ///
    /// # Errors
    ///
    /// EMFILE if none is free.
    pub fn install_from(
        &self,
        from: usize,
        file: Arc<OpenFile>,
        close_on_exec: bool,
        limit: u64,
    ) -> Result<u32> {
        let mut slots = self.slots.lock();
        let fd = slots.free(from);
        if fd as u64 >= limit {
            // Dropping a file may do a lot, none of it under the lock.
            drop(slots);
            return Err(Errno::EMFILE);
        }
        slots.put(
            fd,
            Slot {
                file,
                close_on_exec,
            },
        );
        Ok(fd as u32)
    }

    /// Gives a file this descriptor, closing what has it.
    ///
    /// # Errors
    ///
    /// EBADF if the descriptor is not below `limit`.
    pub fn replace(
        &self,
        fd: i32,
        file: Arc<OpenFile>,
        close_on_exec: bool,
        limit: u64,
    ) -> Result<()> {
        let fd = usize::try_from(fd)
            .ok()
            .filter(|fd| (*fd as u64) < limit)
            .ok_or(Errno::EBADF)?;
        let old = self.slots.lock().put(
            fd,
            Slot {
                file,
                close_on_exec,
            },
        );
        self.closed(old);
        Ok(())
    }

    /// The file with this descriptor.
    ///
    /// # Errors
    ///
    /// EBADF.
    pub fn get(&self, fd: i32) -> Result<Arc<OpenFile>> {
        Ok(self.slots.lock().slot(fd)?.file.clone())
    }

    /// Closes a descriptor.
    ///
    /// # Errors
    ///
    /// EBADF.
    pub fn close(&self, fd: i32) -> Result<()> {
        let index = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        let slot = self.slots.lock().take(index).ok_or(Errno::EBADF)?;
        self.closed(Some(slot));
        Ok(())
    }

    /// Whether the descriptor is closed by exec.
    ///
    /// # Errors
    ///
    /// EBADF.
    pub fn is_close_on_exec(&self, fd: i32) -> Result<bool> {
        Ok(self.slots.lock().slot(fd)?.close_on_exec)
    }

    /// Says whether the descriptor is closed by exec.
    ///
    /// # Errors
    ///
    /// EBADF.
    pub fn set_close_on_exec(&self, fd: i32, close_on_exec: bool) -> Result<()> {
        self.slots.lock().slot(fd)?.close_on_exec = close_on_exec;
        Ok(())
    }

    /// Closes the descriptors that exec closes.
    pub fn close_on_exec(&self) {
        self.close_if(0, usize::MAX, |slot| slot.close_on_exec);
    }

    /// Closes all descriptors from `first` to `last`.
    pub fn close_range(&self, first: usize, last: usize) {
        self.close_if(first, last, |_| true);
    }

    /// Lets exec close all descriptors from `first` to `last`.
    pub fn set_close_on_exec_range(&self, first: usize, last: usize) {
        let mut slots = self.slots.lock();
        let end = slots.slots.len().min(last.saturating_add(1));
        for slot in slots
            .slots
            .get_mut(first..end)
            .into_iter()
            .flatten()
            .flatten()
        {
            slot.close_on_exec = true;
        }
    }

    fn close_if(&self, first: usize, last: usize, which: impl Fn(&Slot) -> bool) {
        let mut gone = Vec::new();
        {
            let mut slots = self.slots.lock();
            let end = slots.slots.len().min(last.saturating_add(1));
            for fd in first..end {
                if slots.slots[fd].as_ref().is_some_and(&which) {
                    gone.extend(slots.take(fd));
                }
            }
        }
        for slot in gone {
            self.closed(Some(slot));
        }
    }

    /// The descriptors in use.
    #[must_use]
    pub fn list(&self) -> Vec<u32> {
        let slots = self.slots.lock();
        let used = slots
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| slot.is_some());
        used.map(|(fd, _)| fd as u32).collect()
    }

    /// How many descriptors the table has room for now, as Linux would make it: select looks no
    /// further.
    #[must_use]
    pub fn room(&self) -> usize {
        match self.slots.lock().slots.len() {
            0..=64 => 64,
            used => used.div_ceil(128).next_power_of_two() * 128,
        }
    }

    /// Who holds record locks that are taken through this table.
    #[must_use]
    pub fn lock_owner(&self) -> lock::Owner {
        lock::Owner::of_table(self.id)
    }

    /// Closing any descriptor of a file gives up the record locks on it, as POSIX has it.
    fn closed(&self, slot: Option<Slot>) {
        let Some(slot) = slot else {
            return;
        };
        slot.file.file().descriptor_closed();
        if lock::any()
            && let Some(location) = slot.file.location()
        {
            lock::release(self.lock_owner(), Some(location.inode.identity()));
        }
    }
}

impl Drop for FdTable {
    fn drop(&mut self) {
        if lock::any() {
            lock::release(self.lock_owner(), None);
        }
    }
}
