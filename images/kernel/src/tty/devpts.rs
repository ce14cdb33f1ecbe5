//! `/dev/pts`: a name for each slave.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use super::Terminal;
use super::pty::{Slave, open_master};
use crate::errno::{Errno, Result};
use crate::fs::file::{DirEntry, File};
use crate::fs::inode::{Change, FileSystem, Inode, New};
use crate::fs::stat::{Device, Kind, Stat, Timestamp};
use crate::fs::{Location, device, mount, path};
use crate::sync::Mutex;
use crate::task::{self, Credentials};

/// The driver of slaves.
const MAJOR: u32 = 136;
/// Terminals at once, at most.
const TERMINALS: u32 = 4096;
/// The group that may write to terminals, as Debian has it.
const GROUP_TTY: u32 = 5;
/// The inode of terminal 0.
const FIRST_INO: u64 = 3;
const ROOT_INO: u64 = 1;
const PTMX_INO: u64 = 2;

static DEVPTS: FileSystem = FileSystem {
    name: "devpts",
    magic: linux::DEVPTS_SUPER_MAGIC,
    device: 25,
    in_memory: false,
};

static TERMINALS_BY_NUMBER: Mutex<BTreeMap<u32, Arc<Entry>>> = Mutex::new(BTreeMap::new());
static ROOT: Mutex<Option<Arc<Root>>> = Mutex::new(None);

/// The device number of a slave.
pub fn device(number: u32) -> Device {
    Device {
        major: MAJOR,
        minor: number,
    }
}

/// Makes a terminal with the lowest number that is free.
///
/// # Errors
///
/// ENOSPC if there are too many.
pub fn add() -> Result<Arc<Terminal>> {
    let who = task::process().credentials();
    add_for(who.uid)
}

/// As [`add`], for a user.
pub(super) fn add_for(uid: u32) -> Result<Arc<Terminal>> {
    let mut terminals = TERMINALS_BY_NUMBER.lock();
    let number = (0..TERMINALS)
        .find(|number| !terminals.contains_key(number))
        .ok_or(Errno::ENOSPC)?;
    let terminal = Terminal::new(number);
    let mode = Kind::CharDevice.mode() | 0o620;
    let mut stat = Stat::new(DEVPTS.device, FIRST_INO + u64::from(number), mode);
    (stat.uid, stat.gid, stat.rdev) = (uid, GROUP_TTY, device(number));
    let entry = Entry {
        terminal: Some(terminal.clone()),
        stat: Mutex::new(stat),
    };
    terminals.insert(number, Arc::new(entry));
    Ok(terminal)
}

/// Takes a terminal's name away.
pub(super) fn remove(number: u32) {
    let removed = TERMINALS_BY_NUMBER.lock().remove(&number);
    drop(removed);
}

/// Opens a slave by its device number.
///
/// # Errors
///
/// EIO if there is none, or it is locked.
pub fn open_device(number: u32, flags: u32) -> Result<Arc<dyn File>> {
    let entry = TERMINALS_BY_NUMBER.lock().get(&number).cloned();
    entry.ok_or(Errno::EIO)?.open(flags)
}

/// Where a slave lies: `/dev/pts/` and its number.
///
/// # Errors
///
/// ENOENT if there is none.
pub fn location(number: u32) -> Result<Location> {
    let everybody = Credentials::default();
    let walk = path::Walk {
        root: mount::root(),
        who: &everybody,
        resolve: 0,
    };
    let path = alloc::format!("/dev/pts/{number}");
    walk.walk(mount::root(), path.as_bytes(), false)?.existing()
}

/// The file system.
///
/// # Errors
///
/// None.
pub fn root() -> Result<Arc<dyn Inode>> {
    Ok(the_root())
}

fn the_root() -> Arc<Root> {
    let mut root = ROOT.lock();
    root.get_or_insert_with(|| {
        let mut stat = Stat::new(DEVPTS.device, PTMX_INO, Kind::CharDevice.mode() | 0o666);
        stat.rdev = device::PTMX;
        Arc::new(Root {
            stat: Stat::new(DEVPTS.device, ROOT_INO, Kind::Directory.mode() | 0o755),
            ptmx: Arc::new(Entry {
                terminal: None,
                stat: Mutex::new(stat),
            }),
        })
    })
    .clone()
}

/// `/dev/pts`.
struct Root {
    stat: Stat,
    ptmx: Arc<Entry>,
}

/// A name in it: a slave, or `ptmx`.
struct Entry {
    terminal: Option<Arc<Terminal>>,
    stat: Mutex<Stat>,
}

impl Entry {
    fn open(&self, flags: u32) -> Result<Arc<dyn File>> {
        match &self.terminal {
            Some(terminal) => Ok(Slave::open_named(terminal, flags)?),
            None => open_master(),
        }
    }
}

impl Inode for Entry {
    fn kind(&self) -> Kind {
        Kind::CharDevice
    }

    fn stat(&self) -> Stat {
        *self.stat.lock()
    }

    fn filesystem(&self) -> &'static FileSystem {
        &DEVPTS
    }

    fn open(self: Arc<Self>, flags: u32) -> Result<Arc<dyn File>> {
        Entry::open(&self, flags)
    }

    fn change(&self, change: &Change) -> Result<()> {
        let mut stat = self.stat.lock();
        if let Some(permissions) = change.permissions {
            stat.mode = Kind::CharDevice.mode() | permissions;
        }
        stat.uid = change.uid.unwrap_or(stat.uid);
        stat.gid = change.gid.unwrap_or(stat.gid);
        stat.atime = change.atime.unwrap_or(stat.atime);
        stat.mtime = change.mtime.unwrap_or(stat.mtime);
        stat.ctime = Timestamp::now();
        Ok(())
    }
}

impl Inode for Root {
    fn kind(&self) -> Kind {
        Kind::Directory
    }

    fn stat(&self) -> Stat {
        let mut stat = self.stat;
        stat.nlink = 2;
        stat
    }

    fn filesystem(&self) -> &'static FileSystem {
        &DEVPTS
    }

    fn open(self: Arc<Self>, _: u32) -> Result<Arc<dyn File>> {
        Ok(Arc::new(Listing(self)))
    }

    fn lookup(self: Arc<Self>, name: &[u8]) -> Result<Arc<dyn Inode>> {
        if name == b"ptmx" {
            return Ok(self.ptmx.clone());
        }
        let number = core::str::from_utf8(name).ok().and_then(|n| n.parse().ok());
        let number: u32 = number.ok_or(Errno::ENOENT)?;
        let found = TERMINALS_BY_NUMBER.lock().get(&number).cloned();
        // `007` is the name of nothing.
        let found = found.filter(|_| alloc::format!("{number}").as_bytes() == name);
        Ok(found.ok_or(Errno::ENOENT)?)
    }

    fn create(self: Arc<Self>, _: &[u8], _: &New<'_>) -> Result<Arc<dyn Inode>> {
        Err(Errno::EACCES)
    }
}

/// `/dev/pts`, open.
struct Listing(Arc<Root>);

impl File for Listing {
    fn stat(&self) -> Stat {
        self.0.stat()
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn is_pollable(&self) -> bool {
        false
    }

    fn read(&self, _: u64, _: &mut crate::io::Sink<'_>) -> Result<usize> {
        Err(Errno::EISDIR)
    }

    fn entries(&self, from: u64, each: &mut dyn FnMut(&DirEntry<'_>) -> bool) -> Result<()> {
        let numbers: Vec<u32> = TERMINALS_BY_NUMBER.lock().keys().copied().collect();
        let fixed = [
            (ROOT_INO, Kind::Directory, Vec::from(*b".")),
            (ROOT_INO, Kind::Directory, Vec::from(*b"..")),
            (PTMX_INO, Kind::CharDevice, Vec::from(*b"ptmx")),
        ];
        let slaves = numbers.into_iter().map(|number| {
            let name = alloc::format!("{number}").into_bytes();
            (FIRST_INO + u64::from(number), Kind::CharDevice, name)
        });
        for (index, (ino, kind, name)) in fixed.into_iter().chain(slaves).enumerate() {
            // A terminal keeps its position when others come and go.
            let at = if index < 3 { index as u64 } else { ino };
            let entry = DirEntry {
                ino,
                kind,
                name: &name,
                next: at + 1,
            };
            if at >= from && !each(&entry) {
                break;
            }
        }
        Ok(())
    }
}
