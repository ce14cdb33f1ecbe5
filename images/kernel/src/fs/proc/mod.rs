//! `/proc` and `/sys`: files whose content is made up when they are read.

mod accounts;
mod cpu;
mod generated;
mod kernel;
mod memory;
mod net;
mod process;
mod settings;
mod status;
mod sys;
mod table;
mod vm;

use alloc::sync::Arc;
use core::any::Any;

use super::inode::{FileSystem, Inode};
use crate::errno::Result;
use crate::task::Process;
use generated::{Child, Generated};

use linux_raw_sys::general as linux;

static PROC: FileSystem = FileSystem {
    name: "proc",
    magic: linux::PROC_SUPER_MAGIC,
    device: 21,
    in_memory: false,
};
static SYS: FileSystem = FileSystem {
    name: "sysfs",
    magic: linux::SYSFS_MAGIC,
    device: 22,
    in_memory: false,
};

/// The root of `/proc`.
///
/// # Errors
///
/// None.
pub fn root() -> Result<Arc<dyn Inode>> {
    Ok(Generated::root(&PROC, Child::Directory(process::root)))
}

/// The process whose directory in `/proc` this is, if it is one.
#[must_use]
pub fn directory_of(inode: &dyn Inode) -> Option<Arc<Process>> {
    let inode: &dyn Any = inode;
    inode.downcast_ref::<Generated>()?.directory_of()
}

/// The root of `/sys`.
///
/// # Errors
///
/// None.
pub fn sys() -> Result<Arc<dyn Inode>> {
    Ok(Generated::root(&SYS, Child::Directory(sys::root)))
}
