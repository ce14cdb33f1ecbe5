//! Writing EROFS images: uncompressed, in blocks of 4096 bytes, the same bytes
//! for the same tree.
//!
//! What an image looks like, from its start:
//!
//! 1. the superblock at byte 1024, with a checksum over the rest of its block;
//! 2. the inodes, each with its extended attributes, and with the tail of its
//!    data where that is a directory or a symbolic link and fits its block;
//! 3. the blocks of larger directories and links;
//! 4. the contents of regular files, each contiguous from the start of a
//!    block, so that a guest can map its pages as they lie. Files of equal
//!    contents share their blocks.
//!
//! Inodes are numbered, and contents stored, in the order of [`Tree::walk`].
//! Compact inodes are written where they can hold all there is to say.
//!
//! Layouts are those of Linux, `fs/erofs/erofs_fs.h`. Features: superblock
//! checksum and mtime, none that an old reader could not do without.
//!
//! [`Tree::walk`]: crate::tree::Tree::walk

mod data;
mod dirent;
mod format;
mod layout;
mod xattr;

use std::collections::HashMap;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use crate::tree::{InodeId, Tree};

/// Bytes in a block, and in a guest's page.
pub const BLOCK: u64 = 4096;

/// A tree could not be written as an image.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The output refused.
    #[error("the image cannot be written: {0}")]
    Output(#[source] io::Error),
    /// A file of the tree could not be read.
    #[error("{path} cannot be read: {source}")]
    Source {
        /// The file, in the box.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The image format cannot say it.
    #[error("{path}: {what} cannot be stored in an EROFS image")]
    Unstorable {
        /// The entry, in the box.
        path: String,
        /// What of it.
        what: &'static str,
    },
    /// More than 2^32 blocks.
    #[error("the image would have more than 16 TiB")]
    TooLarge,
}

/// Where the contents of one file lie in an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Their first block.
    pub block: u32,
    /// Their BLAKE3.
    pub hash: blake3::Hash,
}

impl Extent {
    /// Their first byte, counted from the image's start.
    pub fn offset(&self) -> u64 {
        u64::from(self.block) * BLOCK
    }
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSummary {
    /// Bytes of the image, a multiple of [`BLOCK`].
    pub len: u64,
    /// Inodes in it.
    pub inodes: u64,
    /// Bytes of file contents in the tree, each file counted once.
    pub content_bytes: u64,
    /// Bytes of them that needed no room of their own.
    pub shared_bytes: u64,
    /// The contents of all files that have any.
    pub extents: HashMap<InodeId, Extent>,
}

/// Where [`write()`] puts the contents of files, if the hashes of all are known.
pub fn place(tree: &Tree) -> Option<HashMap<InodeId, Extent>> {
    data::place(tree, &layout::Layout::of(tree).ok()?)
}

/// Writes the image of `tree` to `out`, from its present position, where there
/// may be no data yet. `progress` is told how many of
/// [`ImageSummary::content_bytes`] are done, and of how many. File contents
/// pass through; memory is used in proportion to the number of inodes.
pub fn write<W: Write + Seek>(
    tree: &Tree,
    out: &mut W,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<ImageSummary, WriteError> {
    let base = out.stream_position().map_err(WriteError::Output)?;
    let layout = layout::Layout::of(tree)?;
    let data_start = layout.data_block();
    let seek = |out: &mut W, block: u64| {
        out.seek(SeekFrom::Start(base + block * BLOCK))
            .map(drop)
            .map_err(WriteError::Output)
    };

    seek(out, data_start)?;
    let mut buffered = BufWriter::with_capacity(1 << 20, &mut *out);
    let data = data::write(tree, &layout, &mut buffered, progress)?;
    buffered.flush().map_err(WriteError::Output)?;
    let out = buffered
        .into_inner()
        .map_err(|e| WriteError::Output(e.into_error()))?;
    let blocks = u32::try_from(data.end_block).map_err(|_| WriteError::TooLarge)?;

    seek(out, 0)?;
    let mut inodes = layout.encode_inodes(tree, &data);
    let superblock = format::Superblock {
        root: layout.root_nid(),
        inodes: layout.inode_count(),
        blocks,
    };
    superblock.encode(&mut inodes[..BLOCK as usize]);
    out.write_all(&inodes).map_err(WriteError::Output)?;
    let mut buffered = BufWriter::with_capacity(1 << 20, &mut *out);
    layout
        .write_large(tree, &mut buffered)
        .map_err(WriteError::Output)?;
    buffered.flush().map_err(WriteError::Output)?;
    drop(buffered);

    let end = SeekFrom::Start(base + u64::from(blocks) * BLOCK);
    out.seek(end).map_err(WriteError::Output)?;
    Ok(ImageSummary {
        len: u64::from(blocks) * BLOCK,
        inodes: layout.inode_count(),
        content_bytes: data.content_bytes,
        shared_bytes: data.shared_bytes,
        extents: data.extents,
    })
}
