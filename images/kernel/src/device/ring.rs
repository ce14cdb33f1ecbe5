//! The driver's side of a virtqueue: split ring, event index, rings where the guest ABI puts them.
//!
//! Descriptor `2n` and `2n + 1` belong to slot `n`, so that a chain is a slot number and nothing
//! has to be searched.
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
    /// News of what the device finishes is asked for.
    wanted: bool,
}

impl Ring {
    /// The driver of a queue that the VMM has handed over running.
    pub(super) const fn new(queue: usize) -> Self {
        Self {
            queue,
            added: 0,
            seen: 0,
            wanted: false,
        }
    }

    fn at<T>(&self, offset: u64) -> *mut T {
        (DIRECT_MAP + ring_gpa(self.queue) + offset) as *mut T
    }

    fn word(&self, offset: u64) -> &AtomicU16 {
        // SAFETY: the rings are mapped for ever and aligned; both sides access this word at once.
        unsafe { &*self.at::<AtomicU16>(offset) }
    }

    /// Hands the chain of a slot to the device, one piece or two. The slot is not in use.
    pub(super) fn add(&mut self, slot: u16, readable: &[Piece], writable: &[Piece]) {
        let count = readable.len() + writable.len();
        debug_assert!((1..=2).contains(&count));
        if self.added == 0 {
            self.ask();
        }
        let readable = readable.iter().map(|piece| (piece, 0));
        let pieces = readable.chain(writable.iter().map(|piece| (piece, WRITE)));
        for (at, (&(address, len), flags)) in (1..).zip(pieces).take(2) {
            let index = 2 * slot + at - 1;
            let chained = if usize::from(at) < count { NEXT } else { 0 };
            let descriptor = Descriptor {
                address,
                len,
                flags: flags | chained,
                next: index + 1,
            };
            // SAFETY: `index` is in the table; the device does not look at it before it is added.
            unsafe {
                self.at::<Descriptor>(0)
                    .add(index.into())
                    .write_volatile(descriptor);
            }
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
        // Also where news is asked for: the device interrupts a guest that seems not to have seen it.
        self.ask();
        // SAFETY: in the ring, which the device has finished writing there.
        let (id, len) = unsafe { self.at::<(u32, u32)>(entry).read_volatile() };
        Some(((id as u16 / 2).min(SLOTS - 1), len))
    }

    /// Asks to be told when the device finishes its next chain, or not to be. Returns whether it
    /// has already finished one.
    pub(super) fn want_news(&mut self, wanted: bool) -> bool {
        self.wanted = wanted;
        self.ask();
        fence(Ordering::SeqCst);
        self.word(USED_OFFSET + 2).load(Ordering::Relaxed) != self.seen
    }

    /// Sets the event index: the next chain, or one that is never reached, since half of all numbers
    /// lie before it.
    fn ask(&self) {
        const NEVER: u16 = 1 << 15;
        let ahead = if self.wanted { 0 } else { NEVER };
        self.word(AVAIL_OFFSET + 4 + 2 * u64::from(QUEUE_SIZE))
            .store(self.seen.wrapping_add(ahead), Ordering::Relaxed);
    }
}
