//! What each kind of socket does in its own way.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::net;

use super::address::RawAddress;
use super::credentials::SenderCredentials;
use super::rights::Rights;
use super::settings::Settings;
use crate::errno::{Errno, Result};
use crate::fs::{Events, OpenFile};
use crate::io::{Sink, Source};
use crate::task::WaitQueue;

bitflags::bitflags! {
    /// Directions that are shut down.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Shut: u8 {
        /// Nothing more is received.
        const RECEIVE = 1;
        /// Nothing more is sent.
        const SEND = 2;
    }
}

impl Shut {
    /// What this means for the other end.
    #[must_use]
    pub fn mirrored(self) -> Self {
        let mut other = Self::empty();
        other.set(Self::SEND, self.contains(Self::RECEIVE));
        other.set(Self::RECEIVE, self.contains(Self::SEND));
        other
    }
}

/// What is sent along with bytes.
#[derive(Default)]
pub struct Outgoing {
    /// To whom, if not to the peer.
    pub to: Option<RawAddress>,
    /// MSG_*.
    pub flags: u32,
    /// Who sends it, if another than the running process is to be named.
    pub credentials: Option<SenderCredentials>,
    /// Descriptors; taken once they are on their way.
    pub rights: Option<Rights>,
    /// Control messages of other levels than SOL_SOCKET.
    pub control: Vec<Control>,
}

impl Outgoing {
    /// Whether a flag is set.
    #[must_use]
    pub fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }
}

/// A control message (cmsg(3)).
pub struct Control {
    /// SOL_*, IPPROTO_*.
    pub level: u32,
    /// SCM_* and its like.
    pub kind: u32,
    /// What it says.
    pub data: Vec<u8>,
}

/// What was received.
#[derive(Default)]
pub struct Received {
    /// Bytes that the sink has taken.
    pub bytes: usize,
    /// Bytes that there were: more, if a message was cut.
    pub whole: usize,
    /// MSG_*, as `recvmsg` tells them.
    pub flags: u32,
    /// From whom, where that is told.
    pub from: Option<RawAddress>,
    /// What came along with it.
    pub control: Vec<Control>,
    /// Descriptors that came along.
    pub rights: Vec<Arc<OpenFile>>,
}

impl Received {
    /// Some bytes of a stream.
    #[must_use]
    pub fn bytes(bytes: usize) -> Self {
        Self {
            bytes,
            whole: bytes,
            ..Self::default()
        }
    }
}

/// A kind of socket. Addresses are bytes, as the program gives and gets them.
pub trait Protocol: Send + Sync {
    /// What was set by setsockopt.
    fn settings(&self) -> &Settings;

    /// Gives it a name.
    ///
    /// # Errors
    ///
    /// As bind(2).
    fn bind(&self, address: &[u8]) -> Result<()>;

    /// Connects it to another; EAGAIN if that takes waiting, after which it is asked again.
    ///
    /// # Errors
    ///
    /// As connect(2).
    fn connect(&self, address: &[u8], nonblocking: bool) -> Result<()>;

    /// Lets others connect to it; at most `backlog` wait to be accepted.
    ///
    /// # Errors
    ///
    /// As listen(2).
    fn listen(&self, _backlog: usize) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    /// The next connection.
    ///
    /// # Errors
    ///
    /// As accept(2).
    fn accept(&self) -> Result<Arc<dyn Protocol>> {
        Err(Errno::EOPNOTSUPP)
    }

    /// The name of what it was accepted from; that may have gone since.
    ///
    /// # Errors
    ///
    /// ENOTCONN.
    fn accepted_from(&self) -> Result<RawAddress> {
        self.peer()
    }

    /// Whether it listens.
    fn is_listening(&self) -> bool {
        false
    }

    /// Its name.
    fn name(&self) -> RawAddress;

    /// The name of what it is connected to.
    ///
    /// # Errors
    ///
    /// ENOTCONN.
    fn peer(&self) -> Result<RawAddress>;

    /// Sends bytes, as many as there is room for, or a message.
    ///
    /// # Errors
    ///
    /// As send(2); EAGAIN with nothing of the source taken.
    fn send(&self, source: &mut Source<'_>, outgoing: &mut Outgoing) -> Result<usize>;

    /// Receives bytes, or a message. `flags` are MSG_*.
    ///
    /// # Errors
    ///
    /// As recv(2).
    fn receive(&self, sink: &mut Sink<'_>, flags: u32) -> Result<Received>;

    /// Shuts down directions.
    ///
    /// # Errors
    ///
    /// ENOTCONN.
    fn shutdown(&self, how: Shut) -> Result<()>;

    /// What can be done now.
    fn poll(&self) -> Events;

    /// Where to wait for a change.
    fn queue(&self) -> &WaitQueue;

    /// Whether what was sent as urgent is next (sockatmark(3)).
    fn is_at_mark(&self) -> bool {
        false
    }

    /// Bytes that can be read at once.
    ///
    /// # Errors
    ///
    /// EINVAL if it listens.
    fn unread(&self) -> Result<usize>;

    /// Bytes that were sent and that nobody has read.
    ///
    /// # Errors
    ///
    /// EINVAL if it listens.
    fn unsent(&self) -> Result<usize>;

    /// What went wrong, once (SO_ERROR).
    fn take_error(&self) -> Option<Errno>;

    /// An option beyond [`Settings`].
    ///
    /// # Errors
    ///
    /// ENOPROTOOPT.
    fn option(&self, _level: u32, _name: u32) -> Result<Vec<u8>> {
        Err(Errno::ENOPROTOOPT)
    }

    /// Sets an option beyond [`Settings`], or forbids to set one; false if it is not known here.
    ///
    /// # Errors
    ///
    /// As setsockopt(2).
    fn set_option(&self, _level: u32, _name: u32, _value: &[u8]) -> Result<bool> {
        Ok(false)
    }

    /// Queues bytes of the kernel for the program; none but netlink sockets take any.
    fn notice(&self, _: Vec<u8>) {}

    /// Nobody has it open any more.
    fn close(&self);

    /// Its line in `/proc/net`, where `inode` is its number.
    fn line(&self, inode: u64) -> super::table::Line;
}

/// Whether a message is cut off the queue when it is read.
#[must_use]
pub(super) fn peeks(flags: u32) -> bool {
    flags & net::MSG_PEEK != 0
}
