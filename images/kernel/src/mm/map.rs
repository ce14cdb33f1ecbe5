//! Which areas there are, and what the page tables have of them: the bookkeeping of a space.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use unicell_guest_abi::layout::{HUGE_PAGE_SIZE, PAGE_SIZE, USER_END};

use super::area::{Area, Backing, Protection};
use super::space::{Layout, Place};
use crate::errno::{Errno, Result};
use crate::memory::paging::{Flush, Tables};
use crate::memory::user::Access;
use crate::memory::{page_ceil, page_floor};
use crate::task::limits;

/// The lowest address that a program may map, as Linux's default `vm.mmap_min_addr`.
pub(super) const LOWEST: u64 = 0x1_0000;
/// Mappings are placed downwards from here: below the stack and its gap.
pub(super) const MMAP_TOP: u64 = 0x7fff_f000_0000;
/// An anonymous area at least this large may use blocks of 2 MiB.
pub(super) const HUGE_FROM: u64 = 4 << 20;
/// What must stay free below an area that grows.
const STACK_GAP: u64 = 1 << 20;
/// A private mapping of an object at least this large, such as a library, is placed apart.
pub(super) const APART_FROM: u64 = 64 << 10;
/// Areas in one address space, as Linux's default `vm.max_map_count`.
pub(super) const AREAS_MAX: usize = 65_530;

/// Areas by their start, and the tables that they have filled so far.
pub(super) struct Map {
    pub(super) tables: Tables,
    pub(super) areas: BTreeMap<u64, Area>,
    pub(super) brk: u64,
    pub(super) layout: Layout,
    /// Whether what is mapped from now on is locked (MCL_FUTURE).
    pub(super) lock_future: bool,
}

/// The end of a range that has to begin at a page.
pub(super) fn whole_pages(address: u64, len: u64) -> Result<u64> {
    if !address.is_multiple_of(PAGE_SIZE) {
        return Err(Errno::EINVAL);
    }
    let end = address
        .checked_add(len)
        .and_then(page_ceil)
        .ok_or(Errno::ENOMEM)?;
    if end > USER_END {
        Err(Errno::ENOMEM)
    } else {
        Ok(end)
    }
}

/// The area that holds an address.
pub(super) fn find(areas: &BTreeMap<u64, Area>, address: u64) -> Option<&Area> {
    let (_, area) = areas.range(..=address).next_back()?;
    (address < area.end).then_some(area)
}

impl Map {
    /// Finds room, and makes it where the program insists. What is `apart` shares no 2 MiB with
    /// what is above it, so that its page tables can be handed on (`memory/leaves.rs`).
    pub(super) fn place(&mut self, place: Place, len: u64, apart: bool) -> Result<u64> {
        match place {
            Place::Fixed(address) | Place::FixedNoReplace(address) => {
                let end = whole_pages(address, len)?;
                if address < LOWEST {
                    return Err(Errno::EPERM);
                }
                if place == Place::Fixed(address) {
                    self.clear(address, end)?;
                } else if !self.is_free(address, end) {
                    return Err(Errno::EEXIST);
                }
                Ok(address)
            }
            Place::Hint(hint) => {
                let hint = page_floor(hint);
                let fits = hint >= LOWEST
                    && hint
                        .checked_add(len)
                        .is_some_and(|end| end <= USER_END && self.is_free(hint, end));
                if fits {
                    Ok(hint)
                } else {
                    self.find_room(len, apart)
                }
            }
        }
    }

    pub(super) fn is_free(&self, start: u64, end: u64) -> bool {
        self.areas
            .range(..end)
            .next_back()
            .is_none_or(|(_, area)| area.end <= start)
    }

    /// The highest gap of `len` bytes below [`MMAP_TOP`]; large ones are aligned to 2 MiB.
    pub(super) fn find_room(&self, len: u64, apart: bool) -> Result<u64> {
        let align = if len >= HUGE_FROM {
            HUGE_PAGE_SIZE
        } else {
            PAGE_SIZE
        };
        let below = |top: u64| {
            let top = if apart {
                top & !(HUGE_PAGE_SIZE - 1)
            } else {
                top
            };
            top.checked_sub(len).map(|start| start & !(align - 1))
        };
        let mut top = MMAP_TOP;
        for area in self.areas.range(..MMAP_TOP).rev().map(|(_, area)| area) {
            if area.end < top {
                let start = below(top).ok_or(Errno::ENOMEM)?;
                if start >= area.end {
                    return Ok(start);
                }
            }
            top = area.start.min(top);
        }
        let start = below(top).ok_or(Errno::ENOMEM)?;
        if start < LOWEST {
            Err(Errno::ENOMEM)
        } else {
            Ok(start)
        }
    }

    /// Adds an area where nothing is, joined with its neighbours if they are alike.
    pub(super) fn insert(&mut self, area: Area) {
        let (start, end) = (area.start, area.end);
        self.areas.insert(start, area);
        self.merge_around(start, end);
    }

    pub(super) fn merge_around(&mut self, start: u64, end: u64) {
        let first = self
            .areas
            .range(..start)
            .next_back()
            .map_or(start, |(key, _)| *key);
        let keys: Vec<u64> = self.areas.range(first..=end).map(|(key, _)| *key).collect();
        let Some((mut current, rest)) = keys.split_first().map(|(first, rest)| (*first, rest))
        else {
            return;
        };
        for key in rest {
            let joined = match (self.areas.get(&current), self.areas.get(key)) {
                (Some(left), Some(right)) if left.joins(right) => Some(right.end),
                _ => None,
            };
            match joined {
                Some(end) => {
                    self.areas.remove(key);
                    if let Some(left) = self.areas.get_mut(&current) {
                        left.end = end;
                    }
                }
                None => current = *key,
            }
        }
    }

    /// Makes an area begin at `at`, if one spans it.
    pub(super) fn split_at(&mut self, at: u64) -> Result<()> {
        self.tables.split(at)?;
        if let Some((_, area)) = self.areas.range_mut(..at).next_back()
            && at < area.end
        {
            let upper = area.split_off(at);
            self.areas.insert(at, upper);
        }
        Ok(())
    }

    /// Unmaps everything in a range.
    pub(super) fn clear(&mut self, start: u64, end: u64) -> Result<()> {
        if self.is_free(start, end) {
            return Ok(());
        }
        self.split_at(start)?;
        self.split_at(end)?;
        self.drop_pages(start, end)?;
        let keys: Vec<u64> = self.areas.range(start..end).map(|(key, _)| *key).collect();
        for key in keys {
            self.areas.remove(&key);
        }
        Ok(())
    }

    pub(super) fn drop_pages(&mut self, start: u64, end: u64) -> Result<()> {
        self.tables.split(start)?;
        self.tables.split(end)?;
        let mut addresses = Vec::new();
        self.tables
            .for_each(start, end, |address, _| addresses.push(address));
        let mut flush = Flush::default();
        for address in addresses {
            flush.add(address);
            drop(self.tables.take(address));
        }
        flush.commit();
        Ok(())
    }

    pub(super) fn require_mapped(&self, start: u64, end: u64) -> Result<()> {
        let mut at = start;
        while at < end {
            at = find(&self.areas, at).ok_or(Errno::ENOMEM)?.end;
        }
        Ok(())
    }

    /// Runs `each` on the areas of a range, which begin and end with it, up to the first gap or
    /// error.
    ///
    /// # Errors
    ///
    /// ENOMEM if there is a gap, and what `each` fails with.
    pub(super) fn each_area(
        &mut self,
        start: u64,
        end: u64,
        mut each: impl FnMut(&mut Self, u64) -> Result<()>,
    ) -> Result<()> {
        self.split_at(start)?;
        self.split_at(end)?;
        let mut at = start;
        while at < end {
            let next = self.areas.get(&at).ok_or(Errno::ENOMEM)?.end;
            each(self, at)?;
            at = next;
        }
        Ok(())
    }

    /// Bytes that are locked.
    pub(super) fn locked(&self) -> u64 {
        let locked = self.areas.values().filter(|area| area.traits.locked);
        locked.map(|area| area.end - area.start).sum()
    }

    /// Lets the area above an address grow down to it, if there is one that does.
    pub(super) fn grow_down(&mut self, address: u64) -> bool {
        let start = page_floor(address);
        let Some((&old, area)) = self.areas.range(address..).next() else {
            return false;
        };
        let below = self.areas.range(..address).next_back();
        let crowded = below.is_some_and(|(_, below)| {
            let accessible = below.protection != Protection::default();
            accessible && !below.traits.grows && start < below.end + STACK_GAP
        });
        if !area.traits.grows || area.end - start > limits::STACK || crowded || start < LOWEST {
            return false;
        }
        if let Some(mut area) = self.areas.remove(&old) {
            area.start = start;
            self.areas.insert(start, area);
        }
        true
    }

    pub(super) fn protect_area(&mut self, start: u64, protection: Protection, flush: &mut Flush) {
        let Some(area) = self.areas.get_mut(&start) else {
            return;
        };
        let (old, shared) = (area.protection, area.shared);
        area.protection = protection;
        let (start, end) = (area.start, area.end);
        let narrower = old.permits(Access::Read) && !protection.permits(Access::Read)
            || old.write && !protection.write
            || old.execute && !protection.execute;
        let mut present = Vec::new();
        self.tables
            .for_each(start, end, |address, entry| present.push((address, entry)));
        for (address, entry) in present {
            if protection.permits(Access::Read) {
                // What a write must first copy, or have its object say where to write, stays
                // read-only until the fault.
                let writable = if shared {
                    entry.rights().write
                } else {
                    entry.is_sole()
                };
                let mut rights = protection.rights();
                rights.write &= writable && entry.is_ram();
                self.tables.set_rights(address, rights);
            } else {
                self.tables.hide(address);
            }
            if narrower {
                flush.add(address);
            }
        }
    }

    pub(super) fn grow_in_place(&mut self, area: &Area, old_end: u64, by: u64) -> bool {
        let Some(end) = old_end.checked_add(by).filter(|end| *end <= USER_END) else {
            return false;
        };
        if old_end != area.end || !self.is_free(old_end, end) {
            return false;
        }
        if let Some(area) = self.areas.get_mut(&area.start) {
            area.end = end;
        }
        true
    }

    /// Maps at `new` what `area` has at `old`, with the `len` bytes of pages that it has so far.
    pub(super) fn move_mapping(
        &mut self,
        area: &Area,
        old: u64,
        len: u64,
        new: u64,
        new_len: u64,
    ) -> Result<()> {
        let mut moved = area.clone();
        if let Backing::Object(_, offset) = &mut moved.backing {
            *offset += old - area.start;
        }
        (moved.start, moved.end) = (new, new + new_len);
        self.insert(moved);
        if old == new {
            return Ok(());
        }
        // Blocks stay whole if both sides are aligned alike, else their pages move one by one.
        if new.abs_diff(old).is_multiple_of(HUGE_PAGE_SIZE) {
            self.tables.split(old)?;
            self.tables.split(old + len)?;
        } else if len > 0 {
            for block in (old..old + len)
                .step_by(HUGE_PAGE_SIZE as usize)
                .chain([old + len - 1])
            {
                self.tables.break_block(block)?;
            }
        }
        let mut present = Vec::new();
        self.tables.for_each(old, old + len, |address, entry| {
            present.push((address, entry.rights()));
        });
        let mut flush = Flush::default();
        for (address, rights) in present {
            flush.add(address);
            if let Some(page) = self.tables.take(address) {
                self.tables.map(new + (address - old), page, rights)?;
            }
        }
        flush.commit();
        Ok(())
    }
}
