//! Which streams are made, which are refused, and when they break.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests"
)]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use hyper::Method;
use support::{Guest, Node, config, network, service};
use unicell_gateway::{Caller, Gateway};
use unicell_gateway_api::event::What;
use unicell_gateway_api::instance::{Publish, Start, Started, Transport};
use unicell_gateway_api::network::{Endpoint, Network, NetworkPolicy};
use unicell_gateway_api::run::Errno;

const TCP: Transport = Transport::Tcp;
const UDP: Transport = Transport::Udp;

fn start(service: &str) -> Start {
    Start {
        service: service.to_owned(),
        ..Start::default()
    }
}

fn blocking(socket: OwnedFd) -> UnixStream {
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false).unwrap();
    stream
}

/// What each end writes arrives at the other.
fn talk(a: OwnedFd, b: OwnedFd) -> (UnixStream, UnixStream) {
    let (mut a, mut b) = (blocking(a), blocking(b));
    for (from, to) in [(&mut a, "there"), (&mut b, "back")] {
        from.write_all(to.as_bytes()).unwrap();
    }
    let mut text = [0; 5];
    b.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"there");
    a.read_exact(&mut text[..4]).unwrap();
    assert_eq!(&text[..4], b"back");
    (a, b)
}

fn allowed(name: &str, endpoints: Vec<Endpoint>) -> NetworkPolicy {
    NetworkPolicy {
        network: network(name),
        instances: true,
        endpoints,
    }
}

async fn refusals(gateway: &Gateway) -> Vec<(String, String)> {
    let events = gateway.events(&Caller::operator(), false).unwrap();
    let refused = events.filter_map(async |event| match event.what {
        What::ConnectRefused { to, errno, .. } => Some((to.to_string(), errno)),
        _ => None,
    });
    refused.collect().await
}

/// A parent with one child, each with a slot.
async fn family(node: &Node) -> (Guest, Guest) {
    node.store.add("child", service(2, &[7], &[]));
    node.store
        .add_with("parent", service(1, &[8], &[]), &["child"]);
    let (_, parent) = node.start("parent").await;
    let started: Started = parent
        .call(Method::POST, "/v1/instances", &start("child"))
        .await
        .unwrap();
    let child = node.host.guest(started.id);
    (parent, child)
}

#[tokio::test]
async fn who_is_refused_without_end_is_told_of_counted_and_waits() {
    let node = Node::new();
    node.store.add("hello", service(1, &[], &[]));
    let (_, guest) = node.start("hello").await;
    // What the guest refuses by itself, so many times since it said so last.
    guest.refuses("192.0.2.1:80", 1).await;
    guest.refuses("192.0.2.2:81", 1000).await;
    let began = Instant::now();
    for _ in 0..130 {
        let refused = guest.connect(TCP, "10.9.0.1:7").await;
        assert_eq!(refused.unwrap_err(), Errno::NETUNREACH);
    }
    let took = began.elapsed();
    let events = node.gateway.events(&Caller::operator(), false).unwrap();
    let told: Vec<_> = events
        .filter_map(async |event| match event.what {
            What::ConnectRefused { to, left_out, .. } => Some((to.to_string(), left_out)),
            _ => None,
        })
        .collect()
        .await;
    assert_eq!(told[0], ("192.0.2.1:80".to_owned(), 0));
    assert_eq!(told[1], ("192.0.2.2:81".to_owned(), 999));
    assert!((32..132).contains(&told.len()), "{}", told.len());
    let waited = 132 - u32::try_from(told.len()).unwrap();
    assert!(took >= waited * Duration::from_millis(4), "{took:?}");
}

#[tokio::test]
async fn parent_and_child_reach_each_others_slots_and_nobody_else_does() {
    let node = Node::new();
    let (parent, child) = family(&node).await;
    let (mut at_child, mut at_parent) = (child.listen(7), parent.listen(8));

    for to in ["10.1.0.1:7", "[fd00::1:1]:7", "[::ffff:10.1.0.1]:7"] {
        let ours = parent.connect(TCP, to).await.unwrap();
        let theirs = at_child.recv().await.unwrap();
        let from = theirs.from.ip().to_canonical().to_string();
        assert!(from == "10.0.0.3" || from == "fd00::3", "{from}");
        talk(ours, theirs.socket);
    }
    let ours = child.connect(TCP, "10.0.0.3:8").await.unwrap();
    let theirs = at_parent.recv().await.unwrap();
    assert_eq!(theirs.from.ip().to_string(), "10.1.0.1");
    talk(ours, theirs.socket);

    let (_, other) = node.start("parent").await;
    let refused = [
        (&parent, "10.1.0.1:9", Errno::CONNREFUSED),
        (&parent, "10.1.0.2:7", Errno::NETUNREACH),
        (&parent, "10.0.0.3:8", Errno::NETUNREACH),
        (&parent, "10.0.0.1:81", Errno::CONNREFUSED),
        (&parent, "8.8.8.8:53", Errno::NETUNREACH),
        (&parent, "127.0.0.1:80", Errno::NETUNREACH),
        (&parent, "[2001:db8::1]:80", Errno::NETUNREACH),
        (&parent, "10.2.0.1:7", Errno::NETUNREACH),
        (&other, "10.1.0.1:7", Errno::NETUNREACH),
    ];
    for (guest, to, errno) in refused {
        assert_eq!(guest.connect(TCP, to).await.err(), Some(errno), "{to}");
    }
    assert_eq!(
        parent.connect(UDP, "10.1.0.1:7").await.err(),
        Some(Errno::CONNREFUSED)
    );
    let told = refusals(&node.gateway).await;
    assert_eq!(told.len(), refused.len() + 1);
    assert!(
        told.contains(&("8.8.8.8:53".into(), "ENETUNREACH".into())),
        "{told:?}"
    );

    // Nobody listens behind a declared slot.
    drop(at_child);
    assert_eq!(
        parent.connect(TCP, "10.1.0.1:7").await.err(),
        Some(Errno::CONNREFUSED)
    );
    // The node has carried none of it.
    let parent_now = node
        .gateway
        .instance(&Caller::operator(), parent.id())
        .await
        .unwrap();
    let child_now = node
        .gateway
        .instance(&Caller::operator(), child.id())
        .await
        .unwrap();
    assert_eq!(child_now.usage.bytes_relayed, 0);
    assert!(
        parent_now.usage.bytes_relayed > 0,
        "the call of the API went through the node"
    );
}

#[tokio::test]
async fn streams_end_with_their_instance_and_are_counted() {
    let mut config = config();
    config.instance.streams = 4;
    let node = Node::with(config);
    let (parent, child) = family(&node).await;
    let mut accept = child.listen(7);
    let mut open = Vec::new();
    for _ in 0..4 {
        let (stream, ours) = parent.open(TCP, "10.1.0.1:7").await.unwrap();
        open.push((stream, ours, accept.recv().await.unwrap()));
    }
    assert_eq!(
        parent.connect(TCP, "10.1.0.1:7").await.err(),
        Some(Errno::NOBUFS)
    );
    // Either end may say that a stream is over; broken off, the other is told.
    parent.close(open[0].0, None).await;
    child.close(open[1].2.stream, Some(Errno::CONNRESET)).await;
    while node.gateway.open_streams() != 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(parent.reset(), [open[1].0]);
    assert!(child.reset().is_empty());
    let _again = parent.connect(TCP, "10.1.0.1:7").await.unwrap();
    // The child goes: what it sent before is still there.
    let (_, ours, theirs) = open.pop().unwrap();
    let mut theirs = blocking(theirs.socket);
    theirs.write_all(b"last words").unwrap();
    child
        .exit(unicell_gateway_api::instance::Outcome::Exited { status: 0 })
        .await;
    node.ended(child.id()).await;
    let mut text = String::new();
    blocking(ours).read_to_string(&mut text).unwrap();
    assert_eq!(text, "last words");
    assert_eq!(node.gateway.open_streams(), 0);
}

#[tokio::test]
async fn a_process_that_tells_of_other_bytes_than_its_peer_is_noticed_once() {
    let node = Node::new();
    let (parent, child) = family(&node).await;
    let mut accept = child.listen(7);
    // The second time nobody is told again.
    for received in [5, 6, 7] {
        let (stream, _ours) = parent.open(TCP, "10.1.0.1:7").await.unwrap();
        let theirs = accept.recv().await.unwrap().stream;
        parent.claim(stream, 5, 0).await;
        child.claim(theirs, 0, received).await;
    }
    for guest in [&parent, &child] {
        guest
            .exit(unicell_gateway_api::instance::Outcome::Exited { status: 0 })
            .await;
        node.ended(guest.id()).await;
    }
    let events = node.gateway.events(&Caller::operator(), false).unwrap();
    let disputes = events.filter_map(async |event| match event.what {
        What::StreamDisputed {
            peer,
            sent,
            received,
        } => Some((peer, sent, received)),
        _ => None,
    });
    let mut disputes: Vec<_> = disputes.collect().await;
    disputes.sort();
    let mut expected = [(parent.id(), 5, 6), (child.id(), 5, 6)];
    expected.sort();
    assert_eq!(disputes, expected);
}

#[tokio::test]
async fn a_network_is_what_all_allow_and_breaks_when_withdrawn() {
    let node = Node::new();
    node.store.add("peer", service(1, &[8333], &["bitcoin"]));
    node.store.add("loner", service(2, &[8333], &[]));
    let operator = Caller::operator();
    let (_, a) = node.start("peer").await;
    let (_, b) = node.start("peer").await;
    let (_, loner) = node.start("loner").await;
    let ask = async |guest: &Guest| {
        guest
            .call::<Network>(Method::GET, "/v1/networks/bitcoin", &())
            .await
            .unwrap()
    };
    // The operator allows nothing yet: that is said.
    let none = ask(&a).await;
    assert!(!none.granted && none.note.unwrap().contains("operator"));
    node.gateway
        .allow(&operator, allowed("bitcoin", Vec::new()))
        .await
        .unwrap();
    let members = ask(&a).await;
    assert_eq!((members.granted, members.members.len()), (true, 1));
    let undeclared = ask(&loner).await;
    assert!(!undeclared.granted && undeclared.members.is_empty());

    let address = members.members[0].slots[0].addresses[0];
    assert_eq!(address.to_string(), "10.2.0.1:8333");
    let mut accept = b.listen(8333);
    let ours = a.connect(TCP, "10.2.0.1:8333").await.unwrap();
    let theirs = accept.recv().await.unwrap();
    assert_eq!(theirs.from.ip().to_string(), "10.2.0.1");
    let (mut ours, mut theirs) = talk(ours, theirs.socket);
    assert_eq!(
        a.connect(TCP, "10.2.0.1:8334").await.err(),
        Some(Errno::CONNREFUSED)
    );

    node.gateway
        .grant(&operator, a.id(), "bitcoin", false)
        .await
        .unwrap();
    assert_eq!(ours.read(&mut [0]).unwrap(), 0);
    assert!(theirs.write_all(&[0; 10]).is_err());
    assert_eq!((a.reset().len(), b.reset().len()), (1, 1));
    assert_eq!(
        a.connect(TCP, "10.2.0.1:8333").await.err(),
        Some(Errno::NETUNREACH)
    );
    assert!(ask(&a).await.note.unwrap().contains("withdrawn"));
    // For the other it has no member now.
    let alone = ask(&b).await;
    assert_eq!((alone.granted, alone.members.len()), (true, 0));
    assert!(alone.note.unwrap().contains("no member"));

    node.gateway
        .grant(&operator, a.id(), "bitcoin", true)
        .await
        .unwrap();
    let _open = a.connect(TCP, "10.2.0.1:8333").await.unwrap();
    node.gateway.disallow(&operator, "bitcoin").await.unwrap();
    assert_eq!(node.gateway.open_streams(), 0);
    let events: Vec<_> = node
        .gateway
        .events(&node.caller(&a), false)
        .unwrap()
        .collect()
        .await;
    let grants: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.what {
            What::Granted { .. } => Some((true, 0)),
            What::Withdrawn { streams, .. } => Some((false, *streams)),
            _ => None,
        })
        .collect();
    assert_eq!(grants, [(true, 0), (false, 1), (true, 0), (false, 1)]);
}

#[tokio::test]
async fn members_outside_are_reached_by_name_and_number() {
    let node = Node::new();
    node.store.add("peer", service(1, &[], &["web"]));
    let (_, guest) = node.start("peer").await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let endpoints = vec![
        Endpoint {
            address,
            transport: TCP,
        },
        Endpoint {
            address: socket.local_addr().unwrap(),
            transport: UDP,
        },
        Endpoint {
            address: closed,
            transport: TCP,
        },
    ];
    node.gateway
        .allow(&Caller::operator(), allowed("web", endpoints))
        .await
        .unwrap();
    let network: Network = guest
        .call(Method::GET, "/v1/networks/web", &())
        .await
        .unwrap();
    assert_eq!(network.members.len(), 3);
    let of = |port: u16| {
        let mut slots = network.members.iter().flat_map(|member| &member.slots);
        slots.find(|slot| slot.port == port).unwrap().addresses[0].to_string()
    };
    let ours = guest.connect(TCP, &of(address.port())).await.unwrap();
    let (mut theirs, _) = listener.accept().unwrap();
    let mut ours = TcpStream::from(ours);
    ours.set_nonblocking(false).unwrap();
    ours.write_all(b"out").unwrap();
    let mut text = [0; 3];
    theirs.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"out");

    let udp = guest
        .connect(UDP, &of(socket.local_addr().unwrap().port()))
        .await
        .unwrap();
    rustix::net::send(&udp, b"datagram", rustix::net::SendFlags::empty()).unwrap();
    let mut text = [0; 20];
    assert_eq!(socket.recv(&mut text).unwrap(), 8);

    // The host's own answer is the guest's, and the address is not reached otherwise.
    assert_eq!(
        guest.connect(TCP, &of(closed.port())).await.err(),
        Some(Errno::CONNREFUSED)
    );
    assert_eq!(
        guest.connect(TCP, &address.to_string()).await.err(),
        Some(Errno::NETUNREACH)
    );
    node.gateway
        .disallow(&Caller::operator(), "web")
        .await
        .unwrap();
    assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
    drop(udp);
}

#[tokio::test]
async fn names_are_answered_over_both_transports() {
    let node = Node::new();
    let (parent, child) = family(&node).await;
    node.store
        .add("peer", service(5, &[1], &["bitcoin", "empty"]));
    node.gateway
        .allow(&Caller::operator(), allowed("bitcoin", Vec::new()))
        .await
        .unwrap();
    let (_, a) = node.start("peer").await;
    let (_, _b) = node.start("peer").await;

    let ask = |name: &str, kind| {
        let mut query = Message::query();
        query.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        query.to_vec().unwrap()
    };
    let read = |bytes: &[u8]| {
        let answer = Message::from_vec(bytes).unwrap();
        let addresses: Vec<_> = answer
            .answers
            .iter()
            .map(|record| record.data.to_string())
            .collect();
        (answer.metadata.response_code, addresses)
    };
    let by_udp = async |guest: &Guest, name: &str, kind| {
        let socket = guest.connect(UDP, "10.0.0.1:53").await.unwrap();
        rustix::net::send(&socket, &ask(name, kind), rustix::net::SendFlags::empty()).unwrap();
        let answer = tokio::task::spawn_blocking(move || {
            rustix::io::ioctl_fionbio(&socket, false).unwrap();
            let mut bytes = vec![0; 512];
            let len = rustix::net::recv(&socket, &mut bytes[..], rustix::net::RecvFlags::empty())
                .unwrap()
                .0;
            bytes.truncate(len);
            bytes
        });
        read(&answer.await.unwrap())
    };
    let found = |address: &str| (ResponseCode::NoError, vec![address.to_owned()]);
    let (v4, v6) = (RecordType::A, RecordType::AAAA);
    assert_eq!(by_udp(&parent, "gateway.", v4).await, found("10.0.0.1"));
    assert_eq!(by_udp(&parent, "child.", v4).await, found("10.1.0.1"));
    assert_eq!(by_udp(&parent, "child.", v6).await, found("fd00::1:1"));
    assert_eq!(by_udp(&child, "parent.", v6).await, found("fd00::3"));
    assert_eq!(by_udp(&child, "child.", v4).await, found("10.0.0.2"));
    let unknown = (ResponseCode::NXDomain, vec![]);
    assert_eq!(by_udp(&parent, "parent.", v4).await, unknown);
    assert_eq!(by_udp(&child, "bitcoin.", v4).await, unknown);
    assert_eq!(by_udp(&child, "example.com.", v4).await, unknown);
    assert_eq!(by_udp(&a, "bitcoin.", v4).await, found("10.2.0.1"));
    assert_eq!(
        by_udp(&a, "empty.", v4).await,
        (ResponseCode::NoError, vec![])
    );

    // By TCP, several over one connection; then nonsense ends it.
    let socket = parent.connect(TCP, "[fd00::1]:53").await.unwrap();
    let query = ask("child.", v4);
    let answers = tokio::task::spawn_blocking(move || {
        let mut stream = blocking(socket);
        let mut answers = Vec::new();
        for _ in 0..2 {
            stream
                .write_all(&(query.len() as u16).to_be_bytes())
                .unwrap();
            stream.write_all(&query).unwrap();
            let mut len = [0; 2];
            stream.read_exact(&mut len).unwrap();
            let mut bytes = vec![0; usize::from(u16::from_be_bytes(len))];
            stream.read_exact(&mut bytes).unwrap();
            answers.push(bytes);
        }
        stream.write_all(&[0xff; 2]).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
        answers
    });
    for bytes in answers.await.unwrap() {
        assert_eq!(read(&bytes), found("10.1.0.1"));
    }
}

#[tokio::test]
async fn a_published_slot_is_reached_from_the_host_without_the_node() {
    let node = Node::new();
    node.store.add("web", service(1, &[80], &[]));
    let publish = Publish {
        slot: 80,
        transport: TCP,
        host: "127.0.0.1:0".parse().unwrap(),
    };
    let request = Start {
        publish: vec![publish],
        ..start("web")
    };
    let (started, guest) = node.start_with(&Caller::operator(), request.clone()).await;
    let host = started.slots[0].addresses[0];
    let mut accept = guest.listen(80);
    let mut client = TcpStream::connect(host).unwrap();
    let incoming = accept.recv().await.unwrap();
    assert_eq!(incoming.from.ip().to_string(), "10.0.0.1");
    let mut inside = TcpStream::from(incoming.socket);
    inside.set_nonblocking(false).unwrap();
    client.write_all(b"ping").unwrap();
    let mut text = [0; 4];
    inside.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"ping");
    // The port is taken.
    let taken = Start {
        publish: vec![Publish {
            host,
            ..request.publish[0].clone()
        }],
        ..start("web")
    };
    let refused = node
        .gateway
        .start(&Caller::operator(), taken.clone())
        .await
        .unwrap_err();
    assert!(refused.detail.contains(&host.to_string()), "{refused}");
    let stopped = node
        .gateway
        .stop(&Caller::operator(), started.id)
        .await
        .unwrap();
    assert_eq!(stopped.usage.bytes_relayed, 0);
    assert_eq!(client.read(&mut text).unwrap(), 0);
    // And free again.
    let (again, _) = node.start_with(&Caller::operator(), taken).await;
    assert_eq!(again.slots[0].addresses, [host]);
}

#[tokio::test]
async fn many_refusals_make_few_events() {
    let node = Node::new();
    node.store.add("hello", service(1, &[], &[]));
    let (_, guest) = node.start("hello").await;
    for _ in 0..500 {
        assert!(guest.connect(TCP, "1.2.3.4:5").await.is_err());
    }
    let told = refusals(&node.gateway).await;
    assert!((1..=64).contains(&told.len()), "{}", told.len());
}
