//! Extended attributes of a tree's inodes.

use std::collections::BTreeMap;

use super::EntryFault;

/// Attributes by their full names (`user.note`), in order.
pub type Xattrs = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// Most bytes of attributes of one inode, names, values and four each.
const MAX_LEN: usize = 60 << 10;

/// Whether an attribute is taken over when a tree is read: `user.*`, and file
/// capabilities. Others (labels, access lists) say something about the machine
/// on which the tree lay, not about the box.
pub fn kept(name: &[u8]) -> bool {
    name.starts_with(b"user.") || name == b"security.capability"
}

pub(super) fn check(xattrs: &Xattrs) -> Result<(), EntryFault> {
    let mut len = 0;
    for (name, value) in xattrs {
        if !kept(name) || name.len() > 255 || name.len() == b"user.".len() || name.contains(&0) {
            return Err(EntryFault::BadXattr(super::display(name)));
        }
        len += name.len() + value.len() + 4;
    }
    if len > MAX_LEN {
        Err(EntryFault::XattrsTooLarge { limit: MAX_LEN })
    } else {
        Ok(())
    }
}
