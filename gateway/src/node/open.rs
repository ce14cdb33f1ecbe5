//! Streams that guests ask for, and streams into guests. Every one is made
//! here, if it may be ([`super::route`]).

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::join_all;
use unicell_gateway_api::address::Address;
use unicell_gateway_api::event::What;
use unicell_gateway_api::id::InstanceId;
use unicell_gateway_api::instance::Transport;
use unicell_gateway_api::run::{Carried, Errno, StreamId};
use unicell_gateway_api::token::Verb;
use unicell_gateway_api::{Code, Problem};

use super::authority::About;
use super::route::{No, Route};
use super::{Caller, Gateway, Live, Result, internal};
use crate::net::Member;
use crate::streams::{Broken, Closed, Dispute, End, Ends, Full, Reserved, Via};

/// How long a refusal takes of which nobody is told any more, since there were too many.
const REFUSAL: Duration = Duration::from_millis(4);

impl Gateway {
    /// A guest wants a stream.
    pub(super) async fn open(
        &self,
        live: &Arc<Live>,
        stream: StreamId,
        transport: Transport,
        to: SocketAddr,
    ) {
        let route = self.0.state.lock().route(live.id, transport, to);
        let made = match route {
            Ok(Route::Http) => self.open_http(live).map_err(|error| no(&error)),
            Ok(Route::Names) => self.open_names(live, transport).map_err(|error| no(&error)),
            Ok(Route::Local {
                to: target,
                seen_as,
                via,
            }) => {
                let ends = Ends {
                    from: Some((live.id, stream)),
                    to: Member::Instance(target),
                    port: to.port(),
                    transport,
                    via,
                };
                let from = address(seen_as, to, self.source_port());
                return self.open_far(live, stream, to, ends, from).await;
            }
            Ok(Route::Outside(address)) => {
                let ends = Ends {
                    from: Some((live.id, stream)),
                    to: Member::Endpoint(address, transport),
                    port: address.port(),
                    transport,
                    via: Via::Network,
                };
                return self.open_far(live, stream, to, ends, address).await;
            }
            Err(no) => Err(no),
        };
        self.answer(live, stream, transport, to, made).await;
    }

    /// Makes a stream whose other end takes its time: what the instance tells
    /// else does not wait for it. It counts from now on.
    async fn open_far(
        &self,
        live: &Arc<Live>,
        stream: StreamId,
        to: SocketAddr,
        ends: Ends,
        address: SocketAddr,
    ) {
        let transport = ends.transport;
        let reserved = match self.reserve(ends) {
            Ok(reserved) => reserved,
            Err(no) => return self.answer(live, stream, transport, to, Err(no)).await,
        };
        let (gateway, live) = (self.clone(), Arc::clone(live));
        tokio::spawn(async move {
            let made = match ends.to {
                Member::Instance(_) => gateway.make_local(&reserved, ends, address).await,
                Member::Endpoint(..) => gateway.make_outside(&reserved, &live, ends, address).await,
            };
            let made = made.and_then(|socket| {
                let there = reserved.made();
                there.then_some(socket).ok_or_else(No::withdrawn)
            });
            gateway.answer(&live, stream, transport, to, made).await;
        });
    }

    async fn answer(
        &self,
        live: &Live,
        stream: StreamId,
        transport: Transport,
        to: SocketAddr,
        made: Result<OwnedFd, No>,
    ) {
        if let Err(no) = &made
            && !self.tell_refusal(live, transport, to, no, 1)
        {
            // Who is refused without end waits for it, and with it for all else that it wants of the
            // node.
            tokio::select! {
                () = tokio::time::sleep(REFUSAL) => {}
                () = live.cancel.cancelled() => {}
            }
        }
        if let Some(handle) = live.handle() {
            // Gone means that nobody waits for the answer.
            let _ = handle
                .answer(stream, made.map_err(|No(errno, _)| errno))
                .await;
        }
    }

    /// Streams were refused, the last of so many. Returns whether that is told of, and not just
    /// counted.
    pub(super) fn tell_refusal(
        &self,
        live: &Live,
        transport: Transport,
        to: SocketAddr,
        No(errno, reason): &No,
        times: u32,
    ) -> bool {
        let left_out = live.facts.lock().refusals.tell_of(times, Instant::now());
        let Some(left_out) = left_out else {
            return false;
        };
        let what = What::ConnectRefused {
            transport,
            to,
            errno: errno_name(*errno),
            reason: reason.clone(),
            left_out,
        };
        self.tell(live, what);
        true
    }

    /// A stream is over, says one of its ends.
    pub(super) async fn closed(
        &self,
        live: &Live,
        stream: StreamId,
        broken: bool,
        carried: Carried,
    ) {
        match self.0.streams.closed((live.id, stream), broken, carried) {
            Closed::Nothing => {}
            Closed::Break(other) => self.reset(other).await,
            Closed::Disputed(dispute) => self.disputed(dispute),
        }
    }

    /// The ends of a stream tell of different bytes.
    fn disputed(&self, dispute: Dispute) {
        let Dispute {
            ends: [one, other],
            sent,
            received,
        } = dispute;
        for (id, peer) in [(one, other), (other, one)] {
            let live = self.0.state.lock().live.get(&id).cloned();
            let Some(live) = live else { continue };
            if !std::mem::replace(&mut live.facts.lock().disputed, true) {
                let what = What::StreamDisputed {
                    peer,
                    sent,
                    received,
                };
                self.tell(&live, what);
            }
        }
    }

    /// Breaks streams off: each instance is told before it can see them end.
    pub(super) async fn break_off(&self, broken: Broken) {
        let ends = broken.ends.clone();
        let mut told = pin!(join_all(ends.into_iter().map(|end| self.reset(end))));
        // Who cannot be told at once does not read what the node says, and keeps nobody's
        // streams open by that.
        let at_once = told.as_mut().now_or_never().is_some();
        drop(broken);
        if !at_once {
            told.await;
        }
    }

    /// Breaks a stream off, in the eyes of an instance that has it.
    async fn reset(&self, (id, stream): End) {
        let live = self.0.state.lock().live.get(&id).cloned();
        if let Some(handle) = live.as_ref().and_then(|live| live.handle()) {
            handle.reset(stream).await;
        }
    }

    fn reserve(&self, ends: Ends) -> Result<Reserved, No> {
        let bound = self.config().instance.streams;
        self.0
            .streams
            .reserve(ends, bound)
            .map_err(|full| match full {
                Full::Bound => No(
                    Errno::NOBUFS,
                    format!("one of the ends has {bound} streams, as many as it may have"),
                ),
                Full::Name => No(Errno::INVAL, "it has a stream of that number".to_owned()),
            })
    }

    /// A stream to an instance on this node: the other end, for whoever asked.
    async fn make_local(
        &self,
        reserved: &Reserved,
        ends: Ends,
        from: SocketAddr,
    ) -> Result<OwnedFd, No> {
        let (ours, theirs) = reserved.pair(ends).map_err(|error| no(&error))?;
        self.deliver(reserved, ends, from, theirs).await?;
        Ok(ours)
    }

    /// Brings one end of a stream into a guest, and keeps a duplicate of it.
    async fn deliver(
        &self,
        reserved: &Reserved,
        ends: Ends,
        from: SocketAddr,
        socket: OwnedFd,
    ) -> Result<(), No> {
        let Member::Instance(to) = ends.to else {
            return Err(No::unreachable("it is outside"));
        };
        let live = self.0.state.lock().live.get(&to).cloned();
        let handle = live.as_ref().and_then(|live| live.handle());
        let handle = handle.ok_or_else(|| No::refused(format!("instance {to} does not run")))?;
        self.duplicate(reserved, ends, &socket)?;
        let arriving = handle.incoming(ends.port, ends.transport, from, socket);
        let arrived = tokio::time::timeout(self.config().instance.connect, arriving).await;
        let stream = arrived
            .map_err(|_| No(Errno::TIMEDOUT, format!("instance {to} does not take it")))?
            .map_err(|errno| No(errno, format!("instance {to} does not listen there")))?;
        if reserved.arrived((to, stream)) {
            return Ok(());
        }
        handle.reset(stream).await;
        Err(No::withdrawn())
    }

    /// Keeps a duplicate of a stream's end; then asks again whether the stream
    /// may be. What is withdrawn from now on finds the duplicate.
    fn duplicate(&self, reserved: &Reserved, ends: Ends, socket: &OwnedFd) -> Result<(), No> {
        reserved.duplicate(socket).map_err(|error| no(&error))?;
        if self.0.state.lock().still(&ends) {
            Ok(())
        } else {
            Err(No::withdrawn())
        }
    }

    async fn make_outside(
        &self,
        reserved: &Reserved,
        live: &Live,
        ends: Ends,
        address: SocketAddr,
    ) -> Result<OwnedFd, No> {
        let connecting = connect(ends.transport, address);
        let connected = tokio::select! {
            connected = tokio::time::timeout(self.config().instance.connect, connecting) => connected,
            () = live.cancel.cancelled() => return Err(No::refused("the instance has ended")),
        };
        let timed_out = |_| {
            No(
                Errno::TIMEDOUT,
                "the member outside did not answer".to_owned(),
            )
        };
        let socket = connected.map_err(timed_out)?.map_err(|error| no(&error))?;
        self.duplicate(reserved, ends, &socket)?;
        Ok(socket)
    }

    /// A stream into a slot from outside the guests: a socket that the process
    /// is given as it is.
    pub(super) async fn enter(
        &self,
        id: InstanceId,
        port: u16,
        transport: Transport,
        socket: Option<OwnedFd>,
    ) -> Result<Option<OwnedFd>, Problem> {
        let ends = Ends {
            from: None,
            to: Member::Instance(id),
            port,
            transport,
            via: Via::Outside,
        };
        let from = SocketAddr::new(Address::Gateway.v4().into(), self.source_port());
        let entered = async {
            let reserved = self.reserve(ends)?;
            let ours = match socket {
                Some(socket) => {
                    self.deliver(&reserved, ends, from, socket).await?;
                    None
                }
                None => Some(self.make_local(&reserved, ends, from).await?),
            };
            if reserved.made() {
                Ok(ours)
            } else {
                Err(No::withdrawn())
            }
        };
        entered.await.map_err(|No(errno, reason)| {
            let limit = errno == Errno::NOBUFS;
            Problem::new(
                if limit {
                    Code::LimitReached
                } else {
                    Code::Conflict
                },
                reason,
            )
        })
    }

    /// The verb `connect`: a stream to a slot of an instance that the caller
    /// may reach. The node carries what goes through it.
    ///
    /// # Errors
    ///
    /// The caller may not, or the instance has no such slot or does not run.
    pub async fn connect(
        &self,
        caller: &Caller,
        id: InstanceId,
        port: u16,
        transport: Transport,
    ) -> Result<Tunnel> {
        let live = {
            let state = self.0.state.lock();
            let slot = Some((port, transport));
            state.target(
                caller,
                Verb::Connect,
                id,
                About {
                    slot,
                    network: None,
                },
            )?;
            let no = |No(_, reason)| Problem::new(Code::Conflict, reason);
            state.slot(id, transport, port).map_err(no)?;
            state.live.get(&id).cloned()
        };
        let live = live.ok_or_else(|| internal("a running instance is not there"))?;
        let stream = self.enter(id, port, transport, None).await?;
        Ok(Tunnel {
            stream: stream.ok_or_else(|| internal("a stream has no end of ours"))?,
            relayed: Arc::clone(&live.relayed),
        })
    }
}

/// A stream to a slot that the node carries.
#[derive(Debug)]
pub struct Tunnel {
    /// The node's end: `SOCK_STREAM` for TCP, `SOCK_SEQPACKET` for UDP.
    pub stream: OwnedFd,
    pub(crate) relayed: Arc<std::sync::atomic::AtomicU64>,
}

/// An address with a port, in the family that the other one has.
fn address(address: Address, like: SocketAddr, port: u16) -> SocketAddr {
    match like {
        SocketAddr::V4(_) => SocketAddr::new(address.v4().into(), port),
        SocketAddr::V6(like) if like.ip().to_ipv4_mapped().is_some() => {
            SocketAddr::new(address.v4().into(), port)
        }
        SocketAddr::V6(_) => SocketAddr::new(address.v6().into(), port),
    }
}

async fn connect(transport: Transport, address: SocketAddr) -> io::Result<OwnedFd> {
    match transport {
        Transport::Tcp => {
            let stream = tokio::net::TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(stream.into_std()?.into())
        }
        Transport::Udp => {
            let any: SocketAddr = match address {
                SocketAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let socket = tokio::net::UdpSocket::bind(any).await?;
            socket.connect(address).await?;
            Ok(socket.into_std()?.into())
        }
    }
}

/// A failure of the host, as a guest is told.
fn no(error: &io::Error) -> No {
    let errno = error
        .raw_os_error()
        .map_or(Errno::NOBUFS, Errno::from_raw_os_error);
    No(errno, error.to_string())
}

/// The names of those that are told most.
fn errno_name(errno: Errno) -> String {
    match errno {
        Errno::NETUNREACH => "ENETUNREACH".to_owned(),
        Errno::CONNREFUSED => "ECONNREFUSED".to_owned(),
        Errno::HOSTUNREACH => "EHOSTUNREACH".to_owned(),
        Errno::TIMEDOUT => "ETIMEDOUT".to_owned(),
        Errno::NOBUFS => "ENOBUFS".to_owned(),
        other => format!("errno {}", other.raw_os_error()),
    }
}
