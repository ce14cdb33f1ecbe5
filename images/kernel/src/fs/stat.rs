//! What is known about a file without opening it.

use linux_raw_sys::general as linux;

use crate::memory::plain::zeroed;
use crate::time;

/// The bits of a mode that say the type.
pub const TYPE: u32 = linux::S_IFMT;
/// The bits of a mode that a program can change.
pub const PERMISSIONS: u32 = 0o7777;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A Unix socket's name.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

impl Kind {
    /// The kind that a mode names.
    #[must_use]
    pub const fn of_mode(mode: u32) -> Option<Self> {
        Some(match mode & TYPE {
            linux::S_IFREG => Self::Regular,
            linux::S_IFDIR => Self::Directory,
            linux::S_IFLNK => Self::Symlink,
            linux::S_IFIFO => Self::Fifo,
            linux::S_IFSOCK => Self::Socket,
            linux::S_IFCHR => Self::CharDevice,
            linux::S_IFBLK => Self::BlockDevice,
            _ => return None,
        })
    }

    /// Its bits in a mode.
    #[must_use]
    pub const fn mode(self) -> u32 {
        match self {
            Self::Regular => linux::S_IFREG,
            Self::Directory => linux::S_IFDIR,
            Self::Symlink => linux::S_IFLNK,
            Self::Fifo => linux::S_IFIFO,
            Self::Socket => linux::S_IFSOCK,
            Self::CharDevice => linux::S_IFCHR,
            Self::BlockDevice => linux::S_IFBLK,
        }
    }

    /// Its number in a directory entry (DT_*).
    #[must_use]
    pub const fn entry_type(self) -> u8 {
        (self.mode() >> 12) as u8
    }
}

/// A moment, to the nanosecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds, below 10⁹.
    pub nanos: u32,
}

impl Timestamp {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        // Tests on the host have no clock page.
        if cfg!(test) {
            return Self::default();
        }
        let ns = time::realtime();
        Self {
            seconds: (ns / 1_000_000_000) as i64,
            nanos: (ns % 1_000_000_000) as u32,
        }
    }
}

/// A device number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Which driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

impl Device {
    /// As `mknod` takes it and `stat` gives it (`huge_encode_dev`; the same bits as 64-bit glibc's).
    #[must_use]
    pub const fn decode(number: u64) -> Self {
        let number = number as u32;
        Self {
            major: number >> 8 & 0xfff,
            minor: number & 0xff | number >> 12 & 0xf_ff00,
        }
    }

    /// The inverse of [`Device::decode`].
    #[must_use]
    pub const fn encode(self) -> u64 {
        ((self.minor & 0xff) | self.major << 8 | (self.minor & !0xff) << 12) as u64
    }
}

/// The attributes of a file.
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    /// The file system.
    pub device: u32,
    /// The inode's number in it.
    pub ino: u64,
    /// Type and permissions.
    pub mode: u32,
    /// Names that lead to it.
    pub nlink: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// For a device: which.
    pub rdev: Device,
    /// Bytes.
    pub size: u64,
    /// Units of 512 bytes in use.
    pub blocks: u64,
    /// When it was last read.
    pub atime: Timestamp,
    /// When its content last changed.
    pub mtime: Timestamp,
    /// When anything about it last changed.
    pub ctime: Timestamp,
    /// When it was made.
    pub btime: Timestamp,
}

impl Stat {
    /// A file without content, of the superuser, from the start of time.
    #[must_use]
    pub const fn new(device: u32, ino: u64, mode: u32) -> Self {
        let epoch = Timestamp {
            seconds: 0,
            nanos: 0,
        };
        Self {
            device,
            ino,
            mode,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: Device { major: 0, minor: 0 },
            size: 0,
            blocks: 0,
            atime: epoch,
            mtime: epoch,
            ctime: epoch,
            btime: epoch,
        }
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::of_mode(self.mode).unwrap_or(Kind::Regular)
    }

    /// As `stat` gives it.
    #[must_use]
    pub fn to_stat(&self) -> linux::stat {
        let mut to: linux::stat = zeroed();
        to.st_dev = u64::from(self.device);
        to.st_ino = self.ino;
        to.st_nlink = u64::from(self.nlink);
        to.st_mode = self.mode;
        to.st_uid = self.uid;
        to.st_gid = self.gid;
        to.st_rdev = self.rdev.encode();
        to.st_size = self.size as i64;
        to.st_blksize = 4096;
        to.st_blocks = self.blocks as i64;
        (to.st_atime, to.st_atime_nsec) = (self.atime.seconds as u64, self.atime.nanos.into());
        (to.st_mtime, to.st_mtime_nsec) = (self.mtime.seconds as u64, self.mtime.nanos.into());
        (to.st_ctime, to.st_ctime_nsec) = (self.ctime.seconds as u64, self.ctime.nanos.into());
        to
    }

    /// As `statx` gives it.
    #[must_use]
    pub fn to_statx(&self) -> linux::statx {
        let time = |from: Timestamp| linux::statx_timestamp {
            tv_sec: from.seconds,
            tv_nsec: from.nanos,
            __reserved: 0,
        };
        let mut to: linux::statx = zeroed();
        to.stx_mask = linux::STATX_BASIC_STATS | linux::STATX_BTIME | linux::STATX_MNT_ID;
        to.stx_blksize = 4096;
        to.stx_nlink = self.nlink;
        to.stx_uid = self.uid;
        to.stx_gid = self.gid;
        to.stx_mode = self.mode as u16;
        to.stx_ino = self.ino;
        to.stx_size = self.size;
        to.stx_blocks = self.blocks;
        to.stx_atime = time(self.atime);
        to.stx_btime = time(self.btime);
        to.stx_ctime = time(self.ctime);
        to.stx_mtime = time(self.mtime);
        (to.stx_rdev_major, to.stx_rdev_minor) = (self.rdev.major, self.rdev.minor);
        let device = Device::decode(self.device.into());
        (to.stx_dev_major, to.stx_dev_minor) = (device.major, device.minor);
        to.stx_mnt_id = u64::from(self.device);
        to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_come_back() {
        for (major, minor) in [(0, 0), (1, 3), (5, 2), (259, 0xf_ffff), (0xfff, 256)] {
            let device = Device { major, minor };
            assert_eq!(Device::decode(device.encode()), device);
        }
        assert_eq!(Device { major: 1, minor: 3 }.encode(), 0x103);
    }

    #[test]
    fn directory_entry_types_are_linux_s() {
        assert_eq!(u32::from(Kind::Directory.entry_type()), linux::DT_DIR);
        assert_eq!(u32::from(Kind::Regular.entry_type()), linux::DT_REG);
        assert_eq!(u32::from(Kind::Socket.entry_type()), linux::DT_SOCK);
    }
}
