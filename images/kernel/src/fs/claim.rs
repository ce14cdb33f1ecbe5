//! What is open to be written is not run, and what runs is not written (ETXTBSY).

use alloc::collections::BTreeMap;

use super::inode::Inode;
use super::stat::Kind;
use crate::errno::{Errno, Result};
use crate::sync::Mutex;

/// By device and inode number: how often a file is open to be written, or, below zero, to be run.
static CLAIMS: Mutex<BTreeMap<(u32, u64), i32>> = Mutex::new(BTreeMap::new());

const WRITES: i32 = 1;
const RUNS: i32 = -1;

/// A regular file that is written, or run, for as long as this lives. Whoever holds it holds the
/// file too, so that its number stays its own.
pub struct Claim {
    file: (u32, u64),
    sign: i32,
}

impl Claim {
    fn new(inode: &dyn Inode, sign: i32) -> Result<Option<Self>> {
        if inode.kind() != Kind::Regular {
            return Ok(None);
        }
        let stat = inode.stat();
        let file = (stat.device, stat.ino);
        let mut claims = CLAIMS.lock();
        let count = claims.get(&file).copied().unwrap_or(0);
        if count.signum() == -sign {
            return Err(Errno::ETXTBSY);
        }
        claims.insert(file, count + sign);
        Ok(Some(Self { file, sign }))
    }

    /// For something that is to be written; none if it is no regular file.
    ///
    /// # Errors
    ///
    /// ETXTBSY if it runs.
    pub fn to_write(inode: &dyn Inode) -> Result<Option<Self>> {
        Self::new(inode, WRITES)
    }

    /// For a program that is to be run.
    ///
    /// # Errors
    ///
    /// ETXTBSY if it is written.
    pub fn to_run(inode: &dyn Inode) -> Result<Option<Self>> {
        Self::new(inode, RUNS)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut claims = CLAIMS.lock();
        if let Some(count) = claims.get_mut(&self.file) {
            *count -= self.sign;
            if *count == 0 {
                claims.remove(&self.file);
            }
        }
    }
}
