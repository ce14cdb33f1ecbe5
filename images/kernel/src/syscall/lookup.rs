//! How calls on files find what they are about: descriptors and paths.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use super::{Fd, Path};
use crate::errno::{Errno, Result};
use crate::fs::path::{Found, PATH_MAX, Walk};
use crate::fs::{Inode, Location, OpenFile, anonymous};
use crate::memory::user;
use crate::task;

/// The working directory, where calls have a descriptor to begin at.
pub(super) const HERE: Fd = Fd(linux::AT_FDCWD);

/// The file of a descriptor.
pub(super) fn file(fd: Fd) -> Result<Arc<OpenFile>> {
    task::process().files().get(fd.0)
}

/// The file of a descriptor, unless it was opened only to name it.
pub(super) fn usable_file(fd: Fd) -> Result<Arc<OpenFile>> {
    let file = file(fd)?;
    if file.is_path() {
        Err(Errno::EBADF)
    } else {
        Ok(file)
    }
}

/// Gives a file the lowest free descriptor.
pub(super) fn install(file: Arc<OpenFile>, close_on_exec: bool) -> Result<u64> {
    let process = task::process();
    let limit = process.limits.lock().descriptors();
    process
        .files()
        .install(file, close_on_exec, limit)
        .map(u64::from)
}

/// A path.
pub(super) fn path(path: Path) -> Result<Vec<u8>> {
    user::string(path.0, PATH_MAX - 1)
}

/// Where a path begins.
pub(super) fn base(at: Fd, path: &[u8]) -> Result<Arc<dyn Inode>> {
    match path.first() {
        None => Err(Errno::ENOENT),
        Some(b'/') => Ok(task::process().context().directory()),
        Some(_) => directory(at),
    }
}

/// The directory of a descriptor.
pub(super) fn directory(directory: Fd) -> Result<Arc<dyn Inode>> {
    if directory == HERE {
        return Ok(task::process().context().directory());
    }
    let file = file(directory)?;
    match file.location() {
        Some(location) if file.is_directory() => Ok(location.inode.clone()),
        _ => Err(Errno::ENOTDIR),
    }
}

/// Where a path ends. Nothing need be there.
pub(super) fn walk(directory: Fd, path: &[u8], follow: bool) -> Result<Found> {
    let process = task::process();
    let who = process.credentials();
    let walk = Walk {
        root: process.context().root(),
        who: &who,
        resolve: 0,
    };
    walk.walk(base(directory, path)?, path, follow)
}

/// What a path leads to; with AT_EMPTY_PATH among the flags, an empty one to the descriptor's file.
pub(super) fn find(directory: Fd, path: &[u8], flags: u32, follow: bool) -> Result<Location> {
    if !path.is_empty() || flags & linux::AT_EMPTY_PATH == 0 {
        return walk(directory, path, follow)?.existing();
    }
    if directory == HERE {
        return Ok(Location::of(task::process().context().directory()));
    }
    Ok(anonymous::location(&file(directory)?))
}

/// As [`find`], with AT_SYMLINK_NOFOLLOW among the flags.
pub(super) fn find_by_flags(directory: Fd, path: &[u8], flags: u32) -> Result<Location> {
    let follow = flags & linux::AT_SYMLINK_NOFOLLOW == 0;
    find(directory, path, flags, follow)
}
