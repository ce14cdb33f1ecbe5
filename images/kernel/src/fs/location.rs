//! A file together with the name by which it was found.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::inode::{Inode, same};
use super::mount;
use super::stat::Kind;

/// What a path led to, and by which name.
#[derive(Clone)]
pub struct Location {
    /// What it is.
    pub inode: Arc<dyn Inode>,
    /// The directory and the name in it. Not for directories, which know where they are, nor for
    /// what never had a name.
    pub name: Option<(Arc<dyn Inode>, Vec<u8>)>,
}

/// The directory above a directory and its name there, across mounts.
#[must_use]
pub fn above(directory: &Arc<dyn Inode>) -> Option<(Arc<dyn Inode>, Vec<u8>)> {
    mount::point(directory)
        .unwrap_or_else(|| directory.clone())
        .parent()
}

impl Location {
    /// A directory, or something without a name.
    #[must_use]
    pub fn of(inode: Arc<dyn Inode>) -> Self {
        Self { inode, name: None }
    }

    /// The path from `root`; and whether the file is still there.
    #[must_use]
    pub fn path(&self, root: &Arc<dyn Inode>) -> (Vec<u8>, bool) {
        let mut names: Vec<Vec<u8>> = Vec::new();
        let mut exists;
        let mut directory = self.inode.clone();
        if let Some((parent, name)) = &self.name {
            let found = parent.clone().lookup(name);
            exists = found.is_ok_and(|found| same(&found, &self.inode));
            names.push(name.clone());
            directory = parent.clone();
        } else if self.inode.kind() != Kind::Directory {
            return (Vec::new(), false);
        } else {
            exists = self.inode.stat().nlink > 0;
        }
        while !same(&directory, root) {
            let Some((parent, name)) = above(&directory) else {
                exists &= mount::is_root(&directory);
                break;
            };
            names.push(name);
            directory = parent;
        }
        let mut path = Vec::new();
        for name in names.iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        if path.is_empty() {
            path.push(b'/');
        }
        (path, exists)
    }

    /// Whether this directory is `root` or lies below it.
    #[must_use]
    pub fn is_within(&self, root: &Arc<dyn Inode>) -> bool {
        let mut directory = self.inode.clone();
        while !same(&directory, root) {
            let Some((parent, _)) = above(&directory) else {
                return false;
            };
            directory = parent;
        }
        true
    }

    /// The path as `/proc` shows it.
    #[must_use]
    pub fn display(&self, root: &Arc<dyn Inode>) -> Vec<u8> {
        let (mut path, exists) = self.path(root);
        if !exists {
            path.extend_from_slice(b" (deleted)");
        }
        path
    }
}
