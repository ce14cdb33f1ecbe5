//! Descriptors: copies, flags, locks, device control.

use alloc::sync::Arc;

use linux_raw_sys::general as linux;
use linux_raw_sys::ioctl;

use super::lookup::usable_file;
use super::{Address, Answer, Fd};
use crate::errno::{Errno, Result};
use crate::fs::lock::{self, Family, Lock, Owner};
use crate::fs::pipe::PipeEnd;
use crate::fs::{Kind, OpenFile};
use crate::memory::user;
use crate::task;

/// Copy the table first (`linux/close_range.h`).
const CLOSE_RANGE_UNSHARE: u32 = 2;
/// Do not close, but let exec close.
const CLOSE_RANGE_CLOEXEC: u32 = 4;

/// close(2).
pub fn close(fd: Fd) -> Answer {
    task::process().files().close(fd.0)?;
    Ok(0)
}

/// close_range(2).
pub fn close_range(first: u32, last: u32, flags: u32) -> Answer {
    let known = CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC;
    if flags & !known != 0 || first > last {
        return Err(Errno::EINVAL);
    }
    let process = task::process();
    if flags & CLOSE_RANGE_UNSHARE != 0 {
        process.set_files(Arc::new(process.files().fork()));
    }
    let (first, last) = (first as usize, last as usize);
    if flags & CLOSE_RANGE_CLOEXEC != 0 {
        process.files().set_close_on_exec_range(first, last);
    } else {
        process.files().close_range(first, last);
    }
    Ok(0)
}

fn limit() -> u64 {
    task::process().limits.lock().descriptors()
}

fn duplicate(fd: Fd, from: usize, close_on_exec: bool) -> Answer {
    let files = task::process().files();
    files
        .install_from(from, files.get(fd.0)?, close_on_exec, limit())
        .map(u64::from)
}

/// dup(2).
pub fn dup(fd: Fd) -> Answer {
    duplicate(fd, 0, false)
}

/// dup2(2).
pub fn dup2(old: Fd, new: Fd) -> Answer {
    let files = task::process().files();
    let file = files.get(old.0)?;
    if old != new {
        files.replace(new.0, file, false, limit())?;
    }
    Ok(new.0 as u64)
}

/// dup3(2).
pub fn dup3(old: Fd, new: Fd, flags: u32) -> Answer {
    if flags & !linux::O_CLOEXEC != 0 || old == new {
        return Err(Errno::EINVAL);
    }
    let files = task::process().files();
    files.replace(
        new.0,
        files.get(old.0)?,
        flags & linux::O_CLOEXEC != 0,
        limit(),
    )?;
    Ok(new.0 as u64)
}

/// fcntl(2).
pub fn fcntl(fd: Fd, command: u32, argument: u64) -> Answer {
    let files = task::process().files();
    let file = files.get(fd.0)?;
    match command {
        linux::F_DUPFD | linux::F_DUPFD_CLOEXEC => {
            let from = usize::try_from(argument as i32).map_err(|_| Errno::EINVAL)?;
            if from as u64 >= limit() {
                return Err(Errno::EINVAL);
            }
            return duplicate(fd, from, command == linux::F_DUPFD_CLOEXEC);
        }
        linux::F_GETFD => return Ok(files.is_close_on_exec(fd.0)?.into()),
        linux::F_SETFD => {
            files.set_close_on_exec(fd.0, argument as u32 & linux::FD_CLOEXEC != 0)?;
            return Ok(0);
        }
        linux::F_GETFL => return Ok(file.flags().into()),
        _ => {}
    }
    if file.is_path() {
        return Err(Errno::EBADF);
    }
    match command {
        linux::F_SETFL => {
            file.set_flags(argument as u32);
            Ok(0)
        }
        linux::F_GETLK | linux::F_SETLK | linux::F_SETLKW => {
            record_lock(&file, command, Address(argument), files.lock_owner())
        }
        linux::F_OFD_GETLK | linux::F_OFD_SETLK | linux::F_OFD_SETLKW => {
            let command = match command {
                linux::F_OFD_GETLK => linux::F_GETLK,
                linux::F_OFD_SETLK => linux::F_SETLK,
                _ => linux::F_SETLKW,
            };
            record_lock(&file, command, Address(argument), Owner::of_file(&file))
        }
        linux::F_SETPIPE_SZ => {
            let pipe = file.downcast::<PipeEnd>().ok_or(Errno::EBADF)?;
            Ok(pipe.set_capacity(argument as u32 as usize)? as u64)
        }
        linux::F_GETPIPE_SZ => {
            Ok(file.downcast::<PipeEnd>().ok_or(Errno::EBADF)?.capacity() as u64)
        }
        linux::F_ADD_SEALS => add_seals(&file, argument as u32),
        linux::F_GET_SEALS => Ok(file.file().seal(0)?.into()),
        linux::F_SETOWN
        | linux::F_GETOWN
        | linux::F_SETSIG
        | linux::F_GETSIG
        | linux::F_SETOWN_EX
        | linux::F_GETOWN_EX => owner(&file, command, argument),
        linux::F_GETLEASE => Ok(linux::F_UNLCK.into()),
        // To be told of nothing: so it is.
        linux::F_NOTIFY if argument as u32 & !linux::DN_MULTISHOT == 0 => Ok(0),
        linux::F_SETLEASE | linux::F_NOTIFY => Err(Errno::EINVAL),
        linux::F_GET_RW_HINT | linux::F_SET_RW_HINT => Err(Errno::EINVAL),
        _ => Err(Errno::EINVAL),
    }
}

fn owner(file: &OpenFile, command: u32, argument: u64) -> Answer {
    let mut owner = *file.owner.lock();
    match command {
        linux::F_GETOWN => return Ok(i64::from(owner.signed()) as u64),
        linux::F_GETSIG => return Ok(owner.signal.into()),
        linux::F_GETOWN_EX => user::write(argument, &[owner.kind, owner.id as u32])?,
        linux::F_SETOWN => owner.set_signed(argument as i32)?,
        linux::F_SETSIG => owner.set_signal(argument)?,
        _ => {
            let [kind, id]: [u32; 2] = user::read(argument)?;
            owner.set(kind, id as i32)?;
        }
    }
    *file.owner.lock() = owner;
    Ok(0)
}

fn add_seals(file: &OpenFile, seals: u32) -> Answer {
    let known = linux::F_SEAL_SEAL
        | linux::F_SEAL_SHRINK
        | linux::F_SEAL_GROW
        | linux::F_SEAL_WRITE
        | linux::F_SEAL_FUTURE_WRITE
        | linux::F_SEAL_EXEC;
    if seals & !known != 0 {
        return Err(Errno::EINVAL);
    }
    if !file.is_writable() {
        return Err(Errno::EPERM);
    }
    // Asked for nothing, it says whether it can be sealed at all.
    let before = file.file().seal(0)?;
    if before & linux::F_SEAL_SEAL != 0 {
        return Err(Errno::EPERM);
    }
    file.file().seal(seals)?;
    Ok(0)
}

/// The bytes that a lock request means: first and last.
fn range(file: &OpenFile, request: &linux::flock) -> Result<(u64, u64)> {
    let from = match request.l_whence as u32 {
        linux::SEEK_SET => 0,
        linux::SEEK_CUR => file.position() as i64,
        linux::SEEK_END => file.file().end()? as i64,
        _ => return Err(Errno::EINVAL),
    };
    let start = from.checked_add(request.l_start).ok_or(Errno::EOVERFLOW)?;
    let (start, last) = match request.l_len {
        0 => (start, i64::MAX),
        len if len > 0 => (start, start.checked_add(len - 1).ok_or(Errno::EOVERFLOW)?),
        len => (start.checked_add(len).ok_or(Errno::EINVAL)?, start - 1),
    };
    let valid = start >= 0 && last >= start;
    if valid {
        Ok((start as u64, last as u64))
    } else {
        Err(Errno::EINVAL)
    }
}

fn record_lock(file: &Arc<OpenFile>, command: u32, at: Address, owner: Owner) -> Answer {
    let mut request: linux::flock = user::read(at.0)?;
    let of_file = owner == Owner::of_file(file);
    if of_file && request.l_pid != 0 {
        return Err(Errno::EINVAL);
    }
    let (start, last) = range(file, &request)?;
    let exclusive = match request.l_type as u32 {
        linux::F_RDLCK | linux::F_UNLCK => false,
        linux::F_WRLCK => true,
        _ => return Err(Errno::EINVAL),
    };
    let process = if of_file {
        -1
    } else {
        task::process().id() as i32
    };
    let lock = Lock {
        family: Family::Range,
        file: file.file_identity(),
        owner,
        process,
        exclusive,
        start,
        last,
    };
    if command == linux::F_GETLK {
        return tell_conflict(&mut request, &lock, at);
    }
    match request.l_type as u32 {
        linux::F_UNLCK => lock::give(&lock),
        linux::F_RDLCK if !file.is_readable() => return Err(Errno::EBADF),
        linux::F_WRLCK if !file.is_writable() => return Err(Errno::EBADF),
        _ => {
            if of_file {
                file.note_lock();
            }
            lock::take(lock, command == linux::F_SETLKW)?;
        }
    }
    Ok(0)
}

fn tell_conflict(request: &mut linux::flock, wanted: &Lock, at: Address) -> Answer {
    if request.l_type as u32 == linux::F_UNLCK {
        return Err(Errno::EINVAL);
    }
    match lock::conflict(wanted) {
        None => request.l_type = linux::F_UNLCK as i16,
        Some(held) => {
            let kind = if held.exclusive {
                linux::F_WRLCK
            } else {
                linux::F_RDLCK
            };
            request.l_type = kind as i16;
            request.l_whence = linux::SEEK_SET as i16;
            request.l_start = held.start as i64;
            let to_end = held.last == i64::MAX as u64;
            request.l_len = if to_end {
                0
            } else {
                (held.last - held.start + 1) as i64
            };
            request.l_pid = held.process;
        }
    }
    user::write(at.0, request)?;
    Ok(0)
}

/// flock(2).
pub fn flock(fd: Fd, operation: u32) -> Answer {
    let file = usable_file(fd)?;
    if operation & linux::LOCK_MAND != 0 {
        // Mandatory locks are gone from Linux; asking for one does nothing.
        return Ok(0);
    }
    let lock = Lock {
        family: Family::Whole,
        file: file.file_identity(),
        owner: Owner::of_file(&file),
        process: -1,
        exclusive: operation & linux::LOCK_EX != 0,
        start: 0,
        last: u64::MAX,
    };
    match operation & !linux::LOCK_NB {
        linux::LOCK_UN => lock::give(&lock),
        linux::LOCK_SH | linux::LOCK_EX => {
            file.note_lock();
            lock::take(lock, operation & linux::LOCK_NB == 0)?;
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// ioctl(2): what concerns every file here, the rest is the file's own.
pub fn ioctl(fd: Fd, command: u32, argument: u64) -> Answer {
    let file = usable_file(fd)?;
    match command {
        ioctl::FIOCLEX => task::process().files().set_close_on_exec(fd.0, true)?,
        ioctl::FIONCLEX => task::process().files().set_close_on_exec(fd.0, false)?,
        ioctl::FIONBIO => set_flag(&file, linux::O_NONBLOCK, argument)?,
        ioctl::FIOASYNC => set_flag(&file, linux::FASYNC, argument)?,
        ioctl::FIONREAD if file.stat().kind() == Kind::Regular && file.file().is_seekable() => {
            let left = file.file().size().saturating_sub(file.position());
            user::write(argument, &(left.min(i32::MAX as u64) as u32))?;
        }
        _ => return file.file().ioctl(command, argument),
    }
    Ok(0)
}

fn set_flag(file: &OpenFile, flag: u32, at: u64) -> Result<()> {
    let on: u32 = user::read(at)?;
    let flags = file.flags() & !flag;
    file.set_flags(if on == 0 { flags } else { flags | flag });
    Ok(())
}
