//! Reading, writing and positions.

use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use super::lookup::{file, usable_file};
use super::{Address, Answer, Fd};
use crate::errno::{Errno, Result};
use crate::fs::{self, Kind, Location, OpenFile};
use crate::io::{Piece, Sink, Source};
use crate::memory::user;
use crate::task;
use crate::task::accounts::Used;

/// Bytes that one call moves, at most (MAX_RW_COUNT).
pub(super) const MOVED_MAX: usize = 0x7fff_f000;
/// Pieces of one call, at most.
const PIECES_MAX: usize = linux::UIO_MAXIOV as usize;

/// The pieces of memory that a list names.
pub(super) fn pieces(list: Address, count: usize) -> Result<Vec<Piece>> {
    if count > PIECES_MAX {
        return Err(Errno::EINVAL);
    }
    let mut left = MOVED_MAX;
    let read = |at: usize| -> Result<Piece> {
        let [address, len]: [u64; 2] = user::read(list.0.wrapping_add(16 * at as u64))?;
        if len > i64::MAX as u64 {
            return Err(Errno::EINVAL);
        }
        user::check_range(address, len as usize)?;
        let len = left.min(len as usize);
        left -= len;
        Ok((address, len))
    };
    (0..count).map(read).collect()
}

/// Counts a call that reads, whatever came of it.
fn have_read(read: Result<usize>) -> Answer {
    let thread = task::current();
    thread.account(Used::Reads, 1);
    let read = read? as u64;
    thread.account(Used::ReadBytes, read);
    Ok(read)
}

/// Counts a call that writes, whatever came of it.
fn have_written(written: Result<usize>) -> Answer {
    let thread = task::current();
    thread.account(Used::Writes, 1);
    let written = written? as u64;
    thread.account(Used::WrittenBytes, written);
    Ok(written)
}

/// A buffer, of which one call uses so much at most.
fn buffer(address: Address, len: usize) -> Result<Piece> {
    user::check_range(address.0, len)?;
    Ok((address.0, len.min(MOVED_MAX)))
}

/// read(2).
pub fn read(fd: Fd, into: Address, len: usize) -> Answer {
    let file = file(fd)?;
    let (address, len) = buffer(into, len)?;
    have_read(file.read(&mut Sink::user(address, len)))
}

/// write(2).
pub fn write(fd: Fd, from: Address, len: usize) -> Answer {
    let file = file(fd)?;
    let (address, len) = buffer(from, len)?;
    have_written(file.write(&mut Source::user(address, len)))
}

/// readv(2).
pub fn readv(fd: Fd, list: Address, count: usize) -> Answer {
    let file = file(fd)?;
    have_read(file.read(&mut Sink::pieces(pieces(list, count)?)))
}

/// writev(2).
pub fn writev(fd: Fd, list: Address, count: usize) -> Answer {
    let file = file(fd)?;
    have_written(file.write(&mut Source::pieces(pieces(list, count)?)))
}

fn offset(offset: i64) -> Result<u64> {
    u64::try_from(offset).map_err(|_| Errno::EINVAL)
}

/// An offset from which so many bytes can be counted.
fn range(at: i64, len: usize) -> Result<u64> {
    let end = at.checked_add(i64::try_from(len).map_err(|_| Errno::EINVAL)?);
    end.ok_or(Errno::EINVAL)?;
    offset(at)
}

/// pread64(2).
pub fn pread64(fd: Fd, into: Address, len: usize, at: i64) -> Answer {
    offset(at)?;
    let file = file(fd)?;
    let (address, len) = buffer(into, len)?;
    have_read(file.read_at(range(at, len)?, &mut Sink::user(address, len)))
}

/// pwrite64(2).
pub fn pwrite64(fd: Fd, from: Address, len: usize, at: i64) -> Answer {
    offset(at)?;
    let file = file(fd)?;
    let (address, len) = buffer(from, len)?;
    have_written(file.write_at(range(at, len)?, &mut Source::user(address, len)))
}

/// preadv(2). The upper half of the offset is of no use with 64 bits.
pub fn preadv(fd: Fd, list: Address, count: usize, at: i64) -> Answer {
    offset(at)?;
    let (file, mut sink) = (file(fd)?, Sink::pieces(pieces(list, count)?));
    have_read(file.read_at(range(at, sink.remaining())?, &mut sink))
}

/// pwritev(2).
pub fn pwritev(fd: Fd, list: Address, count: usize, at: i64) -> Answer {
    offset(at)?;
    let (file, mut source) = (file(fd)?, Source::pieces(pieces(list, count)?));
    have_written(file.write_at(range(at, source.remaining())?, &mut source))
}

/// Flags that need nothing done: everything is in memory.
const HARMLESS: u32 = linux::RWF_HIPRI | linux::RWF_DSYNC | linux::RWF_SYNC;

/// preadv2(2).
pub fn preadv2(fd: Fd, list: Address, count: usize, at: i64, _: u64, flags: u32) -> Answer {
    if flags & !(HARMLESS | linux::RWF_NOWAIT | linux::RWF_APPEND) != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    if at != -1 {
        return preadv(fd, list, count, at);
    }
    let file = file(fd)?;
    let mut sink = Sink::pieces(pieces(list, count)?);
    if flags & linux::RWF_NOWAIT == 0 || file.file().is_seekable() {
        return have_read(file.read(&mut sink));
    }
    if !file.is_readable() {
        return Err(Errno::EBADF);
    }
    have_read(file.attempt(true, || file.file().read(0, &mut sink)))
}

/// pwritev2(2).
pub fn pwritev2(fd: Fd, list: Address, count: usize, at: i64, _: u64, flags: u32) -> Answer {
    if flags & !(HARMLESS | linux::RWF_APPEND) != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let appends = flags & linux::RWF_APPEND != 0;
    if at == -1 && !appends {
        return writev(fd, list, count);
    }
    let file = file(fd)?;
    let mut source = Source::pieces(pieces(list, count)?);
    let at = if appends { u64::MAX } else { offset(at)? };
    have_written(file.write_at(at, &mut source))
}

/// lseek(2).
pub fn lseek(fd: Fd, offset: i64, whence: u32) -> Answer {
    let file = usable_file(fd)?;
    if whence > linux::SEEK_HOLE {
        return Err(Errno::EINVAL);
    }
    if file.file().ignores_seeks() {
        return Ok(0);
    }
    if !file.file().is_seekable() {
        return Err(Errno::ESPIPE);
    }
    if !file.file().keeps_position() {
        return Ok(0);
    }
    let position = match whence {
        linux::SEEK_SET => Some(offset),
        linux::SEEK_CUR => offset.checked_add(file.position() as i64),
        linux::SEEK_END => offset.checked_add(file.file().end()? as i64),
        _ => {
            let from = u64::try_from(offset).map_err(|_| Errno::ENXIO)?;
            Some(file.file().next(from, whence == linux::SEEK_DATA)? as i64)
        }
    };
    let position = position.filter(|position| *position >= 0);
    let position = position.ok_or(Errno::EINVAL)? as u64;
    file.set_position(position);
    Ok(position)
}

/// A regular file that is open for writing.
fn writable(fd: Fd) -> Result<alloc::sync::Arc<OpenFile>> {
    let file = usable_file(fd)?;
    if file.is_writable() {
        Ok(file)
    } else {
        Err(Errno::EBADF)
    }
}

/// ftruncate(2).
pub fn ftruncate(fd: Fd, size: i64) -> Answer {
    let size = offset(size)?;
    let file = usable_file(fd)?;
    if !file.is_writable() {
        return Err(Errno::EINVAL);
    }
    if size > file.file().size() {
        fs::limit::check_size(size)?;
    }
    file.file().truncate(size)?;
    file.tell(linux::IN_MODIFY);
    Ok(0)
}

/// fallocate(2).
pub fn fallocate(fd: Fd, mode: u32, at: i64, len: i64) -> Answer {
    let file = writable(fd)?;
    if at < 0 || len <= 0 {
        return Err(Errno::EINVAL);
    }
    if !file.file().is_seekable() {
        return Err(Errno::ESPIPE);
    }
    fs::limit::check_size((at as u64).saturating_add(len as u64))?;
    file.file().allocate(mode, at as u64, len as u64)?;
    file.tell(linux::IN_MODIFY);
    Ok(0)
}

/// fsync(2), fdatasync(2), syncfs(2): there is no disk that could lag behind.
pub fn fsync(fd: Fd) -> Answer {
    let file = usable_file(fd)?;
    let kept = |location: &Location| {
        let kept = matches!(location.inode.kind(), Kind::Regular | Kind::Directory);
        kept && location.inode.filesystem().in_memory
    };
    if file.location().is_some_and(kept) {
        Ok(0)
    } else {
        Err(Errno::EINVAL)
    }
}

/// syncfs(2).
pub fn syncfs(fd: Fd) -> Answer {
    usable_file(fd)?;
    Ok(0)
}

/// sync(2).
pub fn sync() -> Answer {
    Ok(0)
}

/// sync_file_range(2).
pub fn sync_file_range(fd: Fd, at: i64, len: i64, flags: u32) -> Answer {
    let file = usable_file(fd)?;
    if at < 0 || len < 0 || flags & !7 != 0 {
        return Err(Errno::EINVAL);
    }
    match file.stat().kind() {
        Kind::Regular | Kind::Directory => Ok(0),
        _ => Err(Errno::ESPIPE),
    }
}

/// readahead(2).
pub fn readahead(fd: Fd, _: i64, _: usize) -> Answer {
    let file = file(fd)?;
    if !file.is_readable() {
        return Err(Errno::EBADF);
    }
    if file.file().is_mappable() {
        Ok(0)
    } else {
        Err(Errno::EINVAL)
    }
}

/// fadvise64(2).
pub fn fadvise64(fd: Fd, _: i64, len: i64, advice: u32) -> Answer {
    let file = usable_file(fd)?;
    if !file.file().is_seekable() {
        return Err(Errno::ESPIPE);
    }
    if len < 0 || advice > linux::POSIX_FADV_NOREUSE {
        Err(Errno::EINVAL)
    } else {
        Ok(0)
    }
}
