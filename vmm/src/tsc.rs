//! The right of a thread to read the time stamp counter.
#![allow(unsafe_code)]

use std::io;

/// Runs `f` while this thread may not read the time stamp counter (PR_SET_TSC, prctl(2)): what it
/// would read it with, such as the clocks of the vDSO, ends the process.
pub(crate) fn without_tsc<T>(f: impl FnOnce() -> T) -> io::Result<T> {
    set(libc::PR_TSC_SIGSEGV)?;
    let result = f();
    set(libc::PR_TSC_ENABLE)?;
    Ok(result)
}

fn set(right: libc::c_int) -> io::Result<()> {
    // SAFETY: changes this thread's right alone; who takes it away has no use for it meanwhile.
    match unsafe { libc::prctl(libc::PR_SET_TSC, right) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
