//! One end, and what programs ask of it.

use alloc::collections::VecDeque;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::net::SocketAddr;

use linux_raw_sys::net;

use super::super::option::{self, About, OF_TCP, OF_V4, OF_V6};
use super::super::port::Ports;
use super::super::{TCP, address, bindable};
use super::state::{Listening, Peer, Role, State};
use super::urgent::Urgent;
use crate::errno::{Errno, Result};
use crate::fs::Events;
use crate::io::{Sink, Source};
use crate::net::bytes::Bytes;
use crate::net::protocol::peeks;
use crate::net::settings::Settings;
use crate::net::table::Line;
use crate::net::{Outgoing, Protocol, RawAddress, Received, Shut, family};
use crate::sync::Mutex;
use crate::task::WaitQueue;

/// Bytes of the buffers before they are set (`net.ipv4.tcp_wmem`, `tcp_rmem`).
const BUFFERS: (i32, i32) = (16_384, 131_072);

pub(super) static PORTS: Ports<End> = Ports::new();

/// A TCP socket.
pub struct End {
    pub(super) me: Weak<Self>,
    pub(super) settings: Settings,
    pub(super) state: Mutex<State>,
    pub(super) changed: WaitQueue,
}

impl End {
    /// An end of a family (AF_*).
    #[must_use]
    pub fn new(of: u32) -> Arc<Self> {
        let known: &[&[_]] = if of == net::AF_INET6 {
            &[OF_TCP, OF_V4, OF_V6]
        } else {
            &[OF_TCP, OF_V4]
        };
        Self::with(Settings::new((of, net::SOCK_STREAM, TCP), known, BUFFERS))
    }

    pub(super) fn with(settings: Settings) -> Arc<Self> {
        let state = State {
            local: SocketAddr::new(address::any(settings.family), 0),
            named: false,
            remote: None,
            role: Role::Idle,
            peer: None,
            incoming: Bytes::default(),
            urgent: Urgent::default(),
            finished: false,
            shut: Shut::empty(),
            error: None,
            starved: false,
            closed: false,
        };
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            settings,
            state: Mutex::new(state),
            changed: WaitQueue::new(),
        })
    }

    /// Bytes that may be on their way to `peer`.
    fn capacity(&self, peer: &Self) -> usize {
        self.settings.send_buffer() + peer.settings.receive_buffer()
    }

    /// Whether a good part of what may be on its way to the peer is not used.
    fn is_writable(&self, peer: &Self) -> bool {
        let used = peer.state.lock().incoming.len();
        used * 3 <= self.capacity(peer) * 2
    }

    fn about(&self) -> About {
        let state = self.state.lock();
        About {
            bound: state.local.port() != 0,
            connected: matches!(state.role, Role::Connected { .. }),
            state: state.number(),
        }
    }

    fn receive_urgent(&self, sink: &mut Sink<'_>, peek: bool) -> Result<Received> {
        let byte = {
            let mut state = self.state.lock();
            if matches!(state.role, Role::Idle | Role::Failed | Role::Listening(_)) {
                return Err(Errno::ENOTCONN);
            }
            state.urgent.read(peek).ok_or(Errno::EINVAL)?
        };
        let mut received = Received::bytes(sink.write(&[byte])?);
        received.flags = net::MSG_OOB;
        Ok(received)
    }

    /// Bytes were read, so there is room: tells the peer, if it waits for that.
    fn tell_room(peer: Option<Peer>, read: usize) {
        match peer {
            Some(Peer::Inside(peer)) => {
                let starved = core::mem::take(&mut peer.state.lock().starved);
                if starved {
                    peer.changed.wake_all();
                }
            }
            Some(Peer::Outside(stream)) => stream.taken(read),
            None => {}
        }
    }

    /// Sends bytes to an end in this guest, as many as there is room for.
    fn send_inside(
        &self,
        peer: &Self,
        source: &mut Source<'_>,
        outgoing: &Outgoing,
    ) -> Result<usize> {
        let len = source.remaining();
        let sent = {
            let mut theirs = peer.state.lock();
            if theirs.closed {
                // It gets there, finds nobody, and that comes back.
                drop(theirs);
                self.state.lock().reset();
                self.changed.wake_all();
                source.skip(len);
                return Ok(len);
            }
            let room = self.capacity(peer).saturating_sub(theirs.incoming.len());
            if room == 0 {
                Err(Errno::EAGAIN)
            } else if outgoing.has(net::MSG_OOB) && len <= room {
                let inline = peer.settings.has(net::SO_OOBINLINE);
                theirs.put_urgent(source, inline)
            } else {
                theirs.incoming.put(source, room)
            }
        };
        if sent.is_ok() {
            peer.changed.wake_all();
        }
        sent
    }
}

impl Protocol for End {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn bind(&self, bytes: &[u8]) -> Result<()> {
        let mut local = bindable(&self.settings, bytes)?;
        let old = {
            let state = self.state.lock();
            if state.named || !matches!(state.role, Role::Idle) {
                return Err(Errno::EINVAL);
            }
            state.local.port()
        };
        let port = PORTS.claim(&self.me, &self.settings, local)?;
        PORTS.release(&self.me, old);
        local.set_port(port);
        let mut state = self.state.lock();
        (state.local, state.named) = (local, true);
        Ok(())
    }

    fn connect(&self, bytes: &[u8], nonblocking: bool) -> Result<()> {
        if family(bytes) == Some(net::AF_UNSPEC) {
            self.disconnect();
            return Ok(());
        }
        let v6_only = self.settings.number(net::SOL_IPV6, net::IPV6_V6ONLY) != 0;
        let to = address::parse_destination(self.settings.family, v6_only, bytes)?;
        self.open(to, nonblocking)
    }

    fn listen(&self, backlog: usize) -> Result<()> {
        {
            let mut state = self.state.lock();
            match &mut state.role {
                Role::Idle => {}
                Role::Listening(listening) => {
                    listening.backlog = backlog;
                    drop(state);
                    self.admit_waiting();
                    return Ok(());
                }
                _ => return Err(Errno::EINVAL),
            }
        }
        let local = self.bound()?;
        PORTS.listen(&self.me, local.port())?;
        let mut state = self.state.lock();
        state.shut = Shut::empty();
        state.role = Role::Listening(Listening {
            queue: VecDeque::new(),
            backlog,
            waiting: VecDeque::new(),
        });
        Ok(())
    }

    fn accept(&self) -> Result<Arc<dyn Protocol>> {
        let accepted = {
            let mut state = self.state.lock();
            let Role::Listening(listening) = &mut state.role else {
                return Err(Errno::EINVAL);
            };
            listening.queue.pop_front().ok_or(Errno::EAGAIN)?
        };
        self.admit_waiting();
        Ok(accepted)
    }

    fn accepted_from(&self) -> Result<RawAddress> {
        let remote = self.state.lock().remote.ok_or(Errno::ENOTCONN)?;
        Ok(address::shown(self.settings.family, remote))
    }

    fn is_listening(&self) -> bool {
        matches!(self.state.lock().role, Role::Listening(_))
    }

    fn name(&self) -> RawAddress {
        address::shown(self.settings.family, self.state.lock().local)
    }

    fn peer(&self) -> Result<RawAddress> {
        let state = self.state.lock();
        let remote = state.remote.filter(|_| state.is_connected());
        Ok(address::shown(
            self.settings.family,
            remote.ok_or(Errno::ENOTCONN)?,
        ))
    }

    fn send(&self, source: &mut Source<'_>, outgoing: &mut Outgoing) -> Result<usize> {
        let peer = {
            let mut state = self.state.lock();
            if let Some(errno) = state.error.take() {
                return Err(errno);
            }
            if matches!(state.role, Role::Connecting) {
                return Err(Errno::EAGAIN);
            }
            if state.shut.contains(Shut::SEND) || !state.is_connected() {
                return Err(Errno::EPIPE);
            }
            state.peer.clone().ok_or(Errno::EPIPE)?
        };
        let len = source.remaining();
        if len == 0 {
            return Ok(0);
        }
        let sent = match peer {
            Peer::Inside(peer) => self.send_inside(&peer, source, outgoing),
            // What is urgent inside is like everything else outside.
            Peer::Outside(stream) => stream.send(source),
        };
        if sent.as_ref().map_or(true, |sent| *sent < len) {
            self.state.lock().starved = true;
        }
        sent
    }

    fn receive(&self, sink: &mut Sink<'_>, flags: u32) -> Result<Received> {
        if flags & net::MSG_ERRQUEUE != 0 {
            return Err(Errno::EAGAIN);
        }
        if flags & net::MSG_OOB != 0 {
            return self.receive_urgent(sink, peeks(flags));
        }
        let (received, peer) = {
            let mut state = self.state.lock();
            match state.role {
                Role::Idle | Role::Failed | Role::Listening(_) => {
                    return match state.error.take() {
                        Some(errno) => Err(errno),
                        None => Err(Errno::ENOTCONN),
                    };
                }
                Role::Connecting => return Err(Errno::EAGAIN),
                Role::Connected { .. } | Role::Ended => {}
            }
            if state.incoming.is_empty() {
                return match state.error.take() {
                    _ if state.finished => Ok(Received::default()),
                    Some(errno) => Err(errno),
                    None if state.shut.contains(Shut::RECEIVE) => Ok(Received::default()),
                    None => Err(Errno::EAGAIN),
                };
            }
            let most = state.urgent.limit();
            let received = if flags & net::MSG_TRUNC != 0 {
                // Thrown away rather than read.
                sink.remaining().min(state.incoming.len()).min(most)
            } else {
                state.incoming.copy(0, sink, most)?
            };
            if !peeks(flags) {
                state.incoming.discard(received);
                state.urgent.taken(received);
            }
            (received, state.peer.clone())
        };
        if !peeks(flags) {
            Self::tell_room(peer, received);
        }
        Ok(Received::bytes(received))
    }

    fn shutdown(&self, how: Shut) -> Result<()> {
        let peer = {
            let mut state = self.state.lock();
            match &state.role {
                Role::Listening(_) if how.contains(Shut::RECEIVE) => {
                    drop(state);
                    self.stop_listening();
                    return Ok(());
                }
                Role::Listening(_) => {
                    state.shut |= how;
                    return Ok(());
                }
                Role::Connecting => {
                    drop(state);
                    self.disconnect();
                    return Ok(());
                }
                Role::Connected { .. } => {}
                Role::Idle | Role::Failed | Role::Ended => return Err(Errno::ENOTCONN),
            }
            let ends = how.contains(Shut::SEND) && !state.shut.contains(Shut::SEND);
            state.shut |= how;
            state.end_if_done();
            state.peer.clone().filter(|_| ends)
        };
        self.changed.wake_all();
        match peer {
            Some(Peer::Inside(peer)) => {
                peer.state.lock().finish();
                peer.changed.wake_all();
            }
            Some(Peer::Outside(stream)) => self.end_stream(&stream),
            None => {}
        }
        Ok(())
    }

    fn poll(&self) -> Events {
        let (mut events, peer) = {
            let state = self.state.lock();
            let mut events = Events::empty();
            events.set(Events::ERR, state.error.is_some());
            match &state.role {
                Role::Listening(listening) => {
                    return if listening.queue.is_empty() {
                        Events::empty()
                    } else {
                        Events::READ
                    };
                }
                Role::Connecting => return events,
                Role::Idle => return events | Events::HUP | Events::WRITE,
                Role::Failed | Role::Ended => events |= Events::HUP,
                Role::Connected { .. } => {}
            }
            let ended = state.shut.contains(Shut::RECEIVE);
            events.set(
                Events::HUP,
                events.contains(Events::HUP) || state.shut == Shut::all(),
            );
            events.set(Events::RDHUP, ended);
            events.set(Events::READ, ended || !state.incoming.is_empty());
            events.set(Events::PRI, state.urgent.is_news());
            events.set(Events::WRITE, state.shut.contains(Shut::SEND));
            (events, state.peer.clone())
        };
        if let Some(peer) = peer.filter(|_| !events.contains(Events::WRITE)) {
            let writable = match peer {
                Peer::Inside(peer) => self.is_writable(&peer),
                Peer::Outside(stream) => !self.state.lock().starved && stream.is_writable(),
            };
            events.set(Events::WRITE, writable);
            self.state.lock().starved |= !writable;
        }
        events
    }

    fn queue(&self) -> &WaitQueue {
        &self.changed
    }

    fn is_at_mark(&self) -> bool {
        self.state.lock().urgent.is_next()
    }

    fn unread(&self) -> Result<usize> {
        let state = self.state.lock();
        match state.role {
            Role::Listening(_) => Err(Errno::EINVAL),
            _ => Ok(state.incoming.len()),
        }
    }

    fn unsent(&self) -> Result<usize> {
        if self.is_listening() {
            return Err(Errno::EINVAL);
        }
        // Whatever was sent has arrived, read or not.
        Ok(0)
    }

    fn take_error(&self) -> Option<Errno> {
        self.state.lock().error.take()
    }

    fn option(&self, level: u32, name: u32) -> Result<Vec<u8>> {
        option::get(&self.settings, &self.about(), level, name)
    }

    fn set_option(&self, level: u32, name: u32, value: &[u8]) -> Result<bool> {
        option::set(&self.settings, &self.about(), level, name, value)
    }

    fn close(&self) {
        self.end(self.settings.closes_hard());
    }

    fn line(&self, inode: u64) -> Line {
        let state = self.state.lock();
        let none = SocketAddr::new(address::any(self.settings.family), 0);
        let unread = match &state.role {
            Role::Listening(listening) => listening.queue.len(),
            _ => state.incoming.len(),
        };
        Line::Inet {
            v6: self.settings.family == net::AF_INET6,
            udp: false,
            local: state.local,
            remote: state.remote.unwrap_or(none),
            state: state.number(),
            unsent: 0,
            unread,
            inode,
        }
    }
}
