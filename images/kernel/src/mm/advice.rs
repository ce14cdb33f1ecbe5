//! What a program says of its memory without mapping anything: madvise(2) and mlock(2).

use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use super::area::{Area, AtFork, Backing};
use super::map::Map;
use super::space::Space;
use super::stale;
use crate::errno::{Errno, Result};

/// Does something with the area that begins at an address.
type Step<'a> = &'a mut dyn FnMut(&mut Map, u64) -> Result<()>;

impl Space {
    /// Runs `step` on all areas of a range, passing over gaps.
    ///
    /// # Errors
    ///
    /// The first of `step`, else ENOMEM if there was a gap.
    fn over_gaps(&self, start: u64, end: u64, step: Step<'_>) -> Result<()> {
        let mut inner = self.inner.lock();
        inner.split_at(start)?;
        inner.split_at(end)?;
        let areas: Vec<(u64, u64)> = inner
            .areas
            .range(start..end)
            .map(|(start, area)| (*start, area.end))
            .collect();
        let (mut at, mut gap) = (start, false);
        let mut result = Ok(());
        for (area, end) in areas {
            gap |= area > at;
            at = end;
            result = step(&mut inner, area);
            if result.is_err() {
                break;
            }
        }
        inner.merge_around(start, end);
        result?;
        if gap || at < end {
            return Err(Errno::ENOMEM);
        }
        Ok(())
    }

    fn set_at_fork(&self, start: u64, end: u64, at_fork: AtFork, plain: bool) -> Result<()> {
        self.over_gaps(start, end, &mut |map, at| {
            let area = map.areas.get_mut(&at).ok_or(Errno::ENOMEM)?;
            if plain && !is_plain(area) {
                return Err(Errno::EINVAL);
            }
            area.traits.at_fork = at_fork;
            Ok(())
        })
    }

    /// Gives back the pages of a range: anonymous memory is zero afterwards, mapped objects are
    /// read again.
    fn discard(&self, start: u64, end: u64, plain: bool) -> Result<()> {
        self.over_gaps(start, end, &mut |map, at| {
            let area = map.areas.get(&at).ok_or(Errno::ENOMEM)?;
            if area.traits.locked || plain && !is_plain(area) {
                return Err(Errno::EINVAL);
            }
            let end = area.end;
            map.drop_pages(at, end)
        })
    }

    /// Frees the pages of the objects that are mapped in a range.
    fn remove(&self, start: u64, end: u64) -> Result<()> {
        let mut holes = Vec::new();
        let walked = self.over_gaps(start, end, &mut |map, at| {
            let area = map.areas.get(&at).ok_or(Errno::ENOMEM)?;
            match &area.backing {
                _ if area.traits.locked => Err(Errno::EINVAL),
                Backing::Anonymous => Err(Errno::EINVAL),
                Backing::Object(object, _) if !area.shared || !object.may_be_written() => {
                    Err(Errno::EACCES)
                }
                Backing::Object(object, offset) => {
                    holes.push((object.clone(), *offset, area.end - area.start));
                    Ok(())
                }
            }
        });
        for (object, offset, len) in holes {
            object.punch(offset, len)?;
        }
        stale::commit();
        walked
    }

    /// Takes advice on a range of whole pages.
    ///
    /// # Errors
    ///
    /// EINVAL if it is unknown or does not suit, EACCES, ENOMEM if a part is not mapped, as
    /// madvise(2).
    pub fn advise(&self, start: u64, end: u64, advice: u32) -> Result<()> {
        match advice {
            linux::MADV_DONTNEED => self.discard(start, end, false),
            linux::MADV_FREE => self.discard(start, end, true),
            linux::MADV_REMOVE => self.remove(start, end),
            linux::MADV_DONTFORK => self.set_at_fork(start, end, AtFork::Skip, false),
            linux::MADV_DOFORK => self.set_at_fork(start, end, AtFork::Copy, false),
            linux::MADV_WIPEONFORK => self.set_at_fork(start, end, AtFork::Wipe, true),
            linux::MADV_KEEPONFORK => self.set_at_fork(start, end, AtFork::Copy, false),
            linux::MADV_NORMAL
            | linux::MADV_RANDOM
            | linux::MADV_SEQUENTIAL
            | linux::MADV_WILLNEED
            | linux::MADV_HUGEPAGE
            | linux::MADV_NOHUGEPAGE
            | linux::MADV_DONTDUMP
            | linux::MADV_DODUMP
            | linux::MADV_MERGEABLE
            | linux::MADV_UNMERGEABLE
            | linux::MADV_COLD
            | linux::MADV_PAGEOUT => self.over_gaps(start, end, &mut |_, _| Ok(())),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Locks a range of whole pages, or gives it up.
    ///
    /// # Errors
    ///
    /// ENOMEM if more than `limit` bytes would be locked, or if a part is not mapped.
    pub fn set_locked(&self, start: u64, end: u64, locked: bool, limit: u64) -> Result<()> {
        let mut inner = self.inner.lock();
        if locked {
            let part = |area: &Area| area.end.min(end).saturating_sub(area.start.max(start));
            let areas = inner.areas.values().filter(|area| area.traits.locked);
            let already: u64 = areas.map(part).sum();
            if inner.locked() - already + (end - start) > limit {
                return Err(Errno::ENOMEM);
            }
        }
        let result = inner.each_area(start, end, |map, at| {
            let area = map.areas.get_mut(&at).ok_or(Errno::ENOMEM)?;
            area.traits.locked = locked;
            Ok(())
        });
        inner.merge_around(start, end);
        result
    }

    /// Locks everything, now or as it is mapped, or gives all of it up.
    ///
    /// # Errors
    ///
    /// ENOMEM if more than `limit` bytes would be locked.
    pub fn set_all_locked(&self, now: Option<bool>, future: bool, limit: u64) -> Result<()> {
        let mut inner = self.inner.lock();
        let all: u64 = inner.areas.values().map(|area| area.end - area.start).sum();
        if now == Some(true) && all > limit {
            return Err(Errno::ENOMEM);
        }
        inner.lock_future = future;
        if let Some(locked) = now {
            for area in inner.areas.values_mut() {
                area.traits.locked = locked;
            }
        }
        Ok(())
    }

    /// Bytes that are locked.
    #[must_use]
    pub fn locked(&self) -> u64 {
        self.inner.lock().locked()
    }

    /// Whether something in a range is locked.
    #[must_use]
    pub fn has_locked(&self, start: u64, end: u64) -> bool {
        let inner = self.inner.lock();
        let mut areas = inner.areas.values();
        areas.any(|area| area.traits.locked && area.start < end && area.end > start)
    }
}

/// Whether an area is private and has no object.
fn is_plain(area: &Area) -> bool {
    !area.shared && matches!(area.backing, Backing::Anonymous)
}
