//! What a program finds when it starts: the root file system, the mounts, descriptors 0 to 2.

use alloc::sync::Arc;

use linux_raw_sys::general as linux;

use super::erofs::Image;
use super::file::File;
use super::inode::{FileSystem, Inode, New};
use super::open_file::OpenFile;
use super::stat::{Device, Kind};
use super::tree::{Node, Tree};
use super::{FdTable, FsContext, device, mount, proc, stdio};
use crate::errno::{Errno, Result};
use crate::memory::image;

static ROOT: FileSystem =
    FileSystem { name: "overlay", magic: linux::OVERLAYFS_SUPER_MAGIC, device: 24, in_memory: true };
static DEV: FileSystem =
    FileSystem { name: "tmpfs", magic: linux::TMPFS_MAGIC, device: 5, in_memory: true };

/// Mounts the box image and what belongs in every Linux system. Reads no more of the image than
/// its root directory.
///
/// # Errors
///
/// EIO if the image is damaged.
pub fn init() -> Result<FsContext> {
    let root = Tree::over(Image::new(image::bytes())?, &ROOT)?;
    mount::set_root(root.clone());
    mount::add(directory(&root, b"dev", 0o755)?, "/dev", devices);
    mount::add(directory(&root, b"proc", 0o555)?, "/proc", proc::root);
    mount::add(directory(&root, b"sys", 0o555)?, "/sys", proc::sys);
    directory(&root, b"tmp", 0o1777)?;
    Ok(FsContext::empty())
}

/// The directory of this name, made if it is not there.
fn directory(parent: &Arc<Node>, name: &[u8], permissions: u32) -> Result<Arc<dyn Inode>> {
    match parent.clone().lookup(name) {
        Err(Errno::ENOENT) => make(parent, name, Kind::Directory, permissions, Device::default(), b""),
        Ok(found) if found.kind() != Kind::Directory => Err(Errno::ENOTDIR),
        found => found,
    }
}

fn make(
    parent: &Arc<Node>,
    name: &[u8],
    kind: Kind,
    permissions: u32,
    rdev: Device,
    target: &[u8],
) -> Result<Arc<dyn Inode>> {
    parent.clone().create(name, &New { kind, permissions, uid: 0, gid: 0, rdev, target })
}

/// What is in `/dev`.
fn devices() -> Result<Arc<dyn Inode>> {
    let root = Tree::empty(&DEV, 0o755)?;
    let nodes: [(&[u8], Device); 7] = [
        (b"null", device::NULL),
        (b"zero", device::ZERO),
        (b"full", device::FULL),
        (b"random", device::RANDOM),
        (b"urandom", device::URANDOM),
        (b"tty", device::TTY),
        (b"ptmx", device::PTMX),
    ];
    for (name, number) in nodes {
        make(&root, name, Kind::CharDevice, 0o666, number, b"")?;
    }
    let links: [(&[u8], &[u8]); 4] = [
        (b"fd", b"/proc/self/fd"),
        (b"stdin", b"/proc/self/fd/0"),
        (b"stdout", b"/proc/self/fd/1"),
        (b"stderr", b"/proc/self/fd/2"),
    ];
    for (name, target) in links {
        make(&root, name, Kind::Symlink, 0o777, Device::default(), target)?;
    }
    make(&root, b"shm", Kind::Directory, 0o1777, Device::default(), b"")?;
    make(&root, b"pts", Kind::Directory, 0o755, Device::default(), b"")?;
    Ok(root)
}

/// Descriptors 0, 1 and 2.
#[must_use]
pub fn standard_descriptors() -> FdTable {
    let table = FdTable::empty();
    let files: [(Arc<dyn File>, u32); 3] = [
        (Arc::new(stdio::Input::new()), linux::O_RDONLY),
        (Arc::new(stdio::Output::stdout()), linux::O_WRONLY),
        (Arc::new(stdio::Output::stderr()), linux::O_WRONLY),
    ];
    for (file, flags) in files {
        // An empty table has room for three.
        let _ = table.install(OpenFile::new(file, flags, None), false, 3);
    }
    table
}
