//! Who waits for one thing.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use super::scheduler;
use super::thread::Thread;
use crate::sync::Mutex;

/// Threads that sleep until something changes, in the order in which they came.
pub struct WaitQueue {
    waiters: Mutex<Vec<Arc<Thread>>>,
    generation: AtomicU64,
}

impl Default for WaitQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl WaitQueue {
    /// A queue on which nobody waits.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            waiters: Mutex::new(Vec::new()),
            generation: AtomicU64::new(0),
        }
    }

    /// How often the queue was woken: tells whether anything happened since.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Wakes everybody.
    pub fn wake_all(&self) {
        self.wake(usize::MAX);
    }

    /// Wakes the first `count`; returns how many there were.
    pub fn wake(&self, count: usize) -> usize {
        self.generation.fetch_add(1, Ordering::Relaxed);
        let mut waiters = self.waiters.lock();
        let mut woken = 0;
        waiters.retain(|thread| {
            // One that was woken by something else in the meantime does not count.
            if woken == count {
                return true;
            }
            woken += usize::from(scheduler::wake(thread));
            false
        });
        woken
    }

    /// Whether anybody waits.
    pub fn has_waiters(&self) -> bool {
        !self.waiters.lock().is_empty()
    }

    pub(super) fn add(&self, thread: &Arc<Thread>) {
        self.waiters.lock().push(thread.clone());
    }

    pub(super) fn remove(&self, thread: &Arc<Thread>) {
        self.waiters
            .lock()
            .retain(|waiter| !Arc::ptr_eq(waiter, thread));
    }
}
