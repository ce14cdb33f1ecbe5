//! Calls of the API over sockets.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use unicell_gateway::Gateway;
use unicell_gateway::http::{self, Door};

/// A connection to the API, through a door.
pub fn door(gateway: &Gateway, door: Door) -> OwnedFd {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let gateway = gateway.clone();
    tokio::spawn(async move {
        let stream = tokio::net::UnixStream::from_std(theirs).unwrap();
        http::serve(&gateway, stream, door).await;
    });
    ours.into()
}

/// A request.
pub fn request(
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap()
}

/// Sends one request over a socket, and reads its answer.
pub async fn send(socket: OwnedFd, request: Request<Full<Bytes>>) -> (StatusCode, Bytes) {
    let response = respond(socket, request).await;
    let status = response.status();
    (
        status,
        response.into_body().collect().await.unwrap().to_bytes(),
    )
}

/// Sends one request over a socket.
pub async fn respond(
    socket: OwnedFd,
    request: Request<Full<Bytes>>,
) -> Response<hyper::body::Incoming> {
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(true).unwrap();
    let stream = tokio::net::UnixStream::from_std(stream).unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(connection.with_upgrades());
    sender.send_request(request).await.unwrap()
}
