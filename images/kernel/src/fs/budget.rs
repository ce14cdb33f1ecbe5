//! How much of memory files may take, for all file systems in memory together: half of RAM, or less
//! if the node says so.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::errno::{Errno, Result};
use crate::memory::{PAGE_SIZE, frames};

static USED: AtomicU64 = AtomicU64::new(0);
static INODES: AtomicU64 = AtomicU64::new(0);

/// What the node permits, in pages.
static PERMITTED: AtomicU64 = AtomicU64::new(u64::MAX);

/// The most pages, and the most inodes, that there may be.
#[must_use]
pub fn limit() -> u64 {
    PERMITTED.load(Ordering::Relaxed).min(frames::usage().0 / 2)
}

/// Permits no more than so many bytes.
pub fn permit(bytes: u64) {
    PERMITTED.store(bytes / PAGE_SIZE, Ordering::Relaxed);
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
