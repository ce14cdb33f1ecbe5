//! Exchanges of datagrams with the outside: one stream of the device for each socket and peer.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::end::{End, PORTS};
use crate::device::stream::{self, Arrival, Receiver, Stream};
use crate::errno::{Errno, Result};
use crate::io::Source;
use crate::net::outside;

/// Peers that a socket has at once; of more, the one that was silent longest is forgotten.
const FLOWS_MAX: usize = 512;
/// Datagrams that wait until the other side has been found; more are lost.
const WAITING_MAX: usize = 64;
/// Bytes that may be on their way to the guest: at least two datagrams of the largest size.
const WINDOW_MIN: u32 = 128 << 10;

/// One of them.
struct Flow {
    stream: Arc<Stream>,
    /// Whether the other side has been found.
    open: bool,
    waiting: Vec<Vec<u8>>,
    used: u64,
}

/// Those of a socket.
#[derive(Default)]
pub(super) struct Flows {
    all: BTreeMap<SocketAddr, Flow>,
    uses: u64,
}

impl Flows {
    fn touch(&mut self, remote: SocketAddr) -> Option<&mut Flow> {
        self.uses += 1;
        let flow = self.all.get_mut(&remote)?;
        flow.used = self.uses;
        Some(flow)
    }

    fn insert(&mut self, remote: SocketAddr, stream: Arc<Stream>, open: bool) {
        if self.all.len() >= FLOWS_MAX {
            let oldest = self.all.iter().min_by_key(|(_, flow)| flow.used);
            if let Some(remote) = oldest.map(|(remote, _)| *remote)
                && let Some(flow) = self.all.remove(&remote)
            {
                flow.stream.reset(None);
            }
        }
        self.uses += 1;
        let flow = Flow {
            stream,
            open,
            waiting: Vec::new(),
            used: self.uses,
        };
        self.all.insert(remote, flow);
    }

    /// The socket is closed.
    pub(super) fn end(self) {
        for flow in self.all.into_values() {
            flow.stream.reset(None);
        }
    }
}

/// What is told of a flow.
struct Ear {
    end: Weak<End>,
    remote: SocketAddr,
}

impl Receiver for Ear {
    fn credit(&self, bytes: u32) {
        let Some(end) = self.end.upgrade() else {
            return;
        };
        let (stream, waiting) = {
            let mut state = end.state.lock();
            state.starved = false;
            let Some(flow) = state.flows.all.get_mut(&self.remote) else {
                return;
            };
            flow.open |= bytes > 0;
            flow.stream.add_credit(bytes);
            let waiting = if flow.open {
                core::mem::take(&mut flow.waiting)
            } else {
                Vec::new()
            };
            (flow.stream.clone(), waiting)
        };
        for datagram in waiting {
            // What finds no room now is lost, as anything may be.
            let _ = stream.send_datagram(&datagram);
        }
        end.changed.wake_all();
    }

    fn data(&self, bytes: &mut Vec<u8>) {
        let Some(end) = self.end.upgrade() else {
            return;
        };
        let stream = {
            let mut state = end.state.lock();
            let flow = state.flows.touch(self.remote);
            flow.map(|flow| flow.stream.clone())
        };
        end.arrive_from_outside(self.remote, bytes);
        if let Some(stream) = stream {
            stream.taken(bytes.len());
        }
    }

    fn ended(&self) {}

    fn reset(&self, errno: Option<Errno>) {
        let Some(end) = self.end.upgrade() else {
            return;
        };
        {
            let mut state = end.state.lock();
            state.flows.all.remove(&self.remote);
            state.starved = false;
            if state.remote == Some(self.remote) && errno.is_some() {
                state.error = errno;
            }
        }
        end.changed.wake_all();
    }
}

impl End {
    fn ear(&self, remote: SocketAddr) -> Arc<Ear> {
        let end = self.me.clone();
        Arc::new(Ear { end, remote })
    }

    /// Sends a datagram to the outside.
    pub(super) fn send_outside(
        &self,
        own_port: u16,
        to: SocketAddr,
        source: &mut Source<'_>,
    ) -> Result<usize> {
        let known = self.state.lock().flows.touch(to).is_some();
        if !known {
            outside::check(false, own_port, to)?;
            let window = outside::window().max(WINDOW_MIN);
            let stream = stream::connect(self.ear(to), false, own_port, to, window)?;
            self.state.lock().flows.insert(to, stream, false);
        }
        let len = source.remaining();
        let datagram = source.clone().read_all()?;
        let stream = {
            let mut state = self.state.lock();
            match state.flows.touch(to) {
                Some(flow) if flow.open => flow.stream.clone(),
                Some(flow) => {
                    if flow.waiting.len() < WAITING_MAX {
                        flow.waiting.push(datagram);
                    }
                    source.skip(len);
                    return Ok(len);
                }
                None => return Err(Errno::EAGAIN),
            }
        };
        let sent = stream.send_datagram(&datagram);
        self.state.lock().starved = sent == Err(Errno::EAGAIN);
        sent?;
        source.skip(len);
        Ok(len)
    }

    /// Takes an exchange that begins outside.
    fn accept_flow(&self, arrival: &Arrival) {
        let window = outside::window().max(WINDOW_MIN);
        match arrival.accept(self.ear(arrival.from), window) {
            Ok(stream) => self.state.lock().flows.insert(arrival.from, stream, true),
            Err(errno) => arrival.refuse(errno),
        }
    }
}

/// Somebody sends datagrams from outside to an address of this guest.
pub fn arrive(local: SocketAddr, arrival: &Arrival) {
    match PORTS.find(local, |end| end.score(arrival.from)) {
        Some(end) => end.accept_flow(arrival),
        None => arrival.refuse(Errno::ECONNREFUSED),
    }
}
