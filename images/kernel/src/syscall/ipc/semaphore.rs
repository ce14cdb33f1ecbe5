//! Calls about semaphores.

use super::super::time::deadline_after;
use super::super::{Address, Answer};
use super::{
    IPC_INFO, IPC_RMID, IPC_SET, IPC_STAT, owned, read_owner, remove, status, status_at, tell,
};
use crate::errno::Errno;
use crate::ipc::semaphore::{
    self, ALL_MAX, OPERATIONS_MAX, Operation, SET_MAX, SETS, SETS_MAX, Set, VALUE_MAX,
};
use crate::ipc::{Object, READ, WRITE};
use crate::memory::user;

/// Commands of semctl(2).
const GETPID: u32 = 11;
const GETVAL: u32 = 12;
const GETALL: u32 = 13;
const GETNCNT: u32 = 14;
const GETZCNT: u32 = 15;
const SETVAL: u32 = 16;
const SETALL: u32 = 17;
const SEM_STAT: u32 = 18;
const SEM_INFO: u32 = 19;
const SEM_STAT_ANY: u32 = 20;

/// semget(2).
pub fn semget(key: i32, count: i32, flags: u32) -> Answer {
    Ok(semaphore::get(key, count, flags)? as u64)
}

/// semop(2).
pub fn semop(id: i32, operations: Address, count: usize) -> Answer {
    semtimedop(id, operations, count, Address(0))
}

/// semtimedop(2).
pub fn semtimedop(id: i32, operations: Address, count: usize, timeout: Address) -> Answer {
    // The count is Linux's `unsigned int`.
    let count = count as u32 as usize;
    let deadline = deadline_after(timeout)?;
    if count > OPERATIONS_MAX {
        return Err(Errno::E2BIG);
    }
    if count == 0 || id < 0 {
        return Err(Errno::EINVAL);
    }
    let read = user::read_many::<[u16; 3]>(operations.0, count)?;
    let operations = read.into_iter().map(|[number, change, flags]| Operation {
        number,
        change: change.cast_signed(),
        flags,
    });
    SETS.by_id(id)?.operate(operations.collect(), deadline)?;
    Ok(0)
}

/// semctl(2).
pub fn semctl(id: i32, number: i32, command: u32, argument: Address) -> Answer {
    if id < 0 {
        return Err(Errno::EINVAL);
    }
    match command {
        IPC_INFO | SEM_INFO => info(command, argument),
        IPC_STAT => status(&SETS, id, argument),
        SEM_STAT | SEM_STAT_ANY => status_at(&SETS, id, command == SEM_STAT_ANY, argument),
        IPC_RMID => remove(&SETS, id),
        IPC_SET => {
            let [uid, gid, mode] = read_owner(argument)?;
            owned(&SETS, id)?.change(uid, gid, mode);
            Ok(0)
        }
        GETALL | GETVAL | GETPID | GETNCNT | GETZCNT => look(id, number, command, argument),
        SETALL | SETVAL => set(id, number, command, argument),
        _ => Err(Errno::EINVAL),
    }
}

/// What is asked of the semaphores of a set.
fn look(id: i32, number: i32, command: u32, argument: Address) -> Answer {
    let set = SETS.by_id(id)?;
    set.permissions().check(READ)?;
    let all = set.semaphores();
    if command == GETALL {
        tell(all.iter().map(|one| one.value.to_ne_bytes()), argument)?;
        return Ok(0);
    }
    let at = place(&set, number)?;
    Ok(match command {
        GETVAL => all[at].value.into(),
        GETPID => all[at].process.into(),
        _ => set.waiting(at, command == GETZCNT) as u64,
    })
}

/// Gives semaphores of a set other values.
fn set(id: i32, number: i32, command: u32, argument: Address) -> Answer {
    // An `int`, in the lower half of the argument.
    let value = argument.0 as i32;
    if command == SETVAL && !(0..=VALUE_MAX).contains(&value) {
        return Err(Errno::ERANGE);
    }
    let set = SETS.by_id(id)?;
    if command == SETVAL {
        let at = place(&set, number)?;
        set.permissions().check(WRITE)?;
        set.set(at, &[value as u16]);
        return Ok(0);
    }
    set.permissions().check(WRITE)?;
    let values = user::read_many::<u16>(argument.0, set.count)?;
    if values.iter().any(|value| i32::from(*value) > VALUE_MAX) {
        return Err(Errno::ERANGE);
    }
    set.set(0, &values);
    Ok(0)
}

/// The place of a semaphore in its set.
fn place(set: &Set, number: i32) -> Result<usize, Errno> {
    let number = usize::try_from(number).map_err(|_| Errno::EINVAL)?;
    (number < set.count).then_some(number).ok_or(Errno::EINVAL)
}

/// `struct seminfo`: the limits, or with SEM_INFO what there is.
fn info(command: u32, into: Address) -> Answer {
    let all = SETS.all();
    let (used, size) = if command == SEM_INFO {
        let semaphores: usize = all.iter().map(|set| set.count).sum();
        (all.len() as u32, semaphores as u32)
    } else {
        // SEMUSZ, SEMAEM.
        (20, VALUE_MAX as u32)
    };
    let numbers: [u32; 10] = [
        ALL_MAX,
        SETS_MAX as u32,
        ALL_MAX,
        ALL_MAX,
        SET_MAX as u32,
        OPERATIONS_MAX as u32,
        OPERATIONS_MAX as u32,
        used,
        VALUE_MAX as u32,
        size,
    ];
    tell(numbers.map(u32::to_ne_bytes), into)?;
    Ok(SETS.last_place() as u64)
}
