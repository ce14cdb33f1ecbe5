//! Frames of RAM: who has which, and how many share one.
//!
//! Single frames are taken from the bottom of RAM, blocks of 2 MiB from the top, until the two
//! meet; what is given back goes to a free list of its size. A frame that was never used is still
//! zero and untouched, so taking it costs the host nothing. The table of frames lies at the start
//! of free RAM and is itself touched only where frames are used.
#![allow(unsafe_code)]

use core::mem::ManuallyDrop;
use core::ops::Range;

use unicell_guest_abi::boot::BootInfo;
use unicell_guest_abi::layout::{DIRECT_MAP, HUGE_PAGE_SIZE, PAGE_SIZE, RAM_MAX};

use crate::device::platform;
use crate::errno::{Errno, Result};
use crate::sync::Mutex;

const HUGE_FRAMES: u64 = HUGE_PAGE_SIZE / PAGE_SIZE;
const NONE: u32 = u32::MAX;
/// Frames before the table of frames: what the kernel takes first lies together, where the VMM has
/// made memory present, however long the table is.
const BEFORE_TABLE: u64 = 112;

/// What is known of one frame.
#[derive(Clone, Copy)]
#[repr(C)]
struct Info {
    /// Owners; 0 if free or never used.
    references: u32,
    /// The next of its free list.
    next: u32,
}

struct Frames {
    /// Guest-physical address of the table of [`Info`].
    table: u64,
    /// Frames that single ones and runs are taken from.
    low: Range<u64>,
    /// Whether those are known to be zero: true until a used block is broken up.
    low_is_zero: bool,
    /// Frames that nobody has touched yet.
    fresh: Range<u64>,
    free: u32,
    free_huge: u32,
    total: u64,
    used: u64,
}

static FRAMES: Mutex<Frames> = Mutex::new(Frames {
    table: 0,
    low: 0..0,
    low_is_zero: true,
    fresh: 0..0,
    free: NONE,
    free_huge: NONE,
    total: 0,
    used: 0,
});

/// Where the kernel sees a guest-physical address of RAM.
pub(super) fn pointer(gpa: u64) -> *mut u8 {
    debug_assert!(gpa < RAM_MAX);
    (DIRECT_MAP + gpa) as *mut u8
}

/// Takes over all free RAM. Called once, before anything is allocated.
pub fn init(boot: &BootInfo) {
    let frames = boot.ram_size / PAGE_SIZE;
    let table_pages = (frames * size_of::<Info>() as u64).div_ceil(PAGE_SIZE);
    let first = boot.free_start / PAGE_SIZE;
    let table = (first + BEFORE_TABLE).min(frames - table_pages);
    let mut all = FRAMES.lock();
    all.table = table * PAGE_SIZE;
    all.low = first..table;
    all.fresh = table + table_pages..frames;
    all.total = frames;
    all.used = first + table_pages;
}

/// Frames in all, and frames in use.
pub fn usage() -> (u64, u64) {
    let all = FRAMES.lock();
    (all.total, all.used)
}

impl Frames {
    fn info(&mut self, frame: u64) -> &mut Info {
        debug_assert!(frame < self.total);
        let address = self.table + frame * size_of::<Info>() as u64;
        // SAFETY: the table has an entry for each frame of RAM and belongs to this value alone;
        // all-zero bytes, as fresh RAM has, are a valid entry.
        unsafe { &mut *pointer(address).cast::<Info>() }
    }

    fn pop(&mut self, huge: bool) -> Option<u64> {
        let head = if huge { self.free_huge } else { self.free };
        if head == NONE {
            return None;
        }
        let next = self.info(u64::from(head)).next;
        *(if huge {
            &mut self.free_huge
        } else {
            &mut self.free
        }) = next;
        Some(u64::from(head))
    }

    fn push(&mut self, frame: u64, huge: bool) {
        let head = if huge { self.free_huge } else { self.free };
        *self.info(frame) = Info {
            references: 0,
            next: head,
        };
        *(if huge {
            &mut self.free_huge
        } else {
            &mut self.free
        }) = frame as u32;
    }

    fn count(&mut self, taken: i64) {
        self.used = self.used.wrapping_add_signed(taken);
        let used = self.used;
        platform::count(|counters| {
            counters.pages_used = used;
            counters.pages_peak = counters.pages_peak.max(used);
        });
    }

    /// Makes `low` hold frames again: a block's worth of fresh ones, or a used block.
    fn refill(&mut self) -> Option<()> {
        if self.fresh.is_empty() {
            let block = self.pop(true)?;
            (self.low, self.low_is_zero) = (block..block + HUGE_FRAMES, false);
        } else {
            let boundary = (self.fresh.start + 1).next_multiple_of(HUGE_FRAMES);
            let end = boundary.min(self.fresh.end);
            (self.low, self.low_is_zero) = (self.fresh.start..end, true);
            self.fresh.start = end;
        }
        Some(())
    }

    /// A single frame and whether it is known to be zero.
    fn take(&mut self) -> Option<(u64, bool)> {
        let taken = if let Some(frame) = self.pop(false) {
            (frame, false)
        } else {
            if self.low.is_empty() {
                self.refill()?;
            }
            (self.low.next()?, self.low_is_zero)
        };
        self.count(1);
        Some(taken)
    }

    /// A block of 2 MiB, aligned, and whether it is known to be zero.
    fn take_huge(&mut self) -> Option<(u64, bool)> {
        let taken = if let Some(block) = self.pop(true) {
            (block, false)
        } else {
            // RAM is whole blocks, so that the last of the fresh ones is aligned, if it is whole.
            let block = self.fresh.end.checked_sub(HUGE_FRAMES)?;
            if block < self.fresh.start {
                return None;
            }
            self.fresh.end = block;
            (block, true)
        };
        self.count(HUGE_FRAMES as i64);
        Some(taken)
    }

    /// Frames in a row, for the kernel's heap. Not counted by reference.
    fn take_run(&mut self, count: u64) -> Option<u64> {
        let fresh = self.fresh.end - self.fresh.start;
        if count > HUGE_FRAMES {
            // Longer than what `low` can ever hold.
            let start = self.fresh.start;
            self.fresh.start = (fresh >= count).then_some(start + count)?;
            self.count(count as i64);
            return Some(start);
        }
        while self.low.end - self.low.start < count {
            let rest = core::mem::take(&mut self.low);
            if self.refill().is_none() {
                self.low = rest;
                return None;
            }
            for frame in rest {
                self.push(frame, false);
            }
        }
        let run = self.low.start;
        self.low.start += count;
        self.count(count as i64);
        Some(run)
    }
}

/// `count` frames in a row, by guest-physical address; their content is undefined.
#[cfg(feature = "image")]
pub(super) fn take_run(count: u64) -> Option<u64> {
    FRAMES.lock().take_run(count).map(|frame| frame * PAGE_SIZE)
}

/// Gives back frames of [`take_run`].
#[cfg(feature = "image")]
pub(super) fn give_back_run(gpa: u64, count: u64) {
    let mut all = FRAMES.lock();
    for frame in gpa / PAGE_SIZE..gpa / PAGE_SIZE + count {
        all.push(frame, false);
    }
    all.count(-(count as i64));
}

/// One frame of RAM (4 KiB), or one block (2 MiB), with one reference. Clones share it; it is free
/// again when the last is dropped.
pub struct Frame {
    number: u32,
    huge: bool,
}

impl Frame {
    /// A frame with undefined content.
    ///
    /// # Errors
    ///
    /// ENOMEM if no frame is left.
    pub fn uninitialised() -> Result<Self> {
        Self::take(false).map(|(frame, _)| frame)
    }

    /// A frame of zeros.
    ///
    /// # Errors
    ///
    /// ENOMEM if no frame is left.
    pub fn zeroed() -> Result<Self> {
        let (frame, zero) = Self::take(false)?;
        if !zero {
            frame.clear();
        }
        Ok(frame)
    }

    /// A block of 2 MiB of zeros.
    ///
    /// # Errors
    ///
    /// ENOMEM if no whole block is left.
    pub fn huge_zeroed() -> Result<Self> {
        let (frame, zero) = Self::take(true)?;
        if !zero {
            frame.clear();
        }
        Ok(frame)
    }

    fn take(huge: bool) -> Result<(Self, bool)> {
        let mut all = FRAMES.lock();
        let taken = if huge { all.take_huge() } else { all.take() };
        let (number, zero) = taken.ok_or(Errno::ENOMEM)?;
        all.info(number).references = 1;
        Ok((
            Self {
                number: number as u32,
                huge,
            },
            zero,
        ))
    }

    /// Guest-physical address.
    #[must_use]
    pub fn address(&self) -> u64 {
        u64::from(self.number) * PAGE_SIZE
    }

    /// Size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        (if self.huge { HUGE_PAGE_SIZE } else { PAGE_SIZE }) as usize
    }

    /// Whether nobody else has this frame.
    #[must_use]
    pub fn is_sole(&self) -> bool {
        FRAMES.lock().info(u64::from(self.number)).references == 1
    }

    fn bytes(&self) -> *mut u8 {
        pointer(self.address())
    }

    fn clear(&self) {
        // SAFETY: the frame is this value's, and `size` bytes long.
        unsafe { self.bytes().write_bytes(0, self.size()) }
    }

    /// Reads bytes, which must lie within the frame.
    pub fn read(&self, offset: usize, into: &mut [u8]) {
        assert!(offset + into.len() <= self.size());
        // SAFETY: in bounds; no reference to a frame's content is ever made.
        unsafe {
            self.bytes()
                .add(offset)
                .copy_to_nonoverlapping(into.as_mut_ptr(), into.len());
        }
    }

    /// Writes bytes, which must lie within the frame.
    pub fn write(&self, offset: usize, from: &[u8]) {
        assert!(offset + from.len() <= self.size());
        // SAFETY: in bounds; no reference to a frame's content is ever made.
        unsafe {
            self.bytes()
                .add(offset)
                .copy_from_nonoverlapping(from.as_ptr(), from.len());
        }
    }

    /// Zeros bytes, which must lie within the frame.
    pub fn zero(&self, offset: usize, len: usize) {
        assert!(offset + len <= self.size());
        // SAFETY: in bounds; no reference to a frame's content is ever made.
        unsafe { self.bytes().add(offset).write_bytes(0, len) }
    }

    /// Copies the whole content of another frame of the same size.
    pub fn copy_from(&self, other: &Self) {
        assert_eq!(self.size(), other.size());
        // SAFETY: both are whole frames, and different ones or the same, which `copy` allows.
        unsafe { self.bytes().copy_from(other.bytes(), self.size()) }
    }

    /// The address, with the reference handed to whoever keeps it (a page-table entry).
    pub(super) fn into_raw(self) -> u64 {
        ManuallyDrop::new(self).address()
    }

    /// Takes a reference back from [`Frame::into_raw`].
    pub(super) fn from_raw(address: u64, huge: bool) -> Self {
        Self {
            number: (address / PAGE_SIZE) as u32,
            huge,
        }
    }

    /// Turns a block with one owner into 512 frames, each with one reference.
    pub(super) fn break_up(self) -> impl Iterator<Item = Self> {
        assert!(self.huge && self.is_sole());
        let first = ManuallyDrop::new(self).number;
        (first..first + HUGE_FRAMES as u32).map(|number| {
            FRAMES.lock().info(u64::from(number)).references = 1;
            Self {
                number,
                huge: false,
            }
        })
    }
}

impl Clone for Frame {
    fn clone(&self) -> Self {
        FRAMES.lock().info(u64::from(self.number)).references += 1;
        Self {
            number: self.number,
            huge: self.huge,
        }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        let mut all = FRAMES.lock();
        let info = all.info(u64::from(self.number));
        info.references -= 1;
        if info.references == 0 {
            all.push(u64::from(self.number), self.huge);
            all.count(if self.huge { -(HUGE_FRAMES as i64) } else { -1 });
        }
    }
}
