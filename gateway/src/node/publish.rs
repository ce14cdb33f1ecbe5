//! Slots on ports of the host. A connection that comes in is given to the
//! instance's process as it is: the node carries none of its bytes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::net::TcpListener;
use unicell_gateway_api::event::What;
use unicell_gateway_api::instance::{Publish, Transport};
use unicell_gateway_api::{Code, Problem};

use super::{Gateway, Live, Phase, Result};

/// A slot on a port of the host.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) slot: u16,
    pub(super) transport: Transport,
    pub(super) host: SocketAddr,
    /// Taken when somebody is there to accept.
    listener: Mutex<Option<TcpListener>>,
}

/// How long is waited when the host cannot accept: it has no descriptors left,
/// and one will be closed.
const BREATH: Duration = Duration::from_millis(50);

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
        let listener = TcpListener::bind(publish.host).await.map_err(failed)?;
        published.push(Published {
            slot: publish.slot,
            transport: publish.transport,
            host: listener.local_addr().map_err(failed)?,
            listener: Mutex::new(Some(listener)),
        });
    }
    Ok(published)
}

impl Gateway {
    /// Accepts on the ports of an instance until its end.
    pub(super) fn listen(&self, live: &Arc<Live>) {
        for published in &live.published {
            let Some(listener) = published.listener.lock().take() else {
                continue;
            };
            let what = What::Published {
                slot: published.slot,
                transport: published.transport,
                host: published.host,
            };
            self.tell(live, what);
            let (gateway, live, slot) = (self.clone(), Arc::clone(live), published.slot);
            tokio::spawn(async move {
                let cancel = live.cancel.clone();
                tokio::select! {
                    () = gateway.accept(&live, &listener, slot) => {}
                    () = cancel.cancelled() => {}
                }
            });
        }
    }

    async fn accept(&self, live: &Arc<Live>, listener: &TcpListener, slot: u16) {
        // Who connects before the program runs waits.
        let mut phase = live.phase.subscribe();
        let _ = phase.wait_for(|phase| *phase != Phase::Starting).await;
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
