//! Directories of an image: blocks of sorted names.

use super::{Image, Inode, Run, u16_at, u64_at};
use crate::errno::{Errno, Result};
use crate::fs::stat::Kind;

const ENTRY: usize = 12;

/// A name in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name.
    pub name: &'static [u8],
    /// Where it leads.
    pub nid: u64,
    /// To what.
    pub kind: Kind,
}

/// A position in a directory: a number that grows with the entries.
pub type Cursor = u64;

/// Entries of a block are fewer than this.
const PER_BLOCK: u64 = 512;

/// A block of a directory.
struct Block {
    bytes: &'static [u8],
    count: usize,
}

impl Block {
    fn new(bytes: &'static [u8]) -> Result<Self> {
        let names_at = usize::from(u16_at(bytes, 8)?);
        if names_at < ENTRY || !names_at.is_multiple_of(ENTRY) || names_at > bytes.len() {
            return Err(Errno::EIO);
        }
        Ok(Self {
            bytes,
            count: names_at / ENTRY,
        })
    }

    fn name(&self, index: usize) -> Result<&'static [u8]> {
        let start = usize::from(u16_at(self.bytes, index * ENTRY + 8)?);
        let last = index + 1 == self.count;
        let end = if last {
            self.bytes.len()
        } else {
            usize::from(u16_at(self.bytes, (index + 1) * ENTRY + 8)?)
        };
        let name = self.bytes.get(start..end).ok_or(Errno::EIO)?;
        // The last name of a block ends with it, or with a zero.
        let name = match name.iter().position(|byte| *byte == 0) {
            Some(len) if last => &name[..len],
            _ => name,
        };
        let valid = !name.is_empty() && name.len() <= 255 && !name.contains(&b'/');
        if valid && !name.contains(&0) {
            Ok(name)
        } else {
            Err(Errno::EIO)
        }
    }

    fn entry(&self, index: usize) -> Result<Entry> {
        let kind = match self.bytes.get(index * ENTRY + 10) {
            Some(1) => Kind::Regular,
            Some(2) => Kind::Directory,
            Some(3) => Kind::CharDevice,
            Some(4) => Kind::BlockDevice,
            Some(5) => Kind::Fifo,
            Some(6) => Kind::Socket,
            Some(7) => Kind::Symlink,
            _ => return Err(Errno::EIO),
        };
        Ok(Entry {
            name: self.name(index)?,
            nid: u64_at(self.bytes, index * ENTRY)?,
            kind,
        })
    }
}

impl Image {
    fn directory_block(&self, directory: &Inode, index: u64) -> Result<Block> {
        let at = index << self.block_bits;
        let Run::Bytes(_, bytes) = self.data(directory, at)? else {
            return Err(Errno::EIO);
        };
        let len = (directory.size - at).min(self.block_size()) as usize;
        Block::new(bytes.get(..len).ok_or(Errno::EIO)?)
    }

    fn directory_blocks(&self, directory: &Inode) -> u64 {
        directory.size.div_ceil(self.block_size())
    }

    /// The entry with a name. `.` and `..` are entries like others.
    ///
    /// # Errors
    ///
    /// EIO if the directory is damaged.
    pub fn lookup(&self, directory: &Inode, name: &[u8]) -> Result<Option<Entry>> {
        // The last block whose first name is not greater.
        let (mut low, mut high) = (0, self.directory_blocks(directory));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.directory_block(directory, middle)?.name(0)? <= name {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let Some(index) = low.checked_sub(1) else {
            return Ok(None);
        };
        let block = self.directory_block(directory, index)?;
        let (mut low, mut high) = (0, block.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match block.name(middle)?.cmp(name) {
                core::cmp::Ordering::Equal => return block.entry(middle).map(Some),
                core::cmp::Ordering::Less => low = middle + 1,
                core::cmp::Ordering::Greater => high = middle,
            }
        }
        Ok(None)
    }

    /// The first entry at or after a position, `.` and `..` left out, and the position after it.
    ///
    /// # Errors
    ///
    /// EIO if the directory is damaged.
    pub fn next_entry(&self, directory: &Inode, from: Cursor) -> Result<Option<(Entry, Cursor)>> {
        let (mut index, mut at) = (from / PER_BLOCK, (from % PER_BLOCK) as usize);
        while index < self.directory_blocks(directory) {
            let block = self.directory_block(directory, index)?;
            while at < block.count {
                let entry = block.entry(at)?;
                at += 1;
                if entry.name != b"." && entry.name != b".." {
                    return Ok(Some((entry, index * PER_BLOCK + at as u64)));
                }
            }
            (index, at) = (index + 1, 0);
        }
        Ok(None)
    }
}

const _: () = assert!(4096 / ENTRY < PER_BLOCK as usize);
