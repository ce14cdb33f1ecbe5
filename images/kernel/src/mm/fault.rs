//! What happens when a page is touched that is not there, or not so.

use unicell_guest_abi::layout::{HUGE_PAGE_SIZE, PAGE_SIZE};

use alloc::collections::BTreeMap;

use super::area::{Area, Backing};
use super::map::find;
use crate::errno::Errno;
use crate::memory::paging::{Entry, Tables};
use crate::memory::user::Access;
use crate::memory::{Frame, Page, frames, page_floor};

/// Why a page could not be brought in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is mapped there: SIGSEGV, SEGV_MAPERR.
    Unmapped,
    /// The mapping does not allow it: SIGSEGV, SEGV_ACCERR.
    Forbidden,
    /// The mapped object ends before: SIGBUS, BUS_ADRERR.
    PastEnd,
    /// No frame is left.
    OutOfMemory,
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        if errno == Errno::ENOMEM {
            Self::OutOfMemory
        } else {
            Self::PastEnd
        }
    }
}

/// Pages that one fault brings in: a fault costs 25 µs, an entry 0.1 µs, and memory that was
/// never touched costs the host nothing.
const ANONYMOUS_AROUND: u64 = 16 * PAGE_SIZE;
/// Where the memory beside is in use already: what grows goes on growing.
const ANONYMOUS_GROWING: u64 = 64 * PAGE_SIZE;
const OBJECT_AROUND: u64 = 64 * PAGE_SIZE;
/// Below this many free frames, only what is touched is brought in.
const SCARCE: u64 = 1024;

/// The part of an area that lies in the same aligned window as `address`.
fn window(area: &Area, address: u64, size: u64) -> impl Iterator<Item = u64> + use<> {
    let base = address & !(size - 1);
    let pages = base.max(area.start)..(base + size).min(area.end);
    pages.step_by(PAGE_SIZE as usize)
}

/// Brings in the page at `address`, which the area permits to touch so, and some around it.
pub(super) fn resolve(
    tables: &mut Tables,
    areas: &BTreeMap<u64, Area>,
    area: &Area,
    address: u64,
    access: Access,
) -> Result<(), Fault> {
    let address = page_floor(address);
    adopt(tables, areas, area, address)?;
    match (tables.entry(address), &area.backing) {
        (Some(entry), _) if entry.permits(access) => Ok(()),
        (Some(entry), _) => upgrade(tables, area, address, entry),
        (None, Backing::Anonymous) => anonymous(tables, area, address),
        (None, Backing::Object(..)) if area.shared => shared(tables, area, address),
        (None, Backing::Object(..)) => private(tables, area, address, access),
    }
}

/// Where nothing is mapped yet around a page of an object, takes over what another space had there
/// of the box image, as far as this one has mapped it alike.
fn adopt(
    tables: &mut Tables,
    areas: &BTreeMap<u64, Area>,
    area: &Area,
    address: u64,
) -> Result<(), Errno> {
    if area.shared || matches!(area.backing, Backing::Anonymous) || !tables.is_block_empty(address)
    {
        return Ok(());
    }
    tables.adopt(address, |address, entry| {
        let Some(area) = find(areas, address) else {
            return false;
        };
        let Backing::Object(object, _) = &area.backing else {
            return false;
        };
        // As `private` would map it.
        !area.shared
            && area.protection.permits(Access::Read)
            && entry.rights() == area.protection.rights_unwritten()
            && matches!(object.page(area.page_index(address), false),
                Ok(Page::Image(page)) if entry.is_at(page))
    })
}

/// A page that is there but does not permit what the area does.
fn upgrade(tables: &mut Tables, area: &Area, address: u64, entry: Entry) -> Result<(), Fault> {
    if area.shared {
        if let Backing::Object(object, _) = &area.backing {
            let page = object.page(area.page_index(address), area.protection.write)?;
            tables.map(address, page, area.protection.rights())?;
        }
        return Ok(());
    }
    if !area.protection.write {
        tables.set_rights(address, area.protection.rights());
        return Ok(());
    }
    // A private page about to be written: ours alone, or copied. An object keeps a reference to
    // each of its pages, so a page of an object is never ours alone.
    if entry.is_sole() {
        tables.set_rights(address, area.protection.rights());
        return Ok(());
    }
    let copy = match entry.page() {
        Page::Ram(frame) if entry.is_huge() => {
            let copy = Frame::huge_zeroed()?;
            copy.copy_from(&frame);
            copy
        }
        page => page.copy()?,
    };
    tables.map(address, Page::Ram(copy), area.protection.rights())?;
    Ok(())
}

fn anonymous(tables: &mut Tables, area: &Area, address: u64) -> Result<(), Fault> {
    let rights = area.protection.rights();
    let block = address & !(HUGE_PAGE_SIZE - 1);
    let whole_block = block >= area.start && block + HUGE_PAGE_SIZE <= area.end;
    if area.traits.huge
        && whole_block
        && tables.is_block_empty(address)
        && let Ok(frame) = Frame::huge_zeroed()
    {
        tables.map(block, Page::Ram(frame), rights)?;
        return Ok(());
    }
    tables.map(address, Page::Ram(Frame::zeroed()?), rights)?;
    let (total, used) = frames::usage();
    if total - used < SCARCE {
        return Ok(());
    }
    let base = address & !(ANONYMOUS_AROUND - 1);
    let beside = [base.wrapping_sub(PAGE_SIZE), base + ANONYMOUS_AROUND];
    let grows = beside
        .iter()
        .any(|page| (area.start..area.end).contains(page) && tables.entry(*page).is_some());
    let size = if grows {
        ANONYMOUS_GROWING
    } else {
        ANONYMOUS_AROUND
    };
    for around in window(area, address, size) {
        if tables.entry(around).is_none() {
            let Ok(frame) = Frame::zeroed() else { break };
            tables.map(around, Page::Ram(frame), rights)?;
        }
    }
    Ok(())
}

fn shared(tables: &mut Tables, area: &Area, address: u64) -> Result<(), Fault> {
    let Backing::Object(object, _) = &area.backing else {
        return Err(Fault::Unmapped);
    };
    let page = object.page(area.page_index(address), area.protection.write)?;
    tables.map(address, page, area.protection.rights())?;
    Ok(())
}

fn private(tables: &mut Tables, area: &Area, address: u64, access: Access) -> Result<(), Fault> {
    let Backing::Object(object, _) = &area.backing else {
        return Err(Fault::Unmapped);
    };
    let page = object.page(area.page_index(address), false)?;
    if access == Access::Write {
        let copy = page.copy()?;
        drop(page);
        tables.map(address, Page::Ram(copy), area.protection.rights())?;
        return Ok(());
    }
    let free_of_charge = matches!(page, Page::Image(_));
    tables.map(address, page, area.protection.rights_unwritten())?;
    if !free_of_charge {
        return Ok(());
    }
    for around in window(area, address, OBJECT_AROUND) {
        if tables.entry(around).is_none() {
            let Ok(page @ Page::Image(_)) = object.page(area.page_index(around), false) else {
                continue;
            };
            tables.map(around, page, area.protection.rights_unwritten())?;
        }
    }
    Ok(())
}
