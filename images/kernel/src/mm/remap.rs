//! mremap(2): a mapping moves, grows or shrinks.

use unicell_guest_abi::layout::{PAGE_SIZE, USER_END};

use super::map::find;
use super::{Place, Space};
use crate::errno::{Errno, Result};
use crate::memory::page_ceil;

impl Space {
    /// Moves or resizes a mapping, as mremap(2); with `keep`, the old one stays, without its pages.
    ///
    /// # Errors
    ///
    /// EINVAL, EFAULT if the range is not one mapping, ENOMEM if it does not fit.
    pub fn remap(
        &self,
        old: u64,
        old_len: u64,
        new_len: u64,
        may_move: bool,
        keep: bool,
        fixed: Option<u64>,
    ) -> Result<u64> {
        let (Some(old_len), Some(new_len)) = (page_ceil(old_len), page_ceil(new_len)) else {
            return Err(Errno::EINVAL);
        };
        if !old.is_multiple_of(PAGE_SIZE) || new_len == 0 {
            return Err(Errno::EINVAL);
        }
        let mut inner = self.inner.lock();
        let area = find(&inner.areas, old).ok_or(Errno::EFAULT)?.clone();
        // With an old length of 0, a shared mapping is mapped a second time.
        let second = old_len == 0;
        if second && (!area.shared || !may_move) {
            return Err(Errno::EINVAL);
        }
        let old_end = old
            .checked_add(old_len)
            .filter(|end| *end <= area.end)
            .ok_or(Errno::EFAULT)?;
        if fixed.is_none() && !second && !keep {
            if new_len <= old_len {
                if new_len < old_len {
                    inner.clear(old + new_len, old_end)?;
                }
                return Ok(old);
            }
            if inner.grow_in_place(&area, old_end, new_len - old_len) {
                return Ok(old);
            }
        }
        let accounted = area.protection.write && !area.shared;
        if !may_move || accounted && self.is_too_much(new_len.saturating_sub(old_len)) {
            return Err(Errno::ENOMEM);
        }
        let place = fixed.map_or(Place::Hint(0), Place::Fixed);
        if let Some(target) = fixed
            && (!target.is_multiple_of(PAGE_SIZE)
                || target.checked_add(new_len).is_none_or(|end| end > USER_END)
                || target < old_end && old < target.saturating_add(new_len))
        {
            return Err(Errno::EINVAL);
        }
        let new = inner.place(place, new_len, false)?;
        inner.move_mapping(
            &area,
            old,
            if second { 0 } else { old_len.min(new_len) },
            new,
            new_len,
        )?;
        if !second && !keep {
            inner.clear(old, old_end)?;
        }
        Ok(new)
    }
}
