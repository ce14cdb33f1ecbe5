//! Mounts and file handles: the node decides what a box sees, so all of it is refused, as to a
//! program without the right to it.

use linux_raw_sys::general as linux;

use super::lookup::{self, find};
use super::{Address, Answer, Fd, Path};
use crate::errno::Errno;
use crate::memory::user;

/// Bytes of a file handle, at most.
const HANDLE_MAX: u32 = 128;

/// mount(2).
pub fn mount(_: Address, _: Path, _: Address, _: u64, _: Address) -> Answer {
    Err(Errno::EPERM)
}

/// umount2(2).
pub fn umount2(_: Path, flags: u32) -> Answer {
    let known = linux::MNT_FORCE | linux::MNT_DETACH | linux::MNT_EXPIRE | linux::UMOUNT_NOFOLLOW;
    Err(if flags & !known == 0 {
        Errno::EPERM
    } else {
        Errno::EINVAL
    })
}

/// pivot_root(2).
pub fn pivot_root(_: Path, _: Path) -> Answer {
    Err(Errno::EPERM)
}

/// name_to_handle_at(2): the root is of a kind that gives no handles.
pub fn name_to_handle_at(directory: Fd, path: Path, _: Address, _: Address, flags: u32) -> Answer {
    if flags & !(linux::AT_SYMLINK_FOLLOW | linux::AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let follow = flags & linux::AT_SYMLINK_FOLLOW != 0;
    find(directory, &lookup::path(path)?, flags, follow)?;
    Err(Errno::EOPNOTSUPP)
}

/// open_by_handle_at(2).
pub fn open_by_handle_at(_: Fd, handle: Address, _: u32) -> Answer {
    let size: u32 = user::read(handle.0)?;
    Err(if (1..=HANDLE_MAX).contains(&size) {
        Errno::EPERM
    } else {
        Errno::EINVAL
    })
}
