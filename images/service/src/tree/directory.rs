//! A tree from a directory of the host.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{
    Content, DeviceNumber, EntryFault, Inode, InodeId, Limits, MAX_PATH_LEN, Metadata, Source,
    Tree, TreeError, Xattrs, xattr,
};

/// Whose the files in the box are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Ownership {
    /// All are root's, so that a box does not depend on who packed it.
    #[default]
    Root,
    /// As on the host.
    Keep,
}

/// What was read, and what was left out.
#[derive(Debug)]
pub struct DirectoryTree {
    /// The tree.
    pub tree: Tree,
    /// Paths in the box of sockets, which are not packed.
    pub sockets: Vec<Vec<u8>>,
}

/// Reads the tree under `dir`. Links are kept as links, never followed; times
/// are not taken over. A file that is `except` (device, inode) is left out:
/// the package itself may be written into the directory it is made from.
pub fn read_directory(
    dir: &Path,
    ownership: Ownership,
    limits: Limits,
    except: Option<(u64, u64)>,
) -> Result<DirectoryTree, TreeError> {
    let root = fs::metadata(dir).map_err(|e| read_error(dir, e))?;
    if !root.is_dir() {
        let path = dir.as_os_str().as_bytes();
        return Err(EntryFault::RootNotDirectory.at(path));
    }
    let mut walk = Walk {
        tree: Tree::new(metadata(&root, ownership), limits),
        sockets: Vec::new(),
        ownership,
        except,
        links: HashMap::new(),
        todo: vec![(dir.to_owned(), Vec::new(), Tree::ROOT)],
    };
    walk.tree.inode_mut(Tree::ROOT).xattrs = xattrs(dir)?;
    while let Some((host, path, id)) = walk.todo.pop() {
        walk.directory(&host, &path, id)?;
    }
    walk.sockets.sort();
    Ok(DirectoryTree {
        tree: walk.tree,
        sockets: walk.sockets,
    })
}

struct Walk {
    tree: Tree,
    sockets: Vec<Vec<u8>>,
    ownership: Ownership,
    except: Option<(u64, u64)>,
    /// Inodes with several names, by device and inode number.
    links: HashMap<(u64, u64), InodeId>,
    /// Directories still to be read: host path, path in the box, inode.
    todo: Vec<(PathBuf, Vec<u8>, InodeId)>,
}

impl Walk {
    fn directory(&mut self, host: &Path, path: &[u8], id: InodeId) -> Result<(), TreeError> {
        let mut entries = BTreeMap::new();
        for entry in fs::read_dir(host).map_err(|e| read_error(host, e))? {
            let entry = entry.map_err(|e| read_error(host, e))?;
            let found = entry.metadata().map_err(|e| read_error(&entry.path(), e))?;
            entries.insert(entry.file_name(), found);
        }
        // In order, so that the first fault found is the same on every host.
        for (name, found) in entries {
            let child = [path, b"/", name.as_bytes()].concat();
            if child.len() > MAX_PATH_LEN {
                return Err(EntryFault::PathTooLong(child.len()).at(&child));
            }
            self.entry(host.join(&name), child, id, &name, &found)?;
        }
        Ok(())
    }

    fn entry(
        &mut self,
        host: PathBuf,
        path: Vec<u8>,
        parent: InodeId,
        name: &OsString,
        found: &fs::Metadata,
    ) -> Result<(), TreeError> {
        let place = (found.dev(), found.ino());
        if self.except == Some(place) {
            return Ok(());
        }
        let name = name.as_bytes();
        if let Some(first) = self.links.get(&place) {
            return self
                .tree
                .link(parent, name, *first)
                .map_err(|fault| fault.at(&path));
        }
        let Some(content) = content(&host, found)? else {
            self.sockets.push(path);
            return Ok(());
        };
        let is_directory = found.is_dir();
        let mut inode = Inode::new(metadata(found, self.ownership), content);
        inode.xattrs = xattrs(&host)?;
        let id = self
            .tree
            .add(parent, name, inode)
            .map_err(|fault| fault.at(&path))?;
        if is_directory {
            self.todo.push((host, path, id));
        } else if found.nlink() > 1 {
            self.links.insert(place, id);
        }
        Ok(())
    }
}

/// What an entry is; nothing for a socket.
fn content(host: &Path, found: &fs::Metadata) -> Result<Option<Content>, TreeError> {
    let kind = found.file_type();
    let device = || DeviceNumber {
        major: rustix::fs::major(found.rdev()),
        minor: rustix::fs::minor(found.rdev()),
    };
    Ok(Some(if kind.is_dir() {
        Content::Directory(BTreeMap::new())
    } else if kind.is_file() {
        Content::File(Source::path(host.to_owned(), found.len()))
    } else if kind.is_symlink() {
        let target = fs::read_link(host).map_err(|e| read_error(host, e))?;
        Content::Symlink(target.into_os_string().into_vec().into())
    } else if kind.is_char_device() {
        Content::CharDevice(device())
    } else if kind.is_block_device() {
        Content::BlockDevice(device())
    } else if kind.is_fifo() {
        Content::Fifo
    } else {
        return Ok(None);
    }))
}

fn metadata(found: &fs::Metadata, ownership: Ownership) -> Metadata {
    let (uid, gid) = match ownership {
        Ownership::Root => (0, 0),
        Ownership::Keep => (found.uid(), found.gid()),
    };
    Metadata {
        permissions: (found.mode() & 0o7777) as u16,
        uid,
        gid,
        mtime_ns: 0,
    }
}

fn xattrs(host: &Path) -> Result<Xattrs, TreeError> {
    let mut kept = Xattrs::new();
    let len = match rustix::fs::llistxattr_query(host) {
        Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(kept),
        Ok(len) => len,
        Err(error) => return Err(read_error(host, error.into())),
    };
    let mut names = vec![0; len];
    let len = rustix::fs::llistxattr(host, &mut names).map_err(|e| read_error(host, e.into()))?;
    for name in names[..len]
        .split(|byte| *byte == 0)
        .filter(|name| xattr::kept(name))
    {
        // The largest value that Linux has (XATTR_SIZE_MAX).
        let mut value = vec![0; 64 << 10];
        match rustix::fs::lgetxattr(host, name, &mut value) {
            Ok(len) => drop(kept.insert(name.into(), value[..len].into())),
            // Listed, but not to be had on this kind of file.
            Err(Errno::NODATA) => {}
            Err(error) => return Err(read_error(host, error.into())),
        }
    }
    Ok(kept)
}

fn read_error(path: &Path, source: std::io::Error) -> TreeError {
    TreeError::Read {
        path: super::display(path.as_os_str().as_bytes()),
        source,
    }
}
