//! Descriptors on their way through a Unix socket (SCM_RIGHTS).
//!
//! Sockets that lie in each other's queues would never be closed, and Linux looks for such circles.
//! Here the number of descriptors on their way is limited, as it also is there, and a circle is
//! kept until the instance ends.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::errno::{Errno, Result};
use crate::fs::OpenFile;
use crate::sync::Mutex;
use crate::task;

/// Descriptors of one message, at most (SCM_MAX_FD).
pub const RIGHTS_MAX: usize = 253;

static IN_FLIGHT: AtomicU64 = AtomicU64::new(0);

/// Open files on their way.
pub struct Rights(Vec<Arc<OpenFile>>);

impl Rights {
    /// Puts open files on their way.
    ///
    /// # Errors
    ///
    /// ETOOMANYREFS if more would be on their way than the process may have open.
    pub fn new(files: Vec<Arc<OpenFile>>) -> Result<Self> {
        let limit = task::process().limits.lock().descriptors();
        if IN_FLIGHT.load(Ordering::Relaxed) > limit {
            return Err(Errno::ETOOMANYREFS);
        }
        IN_FLIGHT.fetch_add(files.len() as u64, Ordering::Relaxed);
        Ok(Self(files))
    }

    /// The files, which also stay on their way (MSG_PEEK).
    #[must_use]
    pub fn files(&self) -> &[Arc<OpenFile>] {
        &self.0
    }

    /// The files, which have arrived.
    #[must_use]
    pub fn take(mut self) -> Vec<Arc<OpenFile>> {
        IN_FLIGHT.fetch_sub(self.0.len() as u64, Ordering::Relaxed);
        core::mem::take(&mut self.0)
    }
}

/// Files that nobody will receive, and whether somebody is at closing them.
struct Lost {
    files: Vec<Arc<OpenFile>>,
    closing: bool,
}

static LOST: Mutex<Lost> = Mutex::new(Lost {
    files: Vec::new(),
    closing: false,
});

impl Drop for Rights {
    /// Closing a socket may lose others, which lay in its queue, and these others. They are closed
    /// one after the other: such a chain can be deeper than the stack.
    fn drop(&mut self) {
        if self.0.is_empty() {
            return;
        }
        IN_FLIGHT.fetch_sub(self.0.len() as u64, Ordering::Relaxed);
        {
            let mut lost = LOST.lock();
            lost.files.append(&mut self.0);
            if core::mem::replace(&mut lost.closing, true) {
                return;
            }
        }
        loop {
            let file = {
                let mut lost = LOST.lock();
                let file = lost.files.pop();
                lost.closing = file.is_some();
                file
            };
            match file {
                Some(file) => drop(file),
                None => return,
            }
        }
    }
}
