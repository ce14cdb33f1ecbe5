//! The file tree of a box, in memory: names, metadata and where each file's
//! bytes are to be read from. The bytes themselves stay where they are.
//!
//! Inodes lie in an arena and directories map names to indices in it, so that
//! a hard link is two names with one index, and no operation recurses.
//! Directories are ordered by the bytes of their names: nothing that reads a
//! tree can see in which order it was built.

mod directory;
mod error;
pub mod image;
pub(crate) mod path;
mod resolve;
mod source;
mod tarball;
mod xattr;

use std::collections::BTreeMap;

pub use directory::{DirectoryTree, Ownership, read_directory};
pub use error::{EntryFault, TreeError};
pub use path::{BoxPath, MAX_NAME_LEN, MAX_PATH_LEN, display};
pub use resolve::{MAX_LINKS, ResolveError};
pub use source::{Source, SourceReader};
pub use tarball::read_tar;
pub use xattr::{Xattrs, kept as xattr_is_kept};

/// A name in a directory: 1 to [`MAX_NAME_LEN`] bytes, no `/`, no NUL.
pub type Name = Box<[u8]>;

/// The bounds of a tree, against input that means harm or is a mistake.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most inodes that may be added.
    pub entries: u32,
    /// Most bytes of file contents, summed over all files.
    pub bytes: u64,
}

impl Default for Limits {
    /// A million inodes, 64 GiB of contents.
    fn default() -> Self {
        Self {
            entries: 1_000_000,
            bytes: 64 << 30,
        }
    }
}

/// An inode of one [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InodeId(u32);

impl InodeId {
    /// The place of the inode in the tree's arena, for tables beside it.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What every inode has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Metadata {
    /// The low twelve bits of the mode: permissions, set-id and sticky bits.
    pub permissions: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time, nanoseconds since 1970. The readers of directories
    /// and tars leave it 0: a box does not depend on when it was built.
    pub mtime_ns: i64,
}

/// The number of a device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceNumber {
    /// Major number, 12 bits in an image.
    pub major: u32,
    /// Minor number, 20 bits in an image.
    pub minor: u32,
}

/// What an inode is.
#[derive(Clone, Debug)]
pub enum Content {
    /// A directory, sorted by the bytes of its names.
    Directory(BTreeMap<Name, InodeId>),
    /// A regular file.
    File(Source),
    /// A symbolic link and its target, 1 to [`MAX_PATH_LEN`] bytes.
    Symlink(Box<[u8]>),
    /// A character device.
    CharDevice(DeviceNumber),
    /// A block device.
    BlockDevice(DeviceNumber),
    /// A named pipe.
    Fifo,
}

/// One inode.
#[derive(Clone, Debug)]
pub struct Inode {
    /// Mode, owner, time.
    pub metadata: Metadata,
    /// Extended attributes.
    pub xattrs: Xattrs,
    /// What it is.
    pub content: Content,
}

impl Inode {
    /// An inode without extended attributes.
    pub fn new(metadata: Metadata, content: Content) -> Self {
        Self {
            metadata,
            xattrs: Xattrs::default(),
            content,
        }
    }

    /// An empty directory.
    pub fn directory(metadata: Metadata) -> Self {
        Self::new(metadata, Content::Directory(BTreeMap::new()))
    }

    /// The entries, if this is a directory.
    pub fn entries(&self) -> Option<&BTreeMap<Name, InodeId>> {
        match &self.content {
            Content::Directory(entries) => Some(entries),
            _ => None,
        }
    }
}

/// A file tree. It always has a root directory.
#[derive(Clone, Debug)]
pub struct Tree {
    inodes: Vec<Inode>,
    limits: Limits,
    bytes: u64,
}

impl Tree {
    /// The root directory of every tree.
    pub const ROOT: InodeId = InodeId(0);

    /// A tree of an empty root directory.
    pub fn new(root: Metadata, limits: Limits) -> Self {
        Self {
            inodes: vec![Inode::directory(root)],
            limits,
            bytes: 0,
        }
    }

    /// An inode by its id. Ids belong to the tree that gave them out.
    pub fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id.index()]
    }

    /// An inode, to be changed.
    pub fn inode_mut(&mut self, id: InodeId) -> &mut Inode {
        &mut self.inodes[id.index()]
    }

    /// How many inodes were ever added; those that were replaced count too.
    /// Every [`InodeId::index`] is below it.
    pub fn capacity(&self) -> usize {
        self.inodes.len()
    }

    /// Adds `inode` as `name` in `parent`; what had the name before is gone.
    pub fn add(
        &mut self,
        parent: InodeId,
        name: &[u8],
        inode: Inode,
    ) -> Result<InodeId, EntryFault> {
        if let Content::File(source) = &inode.content {
            self.bytes = self.bytes.saturating_add(source.len());
        }
        if self.bytes > self.limits.bytes {
            return Err(EntryFault::TooManyBytes {
                limit: self.limits.bytes,
            });
        }
        if self.inodes.len() >= self.limits.entries as usize {
            return Err(EntryFault::TooManyEntries {
                limit: self.limits.entries,
            });
        }
        if let Content::Symlink(target) = &inode.content {
            path::check_target(target)?;
        }
        xattr::check(&inode.xattrs)?;
        let id = InodeId(self.inodes.len() as u32);
        self.inodes.push(inode);
        self.set(parent, name, id)?;
        Ok(id)
    }

    /// Makes `name` in `parent` a further name of `target`, which must not be
    /// a directory.
    pub fn link(
        &mut self,
        parent: InodeId,
        name: &[u8],
        target: InodeId,
    ) -> Result<(), EntryFault> {
        if self.inode(target).entries().is_some() {
            return Err(EntryFault::LinkToDirectory);
        }
        self.set(parent, name, target)
    }

    fn set(&mut self, parent: InodeId, name: &[u8], id: InodeId) -> Result<(), EntryFault> {
        path::check_name(name)?;
        match &mut self.inode_mut(parent).content {
            Content::Directory(entries) => {
                entries.insert(name.into(), id);
                Ok(())
            }
            _ => Err(EntryFault::ParentNotDirectory),
        }
    }

    /// Takes `name` out of `parent` and says which inode it was.
    pub fn remove(&mut self, parent: InodeId, name: &[u8]) -> Option<InodeId> {
        match &mut self.inode_mut(parent).content {
            Content::Directory(entries) => entries.remove(name),
            _ => None,
        }
    }

    /// The inode that `name` is in `parent`, no link followed.
    pub fn child(&self, parent: InodeId, name: &[u8]) -> Option<InodeId> {
        self.inode(parent).entries()?.get(name).copied()
    }

    /// Every name in the tree, each directory before what is in it, siblings
    /// in order. An inode with several names comes several times.
    pub fn walk(&self) -> Walk<'_> {
        Walk {
            tree: self,
            stack: vec![(Vec::new(), Self::ROOT)],
        }
    }

    /// A path under which an inode is found, for messages.
    pub fn path_of(&self, id: InodeId) -> String {
        self.walk().find(|(_, found)| *found == id).map_or_else(
            || "an entry without a name".to_owned(),
            |(path, _)| display(&path),
        )
    }
}

/// See [`Tree::walk`]. The root is the path `/`.
pub struct Walk<'a> {
    tree: &'a Tree,
    stack: Vec<(Vec<u8>, InodeId)>,
}

impl Iterator for Walk<'_> {
    type Item = (Vec<u8>, InodeId);

    fn next(&mut self) -> Option<Self::Item> {
        let (path, id) = self.stack.pop()?;
        if let Some(entries) = self.tree.inode(id).entries() {
            // The last pushed comes first.
            for (name, child) in entries.iter().rev() {
                self.stack.push(([&path[..], b"/", name].concat(), *child));
            }
        }
        Some((if path.is_empty() { b"/".to_vec() } else { path }, id))
    }
}
