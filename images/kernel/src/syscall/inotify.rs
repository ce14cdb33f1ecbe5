//! Watching files.

use linux_raw_sys::general as linux;

use super::lookup::{self, HERE, file, find, install};
use super::{Answer, Fd, Path};
use crate::errno::Errno;
use crate::fs::inotify::Inotify;
use crate::fs::{Kind, OpenFile, permission};
use crate::task;

/// inotify_init1(2).
pub fn inotify_init1(flags: u32) -> Answer {
    if flags & !(linux::IN_CLOEXEC | linux::IN_NONBLOCK) != 0 {
        return Err(Errno::EINVAL);
    }
    let status = linux::O_RDONLY | flags & linux::IN_NONBLOCK;
    let instance = OpenFile::new(Inotify::new(), status, None);
    install(instance, flags & linux::IN_CLOEXEC != 0)
}

/// inotify_init(2).
pub fn inotify_init() -> Answer {
    inotify_init1(0)
}

/// inotify_add_watch(2).
pub fn inotify_add_watch(fd: Fd, path: Path, mask: u32) -> Answer {
    let both = linux::IN_MASK_ADD | linux::IN_MASK_CREATE;
    if mask & ALL == 0 {
        return Err(Errno::EINVAL);
    }
    let instance = file(fd)?;
    if mask & both == both {
        return Err(Errno::EINVAL);
    }
    let inotify = instance.downcast::<Inotify>().ok_or(Errno::EINVAL)?;
    let follow = mask & linux::IN_DONT_FOLLOW == 0;
    let inode = find(HERE, &lookup::path(path)?, 0, follow)?.inode;
    if mask & linux::IN_ONLYDIR != 0 && inode.kind() != Kind::Directory {
        return Err(Errno::ENOTDIR);
    }
    let who = task::process().credentials();
    permission::check_inode(&*inode, permission::READ, &who)?;
    Ok(inotify.watch(&*inode, mask)? as u64)
}

/// Everything that a mask may ask for.
const ALL: u32 = linux::IN_ALL_EVENTS
    | linux::IN_UNMOUNT
    | linux::IN_Q_OVERFLOW
    | linux::IN_IGNORED
    | linux::IN_ONLYDIR
    | linux::IN_DONT_FOLLOW
    | linux::IN_EXCL_UNLINK
    | linux::IN_MASK_ADD
    | linux::IN_MASK_CREATE
    | linux::IN_ISDIR
    | linux::IN_ONESHOT;

/// inotify_rm_watch(2).
pub fn inotify_rm_watch(fd: Fd, watch: i32) -> Answer {
    let instance = file(fd)?;
    let inotify = instance.downcast::<Inotify>().ok_or(Errno::EINVAL)?;
    inotify.unwatch(watch)?;
    Ok(0)
}
