//! System V IPC (sysvipc(7)): shared memory, semaphores, message queues.

pub mod queue;
pub mod semaphore;
pub mod shm;
mod table;

use alloc::vec::Vec;

pub use table::{Object, Table};

use linux_raw_sys::general as linux;

use crate::errno::{Errno, Result};
use crate::task;
use crate::time::{self, SECOND};

/// The key of what has none.
pub const PRIVATE: i32 = 0;
/// Flags of shmget(2) and its like.
pub const CREATE: u32 = 0o1000;
/// See [`CREATE`].
pub const EXCLUSIVE: u32 = 0o2000;
/// Permission to read, for whoever it is.
pub const READ: u32 = 0o444;
/// Permission to write.
pub const WRITE: u32 = 0o222;
/// Bits of a mode that are permissions.
pub const MODE: u32 = 0o777;

/// Seconds since 1970, for when something happened.
fn now() -> u64 {
    time::realtime() / SECOND
}

/// Whom something belongs to and who may use it (`struct ipc_perm`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// What it is found by.
    pub key: i32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Who made it.
    cuid: u32,
    cgid: u32,
    /// Permissions, and bits of its kind.
    pub mode: u32,
}

impl Permissions {
    /// Of something that the running process makes.
    #[must_use]
    pub fn new(key: i32, mode: u32) -> Self {
        let who = task::process().credentials();
        Self {
            key,
            uid: who.euid,
            gid: who.egid,
            cuid: who.euid,
            cgid: who.egid,
            mode: mode & MODE,
        }
    }

    /// Checks that the running process may use it so: bits of [`READ`], [`WRITE`] or any others
    /// that shmget(2) is given.
    ///
    /// # Errors
    ///
    /// EACCES.
    pub fn check(&self, wanted: u32) -> Result<()> {
        let who = task::process().credentials();
        let granted = if [self.uid, self.cuid].contains(&who.euid) {
            self.mode >> 6
        } else if [self.gid, self.cgid]
            .iter()
            .any(|group| *group == who.egid || who.groups.contains(group))
        {
            self.mode >> 3
        } else {
            self.mode
        };
        let wanted = (wanted >> 6 | wanted >> 3 | wanted) & 7;
        if wanted & !granted != 0 && !who.can(linux::CAP_IPC_OWNER) {
            return Err(Errno::EACCES);
        }
        Ok(())
    }

    /// Checks that the running process may change or remove it.
    ///
    /// # Errors
    ///
    /// EPERM.
    pub fn check_owner(&self) -> Result<()> {
        let who = task::process().credentials();
        if [self.uid, self.cuid].contains(&who.euid) || who.can(linux::CAP_SYS_ADMIN) {
            Ok(())
        } else {
            Err(Errno::EPERM)
        }
    }

    /// Gives it another owner and other permissions.
    pub fn change(&mut self, uid: u32, gid: u32, mode: u32) {
        (self.uid, self.gid) = (uid, gid);
        self.mode = self.mode & !MODE | mode & MODE;
    }

    /// `struct ipc64_perm` of what has this number.
    #[must_use]
    pub fn to_bytes(self, id: i32) -> Vec<u8> {
        let words = [
            self.key as u32,
            self.uid,
            self.gid,
            self.cuid,
            self.cgid,
            self.mode,
            (id as u32) >> table::PLACE_BITS,
        ];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.resize(48, 0);
        bytes
    }
}
