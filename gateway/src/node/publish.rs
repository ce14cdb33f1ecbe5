//! Slots on ports of the host. A connection that comes in is given to the
//! instance's process as it is: the node carries none of its bytes. Datagrams
//! are in `datagrams`.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::{TcpListener, UdpSocket};
use unicell_gateway_api::event::What;
use unicell_gateway_api::instance::{Publish, Transport};
use unicell_gateway_api::{Code, Problem};

use super::datagrams::Port;
use super::{Gateway, Live, Phase, Result};

/// A slot on a port of the host.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) slot: u16,
    pub(super) transport: Transport,
    pub(super) host: SocketAddr,
    /// Taken when somebody is there to accept.
    socket: Mutex<Option<Socket>>,
}

/// What has a port of the host.
#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Udp(UdpSocket),
}

impl Socket {
    async fn bind(transport: Transport, to: SocketAddr) -> io::Result<(Self, SocketAddr)> {
        Ok(match transport {
            Transport::Tcp => {
                let listener = TcpListener::bind(to).await?;
                let host = listener.local_addr()?;
                (Self::Tcp(listener), host)
            }
            Transport::Udp => {
                let socket = UdpSocket::bind(to).await?;
                let host = socket.local_addr()?;
                (Self::Udp(socket), host)
            }
        })
    }
}

impl Published {
    /// Gives the port up, if nobody came to accept on it.
    pub(super) fn release(&self) {
        drop(self.socket.lock().take());
    }
}

/// How long is waited when the host cannot accept: it has no descriptors left,
/// and one will be closed.
pub(super) const BREATH: Duration = Duration::from_millis(50);

/// Takes ports of the host.
pub(super) async fn bind(wanted: &[Publish]) -> Result<Vec<Published>> {
    let mut published = Vec::with_capacity(wanted.len());
    for publish in wanted {
        let failed = |error: std::io::Error| {
            let detail = format!(
                "publish: slot {} at {}: {error}",
                publish.slot, publish.host
            );
            Problem::new(Code::Conflict, detail)
        };
        let (socket, host) = Socket::bind(publish.transport, publish.host)
            .await
            .map_err(failed)?;
        published.push(Published {
            slot: publish.slot,
            transport: publish.transport,
            host,
            socket: Mutex::new(Some(socket)),
        });
    }
    Ok(published)
}

impl Gateway {
    /// Accepts on the ports of an instance until its end.
    pub(super) fn listen(&self, live: &Arc<Live>) {
        for published in &live.published {
            let Some(socket) = published.socket.lock().take() else {
                continue;
            };
            let what = What::Published {
                slot: published.slot,
                transport: published.transport,
                host: published.host,
            };
            self.tell(live, what);
            let ports = live.ports.clone();
            let (gateway, live, slot) = (self.clone(), Arc::clone(live), published.slot);
            ports.spawn(async move {
                let cancel = live.cancel.clone();
                tokio::select! {
                    () = gateway.take(&live, socket, slot) => {}
                    () = cancel.cancelled() => {}
                }
            });
        }
    }

    /// Takes what comes at a port.
    async fn take(&self, live: &Arc<Live>, socket: Socket, slot: u16) {
        // Who comes before the program runs waits.
        let mut phase = live.phase.subscribe();
        let _ = phase.wait_for(|phase| *phase != Phase::Starting).await;
        match socket {
            Socket::Tcp(listener) => self.accept(live, &listener, slot).await,
            Socket::Udp(socket) => Arc::new(Port::new(self, live, slot, socket)).serve().await,
        }
    }

    async fn accept(&self, live: &Arc<Live>, listener: &TcpListener, slot: u16) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(BREATH).await;
                continue;
            };
            let (gateway, id) = (self.clone(), live.id);
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                let Ok(socket) = stream.into_std() else {
                    return;
                };
                // Refused means that the socket is closed: the other side sees that.
                let entered = gateway
                    .enter(id, slot, Transport::Tcp, Some(socket.into()))
                    .await;
                if let Err(problem) = entered {
                    tracing::debug!(%id, slot, %problem, "a connection from outside was not taken");
                }
            });
        }
    }
}
