//! One end: its state, and what is the same for all kinds.

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use linux_raw_sys::net;

use super::message::Note as MessageNote;
use super::name::Name;
use super::stream::Stream;
use super::{BUFFER, connect, message};
use crate::errno::{Errno, Result};
use crate::fs::Events;
use crate::io::{Sink, Source};
use crate::net::messages::Messages;
use crate::net::protocol::peeks;
use crate::net::settings::{Settings, told};
use crate::net::table::Line;
use crate::net::{Outgoing, Protocol, RawAddress, Received, SenderCredentials, Shut, family};
use crate::sync::Mutex;
use crate::task::WaitQueue;

/// A Unix socket.
pub struct End {
    me: Weak<Self>,
    pub(super) settings: Settings,
    pub(super) state: Mutex<State>,
    pub(super) changed: WaitQueue,
}

/// What can change.
pub(super) struct State {
    pub(super) name: Option<Name>,
    pub(super) role: Role,
    /// What it is connected to, open or not.
    pub(super) peer: Option<Arc<End>>,
    /// Who connected, or listened.
    pub(super) credentials: SenderCredentials,
    pub(super) shut: Shut,
    pub(super) error: Option<Errno>,
    pub(super) stream: Stream,
    pub(super) messages: Messages<MessageNote>,
    /// Who waits for room here.
    pub(super) waiting: Vec<Weak<End>>,
    /// Nobody has it open any more.
    pub(super) closed: bool,
}

/// What part a socket plays.
pub(super) enum Role {
    /// None, so far.
    Idle,
    /// Others connect to it.
    Listening {
        /// Connections that wait to be accepted.
        queue: VecDeque<Arc<End>>,
        /// How many may.
        backlog: usize,
    },
    /// It is connected, or was.
    Connected,
}

impl State {
    fn is_empty(&self) -> bool {
        self.stream.len() == 0 && self.messages.is_empty()
    }

    /// What unread bytes take of the sender's buffer.
    pub(super) fn used(&self) -> usize {
        self.stream.used() + self.messages.used()
    }
}

impl End {
    /// An end of a kind (SOCK_*).
    pub(super) fn new(kind: u32) -> Arc<Self> {
        let settings = Settings::new((net::AF_UNIX, kind, 0), &[], (BUFFER, BUFFER));
        let state = State {
            name: None,
            role: Role::Idle,
            peer: None,
            credentials: SenderCredentials::NOBODY,
            shut: Shut::empty(),
            error: None,
            stream: Stream::default(),
            messages: Messages::default(),
            waiting: Vec::new(),
            closed: false,
        };
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            settings,
            state: Mutex::new(state),
            changed: WaitQueue::new(),
        })
    }

    /// SOCK_*.
    pub(super) fn kind(&self) -> u32 {
        self.settings.kind
    }

    /// Whether messages go without a connection.
    pub(super) fn is_datagram(&self) -> bool {
        self.kind() == net::SOCK_DGRAM
    }

    fn is_stream(&self) -> bool {
        self.kind() == net::SOCK_STREAM
    }

    pub(super) fn arc(&self) -> Result<Arc<Self>> {
        self.me.upgrade().ok_or(Errno::ENOTCONN)
    }

    pub(super) fn peer_end(&self) -> Option<Arc<Self>> {
        self.state.lock().peer.clone()
    }

    fn is(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
    }

    /// Whether `other` is its peer.
    pub(super) fn is_joined_to(&self, other: &Self) -> bool {
        let state = self.state.lock();
        state.peer.as_ref().is_some_and(|peer| peer.is(other))
    }

    /// Has `who` woken when there is room again.
    pub(super) fn add_waiting(state: &mut State, who: &Self) {
        state.waiting.retain(|waiting| waiting.strong_count() > 0);
        if !state.waiting.iter().any(|waiting| waiting.ptr_eq(&who.me)) {
            state.waiting.push(who.me.clone());
        }
    }

    /// There is room: wakes who waits for it.
    pub(super) fn wake_waiting(&self) {
        let waiting = core::mem::take(&mut self.state.lock().waiting);
        for end in waiting.iter().filter_map(Weak::upgrade) {
            end.changed.wake_all();
        }
    }

    /// Gives it a name if it has none and its messages are to say whom they are from.
    pub(super) fn name_if_told(&self) -> Result<()> {
        if self.settings.has(net::SO_PASSCRED) && self.state.lock().name.is_none() {
            self.bind_any()?;
        }
        Ok(())
    }

    fn bind_any(&self) -> Result<()> {
        let name = Name::give_any(&self.arc()?)?;
        self.state.lock().name = Some(name);
        Ok(())
    }

    fn send_bytes(&self, source: &mut Source<'_>, outgoing: &mut Outgoing) -> Result<usize> {
        let (peer, shut, connected) = {
            let state = self.state.lock();
            let connected = matches!(state.role, Role::Connected);
            (state.peer.clone(), state.shut, connected)
        };
        if outgoing.to.is_some() {
            let errno = if connected {
                Errno::EISCONN
            } else {
                Errno::EOPNOTSUPP
            };
            return Err(errno);
        }
        let peer = peer.ok_or(Errno::ENOTCONN)?;
        if shut.contains(Shut::SEND) {
            return Err(Errno::EPIPE);
        }
        if source.remaining() == 0 {
            return Ok(0);
        }
        let sent = {
            let mut theirs = peer.state.lock();
            if theirs.closed || theirs.shut.contains(Shut::RECEIVE) {
                return Err(Errno::EPIPE);
            }
            let room = self.settings.send_buffer().saturating_sub(theirs.used());
            if room == 0 {
                return Err(Errno::EAGAIN);
            }
            theirs
                .stream
                .put(source, room, || super::note::Note::of(outgoing))?
        };
        peer.changed.wake_all();
        Ok(sent)
    }

    fn receive_bytes(&self, sink: &mut Sink<'_>, flags: u32) -> Result<Received> {
        let told = self.settings.has(net::SO_PASSCRED);
        let (mut received, peer) = {
            let mut state = self.state.lock();
            if !matches!(state.role, Role::Connected) {
                return Err(Errno::EINVAL);
            }
            if state.stream.len() == 0 {
                return match state.error.take() {
                    Some(errno) => Err(errno),
                    None if state.shut.contains(Shut::RECEIVE) => Ok(Received::default()),
                    None => Err(Errno::EAGAIN),
                };
            }
            let received = state.stream.receive(sink, peeks(flags), told)?;
            (received, state.peer.clone())
        };
        if let Some(peer) = peer {
            let name = peer.state.lock().name.clone();
            received.from = name.map(|name| Name::address(Some(&name)));
            if !peeks(flags) {
                peer.changed.wake_all();
            }
        }
        Ok(received)
    }
}

impl Protocol for End {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn bind(&self, address: &[u8]) -> Result<()> {
        let name = Name::parse(address)?;
        if self.state.lock().name.is_some() {
            // Asked for any name, it has one already.
            return if name.is_none() {
                Ok(())
            } else {
                Err(Errno::EINVAL)
            };
        }
        let Some(name) = name else {
            return self.bind_any();
        };
        name.give(&self.arc()?)?;
        self.state.lock().name = Some(name);
        Ok(())
    }

    fn connect(&self, address: &[u8], _: bool) -> Result<()> {
        let unspecified = family(address) == Some(net::AF_UNSPEC);
        if self.is_datagram() {
            if unspecified {
                connect::separate(self);
                return Ok(());
            }
            return connect::address(self, address);
        }
        connect::open(self, address)
    }

    fn listen(&self, backlog: usize) -> Result<()> {
        if self.is_datagram() {
            return Err(Errno::EOPNOTSUPP);
        }
        let more = {
            let mut state = self.state.lock();
            if state.name.is_none() {
                return Err(Errno::EINVAL);
            }
            let state = &mut *state;
            match &mut state.role {
                Role::Connected => return Err(Errno::EINVAL),
                Role::Listening { backlog: old, .. } => {
                    let more = backlog > *old;
                    *old = backlog;
                    more
                }
                Role::Idle => {
                    state.role = Role::Listening {
                        queue: VecDeque::new(),
                        backlog,
                    };
                    false
                }
            }
        };
        self.state.lock().credentials = SenderCredentials::of_peer();
        if more {
            self.wake_waiting();
        }
        Ok(())
    }

    fn accept(&self) -> Result<Arc<dyn Protocol>> {
        if self.is_datagram() {
            return Err(Errno::EOPNOTSUPP);
        }
        let accepted = {
            let mut state = self.state.lock();
            let shut = state.shut.contains(Shut::RECEIVE);
            let Role::Listening { queue, .. } = &mut state.role else {
                return Err(Errno::EINVAL);
            };
            match queue.pop_front() {
                Some(end) => end,
                None if shut => return Err(Errno::EINVAL),
                None => return Err(Errno::EAGAIN),
            }
        };
        if self.settings.has(net::SO_PASSCRED) {
            accepted.settings.put(net::SOL_SOCKET, net::SO_PASSCRED, 1);
        }
        self.wake_waiting();
        Ok(accepted)
    }

    fn is_listening(&self) -> bool {
        matches!(self.state.lock().role, Role::Listening { .. })
    }

    fn name(&self) -> RawAddress {
        Name::address(self.state.lock().name.as_ref())
    }

    fn peer(&self) -> Result<RawAddress> {
        let peer = self.peer_end().ok_or(Errno::ENOTCONN)?;
        Ok(peer.name())
    }

    fn send(&self, source: &mut Source<'_>, outgoing: &mut Outgoing) -> Result<usize> {
        if outgoing.has(net::MSG_OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        if self.is_stream() {
            self.send_bytes(source, outgoing)
        } else {
            message::send(self, source, outgoing)
        }
    }

    fn receive(&self, sink: &mut Sink<'_>, flags: u32) -> Result<Received> {
        if flags & net::MSG_OOB != 0 {
            return Err(if self.is_stream() {
                Errno::EINVAL
            } else {
                Errno::EOPNOTSUPP
            });
        }
        if self.is_stream() {
            self.receive_bytes(sink, flags)
        } else {
            message::receive(self, sink, flags)
        }
    }

    fn shutdown(&self, how: Shut) -> Result<()> {
        let peer = {
            let mut state = self.state.lock();
            state.shut |= how;
            state.peer.clone()
        };
        self.changed.wake_all();
        self.wake_waiting();
        if let Some(peer) = peer.filter(|_| !self.is_datagram()) {
            peer.state.lock().shut |= how.mirrored();
            peer.changed.wake_all();
        }
        Ok(())
    }

    fn poll(&self) -> Events {
        let mut events = Events::empty();
        let peer = {
            let state = self.state.lock();
            events.set(Events::ERR, state.error.is_some());
            events.set(Events::HUP, state.shut == Shut::all());
            let ended = state.shut.contains(Shut::RECEIVE);
            events.set(Events::RDHUP, ended);
            match &state.role {
                Role::Listening { queue, .. } => {
                    events.set(Events::READ, !queue.is_empty() || ended);
                    return events;
                }
                Role::Idle if !self.is_datagram() => events |= Events::HUP,
                Role::Idle | Role::Connected => {}
            }
            events.set(Events::READ, ended || !state.is_empty());
            state.peer.clone()
        };
        events.set(Events::WRITE, message::is_writable(self, peer.as_deref()));
        events
    }

    fn queue(&self) -> &WaitQueue {
        &self.changed
    }

    fn unread(&self) -> Result<usize> {
        let state = self.state.lock();
        match state.role {
            Role::Listening { .. } => Err(Errno::EINVAL),
            _ if self.is_datagram() => Ok(state.messages.first_len()),
            _ => Ok(state.stream.len() + state.messages.total_len()),
        }
    }

    fn unsent(&self) -> Result<usize> {
        if self.is_listening() {
            return Err(Errno::EINVAL);
        }
        Ok(self.peer_end().map_or(0, |peer| peer.state.lock().used()))
    }

    fn take_error(&self) -> Option<Errno> {
        self.state.lock().error.take()
    }

    fn option(&self, level: u32, name: u32) -> Result<Vec<u8>> {
        match (level, name) {
            (net::SOL_SOCKET, net::SO_PEERCRED) => Ok(self.state.lock().credentials.to_bytes()),
            (net::SOL_SOCKET, net::SO_NO_CHECK) => Ok(told(0)),
            (net::SOL_SOCKET, _) => Err(Errno::ENOPROTOOPT),
            _ => Err(Errno::EOPNOTSUPP),
        }
    }

    fn set_option(&self, level: u32, name: u32, _: &[u8]) -> Result<bool> {
        match (level, name) {
            (net::SOL_SOCKET, net::SO_REUSEPORT) => Err(Errno::EOPNOTSUPP),
            (net::SOL_SOCKET, _) => Ok(false),
            _ => Err(Errno::EOPNOTSUPP),
        }
    }

    fn close(&self) {
        connect::close(self);
    }

    fn line(&self, inode: u64) -> Line {
        let state = self.state.lock();
        let (flags, shown) = match state.role {
            Role::Listening { .. } => (0x1_0000, 1),
            Role::Connected => (0, 3),
            Role::Idle => (0, 1),
        };
        Line::Unix {
            flags,
            kind: self.kind(),
            state: shown,
            inode,
            name: state.name.as_ref().map(Name::shown),
        }
    }
}
