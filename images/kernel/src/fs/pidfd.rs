//! pidfd_open(2): a process as something to be waited for.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use super::anonymous;
use super::file::{Events, File};
use super::open_file::OpenFile;
use super::proc;
use super::stat::Stat;
use crate::errno::{Errno, Result};
use crate::task::numbers::by_id;
use crate::task::process::Life;
use crate::task::{self, Process, WaitQueue};

/// A process.
struct PidFd(Arc<Process>);

impl File for PidFd {
    fn details(&self) -> String {
        let id = self.0.id();
        match by_id(id) {
            Some(_) => format!("Pid:\t{id}\nNSpid:\t{id}\n"),
            None => "Pid:\t-1\nNSpid:\t-1\n".into(),
        }
    }

    fn stat(&self) -> Stat {
        anonymous::stat(self.0.id().into(), 0o600)
    }

    fn poll(&self) -> Events {
        match self.0.life() {
            Life::Zombie(_) => Events::READ,
            _ => Events::empty(),
        }
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.0.ended)
    }

    fn name(&self) -> Vec<u8> {
        b"anon_inode:[pidfd]".to_vec()
    }
}

/// A descriptor of `ours` for a process. With O_NONBLOCK in `flags`, waitid(2) does not wait.
///
/// # Errors
///
/// EMFILE.
pub fn open_pidfd(ours: &Process, theirs: &Arc<Process>, flags: u32) -> Result<u32> {
    let file = OpenFile::new(Arc::new(PidFd(theirs.clone())), linux::O_RDWR | flags, None);
    let limit = ours.limits.lock().descriptors();
    ours.files().install(file, true, limit)
}

/// The process behind such a descriptor of the running process.
///
/// # Errors
///
/// EBADF.
pub fn pidfd_process(fd: i32) -> Result<Arc<Process>> {
    let file = task::process().files().get(fd)?;
    file.downcast::<PidFd>()
        .map(|pidfd| pidfd.0.clone())
        .ok_or(Errno::EBADF)
}

/// As [`pidfd_process`]; a process' directory in `/proc` stands for it too.
///
/// # Errors
///
/// EBADF, ESRCH if the process has been waited for.
pub fn signalled_process(fd: i32) -> Result<Arc<Process>> {
    let process = pidfd_process(fd).or_else(|error| {
        let file = task::process().files().get(fd)?;
        let location = file.location().ok_or(error)?;
        proc::directory_of(&*location.inode).ok_or(error)
    })?;
    let known = by_id(process.id()).is_some_and(|known| Arc::ptr_eq(&known, &process));
    if known {
        Ok(process)
    } else {
        Err(Errno::ESRCH)
    }
}

/// The process behind such a descriptor, and whether waitid(2) waits for it.
///
/// # Errors
///
/// EBADF.
pub fn pidfd_waits(fd: i32) -> Result<(Arc<Process>, bool)> {
    let process = pidfd_process(fd)?;
    let file = task::process().files().get(fd)?;
    Ok((process, !file.is_nonblocking()))
}
