//! Pipes, and moving bytes between files without the program touching them.

use alloc::sync::Arc;
use alloc::vec;

use linux_raw_sys::general as linux;

use super::file::{MOVED_MAX, pieces};
use super::lookup::{file, install};
use super::{Address, Answer, Fd};
use crate::errno::{Errno, Result};
use crate::fs::pipe::{self, PipeEnd};
use crate::fs::{Kind, OpenFile};
use crate::io::{Sink, Source};
use crate::memory::user;
use crate::task;

/// Bytes that are moved at once.
const PART: usize = 32 << 10;

/// pipe(2).
pub fn pipe(fds: Address) -> Answer {
    pipe2(fds, 0)
}

/// pipe2(2).
pub fn pipe2(fds: Address, flags: u32) -> Answer {
    if flags & !(linux::O_CLOEXEC | linux::O_NONBLOCK | linux::O_DIRECT) != 0 {
        return Err(Errno::EINVAL);
    }
    let (reader, writer) = pipe::pair(flags & linux::O_DIRECT != 0);
    let close_on_exec = flags & linux::O_CLOEXEC != 0;
    let flags = flags & !linux::O_CLOEXEC;
    let reader = install(
        OpenFile::new(reader, flags | linux::O_RDONLY, None),
        close_on_exec,
    )?;
    let files = task::process().files();
    let both = install(
        OpenFile::new(writer, flags | linux::O_WRONLY, None),
        close_on_exec,
    )
    .and_then(|writer| {
        let told = user::write(fds.0, &[reader as u32, writer as u32]);
        if told.is_err() {
            files.close(writer as i32)?;
        }
        told
    });
    if let Err(errno) = both {
        files.close(reader as i32)?;
        return Err(errno);
    }
    Ok(0)
}

/// A position that a program keeps in its memory, or the file's own.
enum Position {
    Own,
    At(Address, u64),
}

impl Position {
    fn read(address: Address) -> Result<Self> {
        if address.is_null() {
            return Ok(Self::Own);
        }
        let at: i64 = user::read(address.0)?;
        Ok(Self::At(
            address,
            u64::try_from(at).map_err(|_| Errno::EINVAL)?,
        ))
    }

    fn of(&self, file: &OpenFile) -> u64 {
        match self {
            Self::Own => file.position(),
            Self::At(_, at) => *at,
        }
    }

    fn advance(&mut self, file: &OpenFile, len: usize) {
        match self {
            Self::Own => file.set_position(file.position() + len as u64),
            Self::At(_, at) => *at += len as u64,
        }
    }

    /// Tells the program how far it came.
    fn tell(&self) -> Result<()> {
        match self {
            Self::Own => Ok(()),
            Self::At(address, at) => user::write(address.0, at),
        }
    }
}

/// Copies from a file with a position to any file. Returns how many bytes.
fn copy(
    from: &OpenFile,
    position: &mut Position,
    len: usize,
    mut write: impl FnMut(&mut Source<'_>) -> Result<usize>,
) -> Result<usize> {
    let mut buffer = vec![0; len.min(PART)];
    let mut copied = 0;
    while copied < len {
        let part = &mut buffer[..PART.min(len - copied)];
        let read = match from.read_at(position.of(from), &mut Sink::kernel(part)) {
            Ok(0) => break,
            Ok(read) => read,
            Err(_) if copied > 0 => break,
            Err(errno) => return Err(errno),
        };
        let written = match write(&mut Source::kernel(&part[..read])) {
            Ok(written) => written,
            Err(_) if copied > 0 => break,
            Err(errno) => return Err(errno),
        };
        position.advance(from, written);
        copied += written;
        if written < read {
            break;
        }
    }
    Ok(copied)
}

/// sendfile(2).
pub fn sendfile(to: Fd, from: Fd, offset: Address, len: usize) -> Answer {
    let (to, from) = (file(to)?, file(from)?);
    if !to.is_writable() || !from.is_readable() {
        return Err(Errno::EBADF);
    }
    if to.flags() & linux::O_APPEND != 0 || from.is_directory() {
        return Err(Errno::EINVAL);
    }
    if !from.file().is_seekable() {
        return Err(if offset.is_null() {
            Errno::EINVAL
        } else {
            Errno::ESPIPE
        });
    }
    let mut position = Position::read(offset)?;
    let copied = copy(&from, &mut position, len.min(MOVED_MAX), |source| {
        to.write(source)
    })?;
    position.tell()?;
    Ok(copied as u64)
}

/// copy_file_range(2).
pub fn copy_file_range(
    from: Fd,
    from_at: Address,
    to: Fd,
    to_at: Address,
    len: usize,
    flags: u32,
) -> Answer {
    let (from, to) = (file(from)?, file(to)?);
    if flags != 0 {
        return Err(Errno::EINVAL);
    }
    if !from.is_readable() || !to.is_writable() || to.flags() & linux::O_APPEND != 0 {
        return Err(Errno::EBADF);
    }
    let kinds = [from.stat().kind(), to.stat().kind()];
    if kinds.contains(&Kind::Directory) {
        return Err(Errno::EISDIR);
    }
    if kinds != [Kind::Regular; 2] || !from.file().is_seekable() || !to.file().is_seekable() {
        return Err(Errno::EINVAL);
    }
    let (mut source_at, mut target_at) = (Position::read(from_at)?, Position::read(to_at)?);
    let len = len.min(MOVED_MAX);
    if same(&from, &to) {
        let (source, target) = (source_at.of(&from), target_at.of(&to));
        if source.abs_diff(target) < len as u64 {
            return Err(Errno::EINVAL);
        }
    }
    let copied = copy(&from, &mut source_at, len, |source| {
        let written = to.write_at(target_at.of(&to), source)?;
        target_at.advance(&to, written);
        Ok(written)
    })?;
    source_at.tell()?;
    target_at.tell()?;
    Ok(copied as u64)
}

fn same(one: &OpenFile, other: &OpenFile) -> bool {
    match (one.location(), other.location()) {
        (Some(one), Some(other)) => one.inode.identity() == other.inode.identity(),
        _ => false,
    }
}

/// splice(2).
pub fn splice(
    from: Fd,
    from_at: Address,
    to: Fd,
    to_at: Address,
    len: usize,
    flags: u32,
) -> Answer {
    let (from, to) = (file(from)?, file(to)?);
    if flags & !0xf != 0 {
        return Err(Errno::EINVAL);
    }
    if !from.is_readable() || !to.is_writable() {
        return Err(Errno::EBADF);
    }
    if to.flags() & linux::O_APPEND != 0 {
        return Err(Errno::EINVAL);
    }
    let no_wait = flags & linux::SPLICE_F_NONBLOCK != 0;
    match (from.downcast::<PipeEnd>(), to.downcast::<PipeEnd>()) {
        (None, None) => Err(Errno::EINVAL),
        (Some(_), _) if !from_at.is_null() => Err(Errno::ESPIPE),
        (_, Some(_)) if !to_at.is_null() => Err(Errno::ESPIPE),
        (Some(source), _) => {
            if to
                .downcast::<PipeEnd>()
                .is_some_and(|target| source.is_other_end_of(target))
            {
                return Err(Errno::EINVAL);
            }
            out_of_pipe(&from, source, &to, to_at, len, no_wait)
        }
        (None, Some(target)) => into_pipe(&from, from_at, &to, target, len, no_wait),
    }
}

fn out_of_pipe(
    from: &Arc<OpenFile>,
    source: &PipeEnd,
    to: &Arc<OpenFile>,
    to_at: Address,
    len: usize,
    no_wait: bool,
) -> Answer {
    if !to_at.is_null() && !to.file().is_seekable() {
        return Err(Errno::ESPIPE);
    }
    let mut position = Position::read(to_at)?;
    if len == 0 {
        return Ok(0);
    }
    let bytes = from.attempt(no_wait || from.is_nonblocking(), || {
        source.peek(len.min(PART))
    })?;
    if bytes.is_empty() {
        return Ok(0);
    }
    let mut bytes = Source::kernel(&bytes);
    let written = match &position {
        Position::At(_, at) => to.write_at(*at, &mut bytes)?,
        // Into a pipe only as much as there is room for, or it would be waited for in vain.
        Position::Own if to.downcast::<PipeEnd>().is_some() => {
            let nonblocking = no_wait || to.is_nonblocking();
            raise_if_broken(to.attempt(nonblocking, || to.file().write(0, &mut bytes)))?
        }
        Position::Own => to.write(&mut bytes)?,
    };
    if let Position::At(..) = position {
        position.advance(to, written);
        position.tell()?;
    }
    source.consume(written);
    Ok(written as u64)
}

fn into_pipe(
    from: &Arc<OpenFile>,
    from_at: Address,
    to: &Arc<OpenFile>,
    target: &PipeEnd,
    len: usize,
    no_wait: bool,
) -> Answer {
    if !from_at.is_null() && !from.file().is_seekable() {
        return Err(Errno::ESPIPE);
    }
    let mut position = Position::read(from_at)?;
    if len == 0 {
        return Ok(0);
    }
    let room = raise_if_broken(to.attempt(no_wait || to.is_nonblocking(), || target.room()))?;
    let mut bytes = vec![0; len.min(PART).min(room)];
    let mut sink = Sink::kernel(&mut bytes);
    let read = match &mut position {
        Position::At(_, at) => {
            let read = from.read_at(*at, &mut sink)?;
            *at += read as u64;
            read
        }
        Position::Own if no_wait && !from.file().is_seekable() => {
            from.attempt(true, || from.file().read(0, &mut sink))?
        }
        Position::Own => from.read(&mut sink)?,
    };
    position.tell()?;
    if read == 0 {
        return Ok(0);
    }
    Ok(to.write(&mut Source::kernel(&bytes[..read]))? as u64)
}

fn raise_if_broken<T>(result: Result<T>) -> Result<T> {
    result.inspect_err(|errno| {
        if *errno == Errno::EPIPE {
            task::raise_sigpipe();
        }
    })
}

/// tee(2).
pub fn tee(from: Fd, to: Fd, len: usize, flags: u32) -> Answer {
    let (from, to) = (file(from)?, file(to)?);
    if flags & !0xf != 0 {
        return Err(Errno::EINVAL);
    }
    if !from.is_readable() || !to.is_writable() {
        return Err(Errno::EBADF);
    }
    let (Some(source), Some(target)) = (from.downcast::<PipeEnd>(), to.downcast::<PipeEnd>())
    else {
        return Err(Errno::EINVAL);
    };
    if source.is_other_end_of(target) {
        return Err(Errno::EINVAL);
    }
    if len == 0 {
        return Ok(0);
    }
    let no_wait = flags & linux::SPLICE_F_NONBLOCK != 0;
    let room = raise_if_broken(to.attempt(no_wait || to.is_nonblocking(), || target.room()))?;
    let nonblocking = no_wait || from.is_nonblocking();
    let bytes = from.attempt(nonblocking, || source.peek(len.min(room)))?;
    Ok(raise_if_broken(to.file().write(0, &mut Source::kernel(&bytes)))? as u64)
}

/// vmsplice(2): copies, where Linux may share pages.
pub fn vmsplice(fd: Fd, list: Address, count: usize, flags: u32) -> Answer {
    if flags & !0xf != 0 {
        return Err(Errno::EINVAL);
    }
    let file = file(fd)?;
    let end = file.downcast::<PipeEnd>().ok_or(Errno::EBADF)?;
    let pieces = pieces(list, count)?;
    let nonblocking = file.is_nonblocking() || flags & linux::SPLICE_F_NONBLOCK != 0;
    let moved = if end.reads() {
        let mut sink = Sink::pieces(pieces);
        file.attempt(nonblocking, || file.file().read(0, &mut sink))?
    } else {
        let mut source = Source::pieces(pieces);
        raise_if_broken(file.attempt(nonblocking, || file.file().write(0, &mut source)))?
    };
    Ok(moved as u64)
}
