//! Files that no path leads to: their attributes, and how `/proc/self/fd` leads to them all the
//! same.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use linux_raw_sys::general as linux;

use super::file::File;
use super::inode::{FileSystem, Inode};
use super::location::Location;
use super::open_file::OpenFile;
use super::stat::{Kind, Stat};
use crate::errno::{Errno, Result};

static NEXT_INO: AtomicU64 = AtomicU64::new(1);

/// Pipes, sockets and whatever else has no name.
const ANONYMOUS: FileSystem = FileSystem {
    name: "anon_inodefs",
    magic: linux::ANON_INODE_FS_MAGIC,
    device: 14,
    in_memory: false,
};

static OTHERS: FileSystem = ANONYMOUS;
static PIPES: FileSystem = FileSystem {
    name: "pipefs",
    magic: 0x5049_5045,
    ..ANONYMOUS
};
static SOCKETS: FileSystem = FileSystem {
    name: "sockfs",
    magic: 0x534f_434b,
    ..ANONYMOUS
};

/// An inode number for a file without an inode.
#[must_use]
pub fn new_ino() -> u64 {
    NEXT_INO.fetch_add(1, Ordering::Relaxed)
}

/// The attributes of such a file, made by the running process.
#[must_use]
pub fn stat(ino: u64, mode: u32) -> Stat {
    Stat::new(ANONYMOUS.device, ino, mode)
}

/// What a link in `/proc/self/fd` leads to if the file has no path.
struct Reached(Arc<OpenFile>);

impl Inode for Reached {
    fn kind(&self) -> Kind {
        Kind::of_mode(self.stat().mode).unwrap_or(Kind::Regular)
    }

    fn stat(&self) -> Stat {
        self.0.stat()
    }

    fn filesystem(&self) -> &'static FileSystem {
        match self.kind() {
            Kind::Fifo => &PIPES,
            Kind::Socket => &SOCKETS,
            _ => &OTHERS,
        }
    }

    fn open(self: Arc<Self>, flags: u32) -> Result<Arc<dyn File>> {
        self.0.file().clone().reopen(flags)
    }

    fn truncate(&self, size: u64) -> Result<()> {
        if self.0.file().is_seekable() {
            self.0.file().truncate(size)
        } else {
            Err(Errno::EINVAL)
        }
    }
}

/// Where an open file lies, for one that is reached through its descriptor.
#[must_use]
pub fn location(file: &Arc<OpenFile>) -> Location {
    match file.location() {
        Some(location) => location.clone(),
        None => Location::of(Arc::new(Reached(file.clone()))),
    }
}
