//! What can be mapped: files, and memory that processes share.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::errno::{Errno, Result};
use crate::memory::{Frame, PAGE_SIZE, Page};
use crate::sync::Mutex;

/// Something with pages.
pub trait Pages: Send + Sync {
    /// The page with this number, to be read, or written too if `write` (then it is the one page
    /// that everybody who maps the object sees).
    ///
    /// # Errors
    ///
    /// EFAULT past the end (a program gets SIGBUS), ENOMEM.
    fn page(&self, index: u64, write: bool) -> Result<Page>;

    /// Whether there is a page with this number, so that touching it brings in nothing new.
    fn is_resident(&self, _index: u64) -> bool {
        false
    }

    /// Whether a shared mapping of it may be written, now or after mprotect(2).
    fn may_be_written(&self) -> bool {
        true
    }

    /// Makes a range of bytes zeros, for everybody (MADV_REMOVE).
    ///
    /// # Errors
    ///
    /// EOPNOTSUPP if that cannot be, and what the file says.
    fn punch(&self, _offset: u64, _len: u64) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    /// What `/proc/self/maps` shows.
    fn name(&self) -> Vec<u8>;

    /// Device and inode number, for `/proc/self/maps`.
    fn identity(&self) -> (u64, u64) {
        (0, 0)
    }
}

/// Shared memory without a file: zeros, allocated as they are touched.
#[derive(Default)]
pub struct AnonymousPages {
    frames: Mutex<BTreeMap<u64, Frame>>,
}

impl AnonymousPages {
    /// How many there are so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.frames.lock().len()
    }
}

impl Pages for AnonymousPages {
    fn page(&self, index: u64, _: bool) -> Result<Page> {
        let mut frames = self.frames.lock();
        if let Some(frame) = frames.get(&index) {
            return Ok(Page::Ram(frame.clone()));
        }
        let frame = Frame::zeroed()?;
        frames.insert(index, frame.clone());
        Ok(Page::Ram(frame))
    }

    fn is_resident(&self, index: u64) -> bool {
        self.frames.lock().contains_key(&index)
    }

    fn punch(&self, offset: u64, len: u64) -> Result<()> {
        // They stay, as others map them.
        let (first, last) = (offset / PAGE_SIZE, (offset + len) / PAGE_SIZE);
        for frame in self
            .frames
            .lock()
            .range(first..last)
            .map(|(_, frame)| frame)
        {
            frame.zero(0, PAGE_SIZE as usize);
        }
        Ok(())
    }

    fn name(&self) -> Vec<u8> {
        b"/dev/zero (deleted)".to_vec()
    }
}
