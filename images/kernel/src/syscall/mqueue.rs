//! Calls about POSIX message queues.

use alloc::sync::Arc;

use linux_raw_sys::general as linux;

use super::lookup::{file, install, path};
use super::socket::Open;
use super::time::absolute_deadline;
use super::{Address, Answer, Fd, Path};
use crate::errno::{Errno, Result};
use crate::fs::OpenFile;
use crate::fs::mqueue::{self, Message, Notice, PRIORITIES, Queue, Shape};
use crate::memory::user;
use crate::signal::MAX;
use crate::task;

/// `struct mq_attr`: flags, messages and bytes of each at most, messages now.
type Attributes = [i64; 8];
/// Bytes of what is sent to a netlink socket, for a thread.
const COOKIE_SIZE: usize = 32;

/// mq_open(2).
pub fn mq_open(name: Path, flags: u32, mode: u32, attributes: Address) -> Answer {
    let asked = flags & linux::O_CREAT != 0 && !attributes.is_null();
    let shape = if asked {
        let [_, messages, size, ..]: Attributes = user::read(attributes.0)?;
        // What is below zero is above all that is allowed.
        Some(Shape {
            messages: messages.cast_unsigned(),
            size: size.cast_unsigned(),
        })
    } else {
        None
    };
    let permissions = mode & 0o777 & !task::process().context().umask();
    let queue = mqueue::open(&path(name)?, flags, permissions, shape)?;
    let kept = linux::O_ACCMODE | linux::O_NONBLOCK;
    install(OpenFile::new(queue, flags & kept, None), true)
}

/// mq_unlink(2).
pub fn mq_unlink(name: Path) -> Answer {
    mqueue::unlink(&path(name)?)?;
    Ok(0)
}

/// The open file of a descriptor and the queue that it is.
struct Opened(Arc<OpenFile>);

impl Opened {
    fn get(fd: Fd) -> Result<Self> {
        let file = file(fd)?;
        if file.downcast::<Queue>().is_none() {
            return Err(Errno::EBADF);
        }
        Ok(Self(file))
    }

    fn queue(&self) -> &Queue {
        let Some(queue) = self.0.downcast() else {
            unreachable!("looked at when it was made")
        };
        queue
    }
}

/// mq_timedsend(2).
pub fn mq_timedsend(
    fd: Fd,
    message: Address,
    len: usize,
    priority: u32,
    timeout: Address,
) -> Answer {
    let deadline = absolute_deadline(timeout, true)?;
    if priority >= PRIORITIES {
        return Err(Errno::EINVAL);
    }
    let opened = Opened::get(fd)?;
    if !opened.0.is_writable() {
        return Err(Errno::EBADF);
    }
    if len as u64 > opened.queue().shape.size {
        return Err(Errno::EMSGSIZE);
    }
    let mut data = alloc::vec![0; len];
    user::copy_in(message.0, &mut data)?;
    let message = Message { priority, data };
    let nonblocking = opened.0.is_nonblocking();
    opened.queue().send(message, nonblocking, deadline)?;
    Ok(0)
}

/// mq_timedreceive(2).
pub fn mq_timedreceive(
    fd: Fd,
    into: Address,
    len: usize,
    priority: Address,
    timeout: Address,
) -> Answer {
    let deadline = absolute_deadline(timeout, true)?;
    let opened = Opened::get(fd)?;
    if !opened.0.is_readable() {
        return Err(Errno::EBADF);
    }
    if (len as u64) < opened.queue().shape.size {
        return Err(Errno::EMSGSIZE);
    }
    let nonblocking = opened.0.is_nonblocking();
    let message = opened.queue().receive(nonblocking, deadline)?;
    if !priority.is_null() {
        user::write(priority.0, &message.priority)?;
    }
    user::copy_out(into.0, &message.data)?;
    Ok(message.data.len() as u64)
}

/// mq_notify(2).
pub fn mq_notify(fd: Fd, event: Address) -> Answer {
    const SIGNAL: u32 = 0;
    const NONE: u32 = 1;
    const THREAD: u32 = 2;
    if event.is_null() {
        Opened::get(fd)?.queue().unwatch();
        return Ok(0);
    }
    // sigevent: value, signal, how.
    let value: u64 = user::read(event.0)?;
    let [signal, how]: [u32; 2] = user::read(event.0.wrapping_add(8))?;
    let how = match how {
        NONE => Notice::None,
        SIGNAL if signal <= MAX => Notice::Signal(signal, value),
        THREAD => {
            let cookie: [u8; COOKIE_SIZE] = user::read(value)?;
            let socket = Open::get(Fd(signal.cast_signed()))?;
            Notice::Datagram(socket.socket().shared_protocol(), cookie.to_vec())
        }
        _ => return Err(Errno::EINVAL),
    };
    Opened::get(fd)?.queue().watch(how)?;
    Ok(0)
}

/// mq_getsetattr(2).
pub fn mq_getsetattr(fd: Fd, new: Address, old: Address) -> Answer {
    let nonblocking = i64::from(linux::O_NONBLOCK);
    let wanted = if new.is_null() {
        None
    } else {
        let [flags, ..]: Attributes = user::read(new.0)?;
        if flags & !nonblocking != 0 {
            return Err(Errno::EINVAL);
        }
        Some(flags as u32)
    };
    let opened = Opened::get(fd)?;
    let flags = opened.0.flags();
    let Shape { messages, size } = opened.queue().shape;
    let mut told: Attributes = [0; 8];
    told[0] = i64::from(flags) & nonblocking;
    told[1..4].copy_from_slice(&[messages, size, opened.queue().count()].map(u64::cast_signed));
    if let Some(wanted) = wanted {
        opened.0.set_flags(flags & !linux::O_NONBLOCK | wanted);
    }
    if !old.is_null() {
        user::write(old.0, &told)?;
    }
    Ok(0)
}
