//! execve.

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use linux_raw_sys::general as linux;

use super::{Address, Answer, Fd, Path};
use crate::arch::{Frame, cpu, xstate};
use crate::errno::{Errno, Result};
use crate::exec;
use crate::fs;
use crate::memory::user;
use crate::signal::{SIGCHLD, SIGKILL, Stack};
use crate::task::{self, exit};

/// What arguments and environment may take at least, and at most (three quarters of the usual
/// stack), as in Linux; in between, it is a quarter of the stack's limit.
const ROOM: core::ops::RangeInclusive<u64> = 128 << 10..=6 << 20;
/// The longest of them.
const STRING_MAX: usize = 128 << 10;
/// The longest path.
const PATH_MAX: usize = 4095;
const EMPTY_PATH: u32 = linux::AT_EMPTY_PATH;

/// Reads a list of strings, as many as there is room for: their bytes and a pointer to each.
fn strings(list: Address, room: &mut u64) -> Result<Strings> {
    let mut result = Vec::new();
    if list.is_null() {
        return Ok(result);
    }
    loop {
        let at = list.0.wrapping_add(8 * result.len() as u64);
        let string = match user::read::<u64>(at)? {
            0 => return Ok(result),
            string => user::string(string, STRING_MAX - 1).map_err(|errno| match errno {
                Errno::ENAMETOOLONG => Errno::E2BIG,
                other => other,
            })?,
        };
        let size = string.len() as u64 + 1 + 8;
        *room = room.checked_sub(size).ok_or(Errno::E2BIG)?;
        result.push(string);
    }
}

type Strings = Vec<Vec<u8>>;

/// Arguments and environment.
fn both(arguments: Address, environment: Address) -> Result<(Strings, Strings)> {
    let limit = task::process().limits.lock().stack() / 4;
    let mut room = limit.clamp(*ROOM.start(), *ROOM.end());
    Ok((
        strings(arguments, &mut room)?,
        strings(environment, &mut room)?,
    ))
}

/// execve(2).
pub fn execve(path: Path, arguments: Address, environment: Address) -> Answer {
    let path = user::string(path.0, PATH_MAX)?;
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    let (arguments, environment) = both(arguments, environment)?;
    replace(&path, true, arguments, &environment)
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
    if flags & !(EMPTY_PATH | linux::AT_SYMLINK_NOFOLLOW) != 0 {
        return Err(Errno::EINVAL);
    }
    let path = fs::executable_path(directory.0, &path, flags & EMPTY_PATH != 0)?;
    let (arguments, environment) = both(arguments, environment)?;
    let follow = flags & linux::AT_SYMLINK_NOFOLLOW == 0;
    replace(&path, follow, arguments, &environment)
}

fn replace(
    path: &[u8],
    follow: bool,
    mut arguments: Vec<Vec<u8>>,
    environment: &[Vec<u8>],
) -> Answer {
    let thread = task::current();
    let process = thread.process().clone();
    if arguments.is_empty() {
        arguments.push(Vec::new());
    }
    let found = exec::find(&process, path, follow, arguments).map_err(|failure| failure.errno())?;
    task::process::end_other_threads(&process, &thread);
    if thread.is_killed() {
        return Err(Errno::EINTR);
    }

    thread.become_first();

    // From here on there is no way back: what fails ends the process.
    let loaded = exec::fresh_space(&process)
        .map_err(exec::Failure::Errno)
        .and_then(|()| {
            found.lend(&process);
            found.load(&process, environment)
        });
    let Ok(loaded) = loaded else {
        exit::begin(&process, SIGKILL);
        return Err(Errno::ENOMEM);
    };
    process.unshare_files();
    process.files().close_on_exec();
    process.has_run.store(true, Ordering::Relaxed);
    process.set_exit_signal(SIGCHLD);
    process.actions.lock().reset_handlers();
    process.timers.lock().forget_created();
    {
        let mut signals = thread.signals.lock();
        signals.stack = Stack::default();
        signals.saved_mask = None;
    }
    let order = Ordering::Relaxed;
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
