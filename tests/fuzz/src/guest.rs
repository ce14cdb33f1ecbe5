//! What the kernel in a guest reads: the image of its box.

use unicell_kernel::fs::erofs::{Image, Inode, Run};

/// Bytes of a file, entries of a directory and inodes that are looked at.
const BYTES: u64 = 1 << 18;
const ENTRIES: u32 = 300;
const INODES: u32 = 2000;

/// An image: everything that can be reached in it, whatever it says.
pub(crate) fn erofs(bytes: &[u8]) {
    // A guest has its image for as long as it lives; here too.
    let Ok(image) = Image::new(bytes.to_vec().leak()) else {
        return;
    };
    let mut left = INODES;
    look_around(&image, image.root(), 4, &mut left);
    for nid in [0, 36, 40, u64::MAX, u64::MAX / 32] {
        look_around(&image, nid, 0, &mut left);
    }
}

fn look_around(image: &Image, nid: u64, depth: u32, left: &mut u32) {
    let Some(fewer) = left.checked_sub(1) else {
        return;
    };
    *left = fewer;
    let Ok(inode) = image.inode(nid) else { return };
    let _ = image.xattrs(&inode);
    read(image, &inode);
    for name in [&b"bin"[..], b"..", b"\xff", b""] {
        let _ = image.lookup(&inode, name);
    }
    let mut cursor = 0;
    for _ in 0..ENTRIES {
        let Ok(Some((entry, next))) = image.next_entry(&inode, cursor) else {
            return;
        };
        assert!(next > cursor, "a directory is read to its end");
        cursor = next;
        if depth > 0 {
            look_around(image, entry.nid, depth - 1, left);
        }
    }
}

fn read(image: &Image, inode: &Inode) {
    let mut at = 0;
    while at < inode.size.min(BYTES) {
        let Ok(run) = image.data(inode, at) else {
            return;
        };
        let len = match run {
            Run::Bytes(_, bytes) => bytes.len() as u64,
            Run::Zeros(len) => len,
        };
        assert!(len > 0, "a file is read to its end");
        at = at.saturating_add(len);
    }
}
