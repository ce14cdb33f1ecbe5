//! How much of memory files may take: half of RAM, for all file systems in memory together.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::errno::{Errno, Result};
use crate::memory::frames;

static USED: AtomicU64 = AtomicU64::new(0);
static INODES: AtomicU64 = AtomicU64::new(0);

/// The most pages, and the most inodes, that there may be.
#[must_use]
pub fn limit() -> u64 {
    frames::usage().0 / 2
}

/// Pages in use.
#[must_use]
pub fn pages() -> u64 {
    USED.load(Ordering::Relaxed)
}

/// Inodes in use.
#[must_use]
pub fn inodes() -> u64 {
    INODES.load(Ordering::Relaxed)
}

/// Takes a page.
///
/// # Errors
///
/// ENOSPC if no more may be taken.
pub fn take_page() -> Result<()> {
    take(&USED, limit())
}

/// Gives pages back.
pub fn give_pages(count: u64) {
    USED.fetch_sub(count, Ordering::Relaxed);
}

/// Takes an inode.
///
/// # Errors
///
/// ENOSPC if no more may be taken.
pub fn take_inode() -> Result<()> {
    // On the host, where tests run, there are no frames to count.
    take(&INODES, if cfg!(test) { u64::MAX } else { limit() })
}

/// Gives an inode back.
pub fn give_inode() {
    INODES.fetch_sub(1, Ordering::Relaxed);
}

fn take(count: &AtomicU64, limit: u64) -> Result<()> {
    if count.load(Ordering::Relaxed) >= limit {
        return Err(Errno::ENOSPC);
    }
    count.fetch_add(1, Ordering::Relaxed);
    Ok(())
}
