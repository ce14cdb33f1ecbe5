//! Slots of UDP on ports of the host.

// All of it is tests: what cannot be done fails them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::{RecvFlags, SendFlags};
use support::{Guest, Incoming, Node, config, service};
use tokio::sync::mpsc::UnboundedReceiver;
use unicell_gateway_api::instance::{Publish, Start, Started, Transport};

use unicell_gateway::{Caller, Config};

/// A node with an instance that has a slot of UDP, and where that is on the host.
async fn published(config: Config) -> (Node, Started, Guest, SocketAddr) {
    let node = Node::with(config);
    let mut plan = service(1, &[53], &[]);
    plan.slots[0].transport = Transport::Udp;
    node.store.add("names", plan);
    let publish = Publish {
        slot: 53,
        transport: Transport::Udp,
        host: "127.0.0.1:0".parse().unwrap(),
    };
    let request = Start {
        service: "names".to_owned(),
        publish: vec![publish],
        ..Start::default()
    };
    let (started, guest) = node.start_with(&Caller::operator(), request).await;
    let host = started.slots[0].addresses[0];
    (node, started, guest, host)
}

fn client(host: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(host).unwrap();
    socket
}

async fn next(flows: &mut UnboundedReceiver<Incoming>) -> Incoming {
    let incoming = flows.recv().await.unwrap();
    rustix::io::ioctl_fionbio(&incoming.socket, false).unwrap();
    incoming
}

/// One message in the guest. Nothing, when the flow has ended.
fn receive(flow: &OwnedFd) -> Vec<u8> {
    let mut buffer = vec![0; 1 << 16];
    let (_, len) = rustix::net::recv(flow, &mut buffer[..], RecvFlags::empty()).unwrap();
    buffer.truncate(len);
    buffer
}

fn send(flow: &OwnedFd, message: &[u8]) {
    rustix::net::send(flow, message, SendFlags::NOSIGNAL).unwrap();
}

fn answer(client: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 1 << 16];
    let len = client.recv(&mut buffer).unwrap();
    buffer.truncate(len);
    buffer
}

#[tokio::test(flavor = "multi_thread")]
async fn each_client_has_a_flow_of_its_own() {
    let (node, started, guest, host) = published(config()).await;
    let mut flows = guest.listen(53);
    let (one, other) = (client(host), client(host));
    one.send(b"one").unwrap();
    let first = next(&mut flows).await;
    other.send(b"other").unwrap();
    let second = next(&mut flows).await;
    assert_eq!(first.from.ip().to_string(), "10.0.0.1");
    assert_ne!(first.from, second.from);
    // Messages stay messages, empty and large ones too, and find back.
    let large = vec![7; 60_000];
    one.send(b"").unwrap();
    one.send(&large).unwrap();
    assert_eq!(receive(&first.socket), b"one");
    assert_eq!(receive(&first.socket), b"");
    assert_eq!(receive(&first.socket), large);
    assert_eq!(receive(&second.socket), b"other");
    for message in [&b"a"[..], b"", &large] {
        send(&first.socket, message);
        assert_eq!(answer(&one), message);
    }
    send(&second.socket, b"b");
    assert_eq!(answer(&other), b"b");
    // The node has carried them, and says so.
    let stopped = node.gateway.stop(&Caller::operator(), started.id).await;
    assert_eq!(stopped.unwrap().usage.bytes_relayed, 2 * 60_000 + 3 + 5 + 2);
    assert_eq!(receive(&first.socket), b"");
    drop(UdpSocket::bind(host).expect("the port is free again"));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_bounded_and_the_most_silent_gives_way() {
    let mut config = config();
    config.instance.clients = 2;
    let (_node, _, guest, host) = published(config).await;
    let mut flows = guest.listen(53);
    let clients = [client(host), client(host), client(host)];
    let mut inside = Vec::new();
    for client in &clients[..2] {
        client.send(b"1").unwrap();
        inside.push(next(&mut flows).await);
    }
    clients[0].send(b"2").unwrap();
    assert_eq!(receive(&inside[0].socket), b"1");
    assert_eq!(receive(&inside[0].socket), b"2");
    clients[2].send(b"1").unwrap();
    inside.push(next(&mut flows).await);
    // What was sent is there before the end.
    assert_eq!(receive(&inside[1].socket), b"1");
    assert_eq!(receive(&inside[1].socket), b"");
    clients[0].send(b"3").unwrap();
    assert_eq!(receive(&inside[0].socket), b"3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_is_forgotten() {
    let mut config = config();
    config.instance.client_idle = Duration::from_millis(10);
    let (_node, _, guest, host) = published(config).await;
    let mut flows = guest.listen(53);
    let client = client(host);
    for _ in 0..2 {
        client.send(b"hello").unwrap();
        let flow = next(&mut flows).await;
        assert_eq!(receive(&flow.socket), b"hello");
        assert_eq!(receive(&flow.socket), b"");
    }
}
