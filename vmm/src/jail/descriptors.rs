//! Descriptors that nobody meant to pass on.
#![allow(unsafe_code)]

use std::fs::File;

use rustix::io::Errno;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

/// Closes all descriptors but the standard ones. For the beginning of a process, which has opened
/// none yet.
///
/// # Errors
///
/// The host does not know the call (before Linux 5.9).
pub fn close_inherited() -> Result<(), Errno> {
    let (first, last, flags) = (3_u32, u32::MAX, 0_u32);
    // SAFETY: nothing in this process owns a descriptor yet.
    match unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) } {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::NOSYS)),
    }
}

/// Gives up the standard descriptors: the node's own output is not this process' to write to.
///
/// # Errors
///
/// The host has no `/dev/null`.
pub fn hush() -> Result<(), Errno> {
    let null = File::options().read(true).write(true).open("/dev/null");
    let null = null.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::NODEV))?;
    dup2_stdin(&null)?;
    dup2_stdout(&null)?;
    dup2_stderr(&null)
}
