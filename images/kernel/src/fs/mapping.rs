//! What is mapped of an open file: its pages, as an address space asks for them.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use super::open_file::OpenFile;
use crate::errno::{Errno, Result};
use crate::memory::{PAGE_SIZE, Page};
use crate::mm::Pages;

impl OpenFile {
    /// What is mapped of it, shared or not, to be written or not.
    ///
    /// # Errors
    ///
    /// EBADF, EACCES if it was not opened for that, EPERM if a seal forbids it, ENODEV if it cannot
    /// be mapped at all.
    pub fn map(self: &Arc<Self>, shared: bool, write: bool) -> Result<Arc<dyn Pages>> {
        if self.is_path() {
            return Err(Errno::EBADF);
        }
        if !self.is_readable() || shared && write && !self.is_writable() {
            return Err(Errno::EACCES);
        }
        if !self.file().is_mappable() {
            return Err(Errno::ENODEV);
        }
        if !shared {
            return Ok(self.clone());
        }
        let sealed = linux::F_SEAL_WRITE | linux::F_SEAL_FUTURE_WRITE;
        let is_sealed = self.file().seal(0).is_ok_and(|seals| seals & sealed != 0);
        if write && is_sealed {
            return Err(Errno::EPERM);
        }
        let writable = self.is_writable() && !is_sealed;
        Ok(Arc::new(SharedMapping::new(self.clone(), writable)))
    }
}

impl Pages for OpenFile {
    fn page(&self, index: u64, write: bool) -> Result<Page> {
        self.file().page(index, write)
    }

    fn is_resident(&self, index: u64) -> bool {
        let at = index.saturating_mul(PAGE_SIZE);
        self.file().next(at, true) == Ok(at)
    }

    fn name(&self) -> Vec<u8> {
        self.display()
    }

    fn identity(&self) -> (u64, u64) {
        let (device, ino) = self.file_identity();
        (device.into(), ino)
    }
}

/// An open file that is mapped to be shared.
struct SharedMapping {
    file: Arc<OpenFile>,
    writable: bool,
}

impl SharedMapping {
    fn new(file: Arc<OpenFile>, writable: bool) -> Self {
        if writable {
            file.file().note_writable_mapping(true);
        }
        Self { file, writable }
    }
}

impl Pages for SharedMapping {
    fn page(&self, index: u64, write: bool) -> Result<Page> {
        self.file.page(index, write)
    }

    fn is_resident(&self, index: u64) -> bool {
        self.file.is_resident(index)
    }

    fn may_be_written(&self) -> bool {
        self.writable
    }

    fn punch(&self, offset: u64, len: u64) -> Result<()> {
        let mode = linux::FALLOC_FL_PUNCH_HOLE | linux::FALLOC_FL_KEEP_SIZE;
        self.file.file().allocate(mode, offset, len)
    }

    fn name(&self) -> Vec<u8> {
        self.file.display()
    }

    fn identity(&self) -> (u64, u64) {
        self.file.identity()
    }
}

impl Drop for SharedMapping {
    fn drop(&mut self) {
        if self.writable {
            self.file.file().note_writable_mapping(false);
        }
    }
}
