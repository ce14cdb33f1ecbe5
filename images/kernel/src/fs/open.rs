//! Opening by path.

use alloc::sync::Arc;

use linux_raw_sys::general as linux;

use super::claim::Claim;
use super::inode::{Inode, New};
use super::location::Location;
use super::open_file::OpenFile;
use super::path::{Found, Walk};
use super::stat::{Device, Kind};
use super::{FsContext, inotify, permission, root};
use crate::errno::{Errno, Result};
use crate::task::{self, Credentials};

/// The bit of O_TMPFILE that is not O_DIRECTORY.
const TMPFILE: u32 = linux::O_TMPFILE & !linux::O_DIRECTORY;

/// How to open.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    /// O_*.
    pub flags: u32,
    /// Permissions of a file that is made, before the mask.
    pub mode: u32,
    /// RESOLVE_*.
    pub resolve: u32,
}

impl How {
    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    fn wants_tmpfile(&self) -> bool {
        self.flags & linux::O_TMPFILE == linux::O_TMPFILE
    }

    /// Checks that the flags make sense together.
    fn check(&self) -> Result<()> {
        let makes = self.has(linux::O_CREAT) && !self.has(linux::O_PATH);
        let writes = !matches!(self.flags & linux::O_ACCMODE, linux::O_RDONLY);
        let unnamed = self.has(TMPFILE) && !self.has(linux::O_PATH);
        if makes && self.has(linux::O_DIRECTORY)
            || unnamed && (makes || !writes || !self.wants_tmpfile())
        {
            return Err(Errno::EINVAL);
        }
        Ok(())
    }

    /// What it means to do, as [`permission`] has it.
    fn access(&self) -> u32 {
        let truncates = if self.has(linux::O_TRUNC) {
            permission::WRITE
        } else {
            0
        };
        truncates
            | match self.flags & linux::O_ACCMODE {
                linux::O_RDONLY => permission::READ,
                linux::O_WRONLY => permission::WRITE,
                _ => permission::READ | permission::WRITE,
            }
    }

    /// What it takes of a file that it means to write.
    fn claim(&self, inode: &dyn Inode) -> Result<Option<Claim>> {
        if self.access() & permission::WRITE == 0 {
            return Ok(None);
        }
        Claim::to_write(inode)
    }
}

/// Opens what a path from `base` leads to, or makes it; may sleep (a FIFO).
///
/// # Errors
///
/// As open(2) and openat2(2).
pub fn open(
    context: &FsContext,
    base: Arc<dyn Inode>,
    path: &[u8],
    how: How,
) -> Result<Arc<OpenFile>> {
    how.check()?;
    let who = task::process().credentials();
    let walk = Walk {
        root: context.root(),
        who: &who,
        resolve: how.resolve,
    };
    let exclusive = how.has(linux::O_CREAT) && how.has(linux::O_EXCL) && !how.has(linux::O_PATH);
    let follow = !how.has(linux::O_NOFOLLOW) && !exclusive;
    let found = walk.walk(base, path, follow)?;
    if how.has(linux::O_PATH) {
        return open_path(found, how);
    }
    if how.wants_tmpfile() {
        return open_unnamed(&found.existing()?.inode, how, context, &who);
    }
    let creates = how.has(linux::O_CREAT);
    if creates && found.location.is_none() {
        return create(found, how, context, &who);
    }
    let location = found.existing()?;
    let kind = location.inode.kind();
    if exclusive {
        return Err(Errno::EEXIST);
    }
    if creates && kind == Kind::Directory {
        return Err(Errno::EISDIR);
    }
    open_location(location, how, &who)
}

/// Opens what was found.
fn open_location(location: Location, how: How, who: &Credentials) -> Result<Arc<OpenFile>> {
    let inode = &location.inode;
    match inode.kind() {
        Kind::Symlink if !how.has(linux::O_DIRECTORY) => return Err(Errno::ELOOP),
        Kind::Directory if how.access() & permission::WRITE != 0 => return Err(Errno::EISDIR),
        kind if how.has(linux::O_DIRECTORY) && kind != Kind::Directory => {
            return Err(Errno::ENOTDIR);
        }
        _ => {}
    }
    permission::check_inode(&**inode, how.access(), who)?;
    if how.has(linux::O_NOATIME) {
        permission::own(&**inode, who)?;
    }
    root::complete(inode, None)?;
    let claim = how.claim(&**inode)?;
    let file = inode.clone().open(how.flags)?;
    let cuts = how.has(linux::O_TRUNC) && inode.kind() == Kind::Regular;
    if cuts {
        inode.truncate(0)?;
    }
    let file = OpenFile::opened(file, how.flags, location);
    file.set_claim(claim.filter(|_| file.is_writable()));
    if cuts {
        file.tell(linux::IN_MODIFY);
    }
    Ok(file)
}

fn open_path(found: Found, how: How) -> Result<Arc<OpenFile>> {
    let location = found.existing()?;
    if how.has(linux::O_DIRECTORY) && location.inode.kind() != Kind::Directory {
        return Err(Errno::ENOTDIR);
    }
    Ok(OpenFile::path_only(location, how.flags))
}

fn new_file(how: How, context: &FsContext, who: &Credentials) -> New<'static> {
    New {
        kind: Kind::Regular,
        permissions: how.mode & 0o7777 & !context.umask(),
        uid: who.fsuid,
        gid: who.fsgid,
        rdev: Device::default(),
        target: b"",
    }
}

fn create(found: Found, how: How, context: &FsContext, who: &Credentials) -> Result<Arc<OpenFile>> {
    if found.slash {
        return Err(Errno::EISDIR);
    }
    permission::add(&*found.directory, who)?;
    let new = new_file(how, context, who);
    let inode = found.directory.clone().create(&found.name, &new)?;
    inotify::entry(&*found.directory, &found.name, false, linux::IN_CREATE);
    // Whoever makes a file may use it, whatever its permissions are.
    let claim = how.claim(&*inode)?;
    let file = inode.clone().open(how.flags)?;
    let location = Location {
        inode,
        name: Some((found.directory, found.name)),
    };
    let file = OpenFile::opened(file, how.flags, location);
    file.set_claim(claim);
    Ok(file)
}

fn open_unnamed(
    directory: &Arc<dyn Inode>,
    how: How,
    context: &FsContext,
    who: &Credentials,
) -> Result<Arc<OpenFile>> {
    if directory.kind() != Kind::Directory {
        return Err(Errno::ENOTDIR);
    }
    permission::add(&**directory, who)?;
    // Unless it is to remain alone, it may be given a name.
    let linkable = !how.has(linux::O_EXCL);
    let inode = directory.create_unnamed(&new_file(how, context, who), linkable)?;
    let claim = how.claim(&*inode)?;
    let file = inode.clone().open(how.flags)?;
    let file = OpenFile::opened(file, how.flags, Location::of(inode));
    file.set_claim(claim);
    Ok(file)
}
