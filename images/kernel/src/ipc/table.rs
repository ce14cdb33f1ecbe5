//! What there is of one kind: found by number, by key and by place.
//!
//! A number is a place in the table and, in its upper bits, how often places were given out anew,
//! as in Linux: the number of what is gone is not soon that of something else.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{CREATE, EXCLUSIVE, PRIVATE, Permissions};
use crate::errno::{Errno, Result};
use crate::memory::frames;
use crate::sync::Mutex;

/// Bits of a number that are a place in the table.
pub(super) const PLACE_BITS: u32 = 15;
/// Places that are gone through, at least, before the first is given out again.
const CYCLE_MIN: i32 = 64;

/// What a table holds.
pub trait Object {
    /// Its number.
    fn id(&self) -> i32;

    /// Whose it is and who may use it.
    fn permissions(&self) -> Permissions;

    /// Removes it.
    fn remove(&self);

    /// What its kind has for `struct shmid64_ds`.
    fn to_bytes(&self) -> Vec<u8>;
}

/// All of one kind.
pub struct Table<T> {
    most: usize,
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    /// By place.
    all: BTreeMap<i32, Arc<T>>,
    /// The place that was given out last, and how often they began anew.
    last: i32,
    sequence: i32,
}

impl<T: Object> Table<T> {
    /// None yet, and never more than `most`.
    pub const fn new(most: usize) -> Self {
        Self {
            most,
            inner: Mutex::new(Inner {
                all: BTreeMap::new(),
                last: -1,
                sequence: 0,
            }),
        }
    }

    /// The number of what has this key and passes `fits`. If there is none, `make` makes it.
    ///
    /// # Errors
    ///
    /// As shmget(2) and its like, and what `fits` and `make` fail with.
    pub fn get(
        &self,
        key: i32,
        flags: u32,
        fits: impl FnOnce(&T) -> Result<()>,
        make: impl FnOnce(i32) -> Result<T>,
    ) -> Result<i32> {
        let mut inner = self.inner.lock();
        let mut all = inner.all.values();
        let found = all.find(|one| key != PRIVATE && one.permissions().key == key);
        if let Some(found) = found {
            if flags & (CREATE | EXCLUSIVE) == CREATE | EXCLUSIVE {
                return Err(Errno::EEXIST);
            }
            fits(found)?;
            return found.permissions().check(flags).map(|()| found.id());
        }
        if key != PRIVATE && flags & CREATE == 0 {
            return Err(Errno::ENOENT);
        }
        if inner.all.len() >= self.most {
            return Err(Errno::ENOSPC);
        }
        if frames::is_scarce() {
            return Err(Errno::ENOMEM);
        }
        let (place, sequence) = inner.next(self.most);
        let id = sequence << PLACE_BITS | place;
        let made = Arc::new(make(id)?);
        inner.all.insert(place, made);
        (inner.last, inner.sequence) = (place, sequence);
        Ok(id)
    }

    /// What has this number.
    ///
    /// # Errors
    ///
    /// EINVAL.
    pub fn by_id(&self, id: i32) -> Result<Arc<T>> {
        let found = self.by_place(id)?;
        if found.id() == id {
            Ok(found)
        } else {
            Err(Errno::EINVAL)
        }
    }

    /// What is at the place that a number names.
    ///
    /// # Errors
    ///
    /// EINVAL.
    pub fn by_place(&self, id: i32) -> Result<Arc<T>> {
        let all = &self.inner.lock().all;
        all.get(&place_of(id)).cloned().ok_or(Errno::EINVAL)
    }

    /// The highest place that is taken; 0 if none is.
    pub fn last_place(&self) -> i32 {
        let all = &self.inner.lock().all;
        all.last_key_value().map_or(0, |(place, _)| *place)
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<T>> {
        self.inner.lock().all.values().cloned().collect()
    }

    /// Takes one out.
    pub fn remove(&self, id: i32) {
        let removed = self.inner.lock().all.remove(&place_of(id));
        drop(removed);
    }
}

impl<T> Inner<T> {
    /// The next place that is free, one of which is, and the sequence it belongs to.
    fn next(&self, most: usize) -> (i32, i32) {
        let end = (self.all.len() * 3 / 2).clamp(CYCLE_MIN as usize, most.max(1)) as i32;
        let from = if self.last + 1 < end {
            self.last + 1
        } else {
            0
        };
        let free = |place: &i32| !self.all.contains_key(place);
        let mut around = (from..end).chain(0..from);
        let place = around.find(free).unwrap_or(0);
        let sequence = self.sequence + i32::from(place <= self.last);
        (place, sequence & i32::MAX >> PLACE_BITS)
    }
}

fn place_of(id: i32) -> i32 {
    id & ((1 << PLACE_BITS) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_free_again_has_another_number() {
        let mut inner = Inner {
            all: BTreeMap::new(),
            last: -1,
            sequence: 0,
        };
        let mut given = Vec::new();
        for _ in 0..CYCLE_MIN + 3 {
            let (place, sequence) = inner.next(4096);
            inner.all.insert(place, Arc::new(()));
            if place != 1 {
                inner.all.remove(&place);
            }
            (inner.last, inner.sequence) = (place, sequence);
            given.push((place, sequence));
        }
        assert_eq!(given[..3], [(0, 0), (1, 0), (2, 0)]);
        assert_eq!(given[CYCLE_MIN as usize..], [(0, 1), (2, 1), (3, 1)]);
    }

    #[test]
    fn the_table_can_be_filled() {
        let mut inner = Inner {
            all: BTreeMap::new(),
            last: -1,
            sequence: 0,
        };
        for count in 0..100 {
            let (place, _) = inner.next(100);
            assert!(inner.all.insert(place, Arc::new(())).is_none(), "{count}");
            inner.last = place;
        }
    }
}
