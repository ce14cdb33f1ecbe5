//! The link, with a node and an instance in one process, and with ends that talk nonsense.

use std::os::fd::{AsFd, BorrowedFd};

use super::wire::{CommandFrame, StartFrame};
use super::*;
use crate::outcome::{Call, End, Exits, Stats};
use crate::reproducible::{Baseline, Level, Log, Recorded, Reproduction, Spin};
use crate::timeline::Timeline;
use rustix::net::{SendFlags, send};
use unicell_guest_abi::exit::ExitKind;
use unicell_guest_abi::init;
use unicell_guest_abi::message::FIRST_INCOMING;
use unicell_guest_abi::platform::Counters;

fn start(init: Vec<u8>) -> Start {
    Start {
        ram: 64 << 20,
        flags: 1,
        timeout_ns: Some(5),
        since_ns: 9,
        seed: Some([7; 32]),
        window: Some(Window {
            rows: 24,
            columns: 80,
        }),
        init,
        image: Some(BoxImage {
            file: null().unwrap().into(),
            offset: 4096,
            len: 12,
        }),
        stdin: null().unwrap(),
        stdout: null().unwrap(),
        stderr: null().unwrap(),
        log: null().unwrap(),
        limits: Limits::default(),
        reproduction: Reproduction {
            level: Level::D1,
            spin: Spin::default(),
            cpu: Some(Baseline::V2),
            log: Some(Log::Replay(null().unwrap())),
        },
    }
}

fn call(name: &str) -> Call {
    Call {
        name: name.to_owned(),
        calls: 3,
        errors: 1,
        ns: 1000,
    }
}

fn ended(text: &str) -> Message {
    let mut timeline = Timeline::since(0);
    timeline.mark("a phase");
    Message::Ended(Box::new(Outcome {
        end: End::Guest {
            kind: ExitKind::Signaled,
            status: 11,
        },
        text: text.to_owned(),
        report: Some("rip 0".to_owned()),
        stats: Stats {
            timeline,
            exits: Exits {
                parks: 3,
                ..Default::default()
            },
            guest: Counters {
                syscalls: 4,
                ..Default::default()
            },
            calls: vec![call("write\x1b[2J")],
        },
        level: Level::D1,
        recorded: Some(Recorded {
            kernel: [1; 32],
            stdout: [2; 32],
            stderr: [3; 32],
            streams: [4; 32],
            difference: Some("here\x1b[2J".to_owned()),
            failure: None,
        }),
    }))
}

fn pair() -> (NodeEnd, InstanceEnd) {
    let (node, instance) = NodeEnd::pair().unwrap();
    (node, InstanceEnd::new(instance))
}

#[test]
fn a_start_arrives_as_it_was_sent() {
    let (node, instance) = pair();
    let sent = start(vec![5; init::MAX as usize]);
    node.start(&sent).unwrap();
    let got = instance.start().unwrap();
    assert_eq!(StartFrame::of(&got), StartFrame::of(&sent));
    assert_eq!(got.init, sent.init);
    assert_eq!(got.image.unwrap().len, 12);
}

#[test]
fn messages_arrive_as_they_were_sent_but_printable() {
    let (node, instance) = pair();
    instance.send(&Message::Started).unwrap();
    instance.send(&ended("one\x1b[2J\ntwo")).unwrap();
    assert!(matches!(node.receive(), Ok(Message::Started)));
    let Ok(Message::Ended(outcome)) = node.receive() else {
        panic!("the second message is the end");
    };
    assert_eq!(outcome.text, "one [2J\ntwo");
    let difference = outcome.recorded.and_then(|recorded| recorded.difference);
    assert_eq!(difference.as_deref(), Some("here [2J"));
    let status = 11;
    let kind = ExitKind::Signaled;
    assert_eq!(outcome.end, End::Guest { kind, status });
    assert_eq!(outcome.stats.exits.parks, 3);
    assert_eq!(outcome.stats.guest.syscalls, 4);
    assert_eq!(outcome.stats.calls, [call("write [2J")]);
    assert_eq!(outcome.stats.timeline.marks().next().unwrap().0, "a phase");
}

#[test]
fn last_words_arrive_though_commands_were_left_unread() {
    let (node, instance) = pair();
    node.send(&Command::Usage).unwrap();
    instance.send(&ended("done")).unwrap();
    drop(instance);
    assert!(matches!(node.receive(), Ok(Message::Ended(_))));
    assert!(matches!(node.receive(), Err(LinkError::Closed)));

    let (node, instance) = pair();
    node.start(&start(vec![5])).unwrap();
    let unfit = Message::Unfit("no namespace".to_owned());
    instance.send(&unfit).unwrap();
    drop(instance);
    let told = node.ready().map(|_| ()).unwrap_err();
    assert_eq!(told.to_string(), "no namespace");
}

#[test]
fn a_stop_and_a_closed_link_are_noticed() {
    let (node, instance) = pair();
    assert!(matches!(instance.order(), Ok(None)));
    node.stop().unwrap();
    assert!(matches!(instance.order(), Err(LinkError::Closed)));
    instance.send(&Message::Started).unwrap();
    assert!(matches!(node.receive(), Ok(Message::Started)));
    assert!(matches!(node.try_receive(), Ok(None)));
    let (node, instance) = pair();
    drop(node);
    assert!(matches!(instance.order(), Err(LinkError::Closed)));
    assert!(matches!(instance.start(), Err(LinkError::Closed)));
    let (node, instance) = pair();
    drop(instance);
    assert!(matches!(node.receive(), Err(LinkError::Closed)));
    node.stop().unwrap();
}

fn incoming(socket: BorrowedFd<'_>, stream: u32) -> Command<'_> {
    Command::Incoming {
        stream,
        transport: Transport::Udp,
        from: "[fd00::3]:9".parse().unwrap(),
        port: 80,
        socket,
    }
}

#[test]
fn commands_arrive_in_order_with_their_descriptors() {
    let (node, instance) = pair();
    let null = null().unwrap();
    let socket = null.as_fd();
    let window = Window {
        rows: u16::MAX,
        columns: 0,
    };
    let limits = Limits {
        cpu: Some(CpuQuota {
            quota_ns: 1,
            period_ns: 1_000_000,
        }),
        memory: Some(7),
    };
    let number = node.new_stream();
    assert_ne!(node.new_stream(), number);
    let opened = Command::Opened { stream: 3, socket };
    for command in [
        opened,
        Command::Refused {
            stream: 4,
            errno: 101,
        },
        incoming(socket, number),
        Command::Reset { stream: 5 },
        Command::Resize(window),
        Command::Usage,
        Command::Limits(limits),
    ] {
        node.send(&command).unwrap();
    }
    let next = || instance.order().unwrap().unwrap();
    assert!(matches!(next(), Order::Opened { stream: 3, .. }));
    let refused = next();
    assert!(matches!(
        refused,
        Order::Refused {
            stream: 4,
            errno: 101
        }
    ));
    let Order::Incoming {
        stream, from, port, ..
    } = next()
    else {
        panic!("the third is an incoming connection");
    };
    assert_eq!((stream, port), (number, 80));
    assert_eq!(from.to_string(), "[fd00::3]:9");
    assert!(matches!(next(), Order::Reset { stream: 5 }));
    assert!(matches!(next(), Order::Resize(size) if size == window));
    assert!(matches!(next(), Order::Usage));
    assert!(matches!(next(), Order::Limits(given) if given == limits));
    assert!(matches!(instance.order(), Ok(None)));
}

#[test]
fn a_link_that_is_full_says_so() {
    let (node, instance) = pair();
    let full = (0..100_000).find_map(|_| node.send(&Command::Usage).err());
    assert!(matches!(full, Some(LinkError::Full)), "{full:?}");
    instance.order().unwrap().unwrap();
    let full = (0..100_000).find_map(|_| instance.try_send(&Message::Started).err());
    assert!(matches!(full, Some(LinkError::Full)), "{full:?}");
}

#[test]
fn commands_out_of_bounds_are_not_sent() {
    let (node, _instance) = pair();
    let null = null().unwrap();
    let quota = |quota_ns, period_ns| {
        Command::Limits(Limits {
            cpu: Some(CpuQuota {
                quota_ns,
                period_ns,
            }),
            memory: None,
        })
    };
    let refuse = |errno| Command::Refused { stream: 1, errno };
    for command in [
        refuse(0),
        refuse(4096),
        incoming(null.as_fd(), 7),
        quota(0, 1_000_000),
        quota(1, 999_999),
        quota(1, 1_000_000_001),
    ] {
        let sent = node.send(&command);
        assert!(matches!(sent, Err(LinkError::Nonsense(_))), "{command:?}");
    }
}

/// Sends a frame with descriptors, whatever they are.
fn send_with(link: impl AsFd, frame: &[u8], descriptors: &[BorrowedFd<'_>]) {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(20))];
    let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
    assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(descriptors)));
    let parts = [std::io::IoSlice::new(frame)];
    rustix::net::sendmsg(link, &parts, &mut control, SendFlags::empty()).unwrap();
}

fn refused(instance: &InstanceEnd) -> String {
    instance.order().unwrap_err().to_string()
}

#[test]
fn descriptors_come_where_they_are_expected_and_nowhere_else() {
    let (node, instance) = pair();
    let null = null().unwrap();
    let fd = null.as_fd();
    let opened = CommandFrame::Opened { stream: 1 }.encode().unwrap();
    let usage = CommandFrame::Usage.encode().unwrap();
    send(node.as_fd(), &opened, SendFlags::empty()).unwrap();
    assert!(refused(&instance).contains("number of descriptors"));
    send_with(&node, &usage, &[fd]);
    assert!(refused(&instance).contains("number of descriptors"));
    send_with(&node, &opened, &[fd; 20]);
    let text = refused(&instance);
    assert!(text.contains("too many descriptors"), "{text}");
    // What a process sends along is closed, the frame is heard.
    let started = Message::Started.encode().unwrap();
    send_with(&**instance.fd(), &started, &[fd]);
    assert!(matches!(node.receive(), Ok(Message::Started)));
}

#[test]
fn a_start_without_its_descriptors_is_refused() {
    let (node, instance) = pair();
    let frame = StartFrame::of(&start(Vec::new())).encode().unwrap();
    send(node.as_fd(), &frame, SendFlags::empty()).unwrap();
    let refused = instance.start().unwrap_err().to_string();
    assert!(refused.contains("a descriptor is missing"), "{refused}");
}

#[test]
fn an_init_block_shorter_than_it_says_is_refused() {
    let (node, instance) = pair();
    let null = null().unwrap();
    let frame = StartFrame::of(&start(vec![1])).encode().unwrap();
    send_with(&node, &frame, &[null.as_fd(); 6]);
    let refused = instance.start().unwrap_err().to_string();
    assert!(refused.contains("cut off"), "{refused}");
}

#[test]
fn an_init_block_that_is_too_long_is_refused() {
    let frame = StartFrame::of(&start(vec![0; init::MAX as usize + 1]))
        .encode()
        .unwrap();
    assert!(StartFrame::decode(&frame).is_err());
}

#[test]
fn an_outcome_that_is_too_long_is_not_sent() {
    let (_node, instance) = pair();
    assert!(instance.send(&ended(&"x".repeat(FRAME_MAX))).is_err());
}

/// Frames that were sound until some bytes were changed, cut off or added (xorshift64).
fn damaged(sound: &[u8], check: impl Fn(&[u8])) {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut number = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    for _ in 0..20_000 {
        let mut frame = sound.to_vec();
        for _ in 0..=number() % 4 {
            let at = number() % frame.len();
            match number() % 4 {
                0 => frame.truncate(at.max(1)),
                1 => frame.insert(at, number() as u8),
                _ => frame[at] = number() as u8,
            }
        }
        check(&frame);
    }
}

#[test]
fn damaged_frames_are_decoded_or_refused() {
    damaged(
        &StartFrame::of(&start(Vec::new())).encode().unwrap(),
        |frame| {
            if let Ok(start) = StartFrame::decode(frame) {
                assert!(start.init_len <= init::MAX);
            }
        },
    );
    let command = CommandFrame::Incoming {
        stream: FIRST_INCOMING,
        transport: Transport::Tcp,
        from: "10.0.0.3:1".parse().unwrap(),
        port: 2,
    };
    damaged(&command.encode().unwrap(), |frame| {
        if let Ok(CommandFrame::Incoming { stream, .. }) = CommandFrame::decode(frame) {
            assert!(stream >= FIRST_INCOMING);
        }
    });
    let open = Message::Open(Open {
        stream: 1,
        transport: Transport::Tcp,
        to: "[::ffff:10.0.0.1]:80".parse().unwrap(),
        from_port: 3,
    });
    damaged(&open.encode().unwrap(), |frame| {
        if let Ok(Message::Open(open)) = Message::decode(frame) {
            assert!(open.stream < FIRST_INCOMING);
            assert_eq!(open.to.ip(), open.to.ip().to_canonical());
        }
    });
    damaged(&ended("text").encode().unwrap(), |frame| {
        if let Ok(Message::Ended(outcome)) = Message::decode(frame) {
            let control = |c: char| c.is_control() && c != '\n';
            assert!(!outcome.to_string().contains(control));
        }
    });
}

#[test]
fn a_frame_that_is_too_long_is_refused() {
    let (node, instance) = pair();
    send(&**instance.fd(), &[0; FRAME_MAX + 1], SendFlags::empty()).unwrap();
    let refused = node.receive().unwrap_err().to_string();
    assert!(refused.contains("too long"), "{refused}");
    send(node.as_fd(), &[0; FRAME_MAX + 1], SendFlags::empty()).unwrap();
    let refused = instance.start().unwrap_err().to_string();
    assert!(refused.contains("too long"), "{refused}");
}
