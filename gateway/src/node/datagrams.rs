//! Slots of UDP on ports of the host. The host has one socket for all clients,
//! a guest has a flow for each of them: so the node carries these datagrams,
//! and counts their bytes as relayed.
//!
//! Invariants: a client has at most one flow. Of flows there is a bound, and
//! where it is reached the one that was idle for longest gives way, so that
//! clients that exist go before those that a stranger makes up. A flow ends
//! when it was idle for long, when the guest ends it, and with the instance.
//! What has no room anywhere is lost, as datagrams are.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use rustix::net::{RecvFlags, SendFlags, Shutdown};
use tokio::io::Interest;
use tokio::net::{UdpSocket, UnixStream};
use tokio::time::{Instant, timeout_at};
use unicell_gateway_api::instance::Transport;

use super::{Gateway, Live};
use crate::streams::pair;

/// More than any datagram has: one that is cut is refused by the host.
const BUFFER: usize = 64 << 10;

/// A port of the host that is a slot.
pub(super) struct Port {
    gateway: Gateway,
    live: Arc<Live>,
    slot: u16,
    host: UdpSocket,
    flows: Mutex<HashMap<SocketAddr, Arc<Flow>>>,
    /// For answers, one at a time.
    buffer: Mutex<Vec<u8>>,
}

/// What a client sends and is sent.
struct Flow {
    /// The node's end of a pair for messages. Only waited for through this
    /// type, which knows nothing of messages.
    messages: UnixStream,
    active: Mutex<Instant>,
}

impl Flow {
    fn touch(&self) {
        *self.active.lock() = Instant::now();
    }

    /// Ends it for both sides, whatever they wait for.
    fn end(&self) {
        // One that the guest has ended needs none.
        let _ = rustix::net::shutdown(&self.messages, Shutdown::Both);
    }

    /// Passes a datagram on, if there is room.
    fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        Ok(rustix::net::send(&self.messages, datagram, flags)?)
    }
}

impl Port {
    pub(super) fn new(gateway: &Gateway, live: &Arc<Live>, slot: u16, host: UdpSocket) -> Self {
        Self {
            gateway: gateway.clone(),
            live: Arc::clone(live),
            slot,
            host,
            flows: Mutex::default(),
            buffer: Mutex::new(vec![0; BUFFER]),
        }
    }

    /// Takes datagrams of clients, until it is dropped.
    pub(super) async fn serve(self: Arc<Self>) {
        let mut datagram = vec![0; BUFFER];
        loop {
            let Ok((len, client)) = self.host.recv_from(&mut datagram).await else {
                tokio::time::sleep(super::publish::BREATH).await;
                continue;
            };
            let Ok(flow) = self.flow(client) else {
                continue;
            };
            // Before it is there: who has it may ask what was carried.
            self.count(len);
            if flow.send(&datagram[..len]).is_ok() {
                flow.touch();
            }
        }
    }

    fn count(&self, bytes: usize) {
        self.live.relayed.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The flow of a client; a new one if it has none.
    fn flow(self: &Arc<Self>, client: SocketAddr) -> io::Result<Arc<Flow>> {
        let mut flows = self.flows.lock();
        if let Some(flow) = flows.get(&client) {
            return Ok(Arc::clone(flow));
        }
        if flows.len() >= self.gateway.config().instance.clients {
            let oldest = flows.iter().min_by_key(|(_, flow)| *flow.active.lock());
            if let Some(oldest) = oldest.map(|(client, _)| *client)
                && let Some(flow) = flows.remove(&oldest)
            {
                flow.end();
            }
        }
        let (ours, theirs) = pair(Transport::Udp)?;
        let flow = Arc::new(Flow {
            messages: UnixStream::from_std(ours.into())?,
            active: Mutex::new(Instant::now()),
        });
        flows.insert(client, Arc::clone(&flow));
        let (port, ours) = (Arc::clone(self), Arc::clone(&flow));
        self.live.ports.spawn(async move {
            let cancel = port.live.cancel.clone();
            tokio::select! {
                () = port.carry(client, &ours, theirs) => {}
                () = cancel.cancelled() => {}
            }
            // In this order: who has seen the end is answered by a new flow.
            port.forget(client, &ours);
            ours.end();
        });
        Ok(flow)
    }

    /// Brings a flow to the guest, and its answers to the client.
    async fn carry(&self, client: SocketAddr, flow: &Flow, theirs: OwnedFd) {
        let entered = self
            .gateway
            .enter(self.live.id, self.slot, Transport::Udp, Some(theirs))
            .await;
        if let Err(problem) = entered {
            let (id, slot) = (self.live.id, self.slot);
            tracing::debug!(%id, slot, %problem, "datagrams from outside were not taken");
            return;
        }
        let idle = self.gateway.config().instance.client_idle;
        loop {
            let until = *flow.active.lock() + idle;
            match timeout_at(until, flow.messages.readable()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return,
                Err(_) if *flow.active.lock() + idle <= Instant::now() => return,
                Err(_) => continue,
            }
            match self.answer(client, flow) {
                Ok(true) => flow.touch(),
                Ok(false) => return,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    /// Passes one answer on. Says whether the guest can answer more.
    fn answer(&self, client: SocketAddr, flow: &Flow) -> io::Result<bool> {
        let mut buffer = self.buffer.lock();
        let len = flow.messages.try_io(Interest::READABLE, || {
            let received = rustix::net::recv(&flow.messages, &mut buffer[..], RecvFlags::DONTWAIT);
            Ok(received?.0)
        })?;
        if len == 0 && has_hung_up(flow) {
            return Ok(false);
        }
        // As above. What has no room is lost.
        self.count(len);
        let _ = self.host.try_send_to(&buffer[..len], client);
        Ok(true)
    }

    fn forget(&self, client: SocketAddr, flow: &Arc<Flow>) {
        let mut flows = self.flows.lock();
        if flows.get(&client).is_some_and(|now| Arc::ptr_eq(now, flow)) {
            flows.remove(&client);
        }
    }
}

/// Whether the other end is closed, since an empty message is read like an end.
fn has_hung_up(flow: &Flow) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(&flow.messages, PollFlags::RDHUP)];
    let ends = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
    // What cannot be asked is of no use.
    poll(&mut fds, Some(&Timespec::default())).map_or(true, |_| fds[0].revents().intersects(ends))
}
