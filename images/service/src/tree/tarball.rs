//! A tree from a root filesystem tar (POSIX, GNU and PAX headers).
//!
//! The tar is hostile: names are checked, sizes are held against the file's
//! real length, headers are read within a budget, and nothing is ever
//! extracted. File contents stay in the tar until the package is written.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use tar::{Archive, Entry, EntryType, Header};

use super::{
    BoxPath, Content, DeviceNumber, EntryFault, Inode, InodeId, Limits, Metadata, Source,
    SourceReader, Tree, TreeError, Xattrs, display, xattr,
};

/// Most bytes of headers that one entry may have: long names, PAX records.
const HEADER_BUDGET: u64 = 1 << 20;

/// Bytes of a block of a tar: each header is one.
const BLOCK: usize = 512;
/// Where a header has its checksum.
const CHECKSUM: Range<usize> = 148..156;

/// What directories have that are only implied by the names of their entries.
const IMPLIED: Metadata = Metadata {
    permissions: 0o755,
    uid: 0,
    gid: 0,
    mtime_ns: 0,
};

/// Reads the tree in a tar, from the file's start. Of entries with the same
/// name the last counts, as when a tar is extracted. A leading `/` is the
/// box's root. Times are not taken over.
pub fn read_tar(file: File, limits: Limits) -> Result<Tree, TreeError> {
    let file = Arc::new(file);
    let len = file.metadata().map_err(unreadable)?.len();
    let start = start(&file).map_err(unreadable)?;
    refuse_compressed(&start)?;
    if !is_header(&start) {
        return Err(TreeError::NoTar);
    }
    let mut builder = Builder::new(limits);
    builder.add(&file, 0, len)?;
    Ok(builder.tree)
}

/// Reads a tree that lies in layers, as the images of containers do. Each is a
/// tar from some place of a file on, for some bytes. An entry `.wh.NAME` removes
/// NAME of the layers below, and `.wh..wh..opq` all that they have in its
/// directory (OCI image specification, "Image Layer Filesystem Changeset").
pub(super) fn read_layers(
    layers: &[(Arc<File>, u64, u64)],
    limits: Limits,
) -> Result<Tree, TreeError> {
    let mut builder = Builder::new(limits);
    for (file, offset, len) in layers {
        // First what is removed: a layer's own entries stay, in any order.
        builder.remove_whiteouts(file, *offset, *len)?;
        builder.is_layer = true;
        builder.add(file, *offset, *len)?;
    }
    Ok(builder.tree)
}

/// What of a layer removes things.
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

fn unreadable(source: io::Error) -> TreeError {
    TreeError::Tar {
        after: String::new(),
        source,
    }
}

/// What is done with each entry of a tar, by its name.
type OfEntry<'a> =
    dyn FnMut(&[u8], &mut Entry<'_, Metered<SourceReader>>) -> Result<(), EntryFault> + 'a;

/// Calls `each` with the name of every entry of a tar, and the entry.
pub(super) fn each_entry(
    file: &Arc<File>,
    offset: u64,
    len: u64,
    each: &mut OfEntry<'_>,
) -> Result<(), TreeError> {
    let budget = Rc::new(Cell::new(HEADER_BUDGET));
    let source = Source::slice(Arc::clone(file), offset, len)
        .open()
        .map_err(unreadable)?;
    let mut archive = Archive::new(Metered {
        inner: source,
        budget: Rc::clone(&budget),
    });
    let mut after = Vec::new();
    for entry in archive.entries_with_seek().map_err(unreadable)? {
        let mut entry = entry.map_err(|source| TreeError::Tar {
            after: display(&after),
            source,
        })?;
        let name = entry.path_bytes().into_owned();
        each(&name, &mut entry).map_err(|fault| fault.at(&name))?;
        budget.set(HEADER_BUDGET);
        after = name;
    }
    Ok(())
}

/// The first block of a file: all that it has, if that is less.
fn start(file: &Arc<File>) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    let block = Source::slice(Arc::clone(file), 0, BLOCK as u64);
    block.open()?.read_to_end(&mut start)?;
    Ok(start)
}

/// Whether a tar begins like this: with a header whose checksum is right, or with its end
/// (POSIX.1-2017, pax, "ustar Interchange Format").
fn is_header(start: &[u8]) -> bool {
    let Ok(block) = <[u8; BLOCK]>::try_from(start) else {
        return false;
    };
    // The checksum's own bytes are counted as spaces.
    let own = CHECKSUM.len() as u32 * u32::from(b' ');
    let sum = |bytes: &[u8]| bytes.iter().copied().map(u32::from).sum::<u32>();
    let sum = sum(&block[..CHECKSUM.start]) + own + sum(&block[CHECKSUM.end..]);
    block == [0; BLOCK] || Header::from_byte_slice(&block).cksum().ok() == Some(sum)
}

fn refuse_compressed(start: &[u8]) -> Result<(), TreeError> {
    let kinds: [(&[u8], &str); 4] = [
        (b"\x1f\x8b", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\xfd7zXZ\0", "xz"),
        (b"BZh", "bzip2"),
    ];
    match kinds.iter().find(|(mark, _)| start.starts_with(mark)) {
        Some((_, kind)) => Err(TreeError::Compressed(kind)),
        None => Ok(()),
    }
}

struct Builder {
    tree: Tree,
    file: Option<Arc<File>>,
    /// Where in the file the tar lies.
    offset: u64,
    len: u64,
    /// Whether names may say what is removed.
    is_layer: bool,
}

impl Builder {
    fn new(limits: Limits) -> Self {
        Self {
            tree: Tree::new(IMPLIED, limits),
            file: None,
            offset: 0,
            len: 0,
            is_layer: false,
        }
    }

    /// Adds the entries of a tar to the tree.
    fn add(&mut self, file: &Arc<File>, offset: u64, len: u64) -> Result<(), TreeError> {
        self.file = Some(Arc::clone(file));
        (self.offset, self.len) = (offset, len);
        each_entry(file, offset, len, &mut |name, entry| {
            self.entry(name, entry)
        })
    }

    /// Removes what a layer says that the layers below lose.
    fn remove_whiteouts(
        &mut self,
        file: &Arc<File>,
        offset: u64,
        len: u64,
    ) -> Result<(), TreeError> {
        each_entry(file, offset, len, &mut |name, _| {
            let path = BoxPath::parse(name)?;
            let Some((name, parents)) = path.split_last() else {
                return Ok(());
            };
            let Some(gone) = name.strip_prefix(WHITEOUT) else {
                return Ok(());
            };
            let mut directory = Tree::ROOT;
            for parent in parents {
                let Some(child) = self.tree.child(directory, parent) else {
                    return Ok(());
                };
                directory = child;
            }
            if name == OPAQUE {
                if let Content::Directory(entries) = &mut self.tree.inode_mut(directory).content {
                    entries.clear();
                }
            } else {
                self.tree.remove(directory, gone);
            }
            Ok(())
        })
    }

    fn entry<R: Read>(&mut self, name: &[u8], entry: &mut Entry<'_, R>) -> Result<(), EntryFault> {
        let mut kind = entry.header().entry_type();
        if kind == EntryType::Regular && name.ends_with(b"/") {
            // How tars before POSIX say that it is a directory.
            kind = EntryType::Directory;
        }
        if kind == EntryType::XGlobalHeader {
            return Ok(());
        }
        let path = BoxPath::parse(name)?;
        let is_whiteout = path
            .split_last()
            .is_some_and(|(name, _)| name.starts_with(WHITEOUT));
        if self.is_layer && is_whiteout {
            return Ok(());
        }
        let metadata = metadata(entry.header())?;
        let xattrs = xattrs(entry)?;
        let Some((name, parents)) = path.split_last() else {
            return self.root(kind, metadata, xattrs);
        };
        let parent = self.parent(parents)?;
        if kind == EntryType::Link {
            let target = entry.link_name_bytes().unwrap_or_default();
            let target = self.link_target(&target)?;
            return self.tree.link(parent, name, target);
        }
        let content = self.content(kind, entry)?;
        let existing = self.tree.child(parent, name);
        if let (Some(id), EntryType::Directory) = (existing, kind)
            && self.tree.inode(id).entries().is_some()
        {
            // What is in it stays; only what it is itself is said again.
            let inode = self.tree.inode_mut(id);
            (inode.metadata, inode.xattrs) = (metadata, xattrs);
            return Ok(());
        }
        self.tree
            .add(
                parent,
                name,
                Inode {
                    metadata,
                    xattrs,
                    content,
                },
            )
            .map(drop)
    }

    fn root(
        &mut self,
        kind: EntryType,
        metadata: Metadata,
        xattrs: Xattrs,
    ) -> Result<(), EntryFault> {
        if kind != EntryType::Directory {
            return Err(EntryFault::RootNotDirectory);
        }
        let root = self.tree.inode_mut(Tree::ROOT);
        (root.metadata, root.xattrs) = (metadata, xattrs);
        Ok(())
    }

    /// The directory that `names` lead to; missing ones are made.
    fn parent(&mut self, names: &[&[u8]]) -> Result<InodeId, EntryFault> {
        let mut at = Tree::ROOT;
        for name in names {
            at = match self.tree.child(at, name) {
                Some(child) if self.tree.inode(child).entries().is_some() => child,
                Some(_) => return Err(EntryFault::ParentNotDirectory),
                None => self.tree.add(at, name, Inode::directory(IMPLIED))?,
            };
        }
        Ok(at)
    }

    fn link_target(&self, target: &[u8]) -> Result<InodeId, EntryFault> {
        let mut at = Tree::ROOT;
        for name in BoxPath::parse(target)?.names() {
            at = self
                .tree
                .child(at, name)
                .ok_or_else(|| EntryFault::LinkTargetMissing(display(target)))?;
        }
        Ok(at)
    }

    fn content<R: Read>(
        &self,
        kind: EntryType,
        entry: &mut Entry<'_, R>,
    ) -> Result<Content, EntryFault> {
        Ok(match kind {
            EntryType::Regular | EntryType::Continuous => {
                let (offset, size) = (entry.raw_file_position(), entry.size());
                if offset.checked_add(size).is_none_or(|end| end > self.len) {
                    return Err(EntryFault::Truncated { size });
                }
                let file = self.file.as_ref().ok_or(EntryFault::Unreadable)?;
                Content::File(Source::slice(Arc::clone(file), self.offset + offset, size))
            }
            EntryType::Directory => Content::Directory(BTreeMap::new()),
            EntryType::Symlink => {
                Content::Symlink(entry.link_name_bytes().unwrap_or_default().into())
            }
            EntryType::Char => Content::CharDevice(device(entry.header())?),
            EntryType::Block => Content::BlockDevice(device(entry.header())?),
            EntryType::Fifo => Content::Fifo,
            EntryType::GNUSparse => return Err(EntryFault::Sparse),
            other => {
                let letter = [other.as_byte()].escape_ascii().to_string();
                return Err(EntryFault::UnsupportedType(letter));
            }
        })
    }
}

fn metadata(header: &Header) -> Result<Metadata, EntryFault> {
    let id = |value: io::Result<u64>, field| {
        let value = value.ok().and_then(|value| u32::try_from(value).ok());
        value.ok_or(EntryFault::BadNumber(field))
    };
    let mode = header.mode().map_err(|_| EntryFault::BadNumber("mode"))?;
    Ok(Metadata {
        permissions: (mode & 0o7777) as u16,
        uid: id(header.uid(), "owner")?,
        gid: id(header.gid(), "group")?,
        mtime_ns: 0,
    })
}

fn device(header: &Header) -> Result<DeviceNumber, EntryFault> {
    let number = |value: io::Result<Option<u32>>| {
        value
            .ok()
            .flatten()
            .ok_or(EntryFault::BadNumber("device number"))
    };
    Ok(DeviceNumber {
        major: number(header.device_major())?,
        minor: number(header.device_minor())?,
    })
}

/// The attributes in the PAX records, which also tell of sparse files that
/// the tar crate takes for plain ones.
fn xattrs<R: Read>(entry: &mut Entry<'_, R>) -> Result<Xattrs, EntryFault> {
    let mut found = Xattrs::new();
    let Ok(Some(records)) = entry.pax_extensions() else {
        return Ok(found);
    };
    for record in records {
        let record = record.map_err(|_| EntryFault::BadNumber("PAX record"))?;
        let key = record.key_bytes();
        if key.starts_with(b"GNU.sparse.") {
            return Err(EntryFault::Sparse);
        }
        let name = key
            .strip_prefix(b"SCHILY.xattr.")
            .filter(|name| xattr::kept(name));
        if let Some(name) = name {
            found.insert(name.into(), record.value_bytes().into());
        }
    }
    Ok(found)
}

/// A reader with a budget: the tar crate reads long names and PAX records
/// whole, and only their size field says how large they are.
pub(super) struct Metered<R> {
    inner: R,
    budget: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let left = self.budget.get().checked_sub(read as u64);
        self.budget.set(left.ok_or_else(|| {
            io::Error::other(format!(
                "an entry's headers are larger than {HEADER_BUDGET} bytes"
            ))
        })?);
        Ok(read)
    }
}

impl<R: Seek> Seek for Metered<R> {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        self.inner.seek(position)
    }
}
