//! System V IPC.

mod queue;
mod semaphore;
mod shm;

use alloc::sync::Arc;
use alloc::vec::Vec;

pub use queue::{msgctl, msgget, msgrcv, msgsnd};
pub use semaphore::{semctl, semget, semop, semtimedop};
pub use shm::{shmat, shmctl, shmdt, shmget};

use super::{Address, Answer};
use crate::errno::Result;
use crate::ipc::{Object, READ, Table};
use crate::memory::user;

/// Commands of shmctl(2) and its like.
const IPC_RMID: u32 = 0;
const IPC_SET: u32 = 1;
const IPC_STAT: u32 = 2;
const IPC_INFO: u32 = 3;
/// A flag of msgsnd(2) and msgrcv(2).
const IPC_NOWAIT: u32 = 0o4000;

/// IPC_STAT.
fn status<T: Object>(table: &Table<T>, id: i32, into: Address) -> Answer {
    let found = table.by_id(id)?;
    found.permissions().check(READ)?;
    user::copy_out(into.0, &found.to_bytes())?;
    Ok(0)
}

/// SHM_STAT and its like, of what is at a place: answers its number. SHM_STAT_ANY is for `anybody`,
/// who need not be allowed to read it.
fn status_at<T: Object>(table: &Table<T>, place: i32, anybody: bool, into: Address) -> Answer {
    let found = table.by_place(place)?;
    if !anybody {
        found.permissions().check(READ)?;
    }
    user::copy_out(into.0, &found.to_bytes())?;
    Ok(found.id() as u64)
}

/// IPC_RMID.
fn remove<T: Object>(table: &Table<T>, id: i32) -> Answer {
    owned(table, id)?.remove();
    Ok(0)
}

/// What the running process may change.
fn owned<T: Object>(table: &Table<T>, id: i32) -> Result<Arc<T>> {
    let found = table.by_id(id)?;
    found.permissions().check_owner()?;
    Ok(found)
}

/// What IPC_SET gives: user, group and mode of a `struct ipc64_perm`.
fn read_owner(from: Address) -> Result<[u32; 3]> {
    let [_, uid, gid, _, _, mode]: [u32; 6] = user::read(from.0)?;
    Ok([uid, gid, mode])
}

/// Writes numbers one behind the other.
fn tell<const SIZE: usize>(
    numbers: impl IntoIterator<Item = [u8; SIZE]>,
    into: Address,
) -> Result<()> {
    let bytes: Vec<u8> = numbers.into_iter().flatten().collect();
    user::copy_out(into.0, &bytes)
}
