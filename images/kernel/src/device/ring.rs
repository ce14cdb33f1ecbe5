//! The driver's side of a virtqueue: split ring, event index, rings where the guest ABI puts them.
//!
//! Descriptor `2n` and `2n + 1` belong to slot `n`, so that a chain is a slot number and nothing
//! has to be searched: the first is readable by the device, the second writable, either may be
//! absent.
#![allow(unsafe_code)]

use core::arch::asm;
use core::sync::atomic::{AtomicU16, Ordering, fence};

use unicell_guest_abi::device::{AVAIL_OFFSET, QUEUE_NOTIFY, QUEUE_SIZE, USED_OFFSET, ring_gpa};
use unicell_guest_abi::layout::{DEVICE_VA, DIRECT_MAP};

/// Chains that a queue can hold.
pub(super) const SLOTS: u16 = QUEUE_SIZE / 2;

const NEXT: u16 = 1;
const WRITE: u16 = 2;

#[repr(C)]
struct Descriptor {
    address: u64,
    len: u32,
    flags: u16,
    next: u16,
}

/// A piece of RAM for the device: guest-physical address and bytes.
pub(super) type Piece = (u64, u32);

/// One queue.
pub(super) struct Ring {
    queue: usize,
    added: u16,
    seen: u16,
}

impl Ring {
    /// The driver of a queue that the VMM has handed over running.
    pub(super) const fn new(queue: usize) -> Self {
        Self {
            queue,
            added: 0,
            seen: 0,
        }
    }

    fn at<T>(&self, offset: u64) -> *mut T {
        (DIRECT_MAP + ring_gpa(self.queue) + offset) as *mut T
    }

    fn word(&self, offset: u64) -> &AtomicU16 {
        // SAFETY: the rings are mapped for ever and aligned; both sides access this word at once.
        unsafe { &*self.at::<AtomicU16>(offset) }
    }

    /// Hands the chain of a slot to the device. The slot is not in use.
    pub(super) fn add(&mut self, slot: u16, readable: Option<Piece>, writable: Option<Piece>) {
        let chained = readable.is_some() && writable.is_some();
        let write = |index: u16, (address, len): Piece, flags: u16| {
            let descriptor = Descriptor {
                address,
                len,
                flags,
                next: index + 1,
            };
            // SAFETY: `index` is in the table; the device does not look at it before it is added.
            unsafe {
                self.at::<Descriptor>(0)
                    .add(index.into())
                    .write_volatile(descriptor);
            }
        };
        if let Some(piece) = readable {
            write(2 * slot, piece, if chained { NEXT } else { 0 });
        }
        if let Some(piece) = writable {
            write(2 * slot + u16::from(chained), piece, WRITE);
        }
        let entry = AVAIL_OFFSET + 4 + 2 * u64::from(self.added % QUEUE_SIZE);
        self.word(entry).store(2 * slot, Ordering::Relaxed);
        self.added = self.added.wrapping_add(1);
        self.word(AVAIL_OFFSET + 2)
            .store(self.added, Ordering::Release);
    }

    /// Rings the doorbell if the device asked for it, given how many chains were added since it
    /// was last rung.
    pub(super) fn kick(&self, added: u16) {
        fence(Ordering::SeqCst);
        let event = self
            .word(USED_OFFSET + 4 + 8 * u64::from(QUEUE_SIZE))
            .load(Ordering::Relaxed);
        if self.added.wrapping_sub(event).wrapping_sub(1) < added {
            // SAFETY: the VMM maps the register's page; a plain 4-byte `mov`, as every host needs.
            unsafe {
                asm!("mov [{}], {:e}", in(reg) DEVICE_VA + QUEUE_NOTIFY, in(reg) self.queue as u32,
                    options(nostack, preserves_flags));
            }
        }
    }

    /// The next chain that the device has finished: slot, and bytes written.
    pub(super) fn take_used(&mut self) -> Option<(u16, u32)> {
        if self.word(USED_OFFSET + 2).load(Ordering::Acquire) == self.seen {
            return None;
        }
        let entry = USED_OFFSET + 4 + 8 * u64::from(self.seen % QUEUE_SIZE);
        self.seen = self.seen.wrapping_add(1);
        // SAFETY: in the ring, which the device has finished writing there.
        let (id, len) = unsafe { self.at::<(u32, u32)>(entry).read_volatile() };
        Some(((id as u16 / 2).min(SLOTS - 1), len))
    }

    /// Asks to be told when the device finishes its next chain, or not to be. Returns whether it
    /// has already finished one.
    pub(super) fn want_news(&self, wanted: bool) -> bool {
        // Half the ring's numbers away is never reached.
        let event = if wanted {
            self.seen
        } else {
            self.seen.wrapping_sub(1)
        };
        self.word(AVAIL_OFFSET + 4 + 2 * u64::from(QUEUE_SIZE))
            .store(event, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.word(USED_OFFSET + 2).load(Ordering::Relaxed) != self.seen
    }
}
