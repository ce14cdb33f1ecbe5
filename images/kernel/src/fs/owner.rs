//! Whom a file's signals are meant for (F_SETOWN, F_SETSIG). It is kept and told; O_ASYNC sends
//! none here.

use linux_raw_sys::general as linux;

use crate::errno::{Errno, Result};
use crate::task;

/// The highest signal.
const SIGNAL_MAX: u64 = 64;

/// Threads, processes or groups that own a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileOwner {
    /// F_OWNER_*.
    pub kind: u32,
    /// Its number; 0 is nobody.
    pub id: i32,
    /// The signal that it asked for; 0 is SIGIO.
    pub signal: u32,
}

impl FileOwner {
    /// Makes another one the owner.
    ///
    /// # Errors
    ///
    /// EINVAL if there is no such kind, ESRCH if there is no such owner.
    pub fn set(&mut self, kind: u32, id: i32) -> Result<()> {
        let number = u32::try_from(id).map_err(|_| Errno::EINVAL)?;
        let exists = match kind {
            linux::F_OWNER_TID => task::numbers::thread_by_id(number).is_some(),
            linux::F_OWNER_PID => task::numbers::by_id(number).is_some(),
            linux::F_OWNER_PGRP => task::processes()
                .iter()
                .any(|process| process.group() == number),
            _ => return Err(Errno::EINVAL),
        };
        if !exists && id != 0 {
            return Err(Errno::ESRCH);
        }
        (self.kind, self.id) = (kind, id);
        Ok(())
    }

    /// As F_SETOWN has it: a group is negative.
    ///
    /// # Errors
    ///
    /// As [`FileOwner::set`].
    pub fn set_signed(&mut self, id: i32) -> Result<()> {
        if id < 0 {
            let id = id.checked_neg().ok_or(Errno::EINVAL)?;
            self.set(linux::F_OWNER_PGRP, id)
        } else {
            self.set(linux::F_OWNER_PID, id)
        }
    }

    /// As F_GETOWN has it.
    #[must_use]
    pub fn signed(self) -> i32 {
        if self.kind == linux::F_OWNER_PGRP {
            -self.id
        } else {
            self.id
        }
    }

    /// Asks for a signal.
    ///
    /// # Errors
    ///
    /// EINVAL if there is no such signal.
    pub fn set_signal(&mut self, signal: u64) -> Result<()> {
        if signal > SIGNAL_MAX {
            return Err(Errno::EINVAL);
        }
        self.signal = signal as u32;
        Ok(())
    }
}
