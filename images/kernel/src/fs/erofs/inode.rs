//! Inodes of an image, and where their data lies.

use super::{Image, SLOT, u16_at, u32_at, u64_at};
use crate::errno::{Errno, Result};
use crate::fs::stat::{Device, Kind, Timestamp};

const COMPACT: u64 = 32;
const EXTENDED: u64 = 64;
/// Bytes of a chunk's entry, with and without a device number.
const CHUNK_INDEX: u64 = 8;
const BLOCK_MAP: u64 = 4;
/// The flag of a chunk format that says which of the two.
const CHUNK_INDEXES: u32 = 0x20;
const CHUNK_BITS: u32 = 0x1f;
/// The block number of a hole.
const HOLE: u32 = u32::MAX;

/// How the data lies (`EROFS_INODE_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// All in blocks, one after the other.
    Plain,
    /// Whole blocks, and the rest behind the inode.
    Inline,
    /// Chunks, each at a place of its own.
    Chunks,
}

/// What an image says of a file.
#[derive(Clone, Copy, Debug)]
pub struct Inode {
    /// Node id: where it lies.
    pub nid: u64,
    /// Type and permissions.
    pub mode: u32,
    /// Names that lead to it.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of content.
    pub size: u64,
    /// When it last changed.
    pub mtime: Timestamp,
    layout: Layout,
    /// First block, chunk format or device number.
    union: u32,
    /// Where its extended attributes begin, and their bytes.
    pub(super) xattrs: (u64, u64),
}

/// Data that lies in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// Bytes of the image, from this offset.
    Bytes(u64, &'static [u8]),
    /// So many zeros.
    Zeros(u64),
}

impl Image {
    /// The inode at a node id.
    ///
    /// # Errors
    ///
    /// EIO if there is none, or none that can be read.
    pub fn inode(&self, nid: u64) -> Result<Inode> {
        let offset = nid.checked_mul(SLOT).ok_or(Errno::EIO)?;
        let at = self.inodes_at.checked_add(offset).ok_or(Errno::EIO)?;
        let head = self.slice(at, COMPACT)?;
        let format = u16_at(head, 0)?;
        let layout = match format >> 1 & 7 {
            0 => Layout::Plain,
            2 => Layout::Inline,
            4 => Layout::Chunks,
            _ => return Err(Errno::EIO),
        };
        let xattr_count = u64::from(u16_at(head, 2)?);
        let xattr_len = if xattr_count == 0 {
            0
        } else {
            12 + (xattr_count - 1) * 4
        };
        let mode = u32::from(u16_at(head, 4)?);
        Kind::of_mode(mode).ok_or(Errno::EIO)?;
        let mut inode = Inode {
            nid,
            mode,
            nlink: u32::from(u16_at(head, 6)?),
            uid: u32::from(u16_at(head, 24)?),
            gid: u32::from(u16_at(head, 26)?),
            size: u64::from(u32_at(head, 8)?),
            mtime: self.time,
            layout,
            union: u32_at(head, 16)?,
            xattrs: (at + COMPACT, xattr_len),
        };
        if format & 1 != 0 {
            let whole = self.slice(at, EXTENDED)?;
            inode.size = u64_at(whole, 8)?;
            (inode.uid, inode.gid) = (u32_at(whole, 24)?, u32_at(whole, 28)?);
            let nanos = u32_at(whole, 40)?.min(999_999_999);
            inode.mtime = Timestamp {
                seconds: u64_at(whole, 32)? as i64,
                nanos,
            };
            inode.nlink = u32_at(whole, 44)?;
            inode.xattrs.0 = at + EXTENDED;
        }
        // A file offset is a signed number to programs.
        if inode.size > i64::MAX as u64 {
            return Err(Errno::EIO);
        }
        Ok(inode)
    }

    /// The data at an offset below the inode's size, as far as it lies in one piece.
    ///
    /// # Errors
    ///
    /// EIO if it lies outside the image.
    pub fn data(&self, inode: &Inode, offset: u64) -> Result<Run> {
        let left = inode.size.checked_sub(offset).ok_or(Errno::EIO)?;
        let (at, len) = match inode.layout {
            Layout::Plain => (self.plain(inode, offset)?, left),
            Layout::Inline => {
                let tail_at = inode.size & !(self.block_size() - 1);
                if offset < tail_at {
                    (self.plain(inode, offset)?, tail_at - offset)
                } else {
                    (inode.xattrs.0 + inode.xattrs.1 + (offset - tail_at), left)
                }
            }
            Layout::Chunks => {
                let bits = self.block_bits + (inode.union & CHUNK_BITS);
                let in_chunk = offset & ((1 << bits) - 1);
                let len = left.min((1 << bits) - in_chunk);
                match self.chunk(inode, offset >> bits)? {
                    HOLE => return Ok(Run::Zeros(len)),
                    block => ((u64::from(block) << self.block_bits) + in_chunk, len),
                }
            }
        };
        Ok(Run::Bytes(at, self.slice(at, len)?))
    }

    fn plain(&self, inode: &Inode, offset: u64) -> Result<u64> {
        let start = u64::from(inode.union) << self.block_bits;
        start.checked_add(offset).ok_or(Errno::EIO)
    }

    /// The first block of a chunk.
    fn chunk(&self, inode: &Inode, chunk: u64) -> Result<u32> {
        let indexes = inode.union & CHUNK_INDEXES != 0;
        let size = if indexes { CHUNK_INDEX } else { BLOCK_MAP };
        let table = (inode.xattrs.0 + inode.xattrs.1).next_multiple_of(size);
        let at = chunk
            .checked_mul(size)
            .and_then(|at| at.checked_add(table))
            .ok_or(Errno::EIO)?;
        let entry = self.slice(at, size)?;
        // Indexes name a device too; the first is the only one.
        u32_at(entry, if indexes { 4 } else { 0 })
    }

    /// Which device a device's inode names.
    #[must_use]
    pub fn device(&self, inode: &Inode) -> Device {
        Device::decode(u64::from(inode.union))
    }
}

impl Inode {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        // Checked when it was read.
        Kind::of_mode(self.mode).unwrap_or(Kind::Regular)
    }
}
