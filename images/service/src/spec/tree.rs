//! From a tree to the files of a specification, and back.
//!
//! A specification has no entry for the root itself: the root of every box is
//! a directory of root's with mode 755.

use std::collections::{BTreeMap, HashMap};

use super::{Attributes, Branch, Filesystem, Item, MAX_DIRECTORIES, Map};
use crate::tree::{
    BoxPath, Content, DeviceNumber, EntryFault, Inode, InodeId, Limits, MAX_PATH_LEN, Metadata,
    Tree, TreeError, Xattrs, xattr_is_kept,
};

/// The attribute of a further name of a file: the path of the first.
const HARD_LINK: &str = "hard_link";

/// Types in `st_mode` of Linux (`include/uapi/linux/stat.h`).
mod kind {
    pub(super) const MASK: u32 = 0o170_000;
    pub(super) const FIFO: u32 = 0o010_000;
    pub(super) const CHAR: u32 = 0o020_000;
    pub(super) const DIRECTORY: u32 = 0o040_000;
    pub(super) const BLOCK: u32 = 0o060_000;
    pub(super) const FILE: u32 = 0o100_000;
    pub(super) const LINK: u32 = 0o120_000;
}

/// The metadata of the root of every box.
pub(crate) const ROOT: Metadata = Metadata {
    permissions: 0o755,
    uid: 0,
    gid: 0,
    mtime_ns: 0,
};

impl Filesystem {
    /// The files of a tree. Contents stay where they are.
    pub fn from_tree(tree: &Tree) -> Result<Self, TreeError> {
        let mut from = FromTree {
            tree,
            first: HashMap::new(),
        };
        from.directory(Tree::ROOT, &mut String::new(), 0)
    }

    /// The tree of these files.
    pub fn to_tree(&self, limits: Limits) -> Result<Tree, TreeError> {
        let mut tree = Tree::new(ROOT, limits);
        let mut directories = vec![Tree::ROOT];
        self.walk(&mut |path, branch| {
            let names = path.bytes().filter(|byte| *byte == b'/').count();
            directories.truncate(names);
            let parent = directories.last().copied().unwrap_or(Tree::ROOT);
            let made =
                add(&mut tree, parent, path, branch).map_err(|fault| fault.at(path.as_bytes()))?;
            directories.push(made);
            Ok(())
        })?;
        Ok(tree)
    }
}

struct FromTree<'a> {
    tree: &'a Tree,
    /// The first path of each inode that may have several.
    first: HashMap<InodeId, String>,
}

impl FromTree<'_> {
    fn directory(
        &mut self,
        id: InodeId,
        path: &mut String,
        depth: u32,
    ) -> Result<Filesystem, TreeError> {
        if depth > MAX_DIRECTORIES {
            let limit = MAX_DIRECTORIES;
            return Err(EntryFault::TooDeep { limit }.at(path.as_bytes()));
        }
        let mut branches = BTreeMap::new();
        for (name, child) in self.tree.inode(id).entries().into_iter().flatten() {
            let full = || [path.as_bytes(), b"/", name].concat();
            let text = str::from_utf8(name).map_err(|_| EntryFault::NotUtf8("name").at(&full()))?;
            let above = path.len();
            path.push('/');
            path.push_str(text);
            if path.len() > MAX_PATH_LEN {
                return Err(EntryFault::PathTooLong(path.len()).at(path.as_bytes()));
            }
            let branch = self.branch(*child, path, depth)?;
            path.truncate(above);
            branches.insert(text.to_owned(), branch);
        }
        Ok(Filesystem { branches })
    }

    fn branch(&mut self, id: InodeId, path: &mut String, depth: u32) -> Result<Branch, TreeError> {
        let inode = self.tree.inode(id);
        let none = DeviceNumber { major: 0, minor: 0 };
        let empty = || Item::File(crate::tree::Source::bytes(&[]));
        let (item, kind, device) = match &inode.content {
            Content::Directory(_) => {
                let inner = self.directory(id, path, depth + 1)?;
                (Item::Directory(inner), kind::DIRECTORY, none)
            }
            Content::File(source) => (Item::File(source.clone()), kind::FILE, none),
            Content::Symlink(target) => {
                let target = str::from_utf8(target)
                    .map_err(|_| EntryFault::NotUtf8("target").at(path.as_bytes()))?;
                (Item::Link(target.to_owned()), kind::LINK, none)
            }
            Content::CharDevice(device) => (empty(), kind::CHAR, *device),
            Content::BlockDevice(device) => (empty(), kind::BLOCK, *device),
            Content::Fifo => (empty(), kind::FIFO, none),
        };
        let mut other = Map::default();
        for (name, value) in &inode.xattrs {
            let name = str::from_utf8(name)
                .map_err(|_| EntryFault::NotUtf8("attribute's name").at(path.as_bytes()))?;
            other.insert(name.to_owned(), value.to_vec().into());
        }
        if inode.entries().is_none() {
            if let Some(first) = self.first.get(&id) {
                other.insert(HARD_LINK.to_owned(), first.as_bytes().into());
            } else {
                self.first.insert(id, path.clone());
            }
        }
        let attributes = Attributes {
            mode: Some(kind | u32::from(inode.metadata.permissions)),
            uid: Some(inode.metadata.uid),
            gid: Some(inode.metadata.gid),
            mtime_ns: Some(inode.metadata.mtime_ns),
            device_major: Some(device.major),
            device_minor: Some(device.minor),
            device_is_block: Some(u32::from(kind == kind::BLOCK)),
            other,
        };
        Ok(Branch { item, attributes })
    }
}

/// Adds a branch to the tree and says which inode it became.
fn add(
    tree: &mut Tree,
    parent: InodeId,
    path: &str,
    branch: &Branch,
) -> Result<InodeId, EntryFault> {
    if path.len() > MAX_PATH_LEN {
        return Err(EntryFault::PathTooLong(path.len()));
    }
    let name = path.rsplit('/').next().unwrap_or_default().as_bytes();
    let inode = inode(branch)?;
    let Some(first) = branch.attributes.other.get(HARD_LINK) else {
        return tree.add(parent, name, inode);
    };
    let mut target = Tree::ROOT;
    for name in BoxPath::parse(first)?.names() {
        target = tree
            .child(target, name)
            .ok_or_else(|| EntryFault::LinkTargetMissing(crate::tree::display(first)))?;
    }
    if !same(tree.inode(target), &inode)? {
        return Err(EntryFault::LinkDiffers(crate::tree::display(first)));
    }
    tree.link(parent, name, target)?;
    Ok(target)
}

/// Whether two inodes are the same but for their place.
fn same(one: &Inode, other: &Inode) -> Result<bool, EntryFault> {
    let content = match (&one.content, &other.content) {
        (Content::File(one), Content::File(other)) => {
            one.len() == other.len()
                && match (one.hash(), other.hash()) {
                    (Ok(one), Ok(other)) => one == other,
                    _ => return Err(EntryFault::Unreadable),
                }
        }
        (Content::Symlink(one), Content::Symlink(other)) => one == other,
        (Content::CharDevice(one), Content::CharDevice(other))
        | (Content::BlockDevice(one), Content::BlockDevice(other)) => one == other,
        (Content::Fifo, Content::Fifo) => true,
        _ => false,
    };
    Ok(content && one.metadata == other.metadata && one.xattrs == other.xattrs)
}

/// The inode that a branch means, its name and further names aside.
fn inode(branch: &Branch) -> Result<Inode, EntryFault> {
    let attributes = &branch.attributes;
    let mode = attributes.mode.unwrap_or_default();
    let bad_mode = || EntryFault::BadAttribute("mode");
    let device = DeviceNumber {
        major: attributes.device_major.unwrap_or_default(),
        minor: attributes.device_minor.unwrap_or_default(),
    };
    let content = match (&branch.item, mode & kind::MASK) {
        (Item::Directory(_), 0 | kind::DIRECTORY) => Content::Directory(BTreeMap::new()),
        (Item::Link(target), 0 | kind::LINK) => Content::Symlink(target.as_bytes().into()),
        (Item::File(source), 0 | kind::FILE) => Content::File(source.clone()),
        (Item::File(source), kind) if source.is_empty() => match kind {
            kind::CHAR => Content::CharDevice(device),
            kind::BLOCK => Content::BlockDevice(device),
            kind::FIFO => Content::Fifo,
            _ => return Err(bad_mode()),
        },
        _ => return Err(bad_mode()),
    };
    let permissions = match (attributes.mode, &branch.item) {
        (Some(mode), _) => mode & !kind::MASK,
        (None, Item::Link(_)) => 0o777,
        // A writer without modes has programs among its files.
        (None, _) => 0o755,
    };
    let xattrs: Xattrs = attributes
        .other
        .iter()
        .filter(|(name, _)| xattr_is_kept(name.as_bytes()))
        .map(|(name, value)| (name.as_bytes().into(), value.0.as_slice().into()))
        .collect();
    Ok(Inode {
        metadata: Metadata {
            permissions: u16::try_from(permissions)
                .ok()
                .filter(|permissions| *permissions <= 0o7777)
                .ok_or_else(bad_mode)?,
            uid: attributes.uid.unwrap_or_default(),
            gid: attributes.gid.unwrap_or_default(),
            mtime_ns: attributes.mtime_ns.unwrap_or_default(),
        },
        xattrs,
        content,
    })
}
