//! The API over HTTP/1.1, the same for everyone: the operator on a Unix
//! socket, clients on TCP, services inside their guests. What differs is the
//! [`Door`], which says how a caller shows who it is.
//!
//! Routes and the OpenAPI document come from the same declarations
//! ([`document`]), so neither can have what the other lacks.

mod body;
mod caller;
mod document;
mod failure;
mod instances;
mod line;
mod metrics;
mod networks;
mod nodes;
mod receipts;
mod services;
mod streaming;
mod tokens;
mod tunnel;

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use unicell_gateway_api::id::InstanceId;
use unicell_gateway_api::{Code, Problem};

pub use document::document;
use failure::{Failure, Refused};
use line::Line;

use crate::node::Gateway;

/// How a connection came to the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The operator's Unix socket: who may open it is the operator.
    Operator,
    /// TCP: a token in `Authorization: Bearer`.
    Client,
    /// A guest's stream to its gateway: a token in `Unicell-Token`.
    Guest(InstanceId),
}

/// Most bytes of a request's head.
const MAX_HEAD: usize = 64 << 10;
/// Most connections at one listener.
const MAX_CONNECTIONS: usize = 1024;
/// How long is waited when the host cannot accept a connection.
const BREATH: Duration = Duration::from_millis(50);

/// Serves one connection until it ends.
pub async fn serve(
    gateway: &Gateway,
    stream: impl AsyncRead + AsyncWrite + AsFd + Send + Unpin + 'static,
    door: Door,
) {
    let line = match Line::of(&stream) {
        Ok(line) => line,
        Err(error) => {
            tracing::debug!(?door, %error, "a connection is not served");
            return;
        }
    };
    let router = document::router().with_state(gateway.clone());
    let router = router.layer(middleware::from_fn_with_state(gateway.clone(), in_time));
    let router = router.layer(middleware::from_fn_with_state(gateway.clone(), told));
    let rest = line.clone();
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(door);
        request.extensions_mut().insert(line.clone());
        let request = request.map(|body| axum::body::Body::new(line.body(body)));
        router.clone().oneshot(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(gateway.config().api.head)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!(?door, %error, "a connection ended");
    }
    rest.drain(gateway.config().api.head).await;
}

/// Serves the operator on a Unix socket, until `until`. Who can open the socket
/// may do everything: its file's mode is the caller's to set.
pub async fn listen_unix(gateway: Gateway, listener: UnixListener, until: CancellationToken) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = until.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => admit(&gateway, stream, Door::Operator, &room, &until),
            Err(_) => tokio::time::sleep(BREATH).await,
        }
    }
}

/// Serves clients on TCP, until `until`. The address must be of the loopback:
/// tokens go over it in clear.
pub async fn listen_tcp(gateway: Gateway, listener: TcpListener, until: CancellationToken) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = until.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                // Only slower without.
                let _ = stream.set_nodelay(true);
                admit(&gateway, stream, Door::Client, &room, &until);
            }
            Err(_) => tokio::time::sleep(BREATH).await,
        }
    }
}

fn admit(
    gateway: &Gateway,
    stream: impl AsyncRead + AsyncWrite + AsFd + Send + Unpin + 'static,
    door: Door,
    room: &Arc<Semaphore>,
    until: &CancellationToken,
) {
    // One too many is closed at once.
    if let Ok(permit) = Arc::clone(room).try_acquire_owned() {
        let (gateway, until) = (gateway.clone(), until.clone());
        tokio::spawn(async move {
            let _permit = permit;
            tokio::select! {
                () = serve(&gateway, stream, door) => {}
                () = until.cancelled() => {}
            }
        });
    }
}

/// Tells of calls that were refused for who made them.
async fn told(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    let door = request.extensions().get::<Door>().copied();
    let shown = door.and_then(|door| caller::shown(request.headers(), door));
    let call = format!("{} {}", request.method(), request.uri().path());
    let response = next.run(request).await;
    if let (Some(door), Some(Refused(code, reason))) = (door, response.extensions().get()) {
        gateway.refused(door, shown.as_ref(), &call, *code, reason);
    }
    response
}

/// Bounds the time until the head of an answer is there. A service that is
/// brought in takes as long as it comes; its parts are awaited with a bound.
async fn in_time(State(gateway): State<Gateway>, request: Request, next: Next) -> Response {
    let import =
        request.method() == axum::http::Method::POST && request.uri().path() == "/v1/services";
    if import {
        return next.run(request).await;
    }
    let bound = gateway.config().api.answer;
    match tokio::time::timeout(bound, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!("there was no answer within {} s", bound.as_secs());
            Failure(Problem::new(Code::TimedOut, detail)).into_response()
        }
    }
}
