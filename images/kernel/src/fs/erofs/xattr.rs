//! Extended attributes of an image's inodes.

use alloc::vec::Vec;

use super::{Image, Inode, u16_at, u32_at};
use crate::errno::Result;

const HEADER: u64 = 12;
const ENTRY: u64 = 4;

/// A name and a value.
pub(super) type Xattr = (Vec<u8>, &'static [u8]);

/// What a prefix's number stands for (`EROFS_XATTR_INDEX_*`).
fn prefix(index: u8) -> Option<&'static [u8]> {
    Some(match index {
        0 => b"",
        1 => b"user.",
        2 => b"system.posix_acl_access",
        3 => b"system.posix_acl_default",
        4 => b"trusted.",
        6 => b"security.",
        _ => return None,
    })
}

impl Image {
    /// All extended attributes of an inode; those with unknown prefixes are left out.
    ///
    /// # Errors
    ///
    /// EIO if they are damaged.
    pub fn xattrs(&self, inode: &Inode) -> Result<Vec<Xattr>> {
        let mut found = Vec::new();
        let (start, len) = inode.xattrs;
        if len == 0 {
            return Ok(found);
        }
        let area = self.slice(start, len)?;
        let shared = usize::from(area[4]);
        for at in 0..shared {
            let id = u32_at(area, HEADER as usize + 4 * at)?;
            self.xattr(self.xattrs_at + 4 * u64::from(id), &mut found)?;
        }
        let mut at = start + HEADER + 4 * shared as u64;
        while at + ENTRY <= start + len {
            at = self.xattr(at, &mut found)?;
        }
        Ok(found)
    }

    /// Reads one; returns where the next would begin.
    fn xattr(&self, at: u64, found: &mut Vec<Xattr>) -> Result<u64> {
        let head = self.slice(at, ENTRY)?;
        let (name_len, index) = (u64::from(head[0]), head[1]);
        let value_len = u64::from(u16_at(head, 2)?);
        let name = self.slice(at + ENTRY, name_len)?;
        let value = self.slice(at + ENTRY + name_len, value_len)?;
        if let Some(prefix) = prefix(index) {
            found.push(([prefix, name].concat(), value));
        }
        Ok((at + ENTRY + name_len + value_len).next_multiple_of(4))
    }
}
