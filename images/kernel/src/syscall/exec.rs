//! execve.

use alloc::vec::Vec;

use super::{Address, Answer, Fd, Path};
use crate::arch::{Frame, cpu, xstate};
use crate::errno::{Errno, Result};
use crate::exec;
use crate::fs;
use crate::memory::user;
use crate::signal::{SIGKILL, Stack};
use crate::task::{self, exit};

/// Strings in an argument list.
const STRINGS_MAX: usize = 64 << 10;
/// The longest of them.
const STRING_MAX: usize = 128 << 10;
/// The longest path.
const PATH_MAX: usize = 4095;
const EMPTY_PATH: u32 = linux_raw_sys::general::AT_EMPTY_PATH;

fn strings(list: Address) -> Result<Vec<Vec<u8>>> {
    let mut result = Vec::new();
    if list.is_null() {
        return Ok(result);
    }
    loop {
        let at = list.0.wrapping_add(8 * result.len() as u64);
        match user::read::<u64>(at)? {
            0 => return Ok(result),
            _ if result.len() == STRINGS_MAX => return Err(Errno::E2BIG),
            string => result.push(user::string(string, STRING_MAX).map_err(|errno| {
                if errno == Errno::ENAMETOOLONG {
                    Errno::E2BIG
                } else {
                    errno
                }
            })?),
        }
    }
}

/// execve(2).
pub fn execve(path: Path, arguments: Address, environment: Address) -> Answer {
    let path = user::string(path.0, PATH_MAX)?;
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    replace(&path, strings(arguments)?, &strings(environment)?)
}

/// execveat(2).
pub fn execveat(
    directory: Fd,
    path: Path,
    arguments: Address,
    environment: Address,
    flags: u32,
) -> Answer {
    let path = user::string(path.0, PATH_MAX)?;
    let path = fs::executable_path(directory.0, &path, flags & EMPTY_PATH != 0)?;
    replace(&path, strings(arguments)?, &strings(environment)?)
}

fn replace(path: &[u8], mut arguments: Vec<Vec<u8>>, environment: &[Vec<u8>]) -> Answer {
    let thread = task::current();
    let process = thread.process().clone();
    if arguments.is_empty() {
        arguments.push(Vec::new());
    }
    let found = exec::find(&process, path, arguments).map_err(|failure| failure.errno())?;
    task::process::end_other_threads(&process, &thread);
    if thread.is_killed() {
        return Err(Errno::EINTR);
    }

    // From here on there is no way back: what fails ends the process.
    let loaded = exec::fresh_space(&process)
        .map_err(exec::Failure::Errno)
        .and_then(|()| found.load(&process, environment));
    let Ok(loaded) = loaded else {
        exit::begin(&process, SIGKILL);
        return Err(Errno::ENOMEM);
    };
    process.files().close_on_exec();
    process.set_files(alloc::sync::Arc::new(process.files().fork()));
    process.actions.lock().reset_handlers();
    process.timers.lock().forget_created();
    {
        let mut signals = thread.signals.lock();
        signals.stack = Stack::default();
        signals.saved_mask = None;
    }
    let order = core::sync::atomic::Ordering::Relaxed;
    thread.clear_at_end.store(0, order);
    thread.robust_list.store(0, order);
    *thread.name.lock() = loaded.name;
    cpu::set_fs_base(0);
    cpu::set_gs_base(0);
    let frame = Frame::start(loaded.entry, loaded.stack);
    thread
        .context()
        .set_current_state(&xstate::State::initial());
    thread.context().with_frame(|current| *current = frame);
    Ok(0)
}
