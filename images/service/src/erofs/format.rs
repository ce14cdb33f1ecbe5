//! The superblock and the inodes as they lie on disk (Linux,
//! `fs/erofs/erofs_fs.h`). All numbers are little-endian.

use crate::tree::{Content, DeviceNumber, Inode};

/// Where the superblock lies.
const SUPERBLOCK: usize = 1024;
/// Where the first inode lies: after the superblock, in its block.
pub(super) const FIRST_INODE: u64 = 1152;
/// Inodes lie at multiples of this; a node id counts them.
pub(super) const SLOT: u64 = 32;

const MAGIC: u32 = 0xE0F5_E1E2;
const COMPAT_CHECKSUM: u32 = 1;
const COMPAT_MTIME: u32 = 2;

/// How an inode's data lies (`EROFS_INODE_FLAT_*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DataLayout {
    /// All in blocks.
    Plain = 0,
    /// Whole blocks, and the rest behind the inode.
    Inline = 2,
}

/// What the superblock says of this image.
pub(super) struct Superblock {
    pub(super) root: u16,
    pub(super) inodes: u64,
    pub(super) blocks: u32,
}

impl Superblock {
    /// Writes the superblock into the image's first block, whose other
    /// contents must be there: the checksum covers them. There is neither a
    /// UUID nor a build time, since both would be made up.
    pub(super) fn encode(&self, block: &mut [u8]) {
        let bytes = &mut block[SUPERBLOCK..];
        bytes[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[8..12].copy_from_slice(&(COMPAT_CHECKSUM | COMPAT_MTIME).to_le_bytes());
        bytes[12] = super::BLOCK.trailing_zeros() as u8;
        bytes[14..16].copy_from_slice(&self.root.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.inodes.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.blocks.to_le_bytes());
        // Linux leaves out the inversion that ends a CRC-32C.
        let checksum = !crc32c::crc32c(bytes);
        bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// The parts of an inode that depend on where it came to lie.
pub(super) struct Placed {
    pub(super) layout: DataLayout,
    pub(super) size: u64,
    pub(super) nlink: u32,
    /// Serial number, for 32-bit `stat`.
    pub(super) serial: u32,
    /// `i_xattr_icount`.
    pub(super) xattr_count: u16,
    /// First block, or device number.
    pub(super) union: u32,
}

/// Whether the short form of an inode, 32 bytes, can hold all of it.
pub(super) fn fits_compact(inode: &Inode, size: u64, nlink: u32) -> bool {
    let meta = &inode.metadata;
    size <= u64::from(u32::MAX)
        && nlink <= u32::from(u16::MAX)
        && meta.uid <= u32::from(u16::MAX)
        && meta.gid <= u32::from(u16::MAX)
        && meta.mtime_ns == 0
}

/// Appends an inode's 32 or 64 bytes.
pub(super) fn encode_inode(out: &mut Vec<u8>, inode: &Inode, placed: &Placed) {
    let meta = &inode.metadata;
    let compact = fits_compact(inode, placed.size, placed.nlink);
    let format = u16::from(!compact) | (placed.layout as u16) << 1;
    let mode = file_type(&inode.content).mode() | meta.permissions;
    out.extend_from_slice(&format.to_le_bytes());
    out.extend_from_slice(&placed.xattr_count.to_le_bytes());
    out.extend_from_slice(&mode.to_le_bytes());
    if compact {
        out.extend_from_slice(&(placed.nlink as u16).to_le_bytes());
        out.extend_from_slice(&(placed.size as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&placed.union.to_le_bytes());
        out.extend_from_slice(&placed.serial.to_le_bytes());
        out.extend_from_slice(&(meta.uid as u16).to_le_bytes());
        out.extend_from_slice(&(meta.gid as u16).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
    } else {
        let seconds = meta.mtime_ns.div_euclid(1_000_000_000);
        let nanos = meta.mtime_ns.rem_euclid(1_000_000_000) as u32;
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&placed.size.to_le_bytes());
        out.extend_from_slice(&placed.union.to_le_bytes());
        out.extend_from_slice(&placed.serial.to_le_bytes());
        out.extend_from_slice(&meta.uid.to_le_bytes());
        out.extend_from_slice(&meta.gid.to_le_bytes());
        out.extend_from_slice(&seconds.to_le_bytes());
        out.extend_from_slice(&nanos.to_le_bytes());
        out.extend_from_slice(&placed.nlink.to_le_bytes());
        out.extend_from_slice(&[0; 16]);
    }
}

/// The number that stands in a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileType {
    Regular = 1,
    Directory = 2,
    CharDevice = 3,
    BlockDevice = 4,
    Fifo = 5,
    Symlink = 7,
}

impl FileType {
    /// The type's bits in a mode.
    fn mode(self) -> u16 {
        match self {
            Self::Regular => 0o100_000,
            Self::Directory => 0o040_000,
            Self::CharDevice => 0o020_000,
            Self::BlockDevice => 0o060_000,
            Self::Fifo => 0o010_000,
            Self::Symlink => 0o120_000,
        }
    }
}

pub(super) fn file_type(content: &Content) -> FileType {
    match content {
        Content::File(_) => FileType::Regular,
        Content::Directory(_) => FileType::Directory,
        Content::CharDevice(_) => FileType::CharDevice,
        Content::BlockDevice(_) => FileType::BlockDevice,
        Content::Fifo => FileType::Fifo,
        Content::Symlink(_) => FileType::Symlink,
    }
}

/// A device number as Linux stores it (`new_encode_dev`), if it can.
pub(super) fn encode_device(device: DeviceNumber) -> Option<u32> {
    let DeviceNumber { major, minor } = device;
    (major < 1 << 12 && minor < 1 << 20)
        .then_some((minor & 0xff) | (major << 8) | ((minor & !0xff) << 12))
}
