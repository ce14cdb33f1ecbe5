//! Where everything but the file contents comes to lie, settled before a byte
//! is written: the sizes of inodes and directories depend on names alone.

use std::io::{self, Write};

use super::data::Data;
use super::format::{self, DataLayout, FIRST_INODE, Placed, SLOT, encode_device, encode_inode};
use super::{BLOCK, WriteError, dirent, xattr};
use crate::tree::{Content, Inode, InodeId, Tree};

/// One inode's place.
struct Place {
    id: InodeId,
    /// The directory above, for directories; the root is above itself.
    parent: InodeId,
    nid: u64,
    nlink: u32,
    size: u64,
    data: DataLayout,
    /// First block of a directory or link that has blocks.
    block: u32,
}

impl Place {
    /// Bytes of the data that lie in blocks (0 for contents, which
    /// [`super::data`] places).
    fn in_blocks(&self) -> u64 {
        match self.data {
            DataLayout::Plain => self.size,
            DataLayout::Inline => self.size - self.size % BLOCK,
        }
    }
}

/// The layout of an image's metadata.
pub(super) struct Layout {
    /// In the order of their node ids.
    places: Vec<Place>,
    /// Index into `places` by [`InodeId::index`].
    by_id: Vec<u32>,
    /// Bytes from the image's start to the end of the inodes.
    inodes_len: u64,
    /// First block of file contents.
    data_block: u64,
}

const UNPLACED: u32 = u32::MAX;

impl Layout {
    pub(super) fn of(tree: &Tree) -> Result<Self, WriteError> {
        let mut layout = Self {
            places: Vec::new(),
            by_id: vec![UNPLACED; tree.capacity()],
            inodes_len: FIRST_INODE,
            data_block: 0,
        };
        layout.collect(tree)?;
        layout.place_inodes(tree);
        layout.place_blocks(tree)?;
        Ok(layout)
    }

    /// Finds all inodes in the order of [`Tree::walk`], and counts their names.
    fn collect(&mut self, tree: &Tree) -> Result<(), WriteError> {
        let mut todo = vec![(Tree::ROOT, Tree::ROOT)];
        while let Some((id, parent)) = todo.pop() {
            let known = self.by_id[id.index()];
            if known != UNPLACED {
                self.places[known as usize].nlink += 1;
                continue;
            }
            let inode = tree.inode(id);
            if let Some(what) = unstorable(inode) {
                return Err(WriteError::Unstorable {
                    path: tree.path_of(id),
                    what,
                });
            }
            let mut nlink = 1;
            if let Some(entries) = inode.entries() {
                let is_dir = |id: &&InodeId| tree.inode(**id).entries().is_some();
                nlink = 2 + entries.values().filter(is_dir).count() as u32;
                todo.extend(entries.values().rev().map(|child| (*child, id)));
            }
            let size = match &inode.content {
                Content::Directory(names) => dirent::size(&dirent::entries(names, id, parent)),
                Content::Symlink(target) => target.len() as u64,
                Content::File(source) => source.len(),
                _ => 0,
            };
            self.by_id[id.index()] = self.places.len() as u32;
            let (nid, data, block) = (0, DataLayout::Plain, 0);
            self.places.push(Place {
                id,
                parent,
                nid,
                nlink,
                size,
                data,
                block,
            });
        }
        Ok(())
    }

    /// Gives every inode its node id, and the tail of its data room behind it
    /// where that is allowed: a tail never crosses a block's border.
    fn place_inodes(&mut self, tree: &Tree) {
        for place in &mut self.places {
            let inode = tree.inode(place.id);
            let head = head_len(inode, place);
            let tail = if inlines(inode) {
                place.size % BLOCK
            } else {
                0
            };
            let mut len = head;
            if tail > 0 && head + tail <= BLOCK {
                place.data = DataLayout::Inline;
                len += tail;
            }
            let mut at = self.inodes_len.next_multiple_of(SLOT);
            if at % BLOCK + len > BLOCK {
                at = at.next_multiple_of(BLOCK);
            }
            place.nid = at / SLOT;
            self.inodes_len = at + len;
        }
        self.inodes_len = self.inodes_len.next_multiple_of(BLOCK);
    }

    fn place_blocks(&mut self, tree: &Tree) -> Result<(), WriteError> {
        let mut block = self.inodes_len / BLOCK;
        for place in &mut self.places {
            if inlines(tree.inode(place.id)) {
                place.block = u32::try_from(block).map_err(|_| WriteError::TooLarge)?;
                block += place.in_blocks().div_ceil(BLOCK);
            }
        }
        self.data_block = block;
        Ok(())
    }

    pub(super) fn data_block(&self) -> u64 {
        self.data_block
    }

    pub(super) fn inode_count(&self) -> u64 {
        self.places.len() as u64
    }

    /// The root comes first, so its node id always fits the superblock.
    pub(super) fn root_nid(&self) -> u16 {
        (FIRST_INODE / SLOT) as u16
    }

    /// All regular files, in the order of their node ids.
    pub(super) fn files<'a>(
        &'a self,
        tree: &'a Tree,
    ) -> impl Iterator<Item = (InodeId, &'a crate::tree::Source)> {
        self.places
            .iter()
            .filter_map(|place| match &tree.inode(place.id).content {
                Content::File(source) => Some((place.id, source)),
                _ => None,
            })
    }

    fn place_of(&self, id: InodeId) -> &Place {
        &self.places[self.by_id[id.index()] as usize]
    }

    /// The data of a directory or a link.
    fn payload(&self, tree: &Tree, place: &Place) -> Vec<u8> {
        match &tree.inode(place.id).content {
            Content::Directory(names) => {
                let entries = dirent::entries(names, place.id, place.parent);
                dirent::encode(&entries, |id| {
                    (
                        self.place_of(id).nid,
                        format::file_type(&tree.inode(id).content),
                    )
                })
            }
            Content::Symlink(target) => target.to_vec(),
            _ => Vec::new(),
        }
    }

    /// The image from its start to the end of the inodes, the superblock left
    /// empty.
    pub(super) fn encode_inodes(&self, tree: &Tree, data: &Data) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.inodes_len as usize);
        for (serial, place) in (1..).zip(&self.places) {
            out.resize((place.nid * SLOT) as usize, 0);
            let inode = tree.inode(place.id);
            let xattrs = xattr::encode(&inode.xattrs);
            let placed = Placed {
                layout: place.data,
                size: place.size,
                nlink: place.nlink,
                serial,
                xattr_count: xattr::count(xattrs.len()),
                union: match &inode.content {
                    Content::File(_) => data.block_of(place.id),
                    Content::CharDevice(device) | Content::BlockDevice(device) => {
                        encode_device(*device).unwrap_or_default()
                    }
                    _ => place.block,
                },
            };
            encode_inode(&mut out, inode, &placed);
            out.extend_from_slice(&xattrs);
            if place.data == DataLayout::Inline {
                let payload = self.payload(tree, place);
                out.extend_from_slice(&payload[place.in_blocks() as usize..]);
            }
        }
        out.resize(self.inodes_len as usize, 0);
        out
    }

    /// Writes the blocks of directories and links, which follow the inodes.
    pub(super) fn write_large(&self, tree: &Tree, out: &mut impl Write) -> io::Result<()> {
        for place in &self.places {
            if !inlines(tree.inode(place.id)) || place.in_blocks() == 0 {
                continue;
            }
            let mut payload = self.payload(tree, place);
            payload.truncate(place.in_blocks() as usize);
            payload.resize(payload.len().next_multiple_of(BLOCK as usize), 0);
            out.write_all(&payload)?;
        }
        Ok(())
    }
}

/// Whether an inode's data is placed here, with a tail inline where it fits.
/// Contents of regular files never are, so that they can be mapped.
fn inlines(inode: &Inode) -> bool {
    matches!(inode.content, Content::Directory(_) | Content::Symlink(_))
}

fn head_len(inode: &Inode, place: &Place) -> u64 {
    let inode_len = if format::fits_compact(inode, place.size, place.nlink) {
        32
    } else {
        64
    };
    inode_len + xattr::encode(&inode.xattrs).len() as u64
}

fn unstorable(inode: &Inode) -> Option<&'static str> {
    match &inode.content {
        Content::CharDevice(device) | Content::BlockDevice(device)
            if encode_device(*device).is_none() =>
        {
            Some("a device number beyond 12 bits of major and 20 of minor")
        }
        _ => None,
    }
}
