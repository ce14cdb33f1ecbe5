//! Inodes that are made up: directories, texts, links.

use alloc::borrow::Cow;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use crate::errno::{Errno, Result};
use crate::fs::file::{DirEntry, File};
use crate::fs::inode::{Change, FileSystem, Inode, New, Target};
use crate::fs::stat::{Kind, Stat, Timestamp};
use crate::io::{Sink, Source};
use crate::sync::Mutex;
use crate::task::{self, Process};

/// Bytes that a setting takes at once.
const SETTING_MAX: usize = 4096;

/// Positions of names that are numbers begin here; they come last, in order.
const NUMBERS: u64 = 1 << 32;

/// What an entry is about.
#[derive(Clone, Default)]
pub(super) struct Subject {
    process: Weak<Process>,
    /// A thread's or a descriptor's number, or a place in a table.
    pub(super) number: u32,
}

impl Subject {
    /// A process.
    pub(super) fn of(process: &Arc<Process>, number: u32) -> Self {
        Self {
            process: Arc::downgrade(process),
            number,
        }
    }

    /// The process, if the caller may see what is its own business: root, and its user.
    pub(super) fn private(&self) -> Result<Arc<Process>> {
        let process = self.process()?;
        let own = task::process();
        let (caller, target) = (own.credentials(), process.credentials());
        let users = [target.uid, target.euid, target.suid];
        let groups = [target.gid, target.egid, target.sgid];
        let same =
            users.iter().all(|id| *id == caller.uid) && groups.iter().all(|id| *id == caller.gid);
        if same || Arc::ptr_eq(&own, &process) || caller.can(linux_raw_sys::general::CAP_SYS_PTRACE)
        {
            Ok(process)
        } else {
            Err(Errno::EACCES)
        }
    }

    /// Something else that has a number.
    pub(super) fn of_number(number: u32) -> Self {
        Self {
            process: Weak::new(),
            number,
        }
    }

    /// The process that it is about.
    pub(super) fn process(&self) -> Result<Arc<Process>> {
        self.process.upgrade().ok_or(Errno::ESRCH)
    }
}

/// A name in a directory.
pub(super) type Item = (Cow<'static, str>, Child, Subject);

/// What an entry is.
#[derive(Clone, Copy)]
pub(super) enum Child {
    /// A directory.
    Directory(fn(&Subject) -> Result<Vec<Item>>),
    /// A file that is read only.
    Text(fn(&Subject) -> Result<Vec<u8>>),
    /// A file that is written, too.
    Setting(
        fn(&Subject) -> Result<Vec<u8>>,
        fn(&Subject, &[u8]) -> Result<()>,
    ),
    /// A link.
    Link(fn(&Subject) -> Result<Target>),
}

impl Child {
    fn mode(self) -> u32 {
        match self {
            Self::Directory(_) => Kind::Directory.mode() | 0o555,
            Self::Text(_) => Kind::Regular.mode() | 0o444,
            Self::Setting(..) => Kind::Regular.mode() | 0o644,
            Self::Link(_) => Kind::Symlink.mode() | 0o777,
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Directory(_) => Kind::Directory,
            Self::Text(_) | Self::Setting(..) => Kind::Regular,
            Self::Link(_) => Kind::Symlink,
        }
    }
}

/// An inode that is made up.
pub(super) struct Generated {
    filesystem: &'static FileSystem,
    child: Child,
    subject: Subject,
    ino: u64,
    /// The directory above and the name there.
    up: Option<(Arc<Self>, Cow<'static, str>)>,
}

/// A number for a path that is the same each time: FNV-1a.
fn number(parent: u64, name: &str) -> u64 {
    let hash = name.bytes().fold(parent, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    // Some programs keep inode numbers in doubles.
    (hash ^ hash >> 53) & ((1 << 53) - 1)
}

impl Generated {
    /// The root of a file system.
    pub(super) fn root(filesystem: &'static FileSystem, child: Child) -> Arc<Self> {
        Arc::new(Self {
            filesystem,
            child,
            subject: Subject::default(),
            ino: 1,
            up: None,
        })
    }

    /// The process whose directory in `/proc` this is, if it is one.
    pub(super) fn directory_of(&self) -> Option<Arc<Process>> {
        let (above, _) = self.up.as_ref()?;
        let below_root = above.up.is_none();
        self.subject.process().ok().filter(|_| below_root)
    }

    fn items(&self) -> Result<Vec<Item>> {
        match self.child {
            Child::Directory(list) => list(&self.subject),
            _ => Err(Errno::ENOTDIR),
        }
    }
}

impl Inode for Generated {
    fn kind(&self) -> Kind {
        self.child.kind()
    }

    fn stat(&self) -> Stat {
        let mut stat = Stat::new(self.filesystem.device, self.ino, self.child.mode());
        if self.kind() == Kind::Directory {
            stat.nlink = 2;
        }
        if let Ok(process) = self.subject.process() {
            let credentials = process.credentials();
            (stat.uid, stat.gid) = (credentials.euid, credentials.egid);
        }
        let now = Timestamp::now();
        (stat.atime, stat.mtime, stat.ctime) = (now, now, now);
        stat
    }

    fn filesystem(&self) -> &'static FileSystem {
        self.filesystem
    }

    fn open(self: Arc<Self>, _: u32) -> Result<Arc<dyn File>> {
        match self.child {
            Child::Link(_) => Err(Errno::ELOOP),
            _ => Ok(Arc::new(Open {
                inode: self,
                text: Mutex::new(Vec::new()),
            })),
        }
    }

    fn change(&self, _: &Change) -> Result<()> {
        Err(Errno::EPERM)
    }

    fn truncate(&self, _: u64) -> Result<()> {
        // A setting is opened so by shells, and means nothing by it.
        if matches!(self.child, Child::Setting(..)) {
            Ok(())
        } else {
            Err(Errno::EACCES)
        }
    }

    fn target(&self) -> Result<Target> {
        match self.child {
            Child::Link(target) => target(&self.subject),
            _ => Err(Errno::EINVAL),
        }
    }

    fn lookup(self: Arc<Self>, name: &[u8]) -> Result<Arc<dyn Inode>> {
        let items = self.items().map_err(|errno| match errno {
            Errno::ESRCH => Errno::ENOENT,
            errno => errno,
        })?;
        let found = items.into_iter().find(|item| item.0.as_bytes() == name);
        let (name, child, subject) = found.ok_or(Errno::ENOENT)?;
        let (filesystem, ino) = (self.filesystem, number(self.ino, &name));
        Ok(Arc::new(Self {
            filesystem,
            child,
            subject,
            ino,
            up: Some((self, name)),
        }))
    }

    fn create(self: Arc<Self>, _: &[u8], _: &New<'_>) -> Result<Arc<dyn Inode>> {
        // As in Linux: there is no name that could be made.
        Err(if self.filesystem.name == "proc" {
            Errno::ENOENT
        } else {
            Errno::EPERM
        })
    }

    fn parent(&self) -> Option<(Arc<dyn Inode>, Vec<u8>)> {
        let (parent, name) = self.up.as_ref()?;
        Some((parent.clone(), name.as_bytes().to_vec()))
    }

    fn identity(&self) -> (u32, u64) {
        (self.filesystem.device, self.ino)
    }
}

/// One that is open.
struct Open {
    inode: Arc<Generated>,
    /// The text, as it was when it was last read from its start.
    text: Mutex<Vec<u8>>,
}

impl File for Open {
    fn stat(&self) -> Stat {
        self.inode.stat()
    }

    fn is_seekable(&self) -> bool {
        true
    }

    fn is_pollable(&self) -> bool {
        false
    }

    fn end(&self) -> Result<u64> {
        // Nobody knows before it is read.
        Err(Errno::EINVAL)
    }

    fn read(&self, offset: u64, sink: &mut Sink<'_>) -> Result<usize> {
        let make = match self.inode.child {
            Child::Text(make) | Child::Setting(make, _) => make,
            Child::Directory(_) => return Err(Errno::EISDIR),
            Child::Link(_) => return Err(Errno::EINVAL),
        };
        if offset == 0 {
            let text = make(&self.inode.subject)?;
            *self.text.lock() = text;
        }
        // Moved out, so that nothing is locked while the program's memory is touched.
        let text = core::mem::take(&mut *self.text.lock());
        let start = text
            .len()
            .min(usize::try_from(offset).unwrap_or(usize::MAX));
        let read = sink.write(&text[start..]);
        *self.text.lock() = text;
        read
    }

    fn write(&self, _: u64, source: &mut Source<'_>) -> Result<usize> {
        let Child::Setting(_, set) = self.inode.child else {
            return Err(Errno::EINVAL);
        };
        if source.remaining() > SETTING_MAX {
            return Err(Errno::EINVAL);
        }
        let text = source.read_all()?;
        set(&self.inode.subject, &text)?;
        Ok(text.len())
    }

    fn entries(&self, from: u64, each: &mut dyn FnMut(&DirEntry<'_>) -> bool) -> Result<()> {
        let items = self.inode.items()?;
        let (own, above) = (
            self.inode.ino,
            self.inode.up.as_ref().map_or(1, |(up, _)| up.ino),
        );
        let dots = [(".", own), ("..", above)].map(|(name, ino)| (ino, Kind::Directory, name));
        let others = items.iter().map(|(name, child, _)| {
            let name: &str = name;
            (number(own, name), child.kind(), name)
        });
        for (index, (ino, kind, name)) in dots.into_iter().chain(others).enumerate() {
            // Numbers keep their positions when others come and go.
            let at = name
                .parse()
                .map_or(index as u64, |number: u32| NUMBERS + u64::from(number));
            let entry = DirEntry {
                ino,
                kind,
                name: name.as_bytes(),
                next: at + 1,
            };
            if at >= from && !each(&entry) {
                break;
            }
        }
        Ok(())
    }
}
