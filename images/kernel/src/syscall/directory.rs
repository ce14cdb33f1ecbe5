//! Directories: reading them, and making, moving and removing what is in them.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use super::lookup::{self, HERE, file, find, walk};
use super::{Address, Answer, Fd, Path};
use crate::errno::{Errno, Result};
use crate::fs::file::DirEntry;
use crate::fs::inode::{New, Replace};
use crate::fs::path::{Found, Last, PATH_MAX};
use crate::fs::stat::Device;
use crate::fs::{Inode, Kind, Location, inotify, mount, permission};
use crate::io::Sink;
use crate::memory::user;
use crate::task;

/// Bytes of entries that one call gives, at most.
const ENTRIES_MAX: usize = 64 << 10;

/// Packs a directory entry as getdents64(2) gives it: inode, position of the next, length, type,
/// name and NUL, padding to 8 bytes.
fn pack(entry: &DirEntry<'_>, into: &mut Vec<u8>) {
    let start = into.len();
    let len = (19 + entry.name.len() + 1).next_multiple_of(8);
    into.extend_from_slice(&entry.ino.to_le_bytes());
    into.extend_from_slice(&entry.next.to_le_bytes());
    into.extend_from_slice(&(len as u16).to_le_bytes());
    into.push(entry.kind.entry_type());
    into.extend_from_slice(entry.name);
    into.resize(start + len, 0);
}

/// Packs one as getdents(2) gives it: the type is the last byte.
fn pack_old(entry: &DirEntry<'_>, into: &mut Vec<u8>) {
    let start = into.len();
    let len = (18 + entry.name.len() + 2).next_multiple_of(8);
    into.extend_from_slice(&entry.ino.to_le_bytes());
    into.extend_from_slice(&entry.next.to_le_bytes());
    into.extend_from_slice(&(len as u16).to_le_bytes());
    into.extend_from_slice(entry.name);
    into.resize(start + len - 1, 0);
    into.push(entry.kind.entry_type());
}

fn read_entries(
    fd: Fd,
    buffer: Address,
    len: usize,
    pack: fn(&DirEntry<'_>, &mut Vec<u8>),
) -> Answer {
    let file = lookup::usable_file(fd)?;
    if !file.is_directory() {
        return Err(Errno::ENOTDIR);
    }
    if file.stat().nlink == 0 {
        return Err(Errno::ENOENT);
    }
    let len = len.min(ENTRIES_MAX);
    let mut packed = Vec::new();
    let mut too_small = false;
    let start = file.position();
    file.entries(&mut |entry| {
        let before = packed.len();
        pack(entry, &mut packed);
        let fits = packed.len() <= len;
        if !fits {
            too_small = before == 0;
            packed.truncate(before);
        }
        fits
    })?;
    if too_small {
        return Err(Errno::EINVAL);
    }
    if let Err(errno) = user::copy_out(buffer.0, &packed) {
        file.set_position(start);
        return Err(errno);
    }
    Ok(packed.len() as u64)
}

/// getdents64(2).
pub fn getdents64(fd: Fd, buffer: Address, len: u32) -> Answer {
    read_entries(fd, buffer, len as usize, pack)
}

/// getdents(2).
pub fn getdents(fd: Fd, buffer: Address, len: u32) -> Answer {
    read_entries(fd, buffer, len as usize, pack_old)
}

/// Makes something at a path where nothing is.
fn make(directory: Fd, path: Path, kind: Kind, mode: u32, rdev: Device, target: &[u8]) -> Answer {
    let path = lookup::path(path)?;
    let found = walk(directory, &path, false)?;
    if found.location.is_some() {
        return Err(Errno::EEXIST);
    }
    if found.slash && kind != Kind::Directory {
        return Err(Errno::ENOENT);
    }
    let process = task::process();
    let who = process.credentials();
    permission::add(&*found.directory, &who)?;
    if matches!(kind, Kind::CharDevice | Kind::BlockDevice) && !who.can(linux::CAP_MKNOD) {
        return Err(Errno::EPERM);
    }
    let mask = if kind == Kind::Symlink {
        0
    } else {
        process.context().umask()
    };
    let permissions = mode & !mask;
    let new = New {
        kind,
        permissions,
        uid: who.fsuid,
        gid: who.fsgid,
        rdev,
        target,
    };
    found.directory.clone().create(&found.name, &new)?;
    let is_directory = kind == Kind::Directory;
    inotify::entry(
        &*found.directory,
        &found.name,
        is_directory,
        linux::IN_CREATE,
    );
    Ok(0)
}

/// mkdirat(2).
pub fn mkdirat(directory: Fd, path: Path, mode: u32) -> Answer {
    make(
        directory,
        path,
        Kind::Directory,
        mode & 0o1777,
        Device::default(),
        b"",
    )
}

/// mkdir(2).
pub fn mkdir(path: Path, mode: u32) -> Answer {
    mkdirat(HERE, path, mode)
}

/// mknodat(2).
pub fn mknodat(directory: Fd, path: Path, mode: u32, device: u64) -> Answer {
    let kind = if mode & linux::S_IFMT == 0 {
        Some(Kind::Regular)
    } else {
        Kind::of_mode(mode)
    };
    let device = match kind {
        Some(Kind::CharDevice | Kind::BlockDevice) => Device::decode(device),
        Some(Kind::Regular | Kind::Fifo | Kind::Socket) => Device::default(),
        Some(Kind::Directory) => return Err(Errno::EPERM),
        Some(Kind::Symlink) | None => return Err(Errno::EINVAL),
    };
    make(
        directory,
        path,
        kind.unwrap_or(Kind::Regular),
        mode & 0o7777,
        device,
        b"",
    )
}

/// mknod(2).
pub fn mknod(path: Path, mode: u32, device: u64) -> Answer {
    mknodat(HERE, path, mode, device)
}

/// symlinkat(2).
pub fn symlinkat(target: Path, directory: Fd, path: Path) -> Answer {
    let target = lookup::path(target)?;
    if target.is_empty() {
        return Err(Errno::ENOENT);
    }
    make(
        directory,
        path,
        Kind::Symlink,
        0o777,
        Device::default(),
        &target,
    )
}

/// symlink(2).
pub fn symlink(target: Path, path: Path) -> Answer {
    symlinkat(target, HERE, path)
}

/// linkat(2).
pub fn linkat(old_directory: Fd, old: Path, new_directory: Fd, new: Path, flags: u32) -> Answer {
    if flags & !(linux::AT_SYMLINK_FOLLOW | linux::AT_EMPTY_PATH) != 0 {
        return Err(Errno::EINVAL);
    }
    let (old, new) = (lookup::path(old)?, lookup::path(new)?);
    let old = find(
        old_directory,
        &old,
        flags,
        flags & linux::AT_SYMLINK_FOLLOW != 0,
    )?;
    let found = walk(new_directory, &new, false)?;
    if found.location.is_some() {
        return Err(Errno::EEXIST);
    }
    if found.slash {
        return Err(Errno::ENOENT);
    }
    if old.inode.kind() == Kind::Directory {
        return Err(Errno::EPERM);
    }
    let who = task::process().credentials();
    permission::link(&*old.inode, &who)?;
    permission::add(&*found.directory, &who)?;
    found
        .directory
        .clone()
        .link(&found.name, old.inode.clone())?;
    inotify::inode(&*old.inode, linux::IN_ATTRIB);
    inotify::entry(&*found.directory, &found.name, false, linux::IN_CREATE);
    Ok(0)
}

/// link(2).
pub fn link(old: Path, new: Path) -> Answer {
    linkat(HERE, old, HERE, new, 0)
}

/// What is to be taken out of its directory.
fn removable(found: Found) -> Result<(Found, Location)> {
    let location = found.location.clone().ok_or(Errno::ENOENT)?;
    if mount::is_root(&location.inode) {
        return Err(Errno::EBUSY);
    }
    permission::remove(
        &*found.directory,
        &*location.inode,
        &task::process().credentials(),
    )?;
    Ok((found, location))
}

/// unlinkat(2).
pub fn unlinkat(directory: Fd, path: Path, flags: u32) -> Answer {
    if flags & !linux::AT_REMOVEDIR != 0 {
        return Err(Errno::EINVAL);
    }
    let is_directory = flags & linux::AT_REMOVEDIR != 0;
    let path = lookup::path(path)?;
    // A link with slashes behind it is not followed here.
    let found = walk(directory, trimmed(&path), false)?;
    match found.last {
        Last::Name => {}
        _ if !is_directory => return Err(Errno::EISDIR),
        Last::Dot => return Err(Errno::EINVAL),
        Last::DotDot => return Err(Errno::ENOTEMPTY),
        Last::Other => return Err(Errno::EBUSY),
    }
    let (found, location) = removable(found)?;
    if !is_directory && path.ends_with(b"/") && location.inode.kind() != Kind::Directory {
        return Err(Errno::ENOTDIR);
    }
    found.directory.clone().unlink(&found.name, is_directory)?;
    if !is_directory {
        inotify::inode(&*location.inode, linux::IN_ATTRIB);
    }
    inotify::entry(
        &*found.directory,
        &found.name,
        is_directory,
        linux::IN_DELETE,
    );
    Ok(0)
}

/// A path without the slashes at its end.
fn trimmed(path: &[u8]) -> &[u8] {
    let end = path
        .iter()
        .rposition(|byte| *byte != b'/')
        .map_or(path.len().min(1), |at| at + 1);
    &path[..end]
}

/// unlink(2).
pub fn unlink(path: Path) -> Answer {
    unlinkat(HERE, path, 0)
}

/// rmdir(2).
pub fn rmdir(path: Path) -> Answer {
    unlinkat(HERE, path, linux::AT_REMOVEDIR)
}

/// renameat2(2).
pub fn renameat2(old_directory: Fd, old: Path, new_directory: Fd, new: Path, flags: u32) -> Answer {
    let replace = match flags {
        0 => Replace::Yes,
        linux::RENAME_NOREPLACE => Replace::No,
        linux::RENAME_EXCHANGE => Replace::Exchange,
        _ => return Err(Errno::EINVAL),
    };
    let (old_path, new_path) = (lookup::path(old)?, lookup::path(new)?);
    let old = walk(old_directory, trimmed(&old_path), false)?;
    let new = walk(new_directory, trimmed(&new_path), false)?;
    if old.directory.filesystem().device != new.directory.filesystem().device {
        return Err(Errno::EXDEV);
    }
    if old.last != Last::Name || new.last != Last::Name {
        return Err(Errno::EBUSY);
    }
    let (old, location) = removable(old)?;
    let is_directory = location.inode.kind() == Kind::Directory;
    if !is_directory && (old_path.ends_with(b"/") || new_path.ends_with(b"/")) {
        return Err(Errno::ENOTDIR);
    }
    permission::add(&*new.directory, &task::process().credentials())?;
    let (new, replaced) = if new.location.is_some() {
        let (new, replaced) = removable(new)?;
        (new, Some(replaced.inode))
    } else {
        (new, None)
    };
    let same_file = |other: &Arc<dyn Inode>| other.identity() == location.inode.identity();
    if replaced.as_ref().is_some_and(same_file) && replace == Replace::Yes {
        // Two names of one file both stay.
        return Ok(0);
    }
    old.directory
        .clone()
        .rename(&old.name, new.directory.clone(), &new.name, replace)?;
    let from = (&*old.directory, &*old.name);
    let to = (&*new.directory, &*new.name);
    inotify::moved(from, to, is_directory);
    match replaced {
        Some(other) if replace == Replace::Exchange => {
            inotify::inode(&*location.inode, linux::IN_MOVE_SELF);
            inotify::moved(to, from, other.kind() == Kind::Directory);
            inotify::inode(&*other, linux::IN_MOVE_SELF);
        }
        other => {
            if let Some(other) = &other {
                inotify::inode(&**other, linux::IN_ATTRIB);
            }
            inotify::inode(&*location.inode, linux::IN_MOVE_SELF);
        }
    }
    Ok(0)
}

/// renameat(2).
pub fn renameat(old_directory: Fd, old: Path, new_directory: Fd, new: Path) -> Answer {
    renameat2(old_directory, old, new_directory, new, 0)
}

/// rename(2).
pub fn rename(old: Path, new: Path) -> Answer {
    renameat2(HERE, old, HERE, new, 0)
}

/// readlinkat(2).
pub fn readlinkat(directory: Fd, path: Path, buffer: Address, len: i32) -> Answer {
    let len = usize::try_from(len)
        .ok()
        .filter(|len| *len > 0)
        .ok_or(Errno::EINVAL)?;
    let path = lookup::path(path)?;
    // An empty path means the descriptor's own link.
    let location = find(directory, &path, linux::AT_EMPTY_PATH, false)?;
    if path.is_empty() && location.inode.kind() != Kind::Symlink {
        return Err(Errno::ENOENT);
    }
    let text = match location.inode.target()? {
        crate::fs::inode::Target::Path(text) | crate::fs::inode::Target::Magic(_, text) => text,
    };
    Ok(Sink::user(buffer.0, len).write(&text)? as u64)
}

/// readlink(2).
pub fn readlink(path: Path, buffer: Address, len: i32) -> Answer {
    readlinkat(HERE, path, buffer, len)
}

/// A directory that may be searched.
fn searchable(location: Location) -> Result<Location> {
    if location.inode.kind() != Kind::Directory {
        return Err(Errno::ENOTDIR);
    }
    permission::search(&*location.inode, &task::process().credentials())?;
    Ok(location)
}

/// chdir(2).
pub fn chdir(path: Path) -> Answer {
    let location = walk(HERE, &lookup::path(path)?, true)?.existing()?;
    task::process()
        .context()
        .set_directory(searchable(location)?.inode);
    Ok(0)
}

/// fchdir(2).
pub fn fchdir(fd: Fd) -> Answer {
    let location = file(fd)?.location().cloned().ok_or(Errno::ENOTDIR)?;
    task::process()
        .context()
        .set_directory(searchable(location)?.inode);
    Ok(0)
}

/// chroot(2).
pub fn chroot(path: Path) -> Answer {
    let location = searchable(walk(HERE, &lookup::path(path)?, true)?.existing()?)?;
    let process = task::process();
    if !process.credentials().can(linux::CAP_SYS_CHROOT) {
        return Err(Errno::EPERM);
    }
    process.context().set_root(location.inode);
    Ok(0)
}

/// getcwd(2).
pub fn getcwd(buffer: Address, len: usize) -> Answer {
    let context = task::process().context();
    let (here, root) = (Location::of(context.directory()), context.root());
    let (mut path, exists) = here.path(&root);
    if !exists {
        return Err(Errno::ENOENT);
    }
    if !here.is_within(&root) {
        path.splice(..0, *b"(unreachable)");
    }
    path.push(0);
    if path.len() > PATH_MAX {
        return Err(Errno::ENAMETOOLONG);
    }
    if path.len() > len {
        return Err(Errno::ERANGE);
    }
    user::copy_out(buffer.0, &path)?;
    Ok(path.len() as u64)
}

/// umask(2).
pub fn umask(mask: u32) -> Answer {
    Ok(task::process().context().set_umask(mask).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_packed_as_linux_has_them() {
        let entry = DirEntry {
            ino: 7,
            kind: Kind::Directory,
            name: b"abcd",
            next: 9,
        };
        let mut packed = Vec::new();
        pack(&entry, &mut packed);
        assert_eq!(packed.len(), 24);
        assert_eq!(
            packed[..18],
            [7, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 24, 0]
        );
        assert_eq!(packed[18..], *b"\x04abcd\0");
        packed.clear();
        pack_old(&entry, &mut packed);
        assert_eq!(packed.len(), 24);
        assert_eq!(packed[18..], *b"abcd\0\x04");
    }

    #[test]
    fn a_name_that_fills_its_record_still_ends_in_nul() {
        let entry = DirEntry {
            ino: 1,
            kind: Kind::Regular,
            name: b"abcde",
            next: 1,
        };
        let mut packed = Vec::new();
        pack(&entry, &mut packed);
        assert_eq!((packed.len(), packed[24]), (32, 0));
    }

    #[test]
    fn slashes_at_the_end_are_trimmed_but_not_the_root() {
        assert_eq!(trimmed(b"a/b//"), b"a/b");
        assert_eq!(trimmed(b"///"), b"/");
        assert_eq!(trimmed(b""), b"");
    }
}
