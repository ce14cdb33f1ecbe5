//! Frames of RAM: who has which, and how many share one.
//!
//! Single frames are taken from the bottom of RAM, blocks of 2 MiB from the top, until the two
//! meet; what is given back goes to the free list of its size, joined with its buddy if that is
//! free too, so that blocks and runs come back after much coming and going. A frame that was never
//! used is still zero and untouched, so taking it costs the host nothing. The table of frames lies
//! at the start of free RAM and is itself touched only where frames are used.
//!
//! The last frames are for the kernel's heap, which cannot be refused: what a program asks for is
//! refused before.
#![allow(unsafe_code)]

use core::mem::ManuallyDrop;
use core::ops::Range;

use unicell_guest_abi::boot::BootInfo;
use unicell_guest_abi::layout::{DIRECT_MAP, HUGE_PAGE_SIZE, PAGE_SIZE, RAM_MAX};

use crate::device::platform;
use crate::errno::{Errno, Result};
use crate::sync::Mutex;

const HUGE_FRAMES: u64 = HUGE_PAGE_SIZE / PAGE_SIZE;
/// Sizes of free blocks, from 2^0 frames to 2^9, which is a block of 2 MiB.
const ORDERS: usize = HUGE_FRAMES.ilog2() as usize + 1;
const HUGE_ORDER: usize = ORDERS - 1;
const NONE: u32 = u32::MAX;
/// In [`Info::references`]: the first frame of a free block, whose order is in the low bits.
const FREE: u32 = 1 << 31;
/// One frame in so many is for the kernel's heap alone.
const RESERVE: u64 = 32;
/// Frames before the table of frames: what the kernel takes first lies together, where the VMM has
/// made memory present, however long the table is.
const BEFORE_TABLE: u64 = 112;

/// What is known of one frame.
#[derive(Clone, Copy)]
#[repr(C)]
struct Info {
    /// Owners; 0 if never used or within a free block; [`FREE`] and an order.
    references: u32,
    /// Its neighbours in the free list.
    next: u32,
    previous: u32,
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
    /// The first block of each order that is free.
    free: [u32; ORDERS],
    total: u64,
    used: u64,
}

static FRAMES: Mutex<Frames> = Mutex::new(Frames {
    table: 0,
    low: 0..0,
    low_is_zero: true,
    fresh: 0..0,
    free: [NONE; ORDERS],
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

/// Whether what is left is for the kernel's heap: nothing that a program asks for may begin.
pub fn is_scarce() -> bool {
    FRAMES.lock().is_scarce()
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

    /// Takes the first free block of an order.
    fn pop(&mut self, order: usize) -> Option<u64> {
        let head = self.free[order];
        (head != NONE).then(|| {
            self.unlink(u64::from(head), order);
            u64::from(head)
        })
    }

    fn unlink(&mut self, frame: u64, order: usize) {
        let Info { next, previous, .. } = *self.info(frame);
        self.info(frame).references = 0;
        if next != NONE {
            self.info(u64::from(next)).previous = previous;
        }
        if previous == NONE {
            self.free[order] = next;
        } else {
            self.info(u64::from(previous)).next = next;
        }
    }

    /// Gives back a block, joined with its buddies as far as they are free.
    fn push(&mut self, mut frame: u64, mut order: usize) {
        while order < HUGE_ORDER {
            let buddy = frame ^ 1 << order;
            if buddy >= self.total || self.info(buddy).references != FREE | order as u32 {
                break;
            }
            self.unlink(buddy, order);
            frame &= !(1 << order);
            order += 1;
        }
        let next = self.free[order];
        *self.info(frame) = Info {
            references: FREE | order as u32,
            next,
            previous: NONE,
        };
        if next != NONE {
            self.info(u64::from(next)).previous = frame as u32;
        }
        self.free[order] = frame as u32;
    }

    /// A block of an order, cut from the smallest free one that has it, but not from 2 MiB.
    fn cut(&mut self, order: usize) -> Option<u64> {
        let mut found = (order..HUGE_ORDER).find(|found| self.free[*found] != NONE)?;
        let frame = self.pop(found)?;
        while found > order {
            found -= 1;
            self.push(frame + (1 << found), found);
        }
        Some(frame)
    }

    /// Whether a program's wish for more has to be refused.
    fn is_scarce(&self) -> bool {
        self.total - self.used <= self.total / RESERVE
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
            let block = self.pop(HUGE_ORDER)?;
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
        let taken = if let Some(frame) = self.cut(0) {
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
        let taken = if let Some(block) = self.pop(HUGE_ORDER) {
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
        let order = count.next_power_of_two().ilog2() as usize;
        if order > 0
            && let Some(start) = self.cut(order)
        {
            for frame in start + count..start + (1 << order) {
                self.push(frame, 0);
            }
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
                self.push(frame, 0);
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
pub(super) fn give_back_run(gpa: u64, count: u64) {
    let mut all = FRAMES.lock();
    for frame in gpa / PAGE_SIZE..gpa / PAGE_SIZE + count {
        all.push(frame, 0);
    }
    all.count(-(count as i64));
}

/// Frames in a row that are the kernel's own, such as a stack. Their content is undefined.
pub struct Run {
    gpa: u64,
    count: u64,
}

impl Run {
    /// So many frames.
    ///
    /// # Errors
    ///
    /// ENOMEM if there are not so many in a row.
    pub fn new(count: u64) -> Result<Self> {
        let first = FRAMES.lock().take_run(count).ok_or(Errno::ENOMEM)?;
        Ok(Self {
            gpa: first * PAGE_SIZE,
            count,
        })
    }

    /// Where the kernel sees the first.
    #[must_use]
    pub fn pointer(&self) -> *mut u8 {
        pointer(self.gpa)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        give_back_run(self.gpa, self.count);
    }
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
        if all.is_scarce() {
            return Err(Errno::ENOMEM);
        }
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
            let order = if self.huge { HUGE_ORDER } else { 0 };
            all.push(u64::from(self.number), order);
            all.count(if self.huge { -(HUGE_FRAMES as i64) } else { -1 });
        }
    }
}
