//! Directories of a tree: what was changed, over what the image has.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::node::{Content, Node, State};
use crate::errno::{Errno, Result};
use crate::fs::file::DirEntry;
use crate::fs::inode::{Inode, New, Replace};
use crate::fs::stat::{Kind, Timestamp};

/// Positions below are `.` and `..`; then come those of the image's entries.
const FIRST: u64 = 2;
/// Positions of added entries begin here.
const ADDED: u64 = 1 << 62;

/// The directory above, and the name there.
pub(super) type Up = (Arc<Node>, Arc<[u8]>);

/// The changes of a directory.
#[derive(Default)]
pub(super) struct Directory {
    /// None for the root, and once removed.
    pub(super) up: Option<Up>,
    removed: bool,
    names: BTreeMap<Arc<[u8]>, Entry>,
    /// The added names by position, which grows: a name never moves while it is being listed.
    order: BTreeMap<u64, Arc<[u8]>>,
    next: u64,
}

enum Entry {
    /// The image's entry is hidden.
    Gone,
    /// Added, or in place of the image's.
    Here(u64, Arc<Node>),
}

impl Directory {
    pub(super) fn at(up: Option<Up>) -> Self {
        Self {
            up,
            ..Self::default()
        }
    }

    fn add(&mut self, name: &[u8], node: Arc<Node>) {
        let name: Arc<[u8]> = name.into();
        let position = ADDED + self.next;
        self.next += 1;
        self.order.insert(position, name.clone());
        self.names.insert(name, Entry::Here(position, node));
    }

    /// Takes a name away; what the image has under it is hidden if `hide`.
    fn remove(&mut self, name: &[u8], hide: bool) {
        if let Some(Entry::Here(position, _)) = self.names.remove(name) {
            self.order.remove(&position);
        }
        if hide {
            self.names.insert(name.into(), Entry::Gone);
        }
    }
}

impl Node {
    /// Runs `with` on this directory's changes.
    fn directory<R>(&self, with: impl FnOnce(&mut Directory) -> R) -> Result<R> {
        match &mut self.state.lock().content {
            Content::Directory(directory) => Ok(with(directory)),
            _ => Err(Errno::ENOTDIR),
        }
    }

    fn in_image(&self, name: &[u8]) -> Result<Option<(u64, Kind)>> {
        let Some(lower) = self.lower() else {
            return Ok(None);
        };
        let entry = lower.image.lookup(lower.inode, name)?;
        Ok(entry.map(|entry| (entry.nid, entry.kind)))
    }

    pub(super) fn child(self: &Arc<Self>, name: &[u8]) -> Result<Arc<Self>> {
        let changed = self.directory(|directory| match directory.names.get(name) {
            Some(Entry::Here(_, node)) => Some(Ok(node.clone())),
            Some(Entry::Gone) => Some(Err(Errno::ENOENT)),
            None if directory.removed => Some(Err(Errno::ENOENT)),
            None => None,
        })?;
        if let Some(result) = changed {
            return result;
        }
        let (nid, kind) = self.in_image(name)?.ok_or(Errno::ENOENT)?;
        let up = (kind == Kind::Directory).then(|| (self.clone(), name.into()));
        self.tree.node(nid, up)
    }

    /// Where this directory lies.
    pub(super) fn up(&self) -> Option<Up> {
        self.directory(|directory| directory.up.clone())
            .ok()
            .flatten()
    }

    /// Checks that a name is free and may be taken.
    fn vacant(self: &Arc<Self>, name: &[u8]) -> Result<()> {
        match self.child(name) {
            Ok(_) => Err(Errno::EEXIST),
            Err(Errno::ENOENT) => match self.directory(|directory| directory.removed)? {
                true => Err(Errno::ENOENT),
                false => Ok(()),
            },
            Err(errno) => Err(errno),
        }
    }

    /// Puts a node under a name, which is free.
    fn enter(self: &Arc<Self>, name: &[u8], node: Arc<Self>) -> Result<()> {
        let is_directory = node.kind == Kind::Directory;
        if is_directory {
            node.directory(|directory| directory.up = Some((self.clone(), name.into())))?;
        }
        self.directory(|directory| directory.add(name, node))?;
        self.names_changed(i32::from(is_directory));
        Ok(())
    }

    /// Takes a name away. The node stays as it is.
    fn leave(self: &Arc<Self>, name: &[u8], node: &Self) -> Result<()> {
        let hide = self.in_image(name)?.is_some();
        self.directory(|directory| directory.remove(name, hide))?;
        self.names_changed(-i32::from(node.kind == Kind::Directory));
        Ok(())
    }

    /// Notes that names, and so many directories among them, have come or gone.
    fn names_changed(&self, directories: i32) {
        let now = Timestamp::now();
        self.update(|state| {
            state.nlink = state.nlink.saturating_add_signed(directories);
            (state.mtime, state.ctime) = (now, now);
        });
    }

    /// Whether a directory has no names in it.
    fn is_empty(&self) -> Result<bool> {
        let mut empty = true;
        self.list(FIRST, &mut |_| {
            empty = false;
            false
        })?;
        Ok(empty)
    }

    /// Notes that a node has lost a name; a directory has lost its only one.
    fn lost_a_name(&self) {
        let is_directory = self.directory(|directory| {
            directory.removed = true;
        });
        self.update(|state| {
            state.nlink = if is_directory.is_ok() {
                0
            } else {
                state.nlink.saturating_sub(1)
            };
            state.ctime = Timestamp::now();
        });
        self.forget_if_nameless();
    }

    pub(super) fn make_child(self: &Arc<Self>, name: &[u8], new: &New<'_>) -> Result<Arc<Self>> {
        const SET_GID: u32 = 0o2000;
        self.vacant(name)?;
        let (permissions, gid) = {
            let state = self.state.lock();
            (state.permissions, state.gid)
        };
        let mut new = New { ..*new };
        if permissions & SET_GID != 0 {
            // A directory with this bit hands its group down, and to directories the bit too.
            new.gid = gid;
            if new.kind == Kind::Directory {
                new.permissions |= SET_GID;
            }
        }
        let node = self.tree.make(&new, None)?;
        self.enter(name, node.clone())?;
        Ok(node)
    }

    pub(super) fn link_child(self: &Arc<Self>, name: &[u8], node: Arc<Self>) -> Result<()> {
        self.vacant(name)?;
        if node.kind == Kind::Directory {
            return Err(Errno::EPERM);
        }
        let nameless = |state: &State| state.nlink == 0 && !state.linkable;
        if nameless(&node.state.lock()) {
            return Err(Errno::ENOENT);
        }
        node.update(|state| {
            state.nlink += 1;
            state.ctime = Timestamp::now();
        });
        self.enter(name, node)
    }

    pub(super) fn unlink_child(self: &Arc<Self>, name: &[u8], directory: bool) -> Result<()> {
        let node = self.child(name)?;
        match (node.kind == Kind::Directory, directory) {
            (true, false) => return Err(Errno::EISDIR),
            (false, true) => return Err(Errno::ENOTDIR),
            (true, true) if !node.is_empty()? => return Err(Errno::ENOTEMPTY),
            _ => {}
        }
        self.leave(name, &node)?;
        node.lost_a_name();
        Ok(())
    }

    /// Whether this is `other` or lies below it.
    fn is_within(self: &Arc<Self>, other: &Arc<Self>) -> bool {
        let mut at = Some(self.clone());
        while let Some(node) = at {
            if Arc::ptr_eq(&node, other) {
                return true;
            }
            at = node.up().map(|up| up.0);
        }
        false
    }

    pub(super) fn rename_child(
        self: &Arc<Self>,
        name: &[u8],
        to: &Arc<Self>,
        to_name: &[u8],
        replace: Replace,
    ) -> Result<()> {
        let node = self.child(name)?;
        let old = match to.child(to_name) {
            Ok(_) if replace == Replace::No => return Err(Errno::EEXIST),
            Ok(old) => Some(old),
            Err(Errno::ENOENT) if replace != Replace::Exchange => None,
            Err(errno) => return Err(errno),
        };
        if to.is_within(&node) {
            return Err(Errno::EINVAL);
        }
        let Some(old) = old else {
            to.vacant(to_name)?;
            self.leave(name, &node)?;
            return self.arrive(to, to_name, node);
        };
        if Arc::ptr_eq(&node, &old) {
            return Ok(());
        }
        if self.is_within(&old) {
            let exchange = replace == Replace::Exchange;
            return Err(if exchange {
                Errno::EINVAL
            } else {
                Errno::ENOTEMPTY
            });
        }
        if replace == Replace::Exchange {
            self.leave(name, &node)?;
            to.leave(to_name, &old)?;
            self.enter(name, old)?;
            return self.arrive(to, to_name, node);
        }
        match (node.kind == Kind::Directory, old.kind == Kind::Directory) {
            (true, false) => return Err(Errno::ENOTDIR),
            (false, true) => return Err(Errno::EISDIR),
            (true, true) if !old.is_empty()? => return Err(Errno::ENOTEMPTY),
            _ => {}
        }
        self.leave(name, &node)?;
        to.leave(to_name, &old)?;
        old.lost_a_name();
        self.arrive(to, to_name, node)
    }

    /// The second half of a rename.
    fn arrive(self: &Arc<Self>, to: &Arc<Self>, to_name: &[u8], node: Arc<Self>) -> Result<()> {
        node.update(|state| state.ctime = Timestamp::now());
        to.enter(to_name, node)
    }

    /// Calls `each` for the entries from a position on, until it says false.
    pub(super) fn list(
        &self,
        mut from: u64,
        each: &mut dyn FnMut(&DirEntry<'_>) -> bool,
    ) -> Result<()> {
        let removed = self.directory(|directory| directory.removed)?;
        if removed {
            return Ok(());
        }
        while from < FIRST {
            let parent = self.up().filter(|_| from == 1);
            let ino = parent.map_or(self.ino, |(parent, _)| parent.ino);
            let name: &[u8] = if from == 0 { b"." } else { b".." };
            from += 1;
            if !each(&DirEntry {
                ino,
                kind: Kind::Directory,
                name,
                next: from,
            }) {
                return Ok(());
            }
        }
        if from < ADDED
            && let Some(lower) = self.lower()
        {
            while let Some((entry, next)) = lower.image.next_entry(lower.inode, from - FIRST)? {
                from = next + FIRST;
                let changed =
                    self.directory(|directory| directory.names.contains_key(entry.name))?;
                let entry = DirEntry {
                    ino: entry.nid,
                    kind: entry.kind,
                    name: entry.name,
                    next: from,
                };
                if !changed && !each(&entry) {
                    return Ok(());
                }
            }
        }
        from = from.max(ADDED);
        while let Some((position, name, node)) = self.directory(|directory| {
            let (position, name) = directory.order.range(from..).next()?;
            match directory.names.get(name) {
                Some(Entry::Here(_, node)) => Some((*position, name.clone(), node.clone())),
                _ => None,
            }
        })? {
            from = position + 1;
            if !each(&DirEntry {
                ino: node.ino,
                kind: node.kind,
                name: &name,
                next: from,
            }) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The directory above and the name there, for anybody.
    pub(super) fn up_for_all(&self) -> Option<(Arc<dyn Inode>, Vec<u8>)> {
        let (parent, name) = self.up()?;
        Some((parent, name.to_vec()))
    }
}
