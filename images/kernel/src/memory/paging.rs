//! Page tables. Ring 3 edits them by plain stores; what must be flushed goes through the gate.
//!
//! A present entry of a program's page either holds a reference to a [`Frame`] or points into the
//! box image. Accessed and dirty are always set, so that no hardware or hypervisor has to.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};

use unicell_guest_abi::boot::BootInfo;
use unicell_guest_abi::layout::{BOX_GPA, DIRECT_MAP, HUGE_PAGE_SIZE, PAGE_SIZE, USER_END};

use super::Page;
use super::frames::{Frame, pointer};
use super::leaves::{self, Leaf};
use super::user::Access;
use crate::arch;
use crate::errno::Result;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const HUGE: u64 = 1 << 7;
/// Software: a page that is kept but may not even be read (PROT_NONE); not [`PRESENT`].
const HIDDEN: u64 = 1 << 9;
/// There is a page or a table, seen or hidden.
const FILLED: u64 = PRESENT | HIDDEN;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const TABLE: u64 = PRESENT | WRITABLE | USER | ACCESSED | DIRTY;
const ENTRIES: u64 = 512;

/// What a mapping lets the program do. Reading is always allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// It may be written.
    pub write: bool,
    /// It may be executed.
    pub execute: bool,
}

impl Rights {
    fn bits(self) -> u64 {
        let write = if self.write { WRITABLE } else { 0 };
        let execute = if self.execute { 0 } else { NO_EXECUTE };
        PRESENT | USER | ACCESSED | DIRTY | write | execute
    }
}

/// A page's entry of a page table, present or hidden.
#[derive(Clone, Copy)]
pub struct Entry(u64);

impl Entry {
    /// Whether `access` succeeds.
    #[must_use]
    pub fn permits(self, access: Access) -> bool {
        match access {
            Access::Read => self.0 & PRESENT != 0,
            Access::Write => self.0 & (PRESENT | WRITABLE) == PRESENT | WRITABLE,
            Access::Execute => self.0 & (PRESENT | NO_EXECUTE) == PRESENT,
        }
    }

    /// Whether the page is kept without being seen.
    #[must_use]
    pub fn is_hidden(self) -> bool {
        self.0 & HIDDEN != 0
    }

    /// Whether it maps 2 MiB.
    #[must_use]
    pub fn is_huge(self) -> bool {
        self.0 & HUGE != 0
    }

    /// What the program may do.
    #[must_use]
    pub fn rights(self) -> Rights {
        Rights {
            write: self.permits(Access::Write),
            execute: self.permits(Access::Execute),
        }
    }

    /// The page, with a reference of its own.
    #[must_use]
    pub fn page(self) -> Page {
        if self.is_image() {
            return Page::Image(self.0 & ADDRESS);
        }
        let frame = core::mem::ManuallyDrop::new(self.owned());
        Page::Ram((*frame).clone())
    }

    /// Whether the page is at this guest-physical address.
    #[must_use]
    pub fn is_at(self, address: u64) -> bool {
        self.0 & ADDRESS == address
    }

    /// Whether the page is RAM, not the box image.
    #[must_use]
    pub fn is_ram(self) -> bool {
        !self.is_image()
    }

    /// Whether the page is RAM that nobody else maps or keeps.
    #[must_use]
    pub fn is_sole(self) -> bool {
        !self.is_image() && core::mem::ManuallyDrop::new(self.owned()).is_sole()
    }

    fn is_image(self) -> bool {
        self.0 & ADDRESS >= BOX_GPA
    }

    fn owned(self) -> Frame {
        Frame::from_raw(self.0 & ADDRESS, self.is_huge())
    }

    /// Drops the reference that the entry held.
    fn release(self) {
        if !self.is_image() {
            drop(self.owned());
        }
    }
}

/// The root that CR3 holds.
static CURRENT: AtomicU64 = AtomicU64::new(0);
/// The root that the VMM made: it maps the kernel and no program.
static BOOT: AtomicU64 = AtomicU64::new(0);

/// Takes over the VMM's tables. Called once.
pub fn init(boot: &BootInfo) {
    CURRENT.store(boot.root_table, Ordering::Relaxed);
    BOOT.store(boot.root_table, Ordering::Relaxed);
}

fn slot(table: u64, index: u64) -> &'static AtomicU64 {
    // SAFETY: tables are frames (or the VMM's boot tables) that live as long as their root, and
    // are only ever accessed through this function.
    unsafe { &*pointer(table + index * 8).cast::<AtomicU64>() }
}

/// The slot of `address` in the page table of `root` at `level` (1 = 4 KiB pages), or a higher one
/// if the walk ends there. Returns the level reached too.
fn walk(root: u64, address: u64, level: u32) -> (&'static AtomicU64, u32) {
    let mut table = root;
    let mut at = 4;
    loop {
        let slot = slot(table, address >> (12 + 9 * (at - 1)) & (ENTRIES - 1));
        let entry = slot.load(Ordering::Relaxed);
        if at == level || entry & PRESENT == 0 || entry & HUGE != 0 {
            return (slot, at);
        }
        table = entry & ADDRESS;
        at -= 1;
    }
}

fn find(root: u64, address: u64) -> Option<(Entry, &'static AtomicU64)> {
    let (slot, level) = walk(root, address, 1);
    let entry = slot.load(Ordering::Relaxed);
    let is_page = level == 1 || entry & HUGE != 0;
    (is_page && entry & FILLED != 0).then_some((Entry(entry), slot))
}

/// Whether the running program's page at `address` permits an access as it is.
pub fn current_permits(address: u64, access: Access) -> bool {
    find(CURRENT.load(Ordering::Relaxed), address).is_some_and(|(entry, _)| entry.permits(access))
}

/// One address space: the lower half is a program's, the last entry of the root is the kernel's.
pub struct Tables {
    root: u64,
}

impl Tables {
    /// An address space with an empty lower half.
    ///
    /// # Errors
    ///
    /// ENOMEM if no frame is left.
    pub fn new() -> Result<Self> {
        let root = Frame::zeroed()?.into_raw();
        let kernel = slot(BOOT.load(Ordering::Relaxed), ENTRIES - 1).load(Ordering::Relaxed);
        slot(root, ENTRIES - 1).store(kernel, Ordering::Relaxed);
        Ok(Self { root })
    }

    /// The address space that the VMM has made, for the first process: no CR3 load is needed.
    #[must_use]
    pub fn boot() -> Self {
        Self {
            root: BOOT.load(Ordering::Relaxed),
        }
    }

    /// Makes this the address space that is seen.
    pub fn activate(&self) {
        if CURRENT.swap(self.root, Ordering::Relaxed) != self.root {
            arch::gate::load_tables(self.root);
        }
    }

    /// Leaves whatever address space is seen for one without a program, so that it can be dropped.
    pub fn deactivate() {
        let boot = BOOT.load(Ordering::Relaxed);
        if CURRENT.swap(boot, Ordering::Relaxed) != boot {
            arch::gate::load_tables(boot);
        }
    }

    /// The entry for the page at `address`.
    #[must_use]
    pub fn entry(&self, address: u64) -> Option<Entry> {
        find(self.root, address).map(|(entry, _)| entry)
    }

    /// Makes sure that there is a slot of `level` for `address`.
    fn slot_for(&mut self, address: u64, level: u32) -> Result<&'static AtomicU64> {
        loop {
            let (slot, reached) = walk(self.root, address, level);
            if reached == level {
                return Ok(slot);
            }
            if slot.load(Ordering::Relaxed) & FILLED == 0 {
                let table = Frame::zeroed()?.into_raw();
                // Written before it is read: a fresh page that is read first is mapped read-only,
                // and faults a second time when it is written.
                self::slot(table, 0).store(0, Ordering::Relaxed);
                slot.store(table | TABLE, Ordering::Relaxed);
            } else {
                break_up(slot)?;
            }
        }
    }

    /// Maps a page, in place of what was mapped. Replacing a page or narrowing its rights takes
    /// effect at the next [`flush`], or at the next fault on it.
    ///
    /// # Errors
    ///
    /// ENOMEM if a table cannot be allocated; the page is dropped then.
    pub fn map(&mut self, address: u64, page: Page, rights: Rights) -> Result<()> {
        debug_assert!(address < USER_END);
        let (level, huge) = match &page {
            Page::Ram(frame) if frame.size() == HUGE_PAGE_SIZE as usize => (2, HUGE),
            _ => (1, 0),
        };
        let slot = self.slot_for(address, level)?;
        let target = match page {
            Page::Ram(frame) => frame.into_raw(),
            Page::Image(target) => target,
        };
        let old = slot.swap(target | rights.bits() | huge, Ordering::Relaxed);
        release_slot(old, level, address);
        Ok(())
    }

    /// Whether nothing at all is mapped in the 2 MiB around `address`, not even a table.
    #[must_use]
    pub fn is_block_empty(&self, address: u64) -> bool {
        walk(self.root, address, 2).0.load(Ordering::Relaxed) & FILLED == 0
    }

    /// Fills the 2 MiB around `address` with what another space had there of the box image, where
    /// nothing at all is mapped yet. Of each page that is offered, `fits` says whether this space
    /// maps it so, with these rights.
    ///
    /// # Errors
    ///
    /// ENOMEM if a table cannot be allocated.
    pub fn adopt(&mut self, address: u64, fits: impl Fn(u64, Entry) -> bool) -> Result<()> {
        let window = address & !(HUGE_PAGE_SIZE - 1);
        let fits = |leaf: &Leaf, index| {
            let entry = slot(leaf.table.address(), index).load(Ordering::Relaxed);
            entry == 0 || fits(window + index * PAGE_SIZE, Entry(entry))
        };
        let Some(leaf) = leaves::take(window, |leaf| fits(leaf, leaf.first)) else {
            return Ok(());
        };
        let above = self.slot_for(address, 2)?;
        for index in leaf.first..ENTRIES {
            if !fits(&leaf, index) {
                slot(leaf.table.address(), index).store(0, Ordering::Relaxed);
            }
        }
        above.store(leaf.table.into_raw() | TABLE, Ordering::Relaxed);
        Ok(())
    }

    /// Changes the rights of what is mapped at `address`, a page or a block.
    pub fn set_rights(&mut self, address: u64, rights: Rights) {
        if let Some((entry, slot)) = find(self.root, address) {
            let keep = entry.0 & (ADDRESS | HUGE);
            slot.store(keep | rights.bits(), Ordering::Relaxed);
        }
    }

    /// Keeps what is mapped at `address`, a page or a block, without letting the program see it.
    pub fn hide(&mut self, address: u64) {
        if let Some((entry, slot)) = find(self.root, address) {
            slot.store(entry.0 & (ADDRESS | HUGE) | HIDDEN, Ordering::Relaxed);
        }
    }

    /// Makes sure that no block spans `address`: one that begins there may stay.
    ///
    /// # Errors
    ///
    /// As [`Tables::break_block`].
    pub fn split(&mut self, address: u64) -> Result<()> {
        if address.is_multiple_of(HUGE_PAGE_SIZE) {
            Ok(())
        } else {
            self.break_block(address)
        }
    }

    /// Breaks up the block that holds `address`, if there is one, so that its pages can be treated
    /// singly.
    ///
    /// # Errors
    ///
    /// ENOMEM if a table or a copy of a shared block cannot be allocated.
    pub fn break_block(&mut self, address: u64) -> Result<()> {
        match find(self.root, address) {
            Some((entry, slot)) if entry.is_huge() => break_up(slot),
            _ => Ok(()),
        }
    }

    /// Unmaps the page at `address` and returns it.
    pub fn take(&mut self, address: u64) -> Option<Page> {
        let (entry, slot) = find(self.root, address)?;
        slot.store(0, Ordering::Relaxed);
        Some(if entry.is_image() {
            entry.page()
        } else {
            Page::Ram(entry.owned())
        })
    }

    /// Calls `each` with the address and the entry of each page or block mapped in a range, in
    /// order, skipping what is not there without looking at each page.
    pub fn for_each(&self, start: u64, end: u64, mut each: impl FnMut(u64, Entry)) {
        let mut at = start;
        while at < end {
            let (slot, level) = walk(self.root, at, 1);
            let span = PAGE_SIZE << (9 * (level - 1));
            let entry = slot.load(Ordering::Relaxed);
            if entry & FILLED != 0 {
                each(at & !(span - 1), Entry(entry));
            }
            at = (at & !(span - 1)) + span;
        }
    }
}

/// What a slot of `level` for `address` held, and holds no more.
fn release_slot(old: u64, level: u32, address: u64) {
    if old & FILLED == 0 {
        return;
    }
    if level == 1 || old & HUGE != 0 {
        Entry(old).release();
    } else if level == 2 {
        release_leaf(old & ADDRESS, address);
    } else {
        let table = old & ADDRESS;
        for index in 0..ENTRIES {
            let entry = slot(table, index).load(Ordering::Relaxed);
            let span = PAGE_SIZE << (9 * (level - 2));
            release_slot(entry, level - 1, address + index * span);
        }
        drop(Frame::from_raw(table, false));
    }
}

/// A leaf table with something of the box image is kept for others, without the rest.
fn release_leaf(table: u64, window: u64) {
    let (table, mut first) = (Frame::from_raw(table, false), None);
    for index in 0..ENTRIES {
        let slot = slot(table.address(), index);
        let entry = slot.load(Ordering::Relaxed);
        if entry & PRESENT != 0 && Entry(entry).is_image() {
            first = first.or(Some(index));
        } else if entry != 0 {
            release_slot(entry, 1, 0);
            slot.store(0, Ordering::Relaxed);
        }
    }
    if let Some(first) = first {
        leaves::keep(Leaf {
            window,
            table,
            first,
        });
    }
}

/// Replaces a block by a table of its pages.
fn break_up(slot_of_block: &AtomicU64) -> Result<()> {
    let entry = Entry(slot_of_block.load(Ordering::Relaxed));
    let table = Frame::zeroed()?;
    let block = if entry.is_sole() {
        entry.owned()
    } else {
        let Page::Ram(shared) = entry.page() else {
            return Ok(());
        };
        let copy = Frame::huge_zeroed()?;
        copy.copy_from(&shared);
        entry.release();
        copy
    };
    let bits = entry.0 & !(ADDRESS | HUGE);
    for (index, frame) in block.break_up().enumerate() {
        slot(table.address(), index as u64).store(frame.into_raw() | bits, Ordering::Relaxed);
    }
    slot_of_block.store(table.into_raw() | TABLE, Ordering::Relaxed);
    Ok(())
}

impl Drop for Tables {
    fn drop(&mut self) {
        if CURRENT.load(Ordering::Relaxed) == self.root {
            Self::deactivate();
        }
        for index in 0..ENTRIES / 2 {
            let entry = slot(self.root, index).swap(0, Ordering::Relaxed);
            release_slot(entry, 4, index << 39);
        }
        if self.root != BOOT.load(Ordering::Relaxed) {
            drop(Frame::from_raw(self.root, false));
        }
    }
}

/// Pages narrowed, replaced or unmapped, to be flushed in one go.
#[derive(Default)]
pub struct Flush {
    start: u64,
    pages: u64,
    all: bool,
}

impl Flush {
    /// More pages than this are flushed by loading CR3: the gate takes about 2.4 µs for each page
    /// and about 45 µs for all of them (page-table KVM, docs/benchmarks.md).
    const MOST: u64 = 12;

    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self {
            all: true,
            ..Self::default()
        }
    }

    /// Remembers a page or block.
    pub fn add(&mut self, address: u64) {
        if self.pages == 0 {
            self.start = address;
        }
        let pages = (address.max(self.start) - self.start) / PAGE_SIZE + 1;
        self.all |= address < self.start || pages > Self::MOST;
        self.pages = self.pages.max(pages);
    }

    /// Makes the processor forget them.
    pub fn commit(self) {
        if self.all {
            arch::gate::load_tables(CURRENT.load(Ordering::Relaxed));
        } else if self.pages > 0 {
            arch::gate::flush_pages(self.start, self.pages);
        }
    }
}

const _: () = assert!(DIRECT_MAP >> 39 & (ENTRIES - 1) == ENTRIES - 1);
