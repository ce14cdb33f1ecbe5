//! One connection.

use std::collections::VecDeque;

use rustix::fd::AsFd;
use rustix::io::Errno;
use unicell_guest_abi::message::{DATA_MAX, Endpoint};

use super::socket::Socket;
use crate::backend::{Data, Nonsense, Room};
use crate::link::Transport;

/// Bytes of the guest that a stream keeps, at most, by how many others there are. Each quarter of it
/// is granted by a message, which costs the guest more than the bytes do.
fn window_beside(others: usize) -> u32 {
    match others {
        0..8 => 2 << 20,
        8..64 => 256 << 10,
        _ => 64 << 10,
    }
}

/// Datagrams that a stream keeps at most: each costs more than its bytes.
const DATAGRAMS_MAX: usize = 64;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The node was asked for it.
    Asked,
    /// The node was asked for it, and the guest does not want it any more.
    Abandoned,
    /// The guest was told of it and has not answered.
    Offered,
    /// It is there.
    Open,
    /// The guest was told that it is broken and has not answered.
    Broken,
}

/// What there is for the guest.
pub(super) enum Read {
    Nothing,
    /// So many bytes, or a datagram.
    Data(u32),
    End,
    Broken(u16),
}

/// What the guest is to be told of a stream, each kind once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Due {
    /// Somebody connects.
    pub(super) incoming: Option<Endpoint>,
    /// It may send so many bytes more.
    pub(super) credit: u32,
    /// It is broken, by this errno.
    pub(super) reset: Option<u16>,
}

/// One thing of [`Due`].
pub(super) enum Told {
    Incoming(Endpoint),
    Credit(u32),
    Reset(u16),
}

impl Due {
    /// Takes the first of it.
    pub(super) fn take(&mut self) -> Option<Told> {
        if let Some(endpoint) = self.incoming.take() {
            return Some(Told::Incoming(endpoint));
        }
        let credit = std::mem::take(&mut self.credit);
        if let Some(errno) = self.reset.take() {
            // Nobody sends on what is broken.
            return Some(Told::Reset(errno));
        }
        (credit > 0).then_some(Told::Credit(credit))
    }

    pub(super) fn is_nothing(&self) -> bool {
        self.incoming.is_none() && self.credit == 0 && self.reset.is_none()
    }
}

/// A connection, its socket, and what is under way.
pub(super) struct Stream {
    pub(super) transport: Transport,
    pub(super) stage: Stage,
    pub(super) socket: Option<Socket>,
    /// When something last happened, monotonic ns.
    pub(super) active: u64,
    /// It waits for its turn to be read.
    pub(super) queued: bool,
    pub(super) due: Due,
    /// The guest is going to be told something of it.
    pub(super) has_news: bool,
    /// Bytes that the socket has taken.
    pub(super) sent: u64,
    /// Bytes that were read from it.
    pub(super) received: u64,
    /// Bytes that the guest may be sent.
    credit: u32,
    /// Bytes that the guest may send.
    granted: u32,
    /// Bytes that were passed on and not yet granted again.
    owed: u32,
    window: u32,
    /// What the socket did not take: bytes, or datagrams one by one.
    kept: VecDeque<Vec<u8>>,
    /// Bytes of the first that it did take.
    taken: usize,
    may_read: bool,
    /// The other side has ended its direction: an empty read is the end.
    hung_up: bool,
    /// The socket takes nothing any more.
    deaf: bool,
    guest_ended: bool,
    host_ended: bool,
    /// The socket was told that the guest has ended.
    shut: bool,
}

impl Stream {
    pub(super) fn new(transport: Transport, stage: Stage, others: usize, now: u64) -> Self {
        let window = window_beside(others);
        Self {
            transport,
            stage,
            socket: None,
            active: now,
            queued: false,
            due: Due::default(),
            has_news: false,
            sent: 0,
            received: 0,
            credit: 0,
            granted: window,
            owed: 0,
            window,
            kept: VecDeque::new(),
            taken: 0,
            may_read: true,
            hung_up: false,
            deaf: false,
            guest_ended: false,
            host_ended: false,
            shut: false,
        }
    }

    /// Bytes that the guest may send to begin with.
    pub(super) fn window(&self) -> u32 {
        self.window
    }

    /// The guest may be sent more. Returns whether it has thereby accepted the connection.
    pub(super) fn allow(&mut self, bytes: u32) -> bool {
        self.credit = self.credit.saturating_add(bytes);
        let accepted = self.stage == Stage::Offered;
        if accepted {
            self.stage = Stage::Open;
        }
        accepted
    }

    /// Takes data of the guest. Returns how much more it may send.
    pub(super) fn send(&mut self, data: &Data<'_>) -> Result<u32, Nonsense> {
        let len = data.len();
        if self.guest_ended
            || matches!(self.stage, Stage::Asked | Stage::Abandoned | Stage::Offered)
        {
            return Err(Nonsense("data on a stream that is not open"));
        }
        if len > self.granted as usize {
            return Err(Nonsense("data on a stream that has no credit"));
        }
        self.granted -= len as u32;
        let done = if self.kept.is_empty() {
            self.pass_on(data)
        } else {
            0
        };
        if done < len || (len == 0 && !self.kept.is_empty()) {
            let lost = self.keep(data.copy(done));
            return Ok(self.repay(done + lost));
        }
        Ok(self.repay(done))
    }

    /// Keeps what the socket did not take. Returns how many bytes were lost: of datagrams, what a
    /// full queue loses anywhere.
    fn keep(&mut self, bytes: Vec<u8>) -> usize {
        if self.transport == Transport::Udp {
            if self.kept.len() >= DATAGRAMS_MAX {
                return bytes.len();
            }
            self.kept.push_back(bytes);
            return 0;
        }
        match self.kept.back_mut() {
            // Pieces of a byte each would cost many times as much.
            Some(last) if last.len() + bytes.len() <= DATA_MAX => last.extend(bytes),
            _ => self.kept.push_back(bytes),
        }
        0
    }

    /// Sends data at once, as much as the socket takes; all of it where nobody will ever.
    fn pass_on(&mut self, data: &Data<'_>) -> usize {
        let len = data.len();
        let Some(socket) = self.socket.as_ref().filter(|_| !self.deaf) else {
            return len;
        };
        let datagram = self.transport == Transport::Udp;
        let mut done = 0;
        loop {
            let sent = if datagram && (len == 0 || !data.is_whole()) {
                socket.send(&data.copy(0))
            } else {
                data.write_to(done, socket.as_fd())
            };
            match sent {
                Ok(count) => {
                    done += count;
                    self.sent += count as u64;
                }
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return done,
                Err(errno) => {
                    self.failed(errno);
                    return len;
                }
            }
            if datagram || done >= len {
                return len;
            }
        }
    }

    /// The socket has refused to take something for good. What it still has for the guest is
    /// delivered before the guest is told.
    fn failed(&mut self, errno: Errno) {
        // A datagram is lost, as on its way through a network.
        if self.transport == Transport::Tcp || errno == Errno::PIPE {
            self.deaf = true;
        }
        self.may_read = true;
    }

    /// Sends what was kept. Returns how much more the guest may send.
    pub(super) fn flush(&mut self) -> u32 {
        let mut passed = 0;
        while let (Some(socket), Some(first)) = (&self.socket, self.kept.front()) {
            let rest = first.len() - self.taken;
            let sent = if self.deaf {
                Ok(rest)
            } else {
                let sent = socket.send(&first[self.taken..]);
                self.sent += sent.map_or(0, |count| count as u64);
                sent
            };
            match sent {
                Ok(count) => {
                    let count = if self.transport == Transport::Udp {
                        rest
                    } else {
                        count
                    };
                    passed += count;
                    self.taken += count;
                    if self.taken == first.len() {
                        self.kept.pop_front();
                        self.taken = 0;
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(errno) => {
                    self.failed(errno);
                    passed += rest;
                    self.kept.pop_front();
                    self.taken = 0;
                }
            }
        }
        if self.guest_ended && self.kept.is_empty() {
            self.end_socket();
        }
        self.repay(passed)
    }

    /// Bytes were passed on: grants them again, if they are enough to be worth a message.
    fn repay(&mut self, passed: usize) -> u32 {
        self.owed += passed as u32;
        if self.owed < self.window / 4 || self.guest_ended || self.stage != Stage::Open {
            return 0;
        }
        self.granted += self.owed;
        std::mem::take(&mut self.owed)
    }

    /// The guest will send no more.
    pub(super) fn end(&mut self) -> Result<(), Nonsense> {
        if matches!(self.stage, Stage::Asked | Stage::Abandoned | Stage::Offered) {
            return Err(Nonsense("the end of a stream that is not open"));
        }
        self.guest_ended = true;
        if self.kept.is_empty() {
            self.end_socket();
        }
        Ok(())
    }

    /// Ends the socket's direction, once: it is an event for whoever waits for one.
    pub(super) fn end_socket(&mut self) {
        if let Some(socket) = &self.socket
            && !std::mem::replace(&mut self.shut, true)
        {
            socket.end();
        }
    }

    /// The socket may have something. `over` says that after it, nothing will come.
    pub(super) fn readable(&mut self, over: bool) {
        self.may_read = true;
        self.hung_up |= over;
    }

    /// Whether it should be queued for being read.
    pub(super) fn has_turn(&self) -> bool {
        !self.queued
            && self.stage == Stage::Open
            && self.may_read
            && !self.host_ended
            && self.credit >= self.least()
    }

    /// Bytes for which there must be credit: a datagram comes whole.
    fn least(&self) -> u32 {
        match self.transport {
            Transport::Tcp => 1,
            Transport::Udp => DATA_MAX as u32,
        }
    }

    /// Reads what there is for the guest.
    pub(super) fn receive(&mut self, room: &Room<'_>) -> Read {
        let Some(socket) = self.socket.as_ref() else {
            return Read::Nothing;
        };
        if self.stage != Stage::Open || self.host_ended || self.credit < self.least() {
            return Read::Nothing;
        }
        let most = (self.credit as usize).min(DATA_MAX);
        let read = loop {
            match room.read_from(most, socket.as_fd()) {
                Err(Errno::INTR) => {}
                read => break read,
            }
        };
        match read {
            Ok(0) if self.transport == Transport::Udp && self.hung_up => Read::Broken(0),
            Ok(0) if self.transport == Transport::Tcp && self.deaf && !self.guest_ended => {
                Read::Broken(super::errno_of(Errno::CONNRESET))
            }
            Ok(0) if self.transport == Transport::Tcp => {
                self.host_ended = true;
                Read::End
            }
            Ok(count) => {
                self.credit -= count as u32;
                self.received += count as u64;
                Read::Data(count as u32)
            }
            Err(Errno::AGAIN) => {
                self.may_read = false;
                Read::Nothing
            }
            Err(errno) => Read::Broken(super::errno_of(errno)),
        }
    }

    /// Gives the socket up. Returns whether there was one to be given up.
    pub(super) fn close(&mut self) -> bool {
        self.kept.clear();
        self.taken = 0;
        self.socket.take().is_some()
    }

    /// Whether both directions have ended and nothing is kept.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Open && self.guest_ended && self.host_ended && self.kept.is_empty()
    }

    /// Whether the guest has ended its direction, and all that it sent is with the socket.
    pub(super) fn is_said(&self) -> bool {
        self.guest_ended && self.kept.is_empty()
    }

    /// Whether it keeps no more than it may.
    pub(super) fn is_bounded(&self) -> bool {
        let bytes: usize = self.kept.iter().map(Vec::len).sum();
        bytes - self.taken <= self.window as usize && self.kept.len() <= DATAGRAMS_MAX
    }

    /// Whether nothing is kept that the socket might still take.
    pub(super) fn is_flushed(&self) -> bool {
        self.kept.is_empty()
    }
}
