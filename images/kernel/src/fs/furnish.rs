//! Files that the node wants to be there, before the first program starts.

use alloc::sync::Arc;

use linux_raw_sys::general as linux;
use unicell_guest_abi::init::File;

use super::inode::{Inode, New};
use super::mount;
use super::path::Walk;
use super::stat::{Device, Kind};
use crate::errno::{Errno, Result};
use crate::io::Source;
use crate::task::Credentials;

/// Writes a file, in place of whatever has its name, with the directories on its path.
///
/// # Errors
///
/// EINVAL for a path that is not absolute, EISDIR, ENOTDIR, ELOOP, ENOSPC.
pub fn write(file: &File<'_>) -> Result<()> {
    let cut = file.path.iter().rposition(|byte| *byte == b'/');
    let (directory, name) = file.path.split_at(cut.ok_or(Errno::EINVAL)? + 1);
    if directory.first() != Some(&b'/') || matches!(name, b"" | b"." | b"..") {
        return Err(Errno::EINVAL);
    }
    let parent = make_directories(directory)?;
    match parent.clone().unlink(name, false) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno),
    }
    let made = make(&parent, name, Kind::Regular, file.mode & 0o7777)?;
    let open = made.open(linux::O_WRONLY)?;
    let mut source = Source::kernel(file.contents);
    while source.remaining() > 0 {
        open.write(source.done() as u64, &mut source)?;
    }
    Ok(())
}

/// The directory at a path that ends in a slash; what is missing of it is made.
fn make_directories(path: &[u8]) -> Result<Arc<dyn Inode>> {
    let who = Credentials::default();
    let walk = Walk {
        root: mount::root(),
        who: &who,
        resolve: 0,
    };
    let mut here = mount::root();
    let mut at = 1;
    while let Some(len) = path[at..].iter().position(|byte| *byte == b'/') {
        let found = walk.walk(mount::root(), &path[..at + len], true)?;
        here = match &found.location {
            Some(location) => location.inode.clone(),
            None => make(&found.directory, &found.name, Kind::Directory, 0o755)?,
        };
        at += len + 1;
    }
    if here.kind() != Kind::Directory {
        return Err(Errno::ENOTDIR);
    }
    Ok(here)
}

fn make(
    parent: &Arc<dyn Inode>,
    name: &[u8],
    kind: Kind,
    permissions: u32,
) -> Result<Arc<dyn Inode>> {
    let new = New {
        kind,
        permissions,
        uid: 0,
        gid: 0,
        rdev: Device::default(),
        target: b"",
    };
    parent.clone().create(name, &new)
}
