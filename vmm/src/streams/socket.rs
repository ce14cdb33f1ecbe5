//! A socket that the node has made.

use std::sync::Arc;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, SocketType, sockopt};

use crate::link::Transport;

/// A socket, non-blocking.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    /// Where it is watched. The node has a duplicate, so closing it would not end that.
    watched: Option<Arc<OwnedFd>>,
}

impl Socket {
    /// Takes a descriptor that is to be a socket of this kind.
    pub(super) fn new(fd: OwnedFd, transport: Transport) -> Result<Self, ()> {
        let fits = match (sockopt::socket_type(&fd), transport) {
            (Ok(kind), Transport::Tcp) => kind == SocketType::STREAM,
            (Ok(kind), Transport::Udp) => {
                [SocketType::DGRAM, SocketType::SEQPACKET].contains(&kind)
            }
            (Err(_), _) => false,
        };
        let flags = rustix::fs::fcntl_getfl(&fd).map_err(|_| ())?;
        rustix::fs::fcntl_setfl(&fd, flags | OFlags::NONBLOCK).map_err(|_| ())?;
        let socket = Self { fd, watched: None };
        if fits { Ok(socket) } else { Err(()) }
    }

    /// Has an epoll descriptor tell of changes by this number, each once.
    pub(super) fn watch(&mut self, by: &Arc<OwnedFd>, number: u32) -> Result<(), Errno> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(by, &self.fd, EventData::new_u64(number.into()), flags)?;
        self.watched = Some(Arc::clone(by));
        Ok(())
    }

    /// Sends bytes, or one datagram.
    pub(super) fn send(&self, bytes: &[u8]) -> Result<usize, Errno> {
        rustix::net::send(&self.fd, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)
    }

    /// Says that no more will be sent. A socket that is gone already has nobody to be told.
    pub(super) fn end(&self) {
        let _ = rustix::net::shutdown(&self.fd, Shutdown::Write);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(by) = &self.watched {
            // It is watched there, by all that is known here.
            let removed = epoll::delete(by, &self.fd);
            debug_assert!(removed.is_ok());
        }
    }
}
