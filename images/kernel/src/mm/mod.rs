//! A program's memory: what is mapped where, and what happens when it is touched.

mod advice;
mod area;
mod fault;
mod fork;
mod map;
mod other;
mod pages;
mod remap;
mod space;
pub mod stale;

pub use area::{Area, AtFork, Backing, Protection, Traits};
pub use fault::Fault;
pub use pages::{AnonymousPages, Pages};
pub use space::{Layout, Place, Space, WordKey};

use crate::errno::{Errno, Result};
use crate::memory::user::Access;
use crate::task;

/// Brings in a page of the running program for the kernel, as if the program had touched it.
///
/// # Errors
///
/// EFAULT if the program may not touch it so.
pub fn fault_in(address: u64, access: Access) -> Result<()> {
    let process = task::process();
    match process.space().fault(address, access) {
        Ok(()) => Ok(()),
        Err(Fault::OutOfMemory) => {
            task::out_of_memory(&process);
            Err(Errno::EFAULT)
        }
        Err(_) => Err(Errno::EFAULT),
    }
}
