//! What a program finds when it starts: the root file system, the mounts, descriptors 0 to 2.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use linux_raw_sys::general as linux;

use super::erofs::Image;
use super::file::File;
use super::inode::{FileSystem, Inode, New, same};
use super::open_file::OpenFile;
use super::stat::{Device, Kind};
use super::tree::Tree;
use super::{FdTable, FsContext, device, mount, proc, stdio};
use crate::errno::{Errno, Result};
use crate::memory::image;
use crate::tty;

static ROOT: FileSystem = FileSystem {
    name: "overlay",
    magic: linux::OVERLAYFS_SUPER_MAGIC,
    device: 24,
    in_memory: true,
};
static DEV: FileSystem = FileSystem {
    name: "tmpfs",
    magic: linux::TMPFS_MAGIC,
    device: 5,
    in_memory: true,
};

/// Names in the root directory that are always there; all but the last are mounts.
const ALWAYS: [&[u8]; 4] = [b"dev", b"proc", b"sys", b"tmp"];

/// Whether they are there already.
static COMPLETE: AtomicBool = AtomicBool::new(false);

/// Makes the box image the root. What else belongs in every Linux system comes when it is first
/// looked for ([`complete`]): many programs never do, and starting them takes as long as the
/// pages that are touched on the way.
///
/// # Errors
///
/// EIO if the image is damaged.
pub fn init() -> Result<FsContext> {
    mount::set_root(Tree::over(Image::new(image::bytes())?, &ROOT)?);
    Ok(FsContext::empty())
}

/// Called before a name is looked up in a directory, or (without a name) all of them are.
///
/// # Errors
///
/// EIO if the image is damaged, ENOSPC.
pub(super) fn complete(directory: &Arc<dyn Inode>, name: Option<&[u8]>) -> Result<()> {
    let concerns = name.is_none_or(|name| ALWAYS.contains(&name));
    if !concerns || COMPLETE.load(Ordering::Relaxed) {
        return Ok(());
    }
    let root = mount::root();
    if !same(directory, &root) {
        return Ok(());
    }
    COMPLETE.store(true, Ordering::Relaxed);
    mount::add(find_or_make(&root, b"dev", 0o755)?, "/dev", devices);
    mount::add(find_or_make(&root, b"proc", 0o555)?, "/proc", proc::root);
    mount::add(find_or_make(&root, b"sys", 0o555)?, "/sys", proc::sys);
    find_or_make(&root, b"tmp", 0o1777)?;
    Ok(())
}

/// The directory of this name, made if it is not there.
fn find_or_make(parent: &Arc<dyn Inode>, name: &[u8], permissions: u32) -> Result<Arc<dyn Inode>> {
    match parent.clone().lookup(name) {
        Err(Errno::ENOENT) => make(
            parent,
            name,
            Kind::Directory,
            permissions,
            Device::default(),
            b"",
        ),
        Ok(found) if found.kind() != Kind::Directory => Err(Errno::ENOTDIR),
        found => found,
    }
}

fn make(
    parent: &Arc<dyn Inode>,
    name: &[u8],
    kind: Kind,
    permissions: u32,
    rdev: Device,
    target: &[u8],
) -> Result<Arc<dyn Inode>> {
    parent.clone().create(
        name,
        &New {
            kind,
            permissions,
            uid: 0,
            gid: 0,
            rdev,
            target,
        },
    )
}

/// What is in `/dev`.
fn devices() -> Result<Arc<dyn Inode>> {
    let root: Arc<dyn Inode> = Tree::empty(&DEV, 0o755)?;
    let nodes: [(&[u8], Device); 8] = [
        (b"null", device::NULL),
        (b"zero", device::ZERO),
        (b"full", device::FULL),
        (b"random", device::RANDOM),
        (b"urandom", device::URANDOM),
        (b"tty", device::TTY),
        (b"console", device::CONSOLE),
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
    make(
        &root,
        b"shm",
        Kind::Directory,
        0o1777,
        Device::default(),
        b"",
    )?;
    let slaves = find_or_make(&root, b"pts", 0o755)?;
    mount::add(slaves, "/dev/pts", tty::devpts::root);
    Ok(root)
}

/// Descriptors 0, 1 and 2: three streams, or the console.
///
/// # Errors
///
/// EIO if the box image is damaged.
pub fn standard_descriptors() -> Result<FdTable> {
    let table = FdTable::empty();
    if let Some((console, location)) = tty::console::open()? {
        let console = OpenFile::new(console, linux::O_RDWR, Some(location));
        for _ in 0..3 {
            table.install(console.clone(), false, 3)?;
        }
        return Ok(table);
    }
    let files: [(Arc<dyn File>, u32); 3] = [
        (Arc::new(stdio::Input::new()), linux::O_RDONLY),
        (Arc::new(stdio::Output::stdout()), linux::O_WRONLY),
        (Arc::new(stdio::Output::stderr()), linux::O_WRONLY),
    ];
    for (file, flags) in files {
        table.install(OpenFile::new(file, flags, None), false, 3)?;
    }
    Ok(table)
}
