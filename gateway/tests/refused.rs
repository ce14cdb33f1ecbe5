//! Callers that are refused while they still send.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod support;

use std::time::Duration;

use support::{Node, config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use unicell_gateway::http::{self, Door};

/// More than lies in all buffers between two ends.
const LEN: usize = 64 << 20;

/// Says that much is to come, and hears that it may not.
async fn refused(node: &Node) -> (TcpStream, JoinHandle<()>) {
    let door = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let mut caller = TcpStream::connect(door.local_addr().unwrap())
        .await
        .unwrap();
    let (stream, _) = door.accept().await.unwrap();
    let gateway = node.gateway.clone();
    let serving = tokio::spawn(async move { http::serve(&gateway, stream, Door::Client).await });
    let head = format!("POST /v1/services HTTP/1.1\r\nhost: x\r\ncontent-length: {LEN}\r\n\r\n");
    caller.write_all(head.as_bytes()).await.unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(b"}") {
        assert_ne!(caller.read_buf(&mut heard).await.unwrap(), 0);
    }
    let heard = String::from_utf8(heard).unwrap();
    assert!(heard.starts_with("HTTP/1.1 403"), "{heard}");
    (caller, serving)
}

#[tokio::test]
async fn who_sends_on_after_a_refusal_finds_no_broken_connection() {
    let node = Node::new();
    let (mut caller, serving) = refused(&node).await;
    caller.write_all(&vec![7; LEN]).await.unwrap();
    drop(caller);
    serving.await.unwrap();
}

#[tokio::test]
async fn who_neither_sends_on_nor_hangs_up_is_not_waited_for_without_end() {
    let mut config = config();
    config.api.head = Duration::from_millis(20);
    let node = Node::with(config);
    let (mut caller, serving) = refused(&node).await;
    serving.await.unwrap();
    assert_eq!(caller.read(&mut [0]).await.unwrap(), 0);
}
