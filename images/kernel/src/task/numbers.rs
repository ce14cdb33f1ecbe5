//! The numbers of processes and threads, and who has them.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use linux_raw_sys::general as linux;

use super::limits;
use super::process::{Life, Process};
use super::thread::Thread;
use crate::errno::{Errno, Result};
use crate::memory::frames;
use crate::sync::Mutex;

/// The number of the first program. 1 is nobody: it stands for the kernel, which adopts orphans.
pub const FIRST: u32 = 2;
const END: u32 = 4_194_304;

static ALL: Mutex<BTreeMap<u32, Weak<Process>>> = Mutex::new(BTreeMap::new());
/// Threads alive, for the limit.
static THREADS: AtomicU32 = AtomicU32::new(0);
static NUMBERS: Mutex<Numbers> = Mutex::new(Numbers {
    next: FIRST,
    again: false,
});

/// Numbers in the order in which they are given out.
struct Numbers {
    next: u32,
    /// Whether all have been given out once, so that one may be taken.
    again: bool,
}

impl Numbers {
    /// The next number that is not `taken`. Some number is not.
    fn give(&mut self, taken: impl Fn(u32) -> bool) -> u32 {
        loop {
            let number = self.next;
            self.next += 1;
            if self.next == END {
                self.next = FIRST;
            }
            let free = !self.again || !taken(number);
            self.again |= self.next == FIRST;
            if free {
                return number;
            }
        }
    }
}

/// A number that no process or thread has.
///
/// # Errors
///
/// EAGAIN if there are as many threads as are allowed, ENOMEM if there is too little memory for
/// what the kernel has to keep of one.
pub fn new_number() -> Result<u32> {
    if frames::is_scarce() {
        return Err(Errno::ENOMEM);
    }
    if u64::from(THREADS.load(Ordering::Relaxed)) >= limits::THREADS {
        return Err(Errno::EAGAIN);
    }
    let taken = |number: u32| {
        ALL.lock().contains_key(&number)
            || all()
                .iter()
                .any(|process| process.threads.lock().iter().any(|t| t.id() == number))
    };
    let number = NUMBERS.lock().give(taken);
    THREADS.fetch_add(1, Ordering::Relaxed);
    Ok(number)
}

/// Whether the limit on the processes and threads of its user (RLIMIT_NPROC) lets a process have
/// one more. Root's own user has none, and whoever may lift limits.
pub fn may_have_more(process: &Process) -> bool {
    let who = process.credentials();
    let limit = process.limits.lock().processes();
    if who.uid == 0 || who.can(linux::CAP_SYS_RESOURCE) || who.can(linux::CAP_SYS_ADMIN) {
        return true;
    }
    count_of_user(who.uid) < limit
}

/// A number of [`new_number`] is free again: its thread has ended, or none has got it.
pub fn free_number() {
    THREADS.fetch_sub(1, Ordering::Relaxed);
}

/// Threads alive.
pub fn thread_count() -> u32 {
    THREADS.load(Ordering::Relaxed)
}

/// Every process, zombies too.
pub fn all() -> Vec<Arc<Process>> {
    ALL.lock().values().filter_map(Weak::upgrade).collect()
}

/// The process with this number.
#[must_use]
pub fn by_id(id: u32) -> Option<Arc<Process>> {
    ALL.lock().get(&id)?.upgrade()
}

/// The process with this number, or with a thread that has it.
#[must_use]
pub fn of_number(id: u32) -> Option<Arc<Process>> {
    by_id(id).or_else(|| Some(thread_by_id(id)?.process().clone()))
}

/// The thread with this number, in whatever process.
#[must_use]
pub fn thread_by_id(id: u32) -> Option<Arc<Thread>> {
    let find = |process: &Arc<Process>| {
        process
            .threads
            .lock()
            .iter()
            .find(|thread| thread.id() == id)
            .cloned()
    };
    by_id(id)
        .and_then(|process| find(&process))
        .or_else(|| all().iter().find_map(find))
}

/// The processes of a group that have not ended.
#[must_use]
pub fn all_in_group(group: u32) -> Vec<Arc<Process>> {
    let alive = |process: &Arc<Process>| {
        process.group() == group && !matches!(process.life(), Life::Zombie(_))
    };
    all().into_iter().filter(alive).collect()
}

/// Threads and zombies of a user, which RLIMIT_NPROC counts.
pub fn count_of_user(uid: u32) -> u64 {
    let theirs = all()
        .into_iter()
        .filter(|process| process.credentials.lock().uid == uid);
    theirs
        .map(|process| process.threads.lock().len().max(1) as u64)
        .sum()
}

/// A process that begins has its number from now on.
pub(super) fn register(process: Process) -> Arc<Process> {
    let process = Arc::new(process);
    ALL.lock().insert(process.id(), Arc::downgrade(&process));
    process
}

/// The number of a process leads nowhere any more: it has ended, and was asked how or never will
/// be. Who holds a descriptor of it still can ask what it was.
pub fn release(process: &Process) {
    let mut all = ALL.lock();
    if all
        .get(&process.id())
        .is_some_and(|own| core::ptr::eq(own.as_ptr(), process))
    {
        all.remove(&process.id());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_again_with_those_that_are_free() {
        let mut numbers = Numbers {
            next: END - 2,
            again: false,
        };
        let taken = |number| number == FIRST || number == FIRST + 2;
        let given: Vec<u32> = (0..5).map(|_| numbers.give(taken)).collect();
        assert_eq!(given, [END - 2, END - 1, FIRST + 1, FIRST + 3, FIRST + 4]);
    }
}
