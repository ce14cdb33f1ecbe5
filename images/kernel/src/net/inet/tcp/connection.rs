//! How connections begin and end.

use alloc::sync::Arc;
use core::net::SocketAddr;

use super::super::address;
use super::end::{End, PORTS};
use super::state::{Caller, Listening, Peer, Role, State};
use crate::errno::{Errno, Result};
use crate::net::settings::Settings;
use crate::net::{Shut, outside};

impl End {
    /// The local address, with a port, which it gets if it has none.
    pub(super) fn bound(&self) -> Result<SocketAddr> {
        let local = self.state.lock().local;
        if local.port() != 0 {
            return Ok(local);
        }
        let port = PORTS.claim(&self.me, &self.settings, local)?;
        let mut state = self.state.lock();
        state.local.set_port(port);
        Ok(state.local)
    }

    /// Connects to an address, or says how far that is.
    pub(super) fn open(&self, to: SocketAddr, nonblocking: bool) -> Result<()> {
        {
            let mut state = self.state.lock();
            match &mut state.role {
                Role::Idle => {}
                Role::Connected { told } if !*told => {
                    *told = true;
                    return Ok(());
                }
                Role::Connecting if nonblocking => return Err(Errno::EALREADY),
                Role::Connecting => return Err(Errno::EAGAIN),
                Role::Failed => {
                    let errno = state.error.take().unwrap_or(Errno::ECONNABORTED);
                    drop(state);
                    self.disconnect();
                    return Err(errno);
                }
                Role::Listening(_) | Role::Connected { .. } | Role::Ended => {
                    return Err(Errno::EISCONN);
                }
            }
        }
        self.begin(to)?;
        self.changed.wake_all();
        if nonblocking {
            return Err(Errno::EINPROGRESS);
        }
        // It is there, has failed, or is waited for: the same question again tells.
        self.open(to, nonblocking)
    }

    /// Begins to connect.
    fn begin(&self, to: SocketAddr) -> Result<()> {
        if is_group(to) {
            return Err(Errno::ENETUNREACH);
        }
        let mut local = self.bound().map_err(|_| Errno::EADDRNOTAVAIL)?;
        if local.ip().is_unspecified() {
            local.set_ip(address::own(to.ip()));
        } else if local.is_ipv4() != to.is_ipv4() {
            return Err(Errno::ENETUNREACH);
        }
        let inside = address::is_inside(to.ip());
        if !inside {
            outside::check(true, local.port(), to).inspect_err(|_| self.forget_address())?;
        }
        PORTS.move_to(&self.me, local);
        {
            let mut state = self.state.lock();
            (state.local, state.remote) = (local, Some(to));
            state.role = Role::Connecting;
        }
        if !inside {
            self.connect_outside(local.port(), to);
            return Ok(());
        }
        match PORTS.find(to, |end| end.listens().then_some(0)) {
            Some(listener) => listener.admit(Caller::Inside(self.me.clone())),
            None => self.fail(Errno::ECONNREFUSED),
        }
        Ok(())
    }

    pub(super) fn listens(&self) -> bool {
        matches!(self.state.lock().role, Role::Listening(_))
    }

    /// Takes a connection into the queue, or lets it wait for a place there.
    pub(super) fn admit(&self, from: Caller) {
        {
            let mut state = self.state.lock();
            let Role::Listening(listening) = &mut state.role else {
                drop(state);
                return from.refuse();
            };
            if listening.queue.len() > listening.backlog {
                listening.waiting.push_back(from);
                return;
            }
        }
        let accepted = match from {
            Caller::Inside(from) => from
                .upgrade()
                .and_then(|from| from.join_new(self.settings.inherited())),
            Caller::Outside(arrival) => self.join_arrival(&arrival),
        };
        let Some(accepted) = accepted else {
            return;
        };
        if let Role::Listening(listening) = &mut self.state.lock().role {
            listening.queue.push_back(accepted);
        }
        self.changed.wake_all();
    }

    /// Takes those into the queue who waited for a place there.
    pub(super) fn admit_waiting(&self) {
        loop {
            let next = match &mut self.state.lock().role {
                Role::Listening(listening) if listening.queue.len() <= listening.backlog => {
                    listening.waiting.pop_front()
                }
                _ => None,
            };
            match next {
                None => return,
                Some(from) if from.waits() => self.admit(from),
                Some(_) => {}
            }
        }
    }

    /// Makes the other end of this connection and joins the two.
    fn join_new(&self, settings: Settings) -> Option<Arc<Self>> {
        let me = self.me.upgrade()?;
        let other = Self::with(settings);
        let (local, remote) = {
            let mut state = self.state.lock();
            state.role = Role::Connected { told: false };
            state.peer = Some(Peer::Inside(other.clone()));
            (state.local, state.remote?)
        };
        PORTS.share(&other.me, &other.settings, remote);
        {
            let mut state = other.state.lock();
            state.role = Role::Connected { told: true };
            state.peer = Some(Peer::Inside(me));
            (state.local, state.remote, state.named) = (remote, Some(local), true);
        }
        self.changed.wake_all();
        Some(other)
    }

    /// The connection cannot be had.
    pub(super) fn fail(&self, errno: Errno) {
        {
            let mut state = self.state.lock();
            state.role = Role::Failed;
            state.error = Some(errno);
            state.shut = Shut::all();
        }
        self.changed.wake_all();
    }

    /// Gives up an address that was not asked for; the port stays until another is.
    fn forget_address(&self) {
        let local = {
            let mut state = self.state.lock();
            if state.named {
                return;
            }
            state.local.set_ip(address::any(self.settings.family));
            state.local
        };
        PORTS.move_to(&self.me, local);
    }

    /// Becomes as new, keeping an address that was asked for. A peer is told that it is over.
    pub(super) fn disconnect(&self) {
        let (role, peer) = {
            let mut state = self.state.lock();
            (state.shut, state.error, state.finished) = (Shut::empty(), None, false);
            state.remote = None;
            let unread = state.incoming.len();
            state.incoming.discard(unread);
            state.urgent.taken(usize::MAX);
            take_role(&mut state)
        };
        match peer {
            Some(Peer::Inside(peer)) => {
                peer.state.lock().reset();
                peer.changed.wake_all();
            }
            Some(Peer::Outside(stream)) => stream.reset(Some(Errno::ECONNRESET)),
            None => {}
        }
        refuse_all(role);
        self.forget_address();
        self.changed.wake_all();
    }

    /// Stops listening, as shutdown(2) does it.
    pub(super) fn stop_listening(&self) {
        let (role, _) = take_role(&mut self.state.lock());
        refuse_all(role);
        self.changed.wake_all();
    }

    /// Nobody has it open any more. If `hard`, or if not all was read, the peer finds the connection
    /// broken off.
    pub(super) fn end(&self, hard: bool) {
        let (role, peer, shut, unread, port) = {
            let mut state = self.state.lock();
            state.closed = true;
            let shut = core::mem::replace(&mut state.shut, Shut::all());
            let unread = state.incoming.len();
            state.incoming.discard(unread);
            let (role, peer) = take_role(&mut state);
            (role, peer, shut, unread, state.local.port())
        };
        PORTS.release(&self.me, port);
        let hard = hard || unread > 0;
        match peer {
            Some(Peer::Inside(peer)) => {
                {
                    let mut theirs = peer.state.lock();
                    if hard {
                        theirs.reset();
                    } else {
                        theirs.finish();
                    }
                }
                peer.changed.wake_all();
            }
            Some(Peer::Outside(stream)) => match role {
                Role::Connecting => stream.reset(None),
                Role::Connected { .. } if hard => stream.reset(Some(Errno::ECONNRESET)),
                Role::Connected { .. } => {
                    if !shut.contains(Shut::SEND) {
                        stream.end();
                    }
                    // What still comes is answered by a reset.
                    stream.forget();
                }
                _ => {}
            },
            None => {}
        }
        refuse_all(role);
    }
}

impl Caller {
    /// Whether it still wants to connect.
    fn waits(&self) -> bool {
        match self {
            Self::Inside(end) => end
                .upgrade()
                .is_some_and(|end| matches!(end.state.lock().role, Role::Connecting)),
            Self::Outside(_) => true,
        }
    }

    /// Nobody listens.
    pub(super) fn refuse(self) {
        match self {
            Self::Inside(end) => {
                if let Some(end) = end.upgrade() {
                    end.fail(Errno::ECONNREFUSED);
                }
            }
            Self::Outside(arrival) => arrival.refuse(Errno::ECONNREFUSED),
        }
    }
}

fn is_group(to: SocketAddr) -> bool {
    match to {
        SocketAddr::V4(to) => to.ip().is_multicast() || to.ip().is_broadcast(),
        SocketAddr::V6(to) => to.ip().is_multicast(),
    }
}

fn take_role(state: &mut State) -> (Role, Option<Peer>) {
    let role = core::mem::replace(&mut state.role, Role::Idle);
    (role, state.peer.take())
}

/// Nobody listens any more: connections that were not accepted are broken off, those that wait
/// are refused.
fn refuse_all(role: Role) {
    let Role::Listening(Listening { queue, waiting, .. }) = role else {
        return;
    };
    for end in queue {
        end.end(true);
    }
    for from in waiting {
        if from.waits() {
            from.refuse();
        }
    }
}
