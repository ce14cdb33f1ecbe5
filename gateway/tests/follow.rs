//! Callers that follow what goes on, and hang up.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod support;

use std::time::Duration;

use support::{Node, service};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use unicell_gateway::http::{self, Door};

/// Never reached by a connection that ends at all.
const LIMIT: Duration = Duration::from_secs(60);

/// Asks for what goes on without end and for more than that, hears the beginning of the answer, and
/// hangs up. The connection has to end by that alone.
async fn hangs_up(
    mut caller: impl AsyncRead + AsyncWrite + Unpin,
    connection: JoinHandle<()>,
    path: &str,
    more: &[u8],
) {
    let head = format!("GET {path}?follow=true HTTP/1.1\r\nhost: x\r\n\r\n");
    let said = [head.as_bytes(), more].concat();
    caller.write_all(&said).await.unwrap();
    let mut heard = Vec::new();
    while !heard.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        assert_ne!(caller.read_buf(&mut heard).await.unwrap(), 0);
    }
    assert!(heard.starts_with(b"HTTP/1.1 200"));
    drop(caller);
    let ended = timeout(LIMIT, connection).await;
    let more = String::from_utf8_lossy(more);
    ended
        .unwrap_or_else(|_| panic!("{path} is followed for nobody, after {more:.20}"))
        .unwrap();
}

#[tokio::test]
async fn who_hangs_up_is_gone_whatever_was_sent_before() {
    let node = Node::new();
    node.store.add("hello", service(1, &[], &[]));
    let (started, _guest) = node.start("hello").await;
    let logs = format!("/v1/instances/{}/logs", started.id);
    let again = format!("GET {logs}?follow=true HTTP/1.1\r\nhost: x\r\n\r\n");
    let door = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    // Nothing, a part of a request, whole ones, no request, and more than is read at once.
    let more = [
        String::new(),
        "G".to_owned(),
        again.repeat(3),
        "\0".to_owned(),
        "x".repeat(100_000),
    ];
    for path in [logs.as_str(), "/v1/events"] {
        for more in &more {
            let (caller, stream) = UnixStream::pair().unwrap();
            let gateway = node.gateway.clone();
            let serving = async move { http::serve(&gateway, stream, Door::Operator).await };
            hangs_up(caller, tokio::spawn(serving), path, more.as_bytes()).await;

            let caller = TcpStream::connect(door.local_addr().unwrap());
            let caller = caller.await.unwrap();
            let (stream, _) = door.accept().await.unwrap();
            let gateway = node.gateway.clone();
            let serving = async move { http::serve(&gateway, stream, Door::Operator).await };
            hangs_up(caller, tokio::spawn(serving), path, more.as_bytes()).await;
        }
    }
}
