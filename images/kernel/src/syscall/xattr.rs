//! Extended attributes of files.

use alloc::vec;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use super::attribute::changeable;
use super::lookup::{self, HERE, find, usable_file};
use super::{Address, Answer, Fd, Path};
use crate::errno::{Errno, Result};
use crate::fs::{Inode, Kind, Location, anonymous, inotify, permission};
use crate::memory::user;
use crate::task;

/// What only the superuser sees.
const TRUSTED: &[u8] = b"trusted.";

/// The name of an extended attribute, of a kind that files here have.
fn xattr_name(name: Path) -> Result<Vec<u8>> {
    let name =
        user::string(name.0, linux::XATTR_NAME_MAX as usize).map_err(|errno| match errno {
            Errno::ENAMETOOLONG => Errno::ERANGE,
            errno => errno,
        })?;
    if name.is_empty() {
        return Err(Errno::ERANGE);
    }
    Ok(name)
}

/// Whether a name is of the program's own kind, or the superuser's.
fn check_xattr_kind(name: &[u8], inode: &dyn Inode) -> Result<()> {
    let user = name.starts_with(b"user.");
    if user && !matches!(inode.kind(), Kind::Regular | Kind::Directory) {
        return Err(Errno::EPERM);
    }
    let known = user || name.starts_with(TRUSTED) || name.starts_with(b"security.");
    if !known {
        Err(Errno::EOPNOTSUPP)
    } else if name.ends_with(b".") {
        // A kind without a name.
        Err(Errno::EINVAL)
    } else {
        Ok(())
    }
}

fn set_xattr(location: &Location, name: Path, value: Address, size: usize, flags: u32) -> Answer {
    let inode = &*location.inode;
    if flags & !(linux::XATTR_CREATE | linux::XATTR_REPLACE) != 0 {
        return Err(Errno::EINVAL);
    }
    let name = xattr_name(name)?;
    if size > linux::XATTR_SIZE_MAX as usize {
        return Err(Errno::E2BIG);
    }
    let mut bytes = vec![0; size];
    user::copy_in(value.0, &mut bytes)?;
    check_xattr_kind(&name, inode)?;
    may_change_xattr(&name, inode)?;
    let exists = match inode.xattr(&name) {
        Ok(_) => true,
        Err(Errno::ENODATA) => false,
        Err(errno) => return Err(errno),
    };
    if exists && flags & linux::XATTR_CREATE != 0 {
        return Err(Errno::EEXIST);
    }
    if !exists && flags & linux::XATTR_REPLACE != 0 {
        return Err(Errno::ENODATA);
    }
    inode.set_xattr(&name, Some(&bytes))?;
    inotify::file(location, linux::IN_ATTRIB);
    Ok(0)
}

fn may_change_xattr(name: &[u8], inode: &dyn Inode) -> Result<()> {
    let who = task::process().credentials();
    if name.starts_with(b"user.") {
        permission::check_inode(inode, permission::WRITE, &who)
    } else if who.can(linux::CAP_SYS_ADMIN) {
        Ok(())
    } else {
        Err(Errno::EPERM)
    }
}

/// setxattr(2).
pub fn setxattr(path: Path, name: Path, value: Address, size: usize, flags: u32) -> Answer {
    let location = find(HERE, &lookup::path(path)?, 0, true)?;
    set_xattr(&location, name, value, size, flags)
}

/// lsetxattr(2).
pub fn lsetxattr(path: Path, name: Path, value: Address, size: usize, flags: u32) -> Answer {
    let location = find(HERE, &lookup::path(path)?, 0, false)?;
    set_xattr(&location, name, value, size, flags)
}

/// fsetxattr(2).
pub fn fsetxattr(fd: Fd, name: Path, value: Address, size: usize, flags: u32) -> Answer {
    set_xattr(&changeable(fd)?, name, value, size, flags)
}

/// Gives bytes to a program that may only ask how many there are.
fn give(bytes: &[u8], into: Address, size: usize) -> Answer {
    if size > 0 {
        if bytes.len() > size {
            return Err(Errno::ERANGE);
        }
        user::copy_out(into.0, bytes)?;
    }
    Ok(bytes.len() as u64)
}

fn tell_xattr(inode: &dyn Inode, name: Path, into: Address, size: usize) -> Answer {
    let name = xattr_name(name)?;
    if name.starts_with(b"user.") && !matches!(inode.kind(), Kind::Regular | Kind::Directory) {
        return Err(Errno::ENODATA);
    }
    check_xattr_kind(&name, inode)?;
    let who = task::process().credentials();
    if name.starts_with(b"user.") {
        permission::check_inode(inode, permission::READ, &who)?;
    } else if name.starts_with(TRUSTED) && !who.can(linux::CAP_SYS_ADMIN) {
        return Err(Errno::ENODATA);
    }
    give(&inode.xattr(&name)?, into, size)
}

/// getxattr(2).
pub fn getxattr(path: Path, name: Path, into: Address, size: usize) -> Answer {
    let location = find(HERE, &lookup::path(path)?, 0, true)?;
    tell_xattr(&*location.inode, name, into, size)
}

/// lgetxattr(2).
pub fn lgetxattr(path: Path, name: Path, into: Address, size: usize) -> Answer {
    let location = find(HERE, &lookup::path(path)?, 0, false)?;
    tell_xattr(&*location.inode, name, into, size)
}

/// fgetxattr(2).
pub fn fgetxattr(fd: Fd, name: Path, into: Address, size: usize) -> Answer {
    let file = usable_file(fd)?;
    let location = anonymous::location(&file);
    tell_xattr(&*location.inode, name, into, size)
}

fn list_xattrs(inode: &dyn Inode, into: Address, size: usize) -> Answer {
    let mut list = Vec::new();
    let all = task::process().credentials().can(linux::CAP_SYS_ADMIN);
    for name in inode.xattr_names()? {
        if name.starts_with(TRUSTED) && !all {
            continue;
        }
        list.extend_from_slice(&name);
        list.push(0);
    }
    give(&list, into, size)
}

/// listxattr(2).
pub fn listxattr(path: Path, into: Address, size: usize) -> Answer {
    list_xattrs(
        &*find(HERE, &lookup::path(path)?, 0, true)?.inode,
        into,
        size,
    )
}

/// llistxattr(2).
pub fn llistxattr(path: Path, into: Address, size: usize) -> Answer {
    list_xattrs(
        &*find(HERE, &lookup::path(path)?, 0, false)?.inode,
        into,
        size,
    )
}

/// flistxattr(2).
pub fn flistxattr(fd: Fd, into: Address, size: usize) -> Answer {
    let file = usable_file(fd)?;
    list_xattrs(&*anonymous::location(&file).inode, into, size)
}

fn remove_xattr(location: &Location, name: Path) -> Answer {
    let inode = &*location.inode;
    let name = xattr_name(name)?;
    check_xattr_kind(&name, inode)?;
    may_change_xattr(&name, inode)?;
    inode.set_xattr(&name, None)?;
    inotify::file(location, linux::IN_ATTRIB);
    Ok(0)
}

/// removexattr(2).
pub fn removexattr(path: Path, name: Path) -> Answer {
    remove_xattr(&find(HERE, &lookup::path(path)?, 0, true)?, name)
}

/// lremovexattr(2).
pub fn lremovexattr(path: Path, name: Path) -> Answer {
    remove_xattr(&find(HERE, &lookup::path(path)?, 0, false)?, name)
}

/// fremovexattr(2).
pub fn fremovexattr(fd: Fd, name: Path) -> Answer {
    remove_xattr(&changeable(fd)?, name)
}
