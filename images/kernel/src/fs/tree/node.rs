//! A node: a file of a tree, its attributes, and what it contains.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;

use linux_raw_sys::general as linux;

use super::Tree;
use super::data::{Data, Lower};
use super::directory::{Directory, Up};
use crate::errno::{Errno, Result};
use crate::fs::erofs::{self, Run};
use crate::fs::file::File;
use crate::fs::inode::{Change, FileSystem, Inode, New, Replace, Target};
use crate::fs::pipe::Pipe;
use crate::fs::stat::{Device, Kind, Stat, Timestamp};
use crate::fs::{budget, device, inotify, pipe};
use crate::sync::Mutex;

/// Bytes of all extended attributes of a file, at most.
const XATTRS_MAX: usize = 128 << 10;

/// A file of a tree.
pub struct Node {
    pub(super) tree: &'static Tree,
    pub(super) ino: u64,
    pub(super) kind: Kind,
    image: Option<erofs::Inode>,
    pub(super) state: Mutex<State>,
}

/// What can change.
pub(super) struct State {
    pub(super) permissions: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) nlink: u32,
    pub(super) atime: Timestamp,
    pub(super) mtime: Timestamp,
    pub(super) ctime: Timestamp,
    btime: Timestamp,
    pub(super) content: Content,
    /// All of them, once one was changed; until then the image's.
    xattrs: Option<BTreeMap<Vec<u8>, Vec<u8>>>,
    /// Whether the tree keeps the node.
    kept: bool,
    /// Whether it may be given a name while it has none.
    pub(super) linkable: bool,
}

/// What is in it.
pub(super) enum Content {
    Directory(Directory),
    Regular(Data),
    /// None if it is the image's.
    Symlink(Option<Box<[u8]>>),
    Fifo(Weak<Pipe>),
    Device(Device),
    /// What is bound to the name.
    Socket(Option<Weak<dyn Any + Send + Sync>>),
}

impl Node {
    pub(super) fn of_image(
        tree: &'static Tree,
        inode: erofs::Inode,
        up: Option<Up>,
    ) -> Result<Self> {
        let image = tree.image.as_ref().ok_or(Errno::EIO)?;
        let content = match inode.kind() {
            Kind::Directory => Content::Directory(Directory::at(up)),
            Kind::Regular => Content::Regular(Data::of_lower(inode.size)),
            Kind::Symlink => Content::Symlink(None),
            Kind::Fifo => Content::Fifo(Weak::new()),
            Kind::Socket => Content::Socket(None),
            Kind::CharDevice | Kind::BlockDevice => Content::Device(image.device(&inode)),
        };
        let state = State {
            permissions: inode.mode & 0o7777,
            uid: inode.uid,
            gid: inode.gid,
            nlink: inode.nlink,
            atime: inode.mtime,
            mtime: inode.mtime,
            ctime: inode.mtime,
            btime: inode.mtime,
            content,
            xattrs: None,
            kept: false,
            linkable: false,
        };
        let (ino, kind) = (inode.nid, inode.kind());
        Ok(Self {
            tree,
            ino,
            kind,
            image: Some(inode),
            state: Mutex::new(state),
        })
    }

    pub(super) fn of_new(tree: &'static Tree, ino: u64, new: &New<'_>, up: Option<Up>) -> Self {
        let now = Timestamp::now();
        let content = match new.kind {
            Kind::Directory => Content::Directory(Directory::at(up)),
            Kind::Regular => Content::Regular(Data::empty()),
            Kind::Symlink => Content::Symlink(Some(new.target.into())),
            Kind::Fifo => Content::Fifo(Weak::new()),
            Kind::Socket => Content::Socket(None),
            Kind::CharDevice | Kind::BlockDevice => Content::Device(new.rdev),
        };
        let state = State {
            permissions: new.permissions,
            uid: new.uid,
            gid: new.gid,
            nlink: if new.kind == Kind::Directory { 2 } else { 1 },
            atime: now,
            mtime: now,
            ctime: now,
            btime: now,
            content,
            xattrs: None,
            kept: true,
            linkable: false,
        };
        Self {
            tree,
            ino,
            kind: new.kind,
            image: None,
            state: Mutex::new(state),
        }
    }

    /// What the image has of it.
    pub(super) fn lower(&self) -> Option<Lower<'_>> {
        Some(Lower {
            image: self.tree.image.as_ref()?,
            inode: self.image.as_ref()?,
        })
    }

    /// Changes something, after which the node differs from the image.
    pub(super) fn update<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        self.keep();
        change(&mut self.state.lock())
    }

    /// Keeps the node from now on, since it differs from the image.
    pub(super) fn keep(&self) {
        let mut state = self.state.lock();
        if !core::mem::replace(&mut state.kept, true)
            && let Some(inode) = &self.image
        {
            drop(state);
            self.tree.keep(inode.nid);
        }
    }

    /// Stops keeping the node if its last name has gone.
    pub(super) fn forget_if_nameless(&self) {
        let gone = self.state.lock().nlink == 0;
        if let Some(inode) = self.image.as_ref().filter(|_| gone) {
            self.tree.let_go(inode.nid);
        }
    }

    /// Runs `with` on the content of this regular file.
    pub(super) fn data<R>(&self, with: impl FnOnce(&mut Data) -> R) -> Result<R> {
        match &mut self.state.lock().content {
            Content::Regular(data) => Ok(with(data)),
            Content::Directory(_) => Err(Errno::EISDIR),
            _ => Err(Errno::EINVAL),
        }
    }

    /// The pipe behind a FIFO.
    fn fifo(&self) -> Result<Arc<Pipe>> {
        let mut state = self.state.lock();
        let Content::Fifo(pipe) = &mut state.content else {
            return Err(Errno::EINVAL);
        };
        if let Some(pipe) = pipe.upgrade() {
            return Ok(pipe);
        }
        let new = Arc::new(Pipe::default());
        *pipe = Arc::downgrade(&new);
        Ok(new)
    }

    /// Binds a socket to its name.
    pub fn bind(&self, socket: Weak<dyn Any + Send + Sync>) {
        if let Content::Socket(bound) = &mut self.state.lock().content {
            *bound = Some(socket);
        }
    }

    /// The socket that is bound to this name.
    #[must_use]
    pub fn bound(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        match &self.state.lock().content {
            Content::Socket(bound) => bound.as_ref()?.upgrade(),
            _ => None,
        }
    }

    /// Runs `with` on all extended attributes, those of the image among them.
    fn xattrs<R>(&self, with: impl FnOnce(&mut BTreeMap<Vec<u8>, Vec<u8>>) -> R) -> Result<R> {
        let mut state = self.state.lock();
        if let Some(xattrs) = &mut state.xattrs {
            return Ok(with(xattrs));
        }
        let mut all = BTreeMap::new();
        if let Some(lower) = self.lower() {
            let found = lower.image.xattrs(lower.inode)?;
            all.extend(
                found
                    .into_iter()
                    .map(|(name, value)| (name, value.to_vec())),
            );
        }
        let result = with(&mut all);
        // An empty set need not be remembered if it is what the image says anyway.
        if state.kept {
            state.xattrs = Some(all);
        }
        Ok(result)
    }
}

impl Inode for Node {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn stat(&self) -> Stat {
        let state = self.state.lock();
        let mode = self.kind.mode() | state.permissions;
        let mut stat = Stat::new(self.tree.filesystem.device, self.ino, mode);
        (stat.uid, stat.gid, stat.nlink) = (state.uid, state.gid, state.nlink);
        (stat.atime, stat.mtime) = (state.atime, state.mtime);
        (stat.ctime, stat.btime) = (state.ctime, state.btime);
        match &state.content {
            Content::Directory(_) => stat.size = 4096,
            Content::Regular(data) => {
                stat.size = data.size;
                stat.blocks = data.blocks();
            }
            Content::Symlink(target) => {
                let of_image = || self.image.as_ref().map_or(0, |inode| inode.size);
                stat.size = target
                    .as_ref()
                    .map_or_else(of_image, |target| target.len() as u64);
            }
            Content::Device(device) => stat.rdev = *device,
            Content::Fifo(_) | Content::Socket(_) => {}
        }
        stat
    }

    fn filesystem(&self) -> &'static FileSystem {
        self.tree.filesystem
    }

    fn open(self: Arc<Self>, flags: u32) -> Result<Arc<dyn File>> {
        let rdev = match &self.state.lock().content {
            Content::Device(device) => Some(*device),
            _ => None,
        };
        match self.kind {
            Kind::Regular | Kind::Directory => Ok(self),
            Kind::Symlink => Err(Errno::ELOOP),
            Kind::Socket => Err(Errno::ENXIO),
            Kind::Fifo => pipe::open(&self.fifo()?, flags),
            Kind::CharDevice => device::open(rdev.unwrap_or_default(), flags),
            Kind::BlockDevice => Err(Errno::ENXIO),
        }
    }

    fn change(&self, change: &Change) -> Result<()> {
        self.update(|state| {
            state.permissions = change.permissions.unwrap_or(state.permissions);
            state.uid = change.uid.unwrap_or(state.uid);
            state.gid = change.gid.unwrap_or(state.gid);
            state.atime = change.atime.unwrap_or(state.atime);
            state.mtime = change.mtime.unwrap_or(state.mtime);
            state.ctime = Timestamp::now();
        });
        Ok(())
    }

    fn truncate(&self, size: u64) -> Result<()> {
        self.resize(size)
    }

    fn target(&self) -> Result<Target> {
        let state = self.state.lock();
        match &state.content {
            Content::Symlink(Some(target)) => Ok(Target::Path(target.to_vec())),
            Content::Symlink(None) => {
                let lower = self.lower().ok_or(Errno::EIO)?;
                if lower.inode.size == 0 || lower.inode.size >= u64::from(linux::PATH_MAX) {
                    return Err(Errno::EIO);
                }
                let mut target = Vec::new();
                while (target.len() as u64) < lower.inode.size {
                    match lower.image.data(lower.inode, target.len() as u64)? {
                        Run::Bytes(_, bytes) => target.extend_from_slice(bytes),
                        Run::Zeros(_) => return Err(Errno::EIO),
                    }
                }
                Ok(Target::Path(target))
            }
            _ => Err(Errno::EINVAL),
        }
    }

    fn lookup(self: Arc<Self>, name: &[u8]) -> Result<Arc<dyn Inode>> {
        Ok(self.child(name)?)
    }

    fn parent(&self) -> Option<(Arc<dyn Inode>, Vec<u8>)> {
        self.up_for_all()
    }

    fn create(self: Arc<Self>, name: &[u8], new: &New<'_>) -> Result<Arc<dyn Inode>> {
        Ok(self.make_child(name, new)?)
    }

    fn create_unnamed(&self, new: &New<'_>, linkable: bool) -> Result<Arc<dyn Inode>> {
        let node = self.make_unnamed(new)?;
        node.state.lock().linkable = linkable;
        Ok(node)
    }

    fn link(self: Arc<Self>, name: &[u8], inode: Arc<dyn Inode>) -> Result<()> {
        self.link_child(name, self.sibling(inode)?)
    }

    fn unlink(self: Arc<Self>, name: &[u8], directory: bool) -> Result<()> {
        self.unlink_child(name, directory)
    }

    fn rename(
        self: Arc<Self>,
        name: &[u8],
        to: Arc<dyn Inode>,
        to_name: &[u8],
        replace: Replace,
    ) -> Result<()> {
        self.rename_child(name, &self.sibling(to)?, to_name, replace)
    }

    fn xattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.xattrs(|all| all.get(name).cloned())?
            .ok_or(Errno::ENODATA)
    }

    fn xattr_names(&self) -> Result<Vec<Vec<u8>>> {
        self.xattrs(|all| all.keys().cloned().collect())
    }

    fn set_xattr(&self, name: &[u8], value: Option<&[u8]>) -> Result<()> {
        self.keep();
        let result = self.xattrs(|all| match value {
            None => all.remove(name).map(drop).ok_or(Errno::ENODATA),
            Some(value) => {
                let used: usize = all
                    .iter()
                    .map(|(name, value)| name.len() + value.len())
                    .sum();
                if used + name.len() + value.len() > XATTRS_MAX {
                    return Err(Errno::ENOSPC);
                }
                all.insert(name.to_vec(), value.to_vec());
                Ok(())
            }
        })?;
        self.state.lock().ctime = Timestamp::now();
        result
    }

    fn identity(&self) -> (u32, u64) {
        (self.tree.filesystem.device, self.ino)
    }
}

impl Node {
    /// Lets go of the directory above.
    fn take_up(&mut self) -> Option<Up> {
        match &mut self.state.get_mut().content {
            Content::Directory(directory) => directory.up.take(),
            _ => None,
        }
    }

    /// A regular file of the same tree without a name.
    pub(in crate::fs) fn make_unnamed(&self, new: &New<'_>) -> Result<Arc<Self>> {
        let node = self.tree.make(new, None)?;
        node.state.lock().nlink = 0;
        Ok(node)
    }

    /// A node of the same tree.
    fn sibling(&self, inode: Arc<dyn Inode>) -> Result<Arc<Self>> {
        let any: Arc<dyn Any + Send + Sync> = inode;
        let node = any.downcast::<Self>().map_err(|_| Errno::EXDEV)?;
        if core::ptr::eq(node.tree, self.tree) {
            Ok(node)
        } else {
            Err(Errno::EXDEV)
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.state.get_mut().nlink == 0 {
            inotify::gone((self.tree.filesystem.device, self.ino));
        }
        match &self.image {
            Some(inode) => self.tree.let_go(inode.nid),
            None => budget::give_inode(),
        }
        // The directories above may go with this one. They go one after the other: paths can be
        // deeper than the stack.
        let mut up = self.take_up();
        while let Some(mut above) = up.and_then(|(above, _)| Arc::into_inner(above)) {
            up = above.take_up();
        }
    }
}
