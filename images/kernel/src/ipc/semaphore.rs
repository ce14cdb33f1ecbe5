//! Semaphores (semget(2)).
//!
//! Whoever changes a semaphore also does what others wait to do, in the order in which they came:
//! nobody who waits for a value misses it, however soon it changes again.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::table::{Object, Table};
use super::{Permissions, READ, WRITE, now};
use crate::errno::{Errno, Result};
use crate::sync::Mutex;
use crate::task::{self, Line};

/// Sets, at most (SEMMNI).
pub const SETS_MAX: usize = 32_000;
/// Semaphores of a set, at most (SEMMSL).
pub const SET_MAX: usize = 32_000;
/// Semaphores of all sets, at most (SEMMNS): as good as no limit.
pub const ALL_MAX: u32 = 1_024_000_000;
/// Operations of one call, at most (SEMOPM).
pub const OPERATIONS_MAX: usize = 500;
/// The highest value (SEMVMX), and the most that a process' end adds or takes away (SEMAEM).
pub const VALUE_MAX: i32 = 32_767;

/// Flags of an operation.
const NOWAIT: u16 = 0o4000;
const UNDO: u16 = 0x1000;

/// All sets.
pub static SETS: Table<Set> = Table::new(SETS_MAX);

/// A set of semaphores.
pub struct Set {
    id: i32,
    /// How many there are.
    pub count: usize,
    state: Mutex<State>,
}

struct State {
    permissions: Permissions,
    /// Seconds since 1970: last operated on, last changed.
    operated: u64,
    changed: u64,
    semaphores: Vec<Semaphore>,
    /// What is added to each at the end of a process, by process.
    undo: BTreeMap<u32, Vec<i16>>,
    /// Who waits.
    pending: Line<Pending, Result<()>>,
    removed: bool,
}

/// One semaphore.
#[derive(Clone, Copy, Default)]
pub struct Semaphore {
    /// Its value.
    pub value: u16,
    /// Who operated on it last.
    pub process: u32,
}

/// `struct sembuf`.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// Which semaphore.
    pub number: u16,
    /// What is added to it; 0 waits until it is zero.
    pub change: i16,
    /// IPC_NOWAIT, SEM_UNDO.
    pub flags: u16,
}

struct Pending {
    operations: Vec<Operation>,
    process: u32,
    /// Which of the operations cannot be done yet.
    blocked: usize,
}

/// Why operations are not done: the one at this place cannot be, yet or at all.
enum Stuck {
    Blocked(usize),
    Failed(Errno),
}

impl Object for Set {
    fn id(&self) -> i32 {
        self.id
    }

    fn permissions(&self) -> Permissions {
        self.state.lock().permissions
    }

    /// Removes it. Who waits is told.
    fn remove(&self) {
        {
            let mut state = self.state.lock();
            state.removed = true;
            while let Some(pending) = state.pending.pop() {
                pending.answer(Err(Errno::EIDRM));
            }
        }
        SETS.remove(self.id);
    }

    /// `struct semid64_ds`.
    fn to_bytes(&self) -> Vec<u8> {
        let state = self.state.lock();
        let mut bytes = state.permissions.to_bytes(self.id);
        let words = [state.operated, 0, state.changed, 0, self.count as u64, 0, 0];
        bytes.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
        bytes
    }
}

/// The set of a key, made if need be: semget(2).
///
/// # Errors
///
/// As semget(2).
pub fn get(key: i32, count: i32, flags: u32) -> Result<i32> {
    let count = usize::try_from(count).map_err(|_| Errno::EINVAL)?;
    if count > SET_MAX {
        return Err(Errno::EINVAL);
    }
    let fits = |set: &Set| {
        if count > set.count {
            return Err(Errno::EINVAL);
        }
        Ok(())
    };
    SETS.get(key, flags, fits, |id| {
        if count == 0 {
            return Err(Errno::EINVAL);
        }
        Ok(Set {
            id,
            count,
            state: Mutex::new(State {
                permissions: Permissions::new(key, flags),
                operated: 0,
                changed: now(),
                semaphores: alloc::vec![Semaphore::default(); count],
                undo: BTreeMap::new(),
                pending: Line::default(),
                removed: false,
            }),
        })
    })
}

/// A process has ended: what it asked to be undone is.
pub fn undo(process: u32) {
    for set in SETS.all() {
        let mut state = set.state.lock();
        let Some(changes) = state.undo.remove(&process) else {
            continue;
        };
        for (semaphore, change) in state.semaphores.iter_mut().zip(changes) {
            if change != 0 {
                let value = i32::from(semaphore.value) + i32::from(change);
                semaphore.value = value.clamp(0, VALUE_MAX) as u16;
                semaphore.process = process;
            }
        }
        state.operated = now();
        state.settle();
    }
}

impl Set {
    /// Does all of the operations at once, when they can be done: semtimedop(2).
    ///
    /// # Errors
    ///
    /// As semtimedop(2).
    pub fn operate(&self, operations: Vec<Operation>, deadline: Option<u64>) -> Result<()> {
        let process = task::process().id();
        let ticket = {
            let mut state = self.state.lock();
            if operations
                .iter()
                .any(|operation| usize::from(operation.number) >= self.count)
            {
                return Err(Errno::EFBIG);
            }
            let alters = operations.iter().any(|operation| operation.change != 0);
            state.permissions.check(if alters { WRITE } else { READ })?;
            match state.attempt(&operations, process) {
                Ok(()) => {
                    state.operated = now();
                    state.settle();
                    return Ok(());
                }
                Err(Stuck::Failed(errno)) => return Err(errno),
                Err(Stuck::Blocked(blocked)) => state.pending.join(Pending {
                    operations,
                    process,
                    blocked,
                }),
            }
        };
        let answered = ticket.wait(deadline, |ticket| self.state.lock().pending.leave(ticket));
        answered.unwrap_or_else(|errno| {
            // It is interrupted even by a signal that nobody handles.
            Err(match errno {
                Errno::ETIMEDOUT => Errno::EAGAIN,
                _ => Errno::EINTR,
            })
        })
    }

    /// Its semaphores.
    #[must_use]
    pub fn semaphores(&self) -> Vec<Semaphore> {
        self.state.lock().semaphores.clone()
    }

    /// How many wait for a semaphore to be greater, or for it to be zero.
    #[must_use]
    pub fn waiting(&self, number: usize, for_zero: bool) -> usize {
        let state = self.state.lock();
        let waits = |pending: &&Pending| {
            let operation = pending.operations[pending.blocked];
            usize::from(operation.number) == number && (operation.change == 0) == for_zero
        };
        state.pending.wishes().filter(waits).count()
    }

    /// Sets values from the semaphore `first` on. Nothing is undone of them any more.
    pub fn set(&self, first: usize, values: &[u16]) {
        let mut state = self.state.lock();
        let process = task::process().id();
        let range = first..first + values.len();
        for (semaphore, value) in state.semaphores[range.clone()].iter_mut().zip(values) {
            *semaphore = Semaphore {
                value: *value,
                process,
            };
        }
        for changes in state.undo.values_mut() {
            changes[range.clone()].fill(0);
        }
        state.changed = now();
        state.settle();
    }

    /// Gives it another owner and other permissions.
    pub fn change(&self, uid: u32, gid: u32, mode: u32) {
        let mut state = self.state.lock();
        state.permissions.change(uid, gid, mode);
        state.changed = now();
    }
}

impl State {
    /// Does what others wait to do and now can be done.
    fn settle(&mut self) {
        let mut at = 0;
        while let Some(next) = self.pending.wish(at) {
            let (operations, process) = (next.operations.clone(), next.process);
            let answer = match self.attempt(&operations, process) {
                Err(Stuck::Blocked(blocked)) => {
                    if let Some(next) = self.pending.wish_mut(at) {
                        next.blocked = blocked;
                    }
                    at += 1;
                    continue;
                }
                Err(Stuck::Failed(errno)) => Err(errno),
                Ok(()) => {
                    self.operated = now();
                    Ok(())
                }
            };
            if let Some(done) = self.pending.take(at) {
                done.answer(answer);
            }
            if operations.iter().any(|operation| operation.change != 0) {
                // It may be what somebody before it waits for.
                at = 0;
            }
        }
    }

    /// Does all operations, or none.
    fn attempt(&mut self, operations: &[Operation], process: u32) -> Result<(), Stuck> {
        if self.removed {
            return Err(Stuck::Failed(Errno::EIDRM));
        }
        for (at, operation) in operations.iter().enumerate() {
            if let Err(errno) = self.step(*operation, process) {
                for done in operations[..at].iter().rev() {
                    self.step_back(*done, process);
                }
                return Err(match errno {
                    Errno::EAGAIN if operation.flags & NOWAIT == 0 => Stuck::Blocked(at),
                    errno => Stuck::Failed(errno),
                });
            }
        }
        for operation in operations {
            self.semaphores[usize::from(operation.number)].process = process;
        }
        Ok(())
    }

    /// Does one operation: EAGAIN if it has to wait.
    fn step(&mut self, operation: Operation, process: u32) -> Result<()> {
        let number = usize::from(operation.number);
        let value = i32::from(self.semaphores[number].value);
        let new = value + i32::from(operation.change);
        if new < 0 || operation.change == 0 && value != 0 {
            return Err(Errno::EAGAIN);
        }
        if new > VALUE_MAX {
            return Err(Errno::ERANGE);
        }
        if operation.flags & UNDO != 0 {
            let undo = self.undo_of(number, process);
            *undo = undo.checked_sub(operation.change).ok_or(Errno::ERANGE)?;
        }
        self.semaphores[number].value = new as u16;
        Ok(())
    }

    fn step_back(&mut self, operation: Operation, process: u32) {
        let number = usize::from(operation.number);
        let semaphore = &mut self.semaphores[number];
        semaphore.value = semaphore
            .value
            .wrapping_sub(operation.change.cast_unsigned());
        if operation.flags & UNDO != 0 {
            *self.undo_of(number, process) += operation.change;
        }
    }

    fn undo_of(&mut self, number: usize, process: u32) -> &mut i16 {
        let count = self.semaphores.len();
        let undo = self.undo.entry(process);
        &mut undo.or_insert_with(|| alloc::vec![0; count])[number]
    }
}
