//! File systems that can be written: trees of inodes in memory, over the box image or over
//! nothing.
//!
//! An inode of the image gets a [`Node`] when it is first looked up. As long as the node says what
//! the image says it goes when nobody uses it any more; once changed it is kept. So what was only
//! read costs nothing later, and what was changed is changed for all its names.

mod data;
mod directory;
mod file;
mod node;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicU64, Ordering};

pub use node::Node;

use super::erofs::Image;
use super::inode::{FileSystem, New};
use super::stat::{Device, Kind};
use crate::errno::{Errno, Result};
use crate::sync::Mutex;
use directory::Up;

/// Inodes that the image does not have are numbered from here; node ids lie below.
const FIRST_INO: u64 = 1 << 40;

/// A tree.
pub struct Tree {
    filesystem: &'static FileSystem,
    image: Option<Image>,
    /// The nodes of the image's inodes, by node id.
    nodes: Mutex<BTreeMap<u64, Known>>,
    next_ino: AtomicU64,
}

/// A node of the image's.
enum Known {
    /// As the image says.
    Clean(Weak<Node>),
    /// Changed, hence to be kept.
    Changed(Arc<Node>),
}

impl Known {
    fn node(&self) -> Option<Arc<Node>> {
        match self {
            Self::Clean(node) => node.upgrade(),
            Self::Changed(node) => Some(node.clone()),
        }
    }
}

impl Tree {
    /// The root directory of a new tree over an image.
    ///
    /// # Errors
    ///
    /// EIO if the image has no valid root.
    pub fn over(image: Image, filesystem: &'static FileSystem) -> Result<Arc<Node>> {
        let tree = Self::leak(Some(image), filesystem);
        let root = tree.node(image.root(), None)?;
        if super::inode::Inode::kind(&*root) != Kind::Directory {
            return Err(Errno::EIO);
        }
        Ok(root)
    }

    /// The root directory of a new tree over nothing.
    ///
    /// # Errors
    ///
    /// ENOSPC.
    pub fn empty(filesystem: &'static FileSystem, permissions: u32) -> Result<Arc<Node>> {
        let new = New {
            kind: Kind::Directory,
            permissions,
            uid: 0,
            gid: 0,
            rdev: Device::default(),
            target: b"",
        };
        Self::leak(None, filesystem).make(&new, None)
    }

    /// Trees are few, and there for ever.
    fn leak(image: Option<Image>, filesystem: &'static FileSystem) -> &'static Self {
        let nodes = Mutex::new(BTreeMap::new());
        let next_ino = AtomicU64::new(if image.is_some() { FIRST_INO } else { 1 });
        Box::leak(Box::new(Self {
            filesystem,
            image,
            nodes,
            next_ino,
        }))
    }

    /// The node of an inode of the image; if it is a new directory's, `up` is where it lies.
    fn node(&'static self, nid: u64, up: Option<Up>) -> Result<Arc<Node>> {
        if let Some(node) = self.nodes.lock().get(&nid).and_then(Known::node) {
            return Ok(node);
        }
        let image = self.image.as_ref().ok_or(Errno::EIO)?;
        let node = Arc::new(Node::of_image(self, image.inode(nid)?, up)?);
        self.nodes
            .lock()
            .insert(nid, Known::Clean(Arc::downgrade(&node)));
        Ok(node)
    }

    /// A new node that the image does not have.
    fn make(&'static self, new: &New<'_>, up: Option<Up>) -> Result<Arc<Node>> {
        super::budget::take_inode()?;
        let ino = self.next_ino.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(Node::of_new(self, ino, new, up)))
    }

    /// Keeps a node of the image's that has been changed.
    fn keep(&self, nid: u64) {
        let mut nodes = self.nodes.lock();
        if let Some(known) = nodes.get_mut(&nid)
            && let Some(node) = known.node()
        {
            *known = Known::Changed(node);
        }
    }

    /// Keeps a node no longer, since its last name has gone or nobody uses it.
    fn let_go(&self, nid: u64) {
        let mut nodes = self.nodes.lock();
        let gone = match nodes.get(&nid) {
            Some(Known::Clean(node)) if node.strong_count() > 0 => None,
            _ => nodes.remove(&nid),
        };
        // Dropping a node looks here again.
        drop(nodes);
        drop(gone);
    }
}
