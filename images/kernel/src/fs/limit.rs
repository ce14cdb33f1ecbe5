//! The limit on the size of files that a process makes (RLIMIT_FSIZE).

use linux_raw_sys::general::RLIMIT_FSIZE;

use crate::errno::{Errno, Result};
use crate::signal::{SIGXFSZ, raise_on_current};
use crate::task;

/// How large a file the running process may make, in bytes.
#[must_use]
pub fn file_size() -> u64 {
    task::process().limits.lock().of(RLIMIT_FSIZE).0
}

/// Checks that a file may become as large as this.
///
/// # Errors
///
/// EFBIG, with SIGXFSZ.
pub fn check_size(size: u64) -> Result<()> {
    if size <= file_size() {
        return Ok(());
    }
    raise_on_current(SIGXFSZ);
    Err(Errno::EFBIG)
}
