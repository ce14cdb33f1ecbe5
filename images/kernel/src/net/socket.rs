//! A socket as an open file, and how one is made.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use linux_raw_sys::{ioctl, net};

use super::protocol::{Outgoing, Protocol};
use super::{inet, interface, netlink, table, unix};
use crate::errno::{Errno, Result};
use crate::fs::{Events, File, Kind, Stat, anonymous};
use crate::io::{Sink, Source};
use crate::memory::user;
use crate::task::WaitQueue;

/// A socket.
pub struct Socket {
    protocol: Arc<dyn Protocol>,
    ino: u64,
    closed: AtomicBool,
}

impl Socket {
    /// A socket of a protocol, for a program.
    #[must_use]
    pub fn new(protocol: Arc<dyn Protocol>) -> Arc<Self> {
        let ino = anonymous::new_ino();
        table::enter(ino, &protocol);
        let closed = AtomicBool::new(false);
        Arc::new(Self {
            protocol,
            ino,
            closed,
        })
    }

    /// Its number, which no other socket has.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.ino
    }

    /// Closes it, once.
    fn close(&self) {
        if !self.closed.swap(true, Ordering::Relaxed) {
            table::leave(self.ino);
            self.protocol.close();
        }
    }

    /// What it does in its own way.
    #[must_use]
    pub fn protocol(&self) -> &dyn Protocol {
        &*self.protocol
    }

    /// The same, to be held.
    #[must_use]
    pub fn shared_protocol(&self) -> Arc<dyn Protocol> {
        Arc::clone(&self.protocol)
    }
}

/// A new socket.
///
/// # Errors
///
/// As socket(2).
pub fn create(family: u32, kind: u32, protocol: u32) -> Result<Arc<Socket>> {
    const KIND_MAX: u32 = 11;
    if family >= net::AF_MAX {
        return Err(Errno::EAFNOSUPPORT);
    }
    if kind >= KIND_MAX {
        return Err(Errno::EINVAL);
    }
    let protocol: Arc<dyn Protocol> = match family {
        net::AF_UNIX => unix::create(kind, protocol)?,
        net::AF_INET | net::AF_INET6 => inet::create(family, kind, protocol)?,
        net::AF_NETLINK => netlink::create(kind, protocol)?,
        net::AF_PACKET => return Err(Errno::EPERM),
        _ => return Err(Errno::EAFNOSUPPORT),
    };
    Ok(Socket::new(protocol))
}

/// Two sockets that are connected.
///
/// # Errors
///
/// As socketpair(2).
pub fn pair(family: u32, kind: u32, protocol: u32) -> Result<[Arc<Socket>; 2]> {
    if family != net::AF_UNIX {
        // Whatever else is wrong with it comes first.
        create(family, kind, protocol)?;
        return Err(Errno::EOPNOTSUPP);
    }
    let [one, other] = unix::pair(kind, protocol)?;
    Ok([Socket::new(one), Socket::new(other)])
}

impl File for Socket {
    fn stat(&self) -> Stat {
        anonymous::stat(self.ino, Kind::Socket.mode() | 0o777)
    }

    fn read(&self, _: u64, sink: &mut Sink<'_>) -> Result<usize> {
        if sink.remaining() == 0 {
            return Ok(0);
        }
        let received = self.protocol.receive(sink, 0)?;
        Ok(received.bytes)
    }

    fn write(&self, _: u64, source: &mut Source<'_>) -> Result<usize> {
        self.protocol.send(source, &mut Outgoing::default())
    }

    fn poll(&self) -> Events {
        self.protocol.poll()
    }

    fn is_outside(&self) -> bool {
        true
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(self.protocol.queue())
    }

    fn patience(&self, writes: bool) -> Option<u64> {
        self.protocol.settings().patience(writes)
    }

    fn signals_broken_pipe(&self) -> bool {
        self.protocol.settings().kind == net::SOCK_STREAM
    }

    // Not only when it is dropped: a thread that sleeps in epoll_wait(2) holds it until it runs.
    fn released(&self) {
        self.close();
    }

    fn ioctl(&self, command: u32, argument: u64) -> Result<u64> {
        let count = match command {
            ioctl::FIONREAD => self.protocol.unread()?,
            ioctl::TIOCOUTQ => self.protocol.unsent()?,
            ioctl::SIOCATMARK if self.protocol.settings().kind == net::SOCK_STREAM => {
                self.protocol.is_at_mark().into()
            }
            _ => return interface::ioctl(command, argument),
        };
        user::write(argument, &(count as u32))?;
        Ok(0)
    }

    fn name(&self) -> Vec<u8> {
        format!("socket:[{}]", self.ino).into_bytes()
    }
}

impl Drop for Socket {
    // One that never was a program's.
    fn drop(&mut self) {
        self.close();
    }
}
