//! A guest that breaks the rules of streams, with a real link to a node that is this test: it ends
//! with a reason, and what it can use up is bounded.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says no more than a panic does"
)]

mod common;

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;

use common::{SCRATCH, Script, exited, stdio, told, vm};
use unicell_guest_abi::device::{RX, TX};
use unicell_guest_abi::message::{FIRST_INCOMING, STREAMS_MAX, kind, transport};
use unicell_vmm::link::{Command, InstanceEnd, LinkError, Message, NodeEnd, Transport};
use unicell_vmm::{End, Linked, Outcome};

/// Sends a stream message by descriptor 0, and waits until it was read.
fn send(script: Script, words: [u32; 4], payload: &[u8]) -> Script {
    let mut message: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    message.extend(payload);
    script
        .bytes(SCRATCH, &message)
        .descriptor(TX, 0, SCRATCH, message.len() as u32, 0, 0)
        .offer(TX, 0)
        .park_until_used(TX)
}

fn endpoint(transport: u32) -> Vec<u8> {
    let mut bytes = transport.to_le_bytes().to_vec();
    bytes.extend(80_u16.to_le_bytes());
    bytes.extend(40_000_u16.to_le_bytes());
    bytes.extend(
        "::ffff:10.0.0.1"
            .parse::<std::net::Ipv6Addr>()
            .unwrap()
            .octets(),
    );
    bytes
}

fn open(script: Script, stream: u32) -> Script {
    let words = [stream, kind::OPEN, 24, 1000];
    send(script, words, &endpoint(transport::TCP))
}

/// Runs a script whose node does what `node` says, until the guest has ended.
fn run(script: &Script, node: impl FnOnce(&NodeEnd) + Send + 'static) -> Outcome {
    let (ours, theirs) = NodeEnd::pair().unwrap();
    let vm = vm(script);
    let (stdio, _reader) = stdio();
    let hold = vm.hold();
    let linked = Linked::new(stdio, InstanceEnd::new(theirs), hold).unwrap();
    let node = thread::spawn(move || {
        node(&ours);
        // Stays until the guest has ended: a node that goes away ends it.
        while !matches!(ours.receive(), Err(LinkError::Closed)) {}
    });
    let outcome = vm.run(Box::new(linked)).outcome;
    node.join().unwrap();
    outcome
}

fn next_open(node: &NodeEnd) -> u32 {
    loop {
        match node.receive() {
            Ok(Message::Open(open)) => return open.stream,
            Ok(Message::Closed(_) | Message::GivesWay(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn messages_that_break_the_rules_of_streams_are_violations() {
    let first = || open(Script::new(), 7);
    let message = |stream, kind, len: u32| {
        let payload = vec![0; len as usize];
        move |script| send(script, [stream, kind, len, 0], &payload)
    };
    let cases: [(Script, &str); 11] = [
        (open(first(), 7), "number that is not free"),
        (
            open(Script::new(), FIRST_INCOMING),
            "number that is not free",
        ),
        (
            message(7, kind::OPEN, 0)(Script::new()),
            "without an endpoint",
        ),
        (
            send(Script::new(), [7, kind::OPEN, 24, 0], &endpoint(9)),
            "unknown transport",
        ),
        (
            message(0, kind::REFUSED, 3)(Script::new()),
            "without an endpoint",
        ),
        (message(7, kind::DATA, 1)(first()), "not open"),
        (message(8, kind::DATA, 1)(first()), "no credit"),
        (message(7, kind::END, 0)(first()), "not open"),
        (message(7, kind::END, 5)(first()), "data in a message"),
        (message(7, kind::INCOMING, 0)(first()), "unknown kind"),
        (message(7, 99, 0)(first()), "unknown kind"),
    ];
    for (script, words) in cases {
        let outcome = run(&script.exit(0), |_| {});
        assert_eq!(outcome.end, End::Violation, "{}", told(&outcome));
        assert!(outcome.text.contains(words), "{words}: {outcome}");
    }
}

#[test]
fn more_data_than_was_granted_is_a_violation() {
    const LEN: u32 = 60_000;
    let room = SCRATCH + 0x4_0000;
    // Waits until the connection is there, then sends what nobody reads.
    let mut script = open(
        Script::new()
            .descriptor(RX, 0, room, 4096, 2, 0)
            .offer(RX, 0),
        7,
    )
    .park_until_used(RX)
    .bytes(
        SCRATCH,
        &[7_u32, kind::DATA, LEN, 0].map(u32::to_le_bytes).concat(),
    )
    .descriptor(TX, 0, SCRATCH, LEN + 16, 0, 0);
    for _ in 0..40 {
        script = script.offer(TX, 0).park_until_used(TX);
    }
    let outcome = run(&script.exit(0), |node| {
        let stream = next_open(node);
        let (ours, theirs) = UnixStream::pair().unwrap();
        let socket = theirs.as_fd();
        node.send(&Command::Opened { stream, socket }).unwrap();
        while !matches!(node.receive(), Err(LinkError::Closed)) {}
        drop(ours);
    });
    assert_eq!(outcome.end, End::Violation, "{}", told(&outcome));
    assert!(outcome.text.contains("no credit"), "{outcome}");
}

#[test]
fn a_flood_of_connections_is_bounded() {
    let asked = STREAMS_MAX as u32 + 100;
    let message = [1_u32, kind::OPEN, 24, 1000].map(u32::to_le_bytes).concat();
    let message = [message, endpoint(transport::TCP)].concat();
    let mut script = Script::new().bytes(SCRATCH, &message).descriptor(
        TX,
        0,
        SCRATCH,
        message.len() as u32,
        0,
        0,
    );
    for stream in 1..=asked {
        script = script
            .store32(common::va(SCRATCH), stream.into())
            .offer(TX, 0)
            .park_until_used(TX);
    }
    let outcome = run(&script.exit(0), move |node| {
        let mut opened = 0;
        loop {
            match node.receive() {
                Ok(Message::Open(_)) => opened += 1,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        assert_eq!(opened, STREAMS_MAX, "of {asked}");
    });
    assert_eq!(outcome.end, exited(0), "{}", told(&outcome));
}

#[test]
fn connections_that_are_given_up_before_the_answer_leave_nothing() {
    let mut script = Script::new();
    for stream in 1..=20 {
        script = send(open(script, stream), [stream, kind::RESET, 0, 0], &[]);
    }
    let outcome = run(&script.park(20_000_000).exit(0), |node| {
        for at in 0..20 {
            let stream = next_open(node);
            let (_ours, theirs) = UnixStream::pair().unwrap();
            let socket = theirs.as_fd();
            // The guest has gone, or is about to.
            let _ = if at % 2 == 0 {
                node.send(&Command::Opened { stream, socket })
            } else {
                node.send(&Command::Refused { stream, errno: 111 })
            };
        }
    });
    assert_eq!(outcome.end, exited(0), "{}", told(&outcome));
}

#[test]
fn what_a_guest_refuses_by_itself_is_told_and_counted() {
    let message = [0_u32, kind::REFUSED, 24, 3].map(u32::to_le_bytes).concat();
    let message = [message, endpoint(transport::UDP)].concat();
    let len = message.len() as u32;
    let mut script = Script::new()
        .bytes(SCRATCH, &message)
        .descriptor(TX, 0, SCRATCH, len, 0, 0);
    let times = 200;
    for _ in 0..times {
        script = script.offer(TX, 0).park_until_used(TX);
    }
    let outcome = run(&script.exit(0), move |node| {
        let mut told = 0;
        loop {
            match node.receive() {
                Ok(Message::Refused(refused)) => {
                    assert_eq!(refused.to.to_string(), "10.0.0.1:80");
                    assert_eq!(refused.transport, Transport::Udp);
                    told += refused.times;
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        assert_eq!(told, 3 * times);
    });
    assert_eq!(outcome.end, exited(0), "{}", told(&outcome));
}
