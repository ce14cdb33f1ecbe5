//! What the node itself serves to a guest: the API, and names.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use unicell_gateway_api::address::{Address, GATEWAY, PARENT};
use unicell_gateway_api::id::InstanceId;
use unicell_gateway_api::instance::Transport;

use super::{Gateway, Live, State};
use crate::http::{self, Door};
use crate::names::{Lookup, MAX_QUERY, answer};
use crate::relay::Counted;
use crate::streams::pair;

impl Gateway {
    /// A stream to the API: the guest's end.
    pub(super) fn open_http(&self, live: &Arc<Live>) -> io::Result<OwnedFd> {
        let permit = room(live)?;
        let (ours, theirs) = pair(Transport::Tcp)?;
        let stream = Counted::new(unix(ours)?, Arc::clone(&live.relayed));
        let (gateway, live) = (self.clone(), Arc::clone(live));
        tokio::spawn(async move {
            let _permit = permit;
            tokio::select! {
                () = http::serve(&gateway, stream, Door::Guest(live.id)) => {}
                () = live.cancel.cancelled() => {}
            }
        });
        Ok(theirs)
    }

    /// A stream to the names: the guest's end.
    pub(super) fn open_names(&self, live: &Arc<Live>, transport: Transport) -> io::Result<OwnedFd> {
        let permit = room(live)?;
        let (ours, theirs) = pair(transport)?;
        let (gateway, live) = (self.clone(), Arc::clone(live));
        let serving = match transport {
            Transport::Udp => {
                // Any stream socket can be waited for through this type; bytes are
                // not read through it, since it knows nothing of messages.
                let messages = unix(ours)?;
                tokio::spawn(async move {
                    let _permit = permit;
                    let served = gateway.names_by_message(&live, &messages);
                    tokio::select! {
                        _ = served => {}
                        () = live.cancel.cancelled() => {}
                    }
                })
            }
            Transport::Tcp => {
                let stream = unix(ours)?;
                tokio::spawn(async move {
                    let _permit = permit;
                    let served = gateway.names_by_stream(&live, stream);
                    tokio::select! {
                        _ = served => {}
                        () = live.cancel.cancelled() => {}
                    }
                })
            }
        };
        drop(serving);
        Ok(theirs)
    }

    async fn names_by_message(&self, live: &Live, messages: &UnixStream) -> io::Result<()> {
        let mut query = [0; MAX_QUERY];
        loop {
            let idle = self.config().instance.idle;
            let receiving = messages.async_io(tokio::io::Interest::READABLE, || {
                Ok(rustix::net::recv(
                    messages.as_fd(),
                    &mut query[..],
                    rustix::net::RecvFlags::empty(),
                )?
                .0)
            });
            let received = tokio::time::timeout(idle, receiving).await??;
            // The other end is closed, or sent an empty message: nothing to answer either way.
            if received == 0 {
                return Ok(());
            }
            live.relayed.fetch_add(received as u64, Ordering::Relaxed);
            let Some(answer) = self.answer_query(live.id, &query[..received]) else {
                continue;
            };
            live.relayed
                .fetch_add(answer.len() as u64, Ordering::Relaxed);
            let sending = messages.async_io(tokio::io::Interest::WRITABLE, || {
                let flags = rustix::net::SendFlags::NOSIGNAL;
                Ok(rustix::net::send(messages.as_fd(), &answer, flags)?)
            });
            tokio::time::timeout(idle, sending).await??;
        }
    }

    /// Over TCP each message has its length before it (RFC 1035, 4.2.2).
    async fn names_by_stream(&self, live: &Live, mut stream: UnixStream) -> io::Result<()> {
        let mut query = [0; MAX_QUERY];
        loop {
            let idle = self.config().instance.idle;
            let exchange = async {
                let len = usize::from(stream.read_u16().await?);
                let query = query.get_mut(..len).ok_or(io::ErrorKind::InvalidData)?;
                stream.read_exact(query).await?;
                let answer = self
                    .answer_query(live.id, query)
                    .ok_or(io::ErrorKind::InvalidData)?;
                let length = u16::try_from(answer.len()).map_err(|_| io::ErrorKind::InvalidData)?;
                stream.write_u16(length).await?;
                stream.write_all(&answer).await?;
                let carried = (query.len() + answer.len() + 4) as u64;
                live.relayed.fetch_add(carried, Ordering::Relaxed);
                io::Result::Ok(())
            };
            tokio::time::timeout(idle, exchange).await??;
        }
    }

    fn answer_query(&self, id: InstanceId, query: &[u8]) -> Option<Vec<u8>> {
        answer(query, |name| self.0.state.lock().look_up(id, name))
    }
}

impl State {
    /// Who has a name, as an instance sees it.
    fn look_up(&mut self, id: InstanceId, name: &str) -> Lookup {
        let known = |addresses: &[Address]| {
            let both = |address: &Address| [IpAddr::V4(address.v4()), IpAddr::V6(address.v6())];
            Lookup::Known(addresses.iter().flat_map(both).collect())
        };
        let Some(entry) = self.tree.get(id) else {
            return Lookup::Unknown;
        };
        if name == GATEWAY {
            return known(&[Address::Gateway]);
        }
        if name == PARENT && entry.parent().is_some() {
            return known(&[Address::Parent]);
        }
        if name == entry.name {
            return known(&[Address::Own]);
        }
        let mut children = entry
            .children
            .values()
            .filter_map(|child| self.tree.get(*child));
        if let Some(child) = children.find(|child| child.name == name) {
            return known(&[Address::Child(child.number)]);
        }
        // A network that it declares exists, though it may have no member.
        self.member_addresses(id, name)
            .map_or(Lookup::Unknown, |members| known(&members))
    }
}

fn room(live: &Live) -> io::Result<tokio::sync::OwnedSemaphorePermit> {
    let full = |_| io::Error::from_raw_os_error(rustix::io::Errno::NOBUFS.raw_os_error());
    Arc::clone(&live.gateway_streams)
        .try_acquire_owned()
        .map_err(full)
}

fn unix(end: OwnedFd) -> io::Result<UnixStream> {
    UnixStream::from_std(end.into())
}

/// How much the node carried for an instance.
pub(super) fn relayed(live: &Live) -> u64 {
    AtomicU64::load(&live.relayed, Ordering::Relaxed)
}
