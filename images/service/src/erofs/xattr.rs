//! Extended attributes behind an inode: a header of 12 bytes, then for each
//! attribute four bytes, its name without the prefix, its value, padding to 4.

use crate::tree::Xattrs;

const HEADER: usize = 12;

/// Name prefixes that are stored as a number (`EROFS_XATTR_INDEX_*`).
const PREFIXES: [(&[u8], u8); 2] = [(b"user.", 1), (b"security.", 6)];

/// The bytes that follow the inode; none without attributes. Names and sizes
/// were checked when the inode was added to the tree.
pub(super) fn encode(xattrs: &Xattrs) -> Vec<u8> {
    let mut out = Vec::new();
    if xattrs.is_empty() {
        return out;
    }
    out.resize(HEADER, 0);
    for (name, value) in xattrs {
        let (rest, index) = PREFIXES
            .iter()
            .find_map(|(prefix, index)| Some((name.strip_prefix(*prefix)?, *index)))
            .unwrap_or((name, 0));
        out.extend_from_slice(&[rest.len() as u8, index]);
        out.extend_from_slice(&(value.len() as u16).to_le_bytes());
        out.extend_from_slice(rest);
        out.extend_from_slice(value);
        out.resize(out.len().next_multiple_of(4), 0);
    }
    out
}

/// `i_xattr_icount` for that many bytes of attributes.
pub(super) fn count(len: usize) -> u16 {
    if len == 0 {
        0
    } else {
        ((len - HEADER) / 4 + 1) as u16
    }
}
