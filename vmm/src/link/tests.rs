//! The link, with a node and an instance in one process, and with ends that talk nonsense.

use std::os::fd::AsFd;

use super::wire::StartFrame;
use super::*;
use crate::outcome::{End, Exits, Stats};
use crate::timeline::Timeline;
use rustix::net::{SendFlags, send};
use unicell_guest_abi::exit::ExitKind;
use unicell_guest_abi::init;
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
        },
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
    let status = 11;
    let kind = ExitKind::Signaled;
    assert_eq!(outcome.end, End::Guest { kind, status });
    assert_eq!(outcome.stats.exits.parks, 3);
    assert_eq!(outcome.stats.guest.syscalls, 4);
    assert_eq!(outcome.stats.timeline.marks().next().unwrap().0, "a phase");
}

#[test]
fn a_stop_and_a_closed_link_are_noticed() {
    let (node, instance) = pair();
    assert_eq!(instance.wish(), None);
    node.stop().unwrap();
    assert_eq!(instance.wish(), Some(Wish::Stop));
    instance.send(&Message::Started).unwrap();
    assert!(matches!(node.receive(), Ok(Message::Started)));
    let (node, instance) = pair();
    drop(node);
    assert_eq!(instance.wish(), Some(Wish::Stop));
    assert!(matches!(instance.start(), Err(LinkError::Closed)));
    let (node, instance) = pair();
    drop(instance);
    assert!(matches!(node.receive(), Err(LinkError::Closed)));
    node.stop().unwrap();
}

#[test]
fn sizes_arrive_in_order_and_nonsense_is_a_stop() {
    let (node, instance) = pair();
    let sizes = [(24, 80), (0, 0), (u16::MAX, u16::MAX)];
    let sizes = sizes.map(|(rows, columns)| Window { rows, columns });
    for size in sizes {
        node.resize(size).unwrap();
    }
    for size in sizes {
        assert_eq!(instance.wish(), Some(Wish::Resize(size)));
    }
    for nonsense in [&[7][..], &[255; 4], &[1; 100], &[0; 3]] {
        send(node.as_fd(), nonsense, SendFlags::empty()).unwrap();
        assert_eq!(instance.wish(), Some(Wish::Stop), "{nonsense:?}");
    }
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
    let fds = [null.as_fd(); 6];
    let frame = StartFrame::of(&start(vec![1])).encode().unwrap();
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(6))];
    let mut control = rustix::net::SendAncillaryBuffer::new(&mut space);
    assert!(control.push(rustix::net::SendAncillaryMessage::ScmRights(&fds)));
    let parts = [std::io::IoSlice::new(&frame)];
    rustix::net::sendmsg(node.as_fd(), &parts, &mut control, SendFlags::empty()).unwrap();
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
