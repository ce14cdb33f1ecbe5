//! memfd_create(2): files in memory that never had a name.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use super::inode::{FileSystem, Inode, New};
use super::location::Location;
use super::open_file::OpenFile;
use super::stat::{Device, Kind};
use super::tree::{Node, Tree};
use crate::errno::Result;
use crate::sync::Mutex;

static FILES: FileSystem = FileSystem {
    name: "tmpfs",
    magic: linux::TMPFS_MAGIC,
    device: 1,
    in_memory: true,
};

/// The directory that none of them is in.
static ROOT: Mutex<Option<Arc<Node>>> = Mutex::new(None);

fn root() -> Result<Arc<Node>> {
    if let Some(root) = ROOT.lock().clone() {
        return Ok(root);
    }
    let root = Tree::empty(&FILES, 0o700)?;
    *ROOT.lock() = Some(root.clone());
    Ok(root)
}

/// A new file, to be shown under this name; whether seals may be put on it.
///
/// # Errors
///
/// ENOSPC.
pub fn create(name: &[u8], sealable: bool, executable: bool) -> Result<Arc<OpenFile>> {
    let root = root()?;
    let permissions = if executable { 0o777 } else { 0o666 };
    let new = New {
        kind: Kind::Regular,
        permissions,
        uid: 0,
        gid: 0,
        rdev: Device::default(),
        target: b"",
    };
    let node = root.make_unnamed(&new)?;
    if sealable {
        node.allow_seals(if executable { 0 } else { linux::F_SEAL_EXEC });
    }
    let shown: Vec<u8> = [b"memfd:", name].concat();
    let location = Location {
        inode: node.clone(),
        name: Some((root as Arc<dyn Inode>, shown)),
    };
    let flags = linux::O_RDWR | linux::O_LARGEFILE;
    Ok(OpenFile::new(node, flags, Some(location)))
}
