//! Attributes of files: looking at them, checking access, changing them.

use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use super::lookup::{self, HERE, file, find, find_by_flags, usable_file, walk};
use super::{Address, Answer, Fd, Path};
use crate::errno::{Errno, Result};
use crate::fs::Claim;
use crate::fs::inode::{Change, FileSystem};
use crate::fs::stat::Timestamp;
use crate::fs::{self, Kind, Location, budget, inotify, mount, permission};
use crate::memory::plain::zeroed;
use crate::memory::user;
use crate::task;
use crate::time::SECOND;

/// stat(2).
pub fn stat(path: Path, into: Address) -> Answer {
    newfstatat(HERE, path, into, 0)
}

/// lstat(2).
pub fn lstat(path: Path, into: Address) -> Answer {
    newfstatat(HERE, path, into, linux::AT_SYMLINK_NOFOLLOW)
}

/// fstat(2).
pub fn fstat(fd: Fd, into: Address) -> Answer {
    user::write(into.0, &file(fd)?.stat().to_stat())?;
    Ok(0)
}

/// newfstatat(2).
pub fn newfstatat(directory: Fd, path: Path, into: Address, flags: u32) -> Answer {
    let known = linux::AT_SYMLINK_NOFOLLOW | linux::AT_EMPTY_PATH | linux::AT_NO_AUTOMOUNT;
    if flags & !known != 0 {
        return Err(Errno::EINVAL);
    }
    let path = lookup::path(path)?;
    let location = find_by_flags(directory, &path, flags)?;
    user::write(into.0, &location.inode.stat().to_stat())?;
    Ok(0)
}

/// statx(2).
pub fn statx(directory: Fd, path: Path, flags: u32, mask: u32, into: Address) -> Answer {
    let known = linux::AT_SYMLINK_NOFOLLOW
        | linux::AT_EMPTY_PATH
        | linux::AT_NO_AUTOMOUNT
        | linux::AT_STATX_SYNC_TYPE;
    let sync = flags & linux::AT_STATX_SYNC_TYPE;
    if flags & !known != 0
        || mask & linux::STATX__RESERVED != 0
        || sync == linux::AT_STATX_SYNC_TYPE
    {
        return Err(Errno::EINVAL);
    }
    let null = path.0 == 0 && flags & linux::AT_EMPTY_PATH != 0;
    let path = if null {
        Vec::new()
    } else {
        lookup::path(path)?
    };
    let location = find_by_flags(directory, &path, flags)?;
    let mut told = location.inode.stat().to_statx();
    told.stx_attributes_mask = u64::from(linux::STATX_ATTR_MOUNT_ROOT);
    if mount::is_root(&location.inode) {
        told.stx_attributes = u64::from(linux::STATX_ATTR_MOUNT_ROOT);
    }
    user::write(into.0, &told)?;
    Ok(0)
}

/// faccessat2(2).
pub fn faccessat2(directory: Fd, path: Path, mode: u32, flags: u32) -> Answer {
    let known = linux::AT_EACCESS | linux::AT_SYMLINK_NOFOLLOW | linux::AT_EMPTY_PATH;
    if mode & !7 != 0 || flags & !known != 0 {
        return Err(Errno::EINVAL);
    }
    let path = lookup::path(path)?;
    let location = find_by_flags(directory, &path, flags)?;
    let mut who = task::process().credentials();
    if flags & linux::AT_EACCESS == 0 {
        who.use_real();
    }
    if mode != 0 {
        permission::check(&location.inode.stat(), mode, &who)?;
    }
    Ok(0)
}

/// faccessat(2).
pub fn faccessat(directory: Fd, path: Path, mode: u32) -> Answer {
    faccessat2(directory, path, mode, 0)
}

/// access(2).
pub fn access(path: Path, mode: u32) -> Answer {
    faccessat2(HERE, path, mode, 0)
}

/// What a descriptor's calls change.
pub(super) fn changeable(fd: Fd) -> Result<Location> {
    usable_file(fd)?.location().cloned().ok_or(Errno::EPERM)
}

/// What the calls that change attributes name.
fn named(directory: Fd, path: Path, flags: u32) -> Result<Location> {
    if flags & !(linux::AT_SYMLINK_NOFOLLOW | linux::AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    find_by_flags(directory, &lookup::path(path)?, flags)
}

fn change_mode(location: &Location, mode: u32) -> Answer {
    let inode = &*location.inode;
    if inode.kind() == Kind::Symlink {
        return Err(Errno::EOPNOTSUPP);
    }
    let who = task::process().credentials();
    permission::own(inode, &who)?;
    let mut permissions = mode & 0o7777;
    if !who.can(linux::CAP_FSETID) && !who.in_group(inode.stat().gid) {
        permissions &= !linux::S_ISGID;
    }
    inode.change(&Change {
        permissions: Some(permissions),
        ..Change::default()
    })?;
    inotify::file(location, linux::IN_ATTRIB);
    Ok(0)
}

/// fchmod(2).
pub fn fchmod(fd: Fd, mode: u32) -> Answer {
    change_mode(&changeable(fd)?, mode)
}

/// fchmodat2(2).
pub fn fchmodat2(directory: Fd, path: Path, mode: u32, flags: u32) -> Answer {
    change_mode(&named(directory, path, flags)?, mode)
}

/// fchmodat(2).
pub fn fchmodat(directory: Fd, path: Path, mode: u32) -> Answer {
    fchmodat2(directory, path, mode, 0)
}

/// chmod(2).
pub fn chmod(path: Path, mode: u32) -> Answer {
    fchmodat2(HERE, path, mode, 0)
}

fn change_owner(location: &Location, uid: u32, gid: u32) -> Answer {
    let inode = &*location.inode;
    let who = task::process().credentials();
    let stat = inode.stat();
    let uid = (uid != u32::MAX).then_some(uid);
    let gid = (gid != u32::MAX).then_some(gid);
    let none = uid.is_none() && gid.is_none();
    let own = who.fsuid == stat.uid
        && uid.is_none_or(|uid| uid == stat.uid)
        && gid.is_none_or(|gid| who.in_group(gid));
    if !who.can(linux::CAP_CHOWN) && !own && !none {
        return Err(Errno::EPERM);
    }
    // A program with a new owner no longer lends the old one's rights.
    let lost = match stat.kind() {
        Kind::Directory => 0,
        _ => permission::lent(stat.mode),
    };
    let permissions = Some(stat.mode & 0o7777 & !lost);
    inode.change(&Change {
        permissions,
        uid,
        gid,
        ..Change::default()
    })?;
    inotify::file(location, linux::IN_ATTRIB);
    Ok(0)
}

/// fchown(2).
pub fn fchown(fd: Fd, uid: u32, gid: u32) -> Answer {
    change_owner(&changeable(fd)?, uid, gid)
}

/// fchownat(2).
pub fn fchownat(directory: Fd, path: Path, uid: u32, gid: u32, flags: u32) -> Answer {
    change_owner(&named(directory, path, flags)?, uid, gid)
}

/// chown(2).
pub fn chown(path: Path, uid: u32, gid: u32) -> Answer {
    fchownat(HERE, path, uid, gid, 0)
}

/// lchown(2).
pub fn lchown(path: Path, uid: u32, gid: u32) -> Answer {
    fchownat(HERE, path, uid, gid, linux::AT_SYMLINK_NOFOLLOW)
}

/// What a time is to be set to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    Now,
    Omit,
    At(Timestamp),
}

impl Moment {
    fn resolve(self) -> Option<Timestamp> {
        match self {
            Self::Now => Some(Timestamp::now()),
            Self::Omit => None,
            Self::At(time) => Some(time),
        }
    }
}

fn read_moments(times: Address) -> Result<[Moment; 2]> {
    if times.is_null() {
        return Ok([Moment::Now; 2]);
    }
    let read = |at: u64| {
        let [seconds, nanos]: [i64; 2] = user::read(times.0.wrapping_add(16 * at))?;
        Ok(match nanos {
            nanos if nanos == i64::from(linux::UTIME_NOW) => Moment::Now,
            nanos if nanos == i64::from(linux::UTIME_OMIT) => Moment::Omit,
            nanos if (0..SECOND as i64).contains(&nanos) => Moment::At(Timestamp {
                seconds,
                nanos: nanos as u32,
            }),
            _ => return Err(Errno::EINVAL),
        })
    };
    Ok([read(0)?, read(1)?])
}

/// Times in microseconds.
fn read_old_moments(times: Address) -> Result<[Moment; 2]> {
    if times.is_null() {
        return Ok([Moment::Now; 2]);
    }
    let read = |at: u64| {
        let [seconds, micros]: [i64; 2] = user::read(times.0.wrapping_add(16 * at))?;
        if !(0..1_000_000).contains(&micros) {
            return Err(Errno::EINVAL);
        }
        Ok(Moment::At(Timestamp {
            seconds,
            nanos: micros as u32 * 1000,
        }))
    };
    Ok([read(0)?, read(1)?])
}

fn set_times(location: &Location, [atime, mtime]: [Moment; 2]) -> Answer {
    let inode = &*location.inode;
    let who = task::process().credentials();
    if permission::own(inode, &who).is_err() {
        // Whoever may write may say that it was now.
        if atime != Moment::Now || mtime != Moment::Now {
            return Err(Errno::EPERM);
        }
        permission::check(&inode.stat(), permission::WRITE, &who)?;
    }
    let (atime, mtime) = (atime.resolve(), mtime.resolve());
    inode.change(&Change {
        atime,
        mtime,
        ..Change::default()
    })?;
    // One time alone looks like what changes it.
    let event = match (atime, mtime) {
        (Some(_), None) => linux::IN_ACCESS,
        (None, Some(_)) => linux::IN_MODIFY,
        _ => linux::IN_ATTRIB,
    };
    inotify::file(location, event);
    Ok(0)
}

/// utimensat(2). Without a path it is about the descriptor.
pub fn utimensat(directory: Fd, path: Path, times: Address, flags: u32) -> Answer {
    if flags & !(linux::AT_SYMLINK_NOFOLLOW | linux::AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let moments = read_moments(times)?;
    if moments == [Moment::Omit; 2] {
        return Ok(0);
    }
    if path.0 == 0 && directory != HERE {
        if flags & linux::AT_SYMLINK_NOFOLLOW != 0 {
            return Err(Errno::EINVAL);
        }
        return set_times(&changeable(directory)?, moments);
    }
    set_times(&named(directory, path, flags)?, moments)
}

/// futimesat(2).
pub fn futimesat(directory: Fd, path: Path, times: Address) -> Answer {
    let moments = read_old_moments(times)?;
    if path.0 == 0 && directory != HERE {
        return set_times(&changeable(directory)?, moments);
    }
    let location = find(directory, &lookup::path(path)?, 0, true)?;
    set_times(&location, moments)
}

/// utimes(2).
pub fn utimes(path: Path, times: Address) -> Answer {
    futimesat(HERE, path, times)
}

/// utime(2).
pub fn utime(path: Path, times: Address) -> Answer {
    let moments = if times.is_null() {
        [Moment::Now; 2]
    } else {
        let seconds: [i64; 2] = user::read(times.0)?;
        seconds.map(|seconds| Moment::At(Timestamp { seconds, nanos: 0 }))
    };
    let location = find(HERE, &lookup::path(path)?, 0, true)?;
    set_times(&location, moments)
}

/// truncate(2).
pub fn truncate(path: Path, size: i64) -> Answer {
    let size = u64::try_from(size).map_err(|_| Errno::EINVAL)?;
    let location = walk(HERE, &lookup::path(path)?, true)?.existing()?;
    if location.inode.kind() == Kind::Directory {
        return Err(Errno::EISDIR);
    }
    let who = task::process().credentials();
    permission::check(&location.inode.stat(), permission::WRITE, &who)?;
    let _claim = Claim::to_write(&*location.inode)?;
    // A file that keeps its size keeps its times, unlike with ftruncate(2).
    let stat = location.inode.stat();
    if size > stat.size {
        fs::limit::check_size(size)?;
    }
    if stat.kind() != Kind::Regular || stat.size != size {
        location.inode.truncate(size)?;
    }
    inotify::file(&location, linux::IN_MODIFY);
    Ok(0)
}

fn tell_filesystem(filesystem: &FileSystem, into: Address) -> Answer {
    /// ST_VALID | ST_RELATIME, as Linux tells of an ordinary mount.
    const FLAGS: i64 = 0x20 | 0x1000;
    let mut told: linux::statfs64 = zeroed();
    told.f_type = filesystem.magic.into();
    told.f_bsize = 4096;
    told.f_frsize = 4096;
    told.f_namelen = 255;
    told.f_flags = FLAGS;
    told.f_fsid.val[0] = filesystem.device as i32;
    if filesystem.in_memory {
        let (limit, used, inodes) = (budget::limit(), budget::pages(), budget::inodes());
        told.f_blocks = limit;
        told.f_bfree = limit.saturating_sub(used);
        told.f_bavail = told.f_bfree;
        told.f_files = limit;
        told.f_ffree = limit.saturating_sub(inodes);
    }
    user::write(into.0, &told)?;
    Ok(0)
}

/// statfs(2).
pub fn statfs(path: Path, into: Address) -> Answer {
    let location = walk(HERE, &lookup::path(path)?, true)?.existing()?;
    tell_filesystem(location.inode.filesystem(), into)
}

/// fstatfs(2).
pub fn fstatfs(fd: Fd, into: Address) -> Answer {
    let file = file(fd)?;
    tell_filesystem(
        crate::fs::anonymous::location(&file).inode.filesystem(),
        into,
    )
}
