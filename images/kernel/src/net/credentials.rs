//! Who has sent something: `struct ucred`.

use alloc::vec::Vec;

use crate::task;

/// Process, user and group of a sender, as unix(7) has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of unix(7)")]
pub struct SenderCredentials {
    pub pid: u32,
    pub uid: u32,
    pub gid: u32,
}

impl SenderCredentials {
    /// Of nobody: what a socket says that was never connected.
    pub const NOBODY: Self = Self {
        pid: 0,
        uid: u32::MAX,
        gid: u32::MAX,
    };

    /// Of the running process, as it sends.
    #[must_use]
    pub fn of_sender() -> Self {
        let process = task::process();
        let who = process.credentials();
        Self {
            pid: process.id(),
            uid: who.uid,
            gid: who.gid,
        }
    }

    /// Of the running process, as it connects or listens.
    #[must_use]
    pub fn of_peer() -> Self {
        let process = task::process();
        let who = process.credentials();
        Self {
            pid: process.id(),
            uid: who.euid,
            gid: who.egid,
        }
    }

    /// As the program sees them.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        [self.pid, self.uid, self.gid]
            .iter()
            .flat_map(|number| number.to_ne_bytes())
            .collect()
    }
}
