//! A child's copy of an address space.

use alloc::vec::Vec;

use super::Space;
use super::area::AtFork;
use super::map::Map;
use crate::errno::Result;
use crate::memory::paging::{Flush, Tables};
use crate::sync::Mutex;

impl Space {
    /// A copy of the space: private pages are shared until one side writes.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub fn fork(&self) -> Result<Self> {
        let mut inner = self.inner.lock();
        let mut tables = Tables::new()?;
        let mut narrowed = false;
        let Map {
            tables: ours,
            areas,
            brk,
            layout,
            ..
        } = &mut *inner;
        for area in areas.values() {
            if area.traits.at_fork != AtFork::Copy {
                continue;
            }
            let mut entries = Vec::new();
            ours.for_each(area.start, area.end, |address, entry| {
                entries.push((address, entry));
            });
            for (address, entry) in entries {
                let mut rights = entry.rights();
                if rights.write && !area.shared {
                    rights.write = false;
                    ours.set_rights(address, rights);
                    narrowed = true;
                }
                tables.map(address, entry.page(), rights)?;
                if entry.is_hidden() {
                    tables.hide(address);
                }
            }
        }
        // Locks are not handed down.
        let mut inherited = areas.clone();
        inherited.retain(|_, area| {
            area.traits.locked = false;
            area.traits.at_fork != AtFork::Skip
        });
        let copy = Map {
            tables,
            areas: inherited,
            brk: *brk,
            layout: *layout,
            lock_future: false,
        };
        if narrowed {
            Flush::all().commit();
        }
        Ok(Self {
            inner: Mutex::new(copy),
        })
    }
}
