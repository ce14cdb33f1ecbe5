//! Shared state on one vCPU: a lock that is never waited for.
//!
//! The kernel is never preempted and runs on one vCPU, so a lock can only be found held by a
//! thread that went to sleep with it, which is a bug; it panics. With several vCPUs this type
//! becomes a spin lock and its users stay as they are.
#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, Ordering};

/// A value that one piece of kernel code uses at a time. Never hold a guard across a sleep.
#[derive(Default)]
pub struct Mutex<T: ?Sized> {
    held: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `held` lets one guard exist at a time.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}
// SAFETY: the mutex owns its value.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}

impl<T> Mutex<T> {
    /// A lock around `value`.
    pub const fn new(value: T) -> Self {
        Self {
            held: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }
}

#[cfg(feature = "image")]
#[track_caller]
fn contended() {
    panic!("a lock is held across a sleep");
}

/// Unit tests on the host share statics between threads; there it is a spin lock.
#[cfg(not(feature = "image"))]
fn contended() {
    core::hint::spin_loop();
}

impl<T: ?Sized> Mutex<T> {
    /// The value, for as long as the guard lives.
    #[track_caller]
    pub fn lock(&self) -> Guard<'_, T> {
        while self.held.swap(true, Ordering::Acquire) {
            contended();
        }
        Guard { mutex: self }
    }

    /// The value, without locking: nobody else has the mutex.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

/// Access to the value of a [`Mutex`].
pub struct Guard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
}

impl<T: ?Sized> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: this guard is the only one while it lives.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T: ?Sized> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this guard is the only one while it lives.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T: ?Sized> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.mutex.held.store(false, Ordering::Release);
    }
}
