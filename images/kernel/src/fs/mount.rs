//! Which file system lies over which directory. Fixed at start; a file system is made when a path
//! first leads into it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::inode::{Inode, same};
use crate::errno::Result;
use crate::sync::Mutex;

struct Mount {
    /// The directory that it hides.
    point: Arc<dyn Inode>,
    /// Where, for `/proc/mounts`.
    path: &'static str,
    make: fn() -> Result<Arc<dyn Inode>>,
    root: Option<Arc<dyn Inode>>,
}

static MOUNTS: Mutex<Vec<Mount>> = Mutex::new(Vec::new());
static ROOT: Mutex<Option<Arc<dyn Inode>>> = Mutex::new(None);

/// Makes `root` the root of everything.
pub fn set_root(root: Arc<dyn Inode>) {
    *ROOT.lock() = Some(root);
}

/// The root of everything.
///
/// # Panics
///
/// Before there is one.
#[must_use]
pub fn root() -> Arc<dyn Inode> {
    let root = ROOT.lock().clone();
    let Some(root) = root else {
        unreachable!("no root yet")
    };
    root
}

/// Lays the file system that `make` makes over a directory.
pub fn add(point: Arc<dyn Inode>, path: &'static str, make: fn() -> Result<Arc<dyn Inode>>) {
    MOUNTS.lock().push(Mount {
        point,
        path,
        make,
        root: None,
    });
}

/// What is seen of a directory: itself, or the root of what lies over it.
///
/// # Errors
///
/// What making the file system fails with.
pub fn cross(directory: Arc<dyn Inode>) -> Result<Arc<dyn Inode>> {
    let make = {
        let mounts = MOUNTS.lock();
        match mounts.iter().find(|mount| same(&mount.point, &directory)) {
            None => return Ok(directory),
            Some(Mount {
                root: Some(root), ..
            }) => return Ok(root.clone()),
            Some(mount) => mount.make,
        }
    };
    let root = make()?;
    let mut mounts = MOUNTS.lock();
    if let Some(mount) = mounts
        .iter_mut()
        .find(|mount| same(&mount.point, &directory))
    {
        mount.root = Some(root.clone());
    }
    Ok(root)
}

/// The directory that a mounted file system's root hides; none if this is no such root.
#[must_use]
pub fn point(root: &Arc<dyn Inode>) -> Option<Arc<dyn Inode>> {
    let mounts = MOUNTS.lock();
    let is_it = |mount: &&Mount| mount.root.as_ref().is_some_and(|this| same(this, root));
    mounts.iter().find(is_it).map(|mount| mount.point.clone())
}

/// Whether this is the root of a file system.
#[must_use]
pub fn is_root(inode: &Arc<dyn Inode>) -> bool {
    same(&root(), inode) || point(inode).is_some()
}

/// The paths of all mounts, the root left out.
#[must_use]
pub fn paths() -> Vec<&'static str> {
    MOUNTS.lock().iter().map(|mount| mount.path).collect()
}
