//! The box image, an EROFS file system, read in place (Linux, `fs/erofs/erofs_fs.h`).
//!
//! Uncompressed images of one device, with blocks of 512 to 4096 bytes. An image is bytes that
//! somebody sent: every offset is checked, and whatever does not add up is EIO.

mod directory;
mod inode;
mod xattr;

pub use directory::{Cursor, Entry};
pub use inode::{Inode, Run};

use crate::errno::{Errno, Result};
use crate::fs::stat::Timestamp;

const SUPERBLOCK: usize = 1024;
const MAGIC: u32 = 0xe0f5_e1e2;
/// Features that a reader must know: chunks, long prefixes of extended attributes (which are left
/// out). Not compression.
const KNOWN_FEATURES: u32 = 0x4 | 0x40;
/// Inodes lie at multiples of this; a node id counts them.
const SLOT: u64 = 32;

/// An image.
#[derive(Clone, Copy)]
pub struct Image {
    bytes: &'static [u8],
    block_bits: u32,
    /// Where the inodes are counted from, in bytes.
    inodes_at: u64,
    /// Where shared extended attributes are counted from, in bytes.
    xattrs_at: u64,
    root: u64,
    blocks: u32,
    /// Of inodes that do not say their own.
    time: Timestamp,
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16> {
    match bytes.get(at..).and_then(<[u8]>::first_chunk) {
        Some(bytes) => Ok(u16::from_le_bytes(*bytes)),
        None => Err(Errno::EIO),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    match bytes.get(at..).and_then(<[u8]>::first_chunk) {
        Some(bytes) => Ok(u32::from_le_bytes(*bytes)),
        None => Err(Errno::EIO),
    }
}

fn u64_at(bytes: &[u8], at: usize) -> Result<u64> {
    match bytes.get(at..).and_then(<[u8]>::first_chunk) {
        Some(bytes) => Ok(u64::from_le_bytes(*bytes)),
        None => Err(Errno::EIO),
    }
}

impl Image {
    /// Reads the superblock.
    ///
    /// # Errors
    ///
    /// EIO if it is none, or if the image needs a feature that this reader lacks.
    pub fn new(bytes: &'static [u8]) -> Result<Self> {
        let superblock = bytes.get(SUPERBLOCK..SUPERBLOCK + 128).ok_or(Errno::EIO)?;
        let block_bits = u32::from(superblock[12]);
        // `dirblkbits` (byte 90) would make the blocks of directories larger.
        let known = u32_at(superblock, 80)? & !KNOWN_FEATURES == 0 && superblock[90] == 0;
        if u32_at(superblock, 0)? != MAGIC || !(9..=12).contains(&block_bits) || !known {
            return Err(Errno::EIO);
        }
        Ok(Self {
            bytes,
            block_bits,
            inodes_at: u64::from(u32_at(superblock, 40)?) << block_bits,
            xattrs_at: u64::from(u32_at(superblock, 44)?) << block_bits,
            root: u64::from(u16_at(superblock, 14)?),
            blocks: u32_at(superblock, 36)?,
            time: Timestamp {
                seconds: u64_at(superblock, 24)? as i64,
                nanos: u32_at(superblock, 32)?.min(999_999_999),
            },
        })
    }

    /// The node id of the root directory.
    #[must_use]
    pub fn root(&self) -> u64 {
        self.root
    }

    /// Its size in pages of 4 KiB.
    #[must_use]
    pub fn pages(&self) -> u64 {
        (u64::from(self.blocks) << self.block_bits).div_ceil(4096)
    }

    fn block_size(&self) -> u64 {
        1 << self.block_bits
    }

    /// The bytes from `at`, `len` of them.
    fn slice(&self, at: u64, len: u64) -> Result<&'static [u8]> {
        let end = at.checked_add(len).ok_or(Errno::EIO)?;
        let range = usize::try_from(at).ok()..usize::try_from(end).ok();
        let (Some(start), Some(end)) = (range.start, range.end) else {
            return Err(Errno::EIO);
        };
        self.bytes.get(start..end).ok_or(Errno::EIO)
    }
}
