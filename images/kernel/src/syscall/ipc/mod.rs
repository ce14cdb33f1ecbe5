//! System V IPC.

mod queue;
mod semaphore;
mod shm;

use alloc::vec::Vec;

pub use queue::{msgctl, msgget, msgrcv, msgsnd};
pub use semaphore::{semctl, semget, semop, semtimedop};
pub use shm::{shmat, shmctl, shmdt, shmget};

use super::Address;
use crate::errno::Result;
use crate::memory::user;

/// Commands of shmctl(2) and its like.
const IPC_RMID: u32 = 0;
const IPC_SET: u32 = 1;
const IPC_STAT: u32 = 2;
const IPC_INFO: u32 = 3;
/// A flag of msgsnd(2) and msgrcv(2).
const IPC_NOWAIT: u32 = 0o4000;

/// Writes numbers one behind the other.
fn tell<const SIZE: usize>(
    numbers: impl IntoIterator<Item = [u8; SIZE]>,
    into: Address,
) -> Result<()> {
    let bytes: Vec<u8> = numbers.into_iter().flatten().collect();
    user::copy_out(into.0, &bytes)
}
