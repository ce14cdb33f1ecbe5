//! What can be mapped: files, and memory that processes share.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::errno::Result;
use crate::memory::{Frame, Page};
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

    /// Whether a shared mapping of it may be written, now or after mprotect(2).
    fn may_be_written(&self) -> bool {
        true
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

    fn name(&self) -> Vec<u8> {
        b"/dev/zero (deleted)".to_vec()
    }
}
