//! Futexes: sleeping on a word of memory, as futex(2).

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use linux_raw_sys::general::{self as linux, robust_list_head};

use super::{Line, Thread, Waiter, current, numbers, process};
use crate::errno::{Errno, Result};
use crate::memory::user::{self, Access};
use crate::mm::WordKey;
use crate::sync::Mutex;

/// Matches every waiter.
pub const ANY: u32 = u32::MAX;
/// FUTEX_OP_OPARG_SHIFT in its place in the code: the argument is a shift count.
const FUTEX_OP_ARG_SHIFT: u32 = 8 << 28;
/// Entries of a robust list that are looked at, as in Linux.
const ROBUST_MAX: usize = 2048;

/// By what a thread that waits is found.
struct Wish {
    bits: u32,
    /// The thread, if it waits to own the word.
    owner: Option<u32>,
}

static WAITERS: Mutex<BTreeMap<WordKey, Line<Wish, ()>>> = Mutex::new(BTreeMap::new());

fn key(address: u64) -> Result<WordKey> {
    if !address.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    user::make_present(address, 4, Access::Read)?;
    Ok(process().space().word_key(address))
}

/// Sleeps while the word holds `expected`.
///
/// # Errors
///
/// EAGAIN if it does not, ETIMEDOUT, RESTART, EFAULT, EINVAL.
pub fn wait(address: u64, expected: u32, bits: u32, deadline: Option<u64>) -> Result<()> {
    if bits == 0 {
        return Err(Errno::EINVAL);
    }
    let key = key(address)?;
    if user::load(address)? != expected {
        return Err(Errno::EAGAIN);
    }
    let wish = Wish { bits, owner: None };
    wish.wait(key, deadline).map_err(|errno| match errno {
        // The rest of a limited time is waited for only if no handler comes between.
        Errno::RESTART if deadline.is_some() => Errno::RESTART_UNHANDLED,
        other => other,
    })
}

impl Wish {
    fn wait(self, key: WordKey, deadline: Option<u64>) -> Result<()> {
        let ticket = WAITERS.lock().entry(key).or_default().join(self);
        ticket.wait(deadline, |ticket| {
            // It may have been moved to another word meanwhile.
            WAITERS.lock().retain(|_, waiters| {
                waiters.leave(ticket);
                !waiters.is_empty()
            });
        })
    }
}

/// The first thread that waits to own a word, taken from its queue, and whether others do too.
fn next_owner(key: &WordKey) -> Option<(Waiter<Wish, ()>, bool)> {
    let mut all = WAITERS.lock();
    let waiters = all.get_mut(key)?;
    let first = waiters.take_first(|wish| wish.owner.is_some())?;
    let more = waiters.wishes().any(|wish| wish.owner.is_some());
    if waiters.is_empty() {
        all.remove(key);
    }
    Some((first, more))
}

/// Takes ownership of a word that says who owns it (FUTEX_LOCK_PI), waiting unless `only_try`.
/// Nothing is lent: all threads run alike.
///
/// # Errors
///
/// EDEADLK if the caller owns it, ESRCH if nobody with the owner's number is there, EAGAIN if it
/// must not wait, ETIMEDOUT, EFAULT, EINVAL.
pub fn lock_owned(address: u64, only_try: bool, deadline: Option<u64>) -> Result<()> {
    let key = key(address)?;
    let own = current().id();
    let old = user::with_atomic(address, Access::Write, |word| {
        let old = word.load(Ordering::SeqCst);
        if old & linux::FUTEX_TID_MASK == 0 {
            word.store(old | own, Ordering::SeqCst);
        }
        old
    })?;
    match old & linux::FUTEX_TID_MASK {
        0 => return Ok(()),
        owner if owner == own => return Err(Errno::EDEADLK),
        owner if numbers::thread_by_id(owner).is_none() => return Err(Errno::ESRCH),
        _ if only_try => return Err(Errno::EAGAIN),
        _ => {}
    }
    user::with_atomic(address, Access::Write, |word| {
        word.fetch_or(linux::FUTEX_WAITERS, Ordering::SeqCst);
    })?;
    let wish = Wish {
        bits: ANY,
        owner: Some(own),
    };
    wish.wait(key, deadline).map_err(|errno| match errno {
        Errno::RESTART => Errno::RESTART_ALWAYS,
        other => other,
    })
}

/// Gives up a word that the caller owns (FUTEX_UNLOCK_PI), to the first who waits for it.
///
/// # Errors
///
/// EPERM if the caller does not own it, EFAULT, EINVAL.
pub fn unlock_owned(address: u64) -> Result<()> {
    let key = key(address)?;
    if user::load(address)? & linux::FUTEX_TID_MASK != current().id() {
        return Err(Errno::EPERM);
    }
    hand_over(address, &key, 0)
}

/// Makes the first who waits for a word its owner, or leaves it without one.
fn hand_over(address: u64, key: &WordKey, mark: u32) -> Result<()> {
    let next = next_owner(key);
    let value = match &next {
        Some((waiter, true)) => waiter.wish.owner.unwrap_or(0) | linux::FUTEX_WAITERS,
        Some((waiter, false)) => waiter.wish.owner.unwrap_or(0),
        None => 0,
    };
    user::with_atomic(address, Access::Write, |word| {
        word.store(value | mark, Ordering::SeqCst);
    })?;
    if let Some((waiter, _)) = next {
        waiter.answer(());
    }
    Ok(())
}

fn wake_key(key: &WordKey, count: u32, bits: u32) -> u32 {
    let mut all = WAITERS.lock();
    let Some(waiters) = all.get_mut(key) else {
        return 0;
    };
    let mut woken = 0;
    while woken < count
        && let Some(waiter) = waiters.take_first(|wish| wish.bits & bits != 0)
    {
        waiter.answer(());
        woken += 1;
    }
    if waiters.is_empty() {
        all.remove(key);
    }
    woken
}

/// Wakes up to `count` waiters of which a bit matches; returns how many.
///
/// # Errors
///
/// EFAULT, EINVAL.
pub fn wake(address: u64, count: u32, bits: u32) -> Result<u32> {
    if bits == 0 {
        return Err(Errno::EINVAL);
    }
    Ok(wake_key(&key(address)?, count, bits))
}

/// Wakes `count` waiters and moves up to `moved` others to another word, if the word holds
/// `expected` (where that is asked). Returns how many were woken and how many were moved.
///
/// # Errors
///
/// EAGAIN if the word does not hold it, EFAULT, EINVAL.
pub fn requeue(
    address: u64,
    count: u32,
    target: u64,
    moved: u32,
    expected: Option<u32>,
) -> Result<(u32, u32)> {
    let (from, to) = (key(address)?, key(target)?);
    if let Some(expected) = expected
        && user::load(address)? != expected
    {
        return Err(Errno::EAGAIN);
    }
    let woken = wake_key(&from, count, ANY);
    let mut all = WAITERS.lock();
    let mut waiters = all.remove(&from).unwrap_or_default();
    let rest = waiters.split_off(moved as usize);
    if !rest.is_empty() {
        all.insert(from, rest);
    }
    if waiters.is_empty() {
        return Ok((woken, 0));
    }
    let count = all.entry(to).or_default().append(waiters);
    Ok((woken, count as u32))
}

/// Changes the second word, wakes waiters of the first, and those of the second if its old value
/// compares as asked (FUTEX_WAKE_OP).
///
/// # Errors
///
/// EFAULT, EINVAL, ENOSYS for an unknown operation.
pub fn wake_op(address: u64, count: u32, second: u64, second_count: u32, code: u32) -> Result<u32> {
    let argument = (code as i32) << 8 >> 20;
    let compared = (code as i32) << 20 >> 20;
    let operand = if code & FUTEX_OP_ARG_SHIFT != 0 {
        1_u32.wrapping_shl(argument as u32)
    } else {
        argument as u32
    };
    let (first_key, second_key) = (key(address)?, key(second)?);
    let change = |old: u32| match code >> 28 & 7 {
        linux::FUTEX_OP_SET => Some(operand),
        linux::FUTEX_OP_ADD => Some(old.wrapping_add(operand)),
        linux::FUTEX_OP_OR => Some(old | operand),
        linux::FUTEX_OP_ANDN => Some(old & !operand),
        linux::FUTEX_OP_XOR => Some(old ^ operand),
        _ => None,
    };
    let old = user::with_atomic(second, Access::Write, |word| {
        let old = word.load(Ordering::SeqCst);
        change(old).map(|new| {
            word.store(new, Ordering::SeqCst);
            old as i32
        })
    })?;
    let old = old.ok_or(Errno::ENOSYS)?;
    let matches = match code >> 24 & 15 {
        linux::FUTEX_OP_CMP_EQ => old == compared,
        linux::FUTEX_OP_CMP_NE => old != compared,
        linux::FUTEX_OP_CMP_LT => old < compared,
        linux::FUTEX_OP_CMP_LE => old <= compared,
        linux::FUTEX_OP_CMP_GT => old > compared,
        linux::FUTEX_OP_CMP_GE => old >= compared,
        _ => return Err(Errno::ENOSYS),
    };
    let mut woken = wake_key(&first_key, count, ANY);
    if matches {
        woken += wake_key(&second_key, second_count, ANY);
    }
    Ok(woken)
}

/// Wakes who waits for a thread that has just cleared its word.
pub(super) fn wake_at_end(address: u64) {
    // The word was written, so its page is there.
    let _ = wake(address, 1, ANY);
}

/// Marks the robust futexes of a thread that ends and wakes a waiter of each.
pub(super) fn end_of_owner(thread: &Arc<Thread>) {
    let head_address = thread.robust_list.load(Ordering::Relaxed);
    if head_address == 0 || current().id() != thread.id() {
        return;
    }
    let Ok(head) = user::read::<robust_list_head>(head_address) else {
        return;
    };
    // The lowest bit of an entry says that its word lends priority.
    let release = |entry: u64, pending: bool| {
        let word = (entry & !1).wrapping_add_signed(head.futex_offset);
        if entry & 1 != 0 {
            let ours = user::load(word).map(|value| value & linux::FUTEX_TID_MASK);
            if let (Ok(owner), Ok(key)) = (ours, key(word))
                && owner == thread.id()
            {
                let _ = hand_over(word, &key, linux::FUTEX_OWNER_DIED);
            }
            return;
        }
        let owned = user::with_atomic(word, Access::Write, |value| {
            let old = value.load(Ordering::SeqCst);
            let ours = old & linux::FUTEX_TID_MASK == thread.id();
            if ours {
                let waiters = old & linux::FUTEX_WAITERS;
                value.store(waiters | linux::FUTEX_OWNER_DIED, Ordering::SeqCst);
            }
            ours || pending && old == 0
        });
        if owned == Ok(true) {
            let _ = wake(word, 1, ANY);
        }
    };
    let pending = head.list_op_pending as u64;
    let mut entry = head.list.next as u64;
    for _ in 0..ROBUST_MAX {
        if entry == head_address {
            break;
        }
        if entry & !1 != pending & !1 {
            release(entry, false);
        }
        match user::read::<u64>(entry & !1) {
            Ok(next) => entry = next,
            Err(_) => break,
        }
    }
    if pending != 0 {
        release(pending, true);
    }
}
