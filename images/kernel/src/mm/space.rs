//! An address space: areas by address, and the page tables that they have filled so far.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use unicell_guest_abi::layout::{HUGE_PAGE_SIZE, PAGE_SIZE, USER_END};

use super::area::{Area, Backing, Protection, Traits};
use super::fault::{self, Fault};
use super::map::{APART_FROM, AREAS_MAX, HUGE_FROM, MMAP_TOP, Map, find, whole_pages};
use super::stale::{self, Stale, Which};
use super::{AnonymousPages, Pages};
use crate::errno::{Errno, Result};
use crate::memory::paging::{Flush, Tables};
use crate::memory::user::Access;
use crate::memory::{frames, page_ceil};
use crate::sync::Mutex;

/// Where a mapping is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Anywhere, near this address if it is free.
    Hint(u64),
    /// Here, in place of what is there.
    Fixed(u64),
    /// Here, if nothing is there.
    FixedNoReplace(u64),
}

/// Addresses of a program that `/proc` tells and `brk` needs.
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "the names are those of /proc/self/stat")]
pub struct Layout {
    pub code: (u64, u64),
    pub data: (u64, u64),
    pub brk_start: u64,
    pub stack_start: u64,
    pub arguments: (u64, u64),
    pub environment: (u64, u64),
    pub auxiliary: (u64, u64),
}

/// What the main thread's stack is called.
const STACK: &str = "[stack]";

/// A word of memory, for futexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WordKey(u64, u64);

/// A program's address space. Threads share it; so do a vfork's parent and child.
pub struct Space {
    pub(super) inner: Mutex<Map>,
}

impl Space {
    /// An empty space.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub fn new() -> Result<Self> {
        Ok(Self::with_tables(Tables::new()?))
    }

    /// The space that the VCPU was entered in.
    #[must_use]
    pub fn boot() -> Self {
        Self::with_tables(Tables::boot())
    }

    fn with_tables(tables: Tables) -> Self {
        let (areas, layout) = (BTreeMap::new(), Layout::default());
        Self {
            inner: Mutex::new(Map {
                tables,
                areas,
                brk: 0,
                layout,
                lock_future: false,
            }),
        }
    }

    /// Makes this the space that programs run in from now on.
    pub fn activate(&self) {
        self.inner.lock().tables.activate();
    }

    /// Brings in the page at `address`.
    ///
    /// # Errors
    ///
    /// Why it cannot be touched so.
    pub fn fault(&self, address: u64, access: Access) -> Result<(), Fault> {
        let result = self.resolve(address, access);
        // A page that is written may have taken the place of another that others see.
        stale::commit();
        result
    }

    fn resolve(&self, address: u64, access: Access) -> Result<(), Fault> {
        let mut inner = self.inner.lock();
        if find(&inner.areas, address).is_none() && !inner.grow_down(address) {
            return Err(Fault::Unmapped);
        }
        let Map { tables, areas, .. } = &mut *inner;
        let area = find(areas, address).ok_or(Fault::Unmapped)?;
        if !area.protection.permits(access) {
            return Err(Fault::Forbidden);
        }
        fault::resolve(tables, areas, area, address, access)
    }

    /// Takes out pages that files no longer have.
    pub(super) fn forget(&self, stale: &[Stale]) {
        let mut inner = self.inner.lock();
        let Map { tables, areas, .. } = &mut *inner;
        let mut gone = Vec::new();
        for area in areas.values() {
            let Backing::Object(object, offset) = &area.backing else {
                continue;
            };
            let file = object.identity();
            for stale in stale.iter().filter(|stale| stale.file == file) {
                let address = |index: u64| {
                    (index * PAGE_SIZE)
                        .checked_sub(*offset)
                        .map(|at| area.start + at)
                };
                match stale.which {
                    Which::Shown(index, shown) => {
                        let at = address(index).filter(|at| *at < area.end);
                        let entry = at.and_then(|at| Some((at, tables.entry(at)?)));
                        gone.extend(
                            entry
                                .filter(|(_, entry)| entry.page().address() == shown)
                                .map(|(at, _)| at),
                        );
                    }
                    Which::From(index) => {
                        let from = address(index).unwrap_or(area.start);
                        tables.for_each(from, area.end, |at, _| gone.push(at));
                    }
                }
            }
        }
        let mut flush = Flush::default();
        for address in gone {
            flush.add(address);
            drop(tables.take(address));
        }
        flush.commit();
    }

    /// Maps `len` bytes (rounded up to pages) and returns where.
    ///
    /// # Errors
    ///
    /// EINVAL, ENOMEM, EEXIST as mmap(2).
    pub fn map(
        &self,
        place: Place,
        len: u64,
        protection: Protection,
        shared: bool,
        object: Option<(Arc<dyn Pages>, u64)>,
        mut traits: Traits,
    ) -> Result<u64> {
        let len = page_ceil(len).filter(|len| *len > 0).ok_or(Errno::ENOMEM)?;
        let backing = match object {
            Some((object, offset)) => Backing::Object(object, offset),
            None if shared => Backing::Object(Arc::new(AnonymousPages::default()), 0),
            None => Backing::Anonymous,
        };
        let mut inner = self.inner.lock();
        let apart = !shared && len >= APART_FROM && matches!(backing, Backing::Object(..));
        let start = inner.place(place, len, apart)?;
        if inner.areas.len() >= AREAS_MAX {
            return Err(Errno::ENOMEM);
        }
        traits.huge &= len >= HUGE_FROM && matches!(backing, Backing::Anonymous);
        traits.locked |= inner.lock_future;
        let end = start + len;
        inner.insert(Area {
            start,
            end,
            protection,
            shared,
            traits,
            backing,
            label: "",
        });
        Ok(start)
    }

    /// Maps the main thread's stack below `top`.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub fn map_stack(&self, top: u64, len: u64) -> Result<()> {
        let mut inner = self.inner.lock();
        let start = inner.place(Place::Fixed(top - len), len, false)?;
        inner.insert(Area {
            start,
            end: top,
            protection: Protection::READ_WRITE,
            shared: false,
            traits: Traits::default(),
            backing: Backing::Anonymous,
            label: STACK,
        });
        Ok(())
    }

    /// Sets what `/proc` tells, and where the heap begins.
    pub fn set_layout(&self, layout: Layout) {
        let mut inner = self.inner.lock();
        inner.brk = layout.brk_start;
        inner.layout = layout;
    }

    /// What `/proc` tells.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.inner.lock().layout
    }

    /// Unmaps a range.
    ///
    /// # Errors
    ///
    /// EINVAL as munmap(2), ENOMEM if a block cannot be broken up.
    pub fn unmap(&self, address: u64, len: u64) -> Result<()> {
        let end = whole_pages(address, len).map_err(|_| Errno::EINVAL)?;
        if len == 0 {
            return Err(Errno::EINVAL);
        }
        self.inner.lock().clear(address, end)
    }

    /// Changes what is allowed in a range; from the start of an area that grows downwards, if
    /// `from_start`.
    ///
    /// # Errors
    ///
    /// EINVAL, ENOMEM if a part is not mapped, EACCES if a part may not be written: what comes
    /// before that part is changed, as by mprotect(2).
    pub fn protect(
        &self,
        mut address: u64,
        len: u64,
        protection: Protection,
        from_start: bool,
    ) -> Result<()> {
        let end = whole_pages(address, len)?;
        let mut inner = self.inner.lock();
        if from_start {
            let area = find(&inner.areas, address).ok_or(Errno::ENOMEM)?;
            if !area.traits.grows && area.label != STACK {
                return Err(Errno::EINVAL);
            }
            address = area.start;
        }
        let mut flush = Flush::default();
        let result = inner.each_area(address, end, |map, start| {
            let unwritable = map.areas.get(&start).is_some_and(Area::is_unwritable);
            if protection.write && unwritable {
                return Err(Errno::EACCES);
            }
            map.protect_area(start, protection, &mut flush);
            Ok(())
        });
        flush.commit();
        inner.merge_around(address, end);
        result
    }

    /// Bytes of all areas, and of those that count as data: private, writable and no stack.
    #[must_use]
    pub fn sizes(&self) -> (u64, u64) {
        let inner = self.inner.lock();
        let mut sizes = (0, 0);
        for area in inner.areas.values() {
            let len = area.end - area.start;
            sizes.0 += len;
            if area.is_data() {
                sizes.1 += len;
            }
        }
        sizes
    }

    /// Whether the area at an address counts as data.
    #[must_use]
    pub fn is_data(&self, address: u64) -> bool {
        find(&self.inner.lock().areas, address).is_some_and(Area::is_data)
    }

    /// Sets the end of the heap and returns it; a wish that cannot be granted changes nothing.
    pub fn set_brk(&self, wanted: u64) -> u64 {
        let mut inner = self.inner.lock();
        let (start, old) = (inner.layout.brk_start, inner.brk);
        let (Some(old_end), Some(new_end)) = (page_ceil(old), page_ceil(wanted)) else {
            return old;
        };
        if wanted < start || new_end > MMAP_TOP {
            return old;
        }
        if new_end < old_end {
            if inner.clear(new_end, old_end).is_err() {
                return old;
            }
        } else if new_end > old_end {
            let taken = inner
                .areas
                .range(..new_end)
                .next_back()
                .is_some_and(|(_, area)| area.end > old_end);
            if taken || self.is_too_much(new_end - old_end) {
                return old;
            }
            inner.insert(Area {
                start: old_end,
                end: new_end,
                protection: Protection::READ_WRITE,
                shared: false,
                traits: Traits::default(),
                backing: Backing::Anonymous,
                label: "[heap]",
            });
        }
        inner.brk = wanted;
        wanted
    }

    /// For each page of a range, whether it is in memory.
    ///
    /// # Errors
    ///
    /// ENOMEM if a part is not mapped.
    pub fn residency(&self, address: u64, len: u64) -> Result<Vec<u8>> {
        let end = whole_pages(address, len)?;
        let inner = self.inner.lock();
        inner.require_mapped(address, end)?;
        let is_resident = |page: u64| match find(&inner.areas, page) {
            _ if inner.tables.entry(page).is_some() => true,
            Some(area) => match &area.backing {
                Backing::Object(object, _) => object.is_resident(area.page_index(page)),
                Backing::Anonymous => false,
            },
            None => false,
        };
        let pages = (address..end).step_by(PAGE_SIZE as usize);
        Ok(pages.map(|page| u8::from(is_resident(page))).collect())
    }

    /// Checks that all of a range is mapped.
    ///
    /// # Errors
    ///
    /// EINVAL if the address is not a page's, ENOMEM if a part is not mapped.
    pub fn check_mapped(&self, address: u64, len: u64) -> Result<()> {
        let end = whole_pages(address, len)?;
        self.inner.lock().require_mapped(address, end)
    }

    /// What tells a word from every other: its place in RAM if others may map it too, else its
    /// address in this space. The word's page is present.
    #[must_use]
    pub fn word_key(&self, address: u64) -> WordKey {
        let inner = self.inner.lock();
        let shared = find(&inner.areas, address).is_some_and(|area| area.shared);
        match inner.tables.entry(address) {
            Some(entry) if shared => WordKey(0, entry.page().address() + address % PAGE_SIZE),
            _ => WordKey(core::ptr::from_ref(self) as u64, address),
        }
    }

    /// More than all of RAM at once is refused, as Linux's heuristic overcommit does.
    #[must_use]
    pub fn is_too_much(&self, len: u64) -> bool {
        len / PAGE_SIZE > frames::usage().0
    }

    /// The areas, in order.
    #[must_use]
    pub fn areas(&self) -> Vec<Area> {
        self.inner.lock().areas.values().cloned().collect()
    }

    /// Bytes mapped, and bytes of them in memory.
    #[must_use]
    pub fn usage(&self) -> (u64, u64) {
        let inner = self.inner.lock();
        let mapped = inner.areas.values().map(|area| area.end - area.start).sum();
        let mut resident = 0;
        inner.tables.for_each(0, USER_END, |_, entry| {
            resident += if entry.is_huge() {
                HUGE_PAGE_SIZE
            } else {
                PAGE_SIZE
            };
        });
        (mapped, resident)
    }
}
