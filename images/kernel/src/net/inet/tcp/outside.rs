//! An end that is connected to the outside: what the stream tells it, and how one comes to be.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::end::{End, PORTS};
use super::state::{Caller, Peer, Role};
use crate::device::stream::{self, Arrival, Receiver, Stream};
use crate::errno::Errno;
use crate::net::{Shut, outside};

impl Receiver for End {
    fn credit(&self, bytes: u32) {
        {
            let mut state = self.state.lock();
            if let Some(Peer::Outside(stream)) = &state.peer {
                stream.add_credit(bytes);
            }
            if matches!(state.role, Role::Connecting) && bytes > 0 {
                state.role = Role::Connected { told: false };
            }
            state.starved = false;
        }
        self.changed.wake_all();
    }

    fn data(&self, bytes: &mut Vec<u8>) {
        self.state.lock().incoming.put_piece(bytes);
        self.changed.wake_all();
    }

    fn ended(&self) {
        let stream = {
            let mut state = self.state.lock();
            let both = state.shut.contains(Shut::SEND);
            state.finish();
            state.peer.clone().filter(|_| both)
        };
        if let Some(Peer::Outside(stream)) = stream {
            stream.forget();
        }
        self.changed.wake_all();
    }

    fn reset(&self, errno: Option<Errno>) {
        let errno = errno.unwrap_or(Errno::ECONNRESET);
        let refused = {
            let mut state = self.state.lock();
            state.reset_with(errno);
            matches!(state.role, Role::Connecting)
        };
        if refused {
            self.fail(errno);
        }
        self.changed.wake_all();
    }
}

impl End {
    /// Asks for a connection to the outside; the answer comes later.
    pub(super) fn connect_outside(&self, own_port: u16, to: SocketAddr) {
        let Some(me) = self.me.upgrade() else {
            return;
        };
        match stream::connect(me, true, own_port, to, outside::window()) {
            Ok(stream) => self.state.lock().peer = Some(Peer::Outside(stream)),
            Err(errno) => self.fail(errno),
        }
    }

    /// Tells the other side that nothing more will come, once it has not.
    pub(super) fn end_stream(&self, stream: &Stream) {
        stream.end();
        if self.state.lock().finished {
            stream.forget();
        }
    }

    /// Makes the end of a connection that comes from outside to this socket, which listens.
    pub(super) fn join_arrival(&self, arrival: &Arrival) -> Option<Arc<Self>> {
        let ip = outside::own(arrival.from.ip())?;
        let end = Self::with(self.settings.inherited());
        let local = SocketAddr::new(ip, arrival.port);
        let stream = match arrival.accept(end.clone(), outside::window()) {
            Ok(stream) => stream,
            Err(errno) => {
                arrival.refuse(errno);
                return None;
            }
        };
        PORTS.share(&end.me, &end.settings, local);
        {
            let mut state = end.state.lock();
            state.role = Role::Connected { told: true };
            state.peer = Some(Peer::Outside(stream));
            (state.local, state.remote, state.named) = (local, Some(arrival.from), true);
        }
        Some(end)
    }
}

/// Somebody connects from outside to an address of this guest.
pub fn arrive(local: SocketAddr, arrival: Arrival) {
    match PORTS.find(local, |end| end.listens().then_some(0)) {
        Some(listener) => listener.admit(Caller::Outside(arrival)),
        None => arrival.refuse(Errno::ECONNREFUSED),
    }
}
