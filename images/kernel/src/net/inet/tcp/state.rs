//! What can change of an end: its part in a connection, and what the peer has sent and done.

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use core::net::SocketAddr;

use super::end::End;
use super::urgent::Urgent;
use crate::device::stream::{Arrival, Stream};
use crate::errno::{Errno, Result};
use crate::io::Source;
use crate::net::Shut;
use crate::net::bytes::Bytes;

/// What can change.
pub(super) struct State {
    pub(super) local: SocketAddr,
    /// Whether the local address was asked for, and stays.
    pub(super) named: bool,
    pub(super) remote: Option<SocketAddr>,
    pub(super) role: Role,
    /// The other end, open or not.
    pub(super) peer: Option<Peer>,
    pub(super) incoming: Bytes,
    pub(super) urgent: Urgent,
    /// The peer will send no more.
    pub(super) finished: bool,
    pub(super) shut: Shut,
    pub(super) error: Option<Errno>,
    /// The program was told that there is no room, and waits for some.
    pub(super) starved: bool,
    /// Nobody has it open any more.
    pub(super) closed: bool,
}

/// The other end of a connection.
#[derive(Clone)]
pub(super) enum Peer {
    /// Another socket of this guest.
    Inside(Arc<End>),
    /// Whoever is behind a stream of the device.
    Outside(Arc<Stream>),
}

/// What part a socket plays.
pub(super) enum Role {
    /// None, so far.
    Idle,
    /// Others connect to it.
    Listening(Listening),
    /// It waits for a place in the queue of who listens.
    Connecting,
    /// It could not be connected, which the program has not been told by `connect`.
    Failed,
    /// It is connected.
    Connected {
        /// The program has been told by `connect`.
        told: bool,
    },
    /// It was connected.
    Ended,
}

/// Connections to a socket.
pub(super) struct Listening {
    /// Those that wait to be accepted.
    pub(super) queue: VecDeque<Arc<End>>,
    /// How many may.
    pub(super) backlog: usize,
    /// Those that wait for a place in the queue.
    pub(super) waiting: VecDeque<Caller>,
}

/// Who connects.
pub(super) enum Caller {
    /// A socket of this guest.
    Inside(Weak<End>),
    /// Somebody outside.
    Outside(Arrival),
}

impl State {
    /// TCP_* as `/proc/net/tcp` and TCP_INFO have them.
    pub(super) fn number(&self) -> u8 {
        const ESTABLISHED: u8 = 1;
        const SYN_SENT: u8 = 2;
        const FIN_WAIT2: u8 = 5;
        const CLOSE: u8 = 7;
        const CLOSE_WAIT: u8 = 8;
        const LISTEN: u8 = 10;
        match self.role {
            Role::Idle | Role::Failed | Role::Ended => CLOSE,
            Role::Listening(_) => LISTEN,
            Role::Connecting => SYN_SENT,
            Role::Connected { .. } if self.finished => CLOSE_WAIT,
            Role::Connected { .. } if self.shut.contains(Shut::SEND) => FIN_WAIT2,
            Role::Connected { .. } => ESTABLISHED,
        }
    }

    /// Takes bytes in, the last of which is urgent. There is room for them.
    pub(super) fn put_urgent(&mut self, source: &mut Source<'_>, inline: bool) -> Result<usize> {
        let before = source.remaining() - 1;
        let put = self.incoming.put(source, before)?;
        if put < before {
            return Ok(put);
        }
        let mut byte = [0];
        match source.peek(&mut byte) {
            Ok(_) => {}
            Err(_) if put > 0 => return Ok(put),
            Err(errno) => return Err(errno),
        }
        self.urgent.arrive(self.incoming.len(), byte[0], inline);
        if inline {
            self.incoming.put(source, 1)?;
        } else {
            source.skip(1);
        }
        Ok(put + 1)
    }

    /// The peer will send no more.
    pub(super) fn finish(&mut self) {
        self.finished = true;
        self.shut |= Shut::RECEIVE;
        self.end_if_done();
    }

    /// A connection that is shut down from both sides is none any more.
    pub(super) fn end_if_done(&mut self) {
        if self.finished && self.shut.contains(Shut::SEND) && self.is_connected() {
            self.role = Role::Ended;
        }
    }

    /// The peer has broken the connection off.
    pub(super) fn reset(&mut self) {
        self.reset_with(Errno::ECONNRESET);
    }

    /// The connection is broken off, for this reason.
    pub(super) fn reset_with(&mut self, errno: Errno) {
        if self.is_connected() {
            self.error = Some(if self.finished { Errno::EPIPE } else { errno });
            self.shut = Shut::all();
            self.role = Role::Ended;
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        matches!(self.role, Role::Connected { .. })
    }
}
