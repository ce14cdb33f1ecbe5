//! What a path leads to, whatever file system it lies in.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;

use super::file::File;
use super::location::Location;
use super::stat::{Device, Kind, Stat, Timestamp};
use crate::errno::{Errno, Result};

/// A file system, as `statfs` and `/proc/mounts` tell of it.
pub struct FileSystem {
    /// Its type's name.
    pub name: &'static str,
    /// Its type's number.
    pub magic: u32,
    /// The device number of its files.
    pub device: u32,
    /// Whether its pages count against [`super::budget`].
    pub in_memory: bool,
}

/// What is to be made.
pub struct New<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its permissions, the mask applied.
    pub permissions: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// For a device: which.
    pub rdev: Device,
    /// For a symbolic link: where to.
    pub target: &'a [u8],
}

/// Attributes to be changed. Whoever asks has been found to be allowed to.
#[derive(Clone, Copy, Default)]
pub struct Change {
    /// New permissions.
    pub permissions: Option<u32>,
    /// New owner.
    pub uid: Option<u32>,
    /// New group.
    pub gid: Option<u32>,
    /// New time of the last read.
    pub atime: Option<Timestamp>,
    /// New time of the last change.
    pub mtime: Option<Timestamp>,
}

/// Where a symbolic link leads.
pub enum Target {
    /// To a path.
    Path(Vec<u8>),
    /// To a file, whatever its path is now (the links of `/proc`), and what `readlink` says.
    Magic(Location, Vec<u8>),
}

/// How a rename treats what has the new name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replace {
    /// It goes.
    Yes,
    /// There must be nothing.
    No,
    /// It gets the old name.
    Exchange,
}

/// A file, directory, link or whatever else a name can stand for.
///
/// Names given to the methods are valid: not empty, no slash, at most 255 bytes, neither `.` nor
/// `..`. Permissions are the caller's business.
pub trait Inode: Any + Send + Sync {
    /// What it is.
    fn kind(&self) -> Kind;

    /// Its attributes.
    fn stat(&self) -> Stat;

    /// The file system that it is of.
    fn filesystem(&self) -> &'static FileSystem;

    /// Opens it, to be used as `flags` (O_*) say; may sleep.
    ///
    /// # Errors
    ///
    /// ENXIO if there is nothing behind it, and what the file system says.
    fn open(self: Arc<Self>, flags: u32) -> Result<Arc<dyn File>>;

    /// Changes attributes.
    ///
    /// # Errors
    ///
    /// EPERM if they are not to be changed.
    fn change(&self, _change: &Change) -> Result<()> {
        Err(Errno::EPERM)
    }

    /// Cuts or extends a regular file.
    ///
    /// # Errors
    ///
    /// EINVAL if it is none, EFBIG.
    fn truncate(&self, _size: u64) -> Result<()> {
        Err(Errno::EINVAL)
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    ///
    /// EINVAL if it is none.
    fn target(&self) -> Result<Target> {
        Err(Errno::EINVAL)
    }

    /// What a name in this directory stands for.
    ///
    /// # Errors
    ///
    /// ENOENT, ENOTDIR.
    fn lookup(self: Arc<Self>, _name: &[u8]) -> Result<Arc<dyn Inode>> {
        Err(Errno::ENOTDIR)
    }

    /// The directory above this one and the name there (for a directory that was removed, as it
    /// was); none for the root of a file system.
    fn parent(&self) -> Option<(Arc<dyn Inode>, Vec<u8>)> {
        None
    }

    /// Makes something in this directory.
    ///
    /// # Errors
    ///
    /// EEXIST, ENOSPC, ENOENT if the directory was removed, EPERM if nothing can be made.
    fn create(self: Arc<Self>, _name: &[u8], _new: &New<'_>) -> Result<Arc<dyn Inode>> {
        Err(Errno::EPERM)
    }

    /// Makes a regular file without a name in this directory's file system; it may be given one
    /// if `linkable`.
    ///
    /// # Errors
    ///
    /// EOPNOTSUPP, ENOSPC.
    fn create_unnamed(&self, _new: &New<'_>, _linkable: bool) -> Result<Arc<dyn Inode>> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Gives something another name, in this directory.
    ///
    /// # Errors
    ///
    /// EEXIST, EXDEV, EMLINK, EPERM.
    fn link(self: Arc<Self>, _name: &[u8], _inode: Arc<dyn Inode>) -> Result<()> {
        Err(Errno::EPERM)
    }

    /// Removes a name from this directory: an empty directory's, or anything else's.
    ///
    /// # Errors
    ///
    /// ENOENT, ENOTDIR, EISDIR, ENOTEMPTY, EPERM.
    fn unlink(self: Arc<Self>, _name: &[u8], _directory: bool) -> Result<()> {
        Err(Errno::EPERM)
    }

    /// Moves a name of this directory.
    ///
    /// # Errors
    ///
    /// ENOENT, EEXIST, EXDEV, EINVAL if a directory would come to lie below itself, ENOTEMPTY,
    /// ENOTDIR, EISDIR, EPERM.
    fn rename(
        self: Arc<Self>,
        _name: &[u8],
        _to: Arc<dyn Inode>,
        _to_name: &[u8],
        _replace: Replace,
    ) -> Result<()> {
        Err(Errno::EPERM)
    }

    /// An extended attribute.
    ///
    /// # Errors
    ///
    /// ENODATA, EOPNOTSUPP.
    fn xattr(&self, _name: &[u8]) -> Result<Vec<u8>> {
        Err(Errno::EOPNOTSUPP)
    }

    /// The names of all extended attributes.
    ///
    /// # Errors
    ///
    /// EOPNOTSUPP.
    fn xattr_names(&self) -> Result<Vec<Vec<u8>>> {
        Ok(Vec::new())
    }

    /// Sets an extended attribute, or removes it if there is no value.
    ///
    /// # Errors
    ///
    /// EOPNOTSUPP, ENODATA if there is none to be removed, ENOSPC.
    fn set_xattr(&self, _name: &[u8], _value: Option<&[u8]>) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    /// Which file it is, among all: device and inode number.
    fn identity(&self) -> (u32, u64) {
        let stat = self.stat();
        (stat.device, stat.ino)
    }
}

/// Whether two are the same.
#[must_use]
pub fn same(one: &Arc<dyn Inode>, other: &Arc<dyn Inode>) -> bool {
    Arc::as_ptr(one).cast::<()>() == Arc::as_ptr(other).cast::<()>()
}
