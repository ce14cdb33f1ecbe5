//! Programs: files that may be executed.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use super::claim::Claim;
use super::inode::Inode;
use super::open_file::OpenFile;
use super::path::Walk;
use super::stat::Kind;
use super::{FsContext, mount, permission};
use crate::errno::{Errno, Result};
use crate::io::Sink;
use crate::mm::Pages;
use crate::task::{self, Credentials};

/// A program, open to be loaded. It cannot be written meanwhile.
pub struct Program {
    file: Arc<OpenFile>,
}

/// Opens a program to be run; with `follow`, through a link at the end of the path.
///
/// # Errors
///
/// As execve(2): ETXTBSY if it is open to be written, EACCES if it is no regular file or must not be executed, ENOENT, ENOTDIR, ELOOP.
pub fn open_executable(context: &FsContext, path: &[u8], follow: bool) -> Result<Arc<Program>> {
    let who = task::process().credentials();
    let walk = Walk {
        root: context.root(),
        who: &who,
        resolve: 0,
    };
    let location = walk.walk(context.directory(), path, follow)?.existing()?;
    if location.inode.kind() == Kind::Symlink {
        return Err(Errno::ELOOP);
    }
    check_executable(&*location.inode, &who)?;
    let claim = Claim::to_run(&*location.inode)?;
    let file = location.inode.clone().open(linux::O_RDONLY)?;
    let file = OpenFile::new(file, linux::O_RDONLY, Some(location));
    file.set_claim(claim);
    Ok(Arc::new(Program { file }))
}

/// Checks that something may be executed.
fn check_executable(inode: &dyn Inode, who: &Credentials) -> Result<()> {
    match inode.kind() {
        Kind::Regular => permission::check(&inode.stat(), permission::EXECUTE, who),
        _ => Err(Errno::EACCES),
    }
}

/// The path that leads where execveat(2) means: from a directory's descriptor, or to the
/// descriptor's file itself if the path is empty and may be.
///
/// # Errors
///
/// ENOENT if the path is empty and may not be, EBADF.
pub fn executable_path(directory: i32, path: &[u8], may_be_empty: bool) -> Result<Vec<u8>> {
    if path.is_empty() && !may_be_empty {
        return Err(Errno::ENOENT);
    }
    if path.first() == Some(&b'/') || directory == linux::AT_FDCWD && !path.is_empty() {
        return Ok(path.to_vec());
    }
    if directory != linux::AT_FDCWD {
        task::process().files().get(directory)?;
    }
    let mut whole = match directory {
        linux::AT_FDCWD => b".".to_vec(),
        fd => format!("/proc/self/fd/{fd}").into_bytes(),
    };
    if !path.is_empty() {
        whole.push(b'/');
        whole.extend_from_slice(path);
    }
    Ok(whole)
}

impl Program {
    /// The user and the group that it lends to whoever runs it (S_ISUID, S_ISGID).
    #[must_use]
    pub fn lent(&self) -> (Option<u32>, Option<u32>) {
        let stat = self.file.file().stat();
        let has = |bits: u32| stat.mode & bits == bits;
        (
            has(linux::S_ISUID).then_some(stat.uid),
            has(linux::S_ISGID | linux::S_IXGRP).then_some(stat.gid),
        )
    }

    /// Bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.file.file().size()
    }

    /// Reads from an offset; fewer bytes only at the end.
    ///
    /// # Errors
    ///
    /// EIO.
    pub fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize> {
        self.file.file().read(offset, &mut Sink::kernel(into))
    }

    /// Lets it be written although it is mapped, as Linux does with a program's interpreter.
    pub fn permit_writing(&self) {
        self.file.set_claim(None);
    }

    /// What is mapped: it is not written while it is.
    ///
    /// # Errors
    ///
    /// ENODEV.
    pub fn pages(&self) -> Result<Arc<dyn Pages>> {
        if self.file.file().is_mappable() {
            Ok(self.file.clone())
        } else {
            Err(Errno::ENODEV)
        }
    }

    /// Its path from the root of everything, links resolved.
    #[must_use]
    pub fn path(&self) -> Vec<u8> {
        let location = self.file.location();
        location
            .map(|location| location.display(&mount::root()))
            .unwrap_or_default()
    }
}
