//! Locks on files: ranges held by processes (fcntl) or open files (OFD), and whole files (flock).

use alloc::vec::Vec;

use super::open_file::OpenFile;
use crate::errno::{Errno, Result};
use crate::sync::Mutex;
use crate::task::{self, WaitQueue};

/// Who holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(u64, u64);

impl Owner {
    /// A process, by its table of descriptors.
    #[must_use]
    pub fn of_table(id: u64) -> Self {
        Self(0, id)
    }

    /// An open file; unique as long as it lives, and it takes its locks along.
    #[must_use]
    pub fn of_file(file: &OpenFile) -> Self {
        Self(1, core::ptr::from_ref(file).addr() as u64)
    }
}

/// Which of the two independent kinds of lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Ranges (fcntl).
    Range,
    /// Whole files (flock).
    Whole,
}

/// A lock that is held or wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Which kind.
    pub family: Family,
    /// Device and inode.
    pub file: (u32, u64),
    /// Who holds it.
    pub owner: Owner,
    /// The process to be told of it; -1 for a lock of an open file.
    pub process: i32,
    /// Whether nobody else may have one.
    pub exclusive: bool,
    /// First byte.
    pub start: u64,
    /// Last byte.
    pub last: u64,
}

struct Table {
    held: Vec<Lock>,
    /// Who waits for whom, to find circles.
    waiting: Vec<(Owner, Owner)>,
}

static TABLE: Mutex<Table> = Mutex::new(Table {
    held: Vec::new(),
    waiting: Vec::new(),
});
/// Woken when a lock is given up.
static RELEASED: WaitQueue = WaitQueue::new();

impl Lock {
    fn concerns(&self, other: &Self) -> bool {
        self.family == other.family
            && self.file == other.file
            && self.start <= other.last
            && other.start <= self.last
    }

    fn conflicts(&self, other: &Self) -> bool {
        self.concerns(other) && self.owner != other.owner && (self.exclusive || other.exclusive)
    }
}

impl Table {
    fn conflict(&self, wanted: &Lock) -> Option<Lock> {
        self.held
            .iter()
            .find(|held| held.conflicts(wanted))
            .copied()
    }

    /// Takes a range out of what its owner holds.
    fn cut(&mut self, range: &Lock) {
        let mut kept = Vec::new();
        for held in self.held.drain(..) {
            if held.owner != range.owner || !held.concerns(range) {
                kept.push(held);
                continue;
            }
            if held.start < range.start {
                kept.push(Lock {
                    last: range.start - 1,
                    ..held
                });
            }
            if held.last > range.last {
                kept.push(Lock {
                    start: range.last + 1,
                    ..held
                });
            }
        }
        self.held = kept;
    }

    /// Adds a lock, joining it with what its owner holds beside it.
    fn add(&mut self, mut lock: Lock) {
        self.cut(&lock);
        self.held.retain(|held| {
            let alike = Lock {
                start: held.start,
                last: held.last,
                ..lock
            } == *held;
            let touches = held.start <= lock.last.saturating_add(1)
                && lock.start <= held.last.saturating_add(1);
            if alike && touches {
                lock.start = lock.start.min(held.start);
                lock.last = lock.last.max(held.last);
            }
            !(alike && touches)
        });
        self.held.push(lock);
    }

    /// Whether `waiter` waiting for `holder` would close a circle.
    fn would_deadlock(&self, waiter: Owner, holder: Owner) -> bool {
        let mut at = holder;
        // Each owner is followed once at most.
        for _ in 0..=self.waiting.len() {
            if at == waiter {
                return true;
            }
            match self.waiting.iter().find(|(waiting, _)| *waiting == at) {
                Some((_, next)) => at = *next,
                None => return false,
            }
        }
        false
    }
}

/// Whether there are locks at all.
#[must_use]
pub fn any() -> bool {
    !TABLE.lock().held.is_empty()
}

/// The lock that stands in the way of one.
#[must_use]
pub fn conflict(wanted: &Lock) -> Option<Lock> {
    TABLE.lock().conflict(wanted)
}

/// Takes a lock in place of what its owner holds there; waits for it if `wait`.
///
/// # Errors
///
/// EAGAIN if somebody else has it, EDEADLK if waiting would never end, RESTART.
pub fn take(lock: Lock, wait: bool) -> Result<()> {
    let mut changed = false;
    let result = task::wait(&[&RELEASED], None, || {
        let mut table = TABLE.lock();
        table.waiting.retain(|(waiting, _)| *waiting != lock.owner);
        let Some(holder) = table.conflict(&lock) else {
            let before = table.held.len();
            table.add(lock);
            changed = table.held.len() <= before;
            return Some(Ok(()));
        };
        if !wait {
            return Some(Err(Errno::EAGAIN));
        }
        // flock looks for no circles, nor do locks of open files.
        let looks = lock.family == Family::Range && lock.process >= 0;
        if looks && table.would_deadlock(lock.owner, holder.owner) {
            return Some(Err(Errno::EDEADLK));
        }
        table.waiting.push((lock.owner, holder.owner));
        None
    });
    TABLE
        .lock()
        .waiting
        .retain(|(waiting, _)| *waiting != lock.owner);
    if changed {
        // An exclusive lock may have become a shared one.
        RELEASED.wake_all();
    }
    result?
}

/// Gives up a range.
pub fn give(range: &Lock) {
    TABLE.lock().cut(range);
    RELEASED.wake_all();
}

/// Gives up all locks of an owner, or all on one file.
pub fn release(owner: Owner, file: Option<(u32, u64)>) {
    let gone = {
        let mut table = TABLE.lock();
        let before = table.held.len();
        table
            .held
            .retain(|held| held.owner != owner || file.is_some_and(|file| file != held.file));
        table.held.len() != before
    };
    if gone {
        RELEASED.wake_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(owner: u64, exclusive: bool, start: u64, last: u64) -> Lock {
        let owner = Owner(0, owner);
        Lock {
            family: Family::Range,
            file: (1, 1),
            owner,
            process: 1,
            exclusive,
            start,
            last,
        }
    }

    fn table() -> Table {
        Table {
            held: Vec::new(),
            waiting: Vec::new(),
        }
    }

    #[test]
    fn unlocking_the_middle_leaves_both_ends() {
        let mut table = table();
        table.add(lock(1, true, 0, 99));
        table.cut(&lock(1, true, 40, 59));
        assert_eq!(table.held, [lock(1, true, 0, 39), lock(1, true, 60, 99)]);
        assert!(table.conflict(&lock(2, false, 40, 59)).is_none());
        assert!(table.conflict(&lock(2, false, 59, 60)).is_some());
    }

    #[test]
    fn neighbours_of_one_kind_become_one_lock() {
        let mut table = table();
        table.add(lock(1, false, 0, 9));
        table.add(lock(1, false, 20, 29));
        table.add(lock(1, false, 10, 19));
        assert_eq!(table.held, [lock(1, false, 0, 29)]);
        table.add(lock(1, true, 5, u64::MAX));
        assert_eq!(
            table.held,
            [lock(1, false, 0, 4), lock(1, true, 5, u64::MAX)]
        );
    }

    #[test]
    fn readers_share_and_writers_do_not() {
        let mut table = table();
        table.add(lock(1, false, 0, 9));
        assert!(table.conflict(&lock(2, false, 0, 9)).is_none());
        assert!(table.conflict(&lock(2, true, 9, 9)).is_some());
        assert!(table.conflict(&lock(1, true, 0, 9)).is_none());
    }

    #[test]
    fn circles_of_waiters_are_found() {
        let mut table = table();
        table.waiting = alloc::vec![(Owner(0, 1), Owner(0, 2)), (Owner(0, 2), Owner(0, 3))];
        assert!(table.would_deadlock(Owner(0, 3), Owner(0, 1)));
        assert!(!table.would_deadlock(Owner(0, 4), Owner(0, 1)));
    }
}
