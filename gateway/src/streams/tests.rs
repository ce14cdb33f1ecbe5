use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use super::*;

const NONE: Carried = Carried {
    sent: 0,
    received: 0,
};

fn id(number: u8) -> InstanceId {
    InstanceId::new([number; 6])
}

fn end(instance: u8, stream: u32) -> End {
    (id(instance), StreamId(stream))
}

fn ends(from: u8, stream: u32, to: u8) -> Ends {
    Ends {
        from: Some(end(from, stream)),
        to: Member::Instance(id(to)),
        port: 80,
        transport: Transport::Tcp,
        via: Via::Family,
    }
}

fn made(streams: &Arc<Streams>, ends: Ends, far: Option<End>, socket: impl AsFd) {
    let reserved = streams.reserve(ends, 4).unwrap();
    reserved.duplicate(socket).unwrap();
    assert!(far.is_none_or(|far| reserved.arrived(far)));
    assert!(reserved.made());
}

fn blocking(end: OwnedFd) -> UnixStream {
    let stream = UnixStream::from(end);
    stream.set_nonblocking(false).unwrap();
    stream
}

#[test]
fn a_stream_that_is_over_is_forgotten_and_its_end_delivered() {
    let streams = Arc::new(Streams::default());
    let (a, b) = pair(Transport::Tcp).unwrap();
    let (mut a, mut b) = (blocking(a), blocking(b));
    made(&streams, ends(1, 7, 2), Some(end(2, 9)), &a);
    a.write_all(b"answer").unwrap();
    drop(a);
    assert_eq!(streams.closed(end(1, 7), false, NONE), Closed::Nothing);
    assert_eq!(
        (streams.len(), streams.count(id(1)), streams.count(id(2))),
        (0, 0, 1)
    );
    let mut text = String::new();
    b.read_to_string(&mut text).unwrap();
    assert_eq!(text, "answer");
    assert_eq!(streams.closed(end(2, 9), true, NONE), Closed::Nothing);
    assert_eq!(streams.count(id(2)), 0);
    assert!(streams.0.lock().streams.is_empty());
}

/// A stream of a gigabyte at most from 1 to 2, and back, of which both ends say these.
fn said(transport: Transport, one: (u64, u64), other: (u64, u64)) -> Closed {
    let carried = |(sent, received)| Carried { sent, received };
    let streams = Arc::new(Streams::default());
    let (a, _b) = pair(transport).unwrap();
    let ends = Ends {
        transport,
        ..ends(1, 7, 2)
    };
    made(&streams, ends, Some(end(2, 9)), &a);
    let first = streams.closed(end(1, 7), false, carried(one));
    assert_eq!(first, Closed::Nothing);
    // The name may be in use again.
    let again = streams.reserve(ends, 4).unwrap();
    let last = streams.closed(end(2, 9), true, carried(other));
    drop(again);
    assert!(streams.0.lock().streams.is_empty());
    assert!(streams.0.lock().counts.is_empty());
    last
}

#[test]
fn ends_that_tell_of_different_bytes_are_noticed() {
    use Transport::{Tcp, Udp};
    let disputed = |from, to, sent, received| {
        Closed::Disputed(Dispute {
            ends: [id(from), id(to)],
            sent,
            received,
        })
    };
    assert_eq!(said(Tcp, (5, 8), (8, 5)), Closed::Nothing);
    assert_eq!(said(Udp, (5, 8), (8, 5)), Closed::Nothing);
    // More than there was.
    assert_eq!(said(Tcp, (5, 8), (8, 6)), disputed(1, 2, 5, 6));
    assert_eq!(said(Udp, (5, 8), (7, 5)), disputed(2, 1, 7, 8));
    // Less, but no less than a socket holds.
    assert_eq!(said(Tcp, (5 << 10, 8), (8, 0)), Closed::Nothing);
    assert_eq!(said(Tcp, (5 << 20, 8), (8, 0)), disputed(1, 2, 5 << 20, 0));
    assert_eq!(said(Udp, (5 << 20, 8), (8, 0)), Closed::Nothing);
}

#[test]
fn an_end_that_is_over_before_its_name_is_known_is_not_waited_for() {
    let streams = Arc::new(Streams::default());
    let (a, _b) = pair(Transport::Tcp).unwrap();
    let reserved = streams.reserve(ends(1, 7, 2), 4).unwrap();
    reserved.duplicate(&a).unwrap();
    let sent = |sent| Carried { sent, received: 0 };
    assert_eq!(streams.closed(end(2, 9), true, sent(3)), Closed::Nothing);
    // As many as arrive, and no more.
    assert_eq!(streams.closed(end(2, 8), true, sent(3)), Closed::Nothing);
    assert_eq!(streams.0.lock().early.len(), 1);
    assert!(reserved.arrived(end(2, 9)));
    assert!(reserved.made());
    assert_eq!(streams.count(id(2)), 0);
    let claim = Carried {
        sent: 0,
        received: 4,
    };
    let last = streams.closed(end(1, 7), false, claim);
    assert!(matches!(last, Closed::Disputed(_)), "{last:?}");
    assert!(streams.0.lock().streams.is_empty());
}

#[test]
fn an_instance_that_is_gone_is_not_waited_for() {
    let streams = Arc::new(Streams::default());
    for (stream, far) in [(7, 9), (8, 10)] {
        let (a, _b) = pair(Transport::Tcp).unwrap();
        made(&streams, ends(1, stream, 2), Some(end(2, far)), &a);
    }
    assert_eq!(streams.closed(end(1, 7), false, NONE), Closed::Nothing);
    assert_eq!(streams.closed(end(2, 10), false, NONE), Closed::Nothing);
    streams.end_all(id(2));
    // The one that 2 has ended is still 1's to end.
    assert_eq!((streams.count(id(1)), streams.count(id(2))), (1, 0));
    assert_eq!(streams.closed(end(1, 8), false, NONE), Closed::Nothing);
    assert!(streams.0.lock().streams.is_empty());
}

#[test]
fn a_stream_that_was_broken_off_is_broken_off_at_the_other_end() {
    let streams = Arc::new(Streams::default());
    let (a, _b) = pair(Transport::Tcp).unwrap();
    made(&streams, ends(1, 7, 2), Some(end(2, 9)), &a);
    assert_eq!(
        streams.closed(end(2, 9), true, NONE),
        Closed::Break(end(1, 7))
    );

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut outside, _) = listener.accept().unwrap();
    let to = Member::Endpoint(listener.local_addr().unwrap(), Transport::Tcp);
    made(
        &streams,
        Ends {
            to,
            ..ends(1, 8, 2)
        },
        None,
        &socket,
    );
    drop(socket);
    assert_eq!(streams.closed(end(1, 8), true, NONE), Closed::Nothing);
    let error = outside.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn what_is_withdrawn_breaks_and_nothing_else() {
    let streams = Arc::new(Streams::default());
    let (a, mut b) = pair(Transport::Tcp).map(|(a, b)| (a, blocking(b))).unwrap();
    let (c, mut d) = pair(Transport::Tcp).map(|(a, b)| (a, blocking(b))).unwrap();
    made(&streams, ends(1, 1, 2), Some(end(2, 2)), &a);
    made(&streams, ends(3, 3, 4), None, &c);
    let broken = streams.break_where(|ends| ends.has(id(2)));
    assert_eq!(broken.ends, [end(2, 2), end(1, 1)]);
    // Who is told now knows that it has not just ended.
    let mut waiting = [rustix::event::PollFd::new(&b, rustix::event::PollFlags::IN)];
    let now = rustix::event::Timespec::default();
    assert_eq!(rustix::event::poll(&mut waiting, Some(&now)), Ok(0));
    drop(broken);
    assert_eq!(b.read(&mut [0]).unwrap(), 0);
    assert!(b.write(b"x").is_err());
    assert_eq!(streams.len(), 1);
    d.write_all(b"x").unwrap();
    drop((a, c));
}

#[test]
fn a_stream_that_is_broken_while_it_is_made_is_not_missed() {
    let streams = Arc::new(Streams::default());
    let (a, _b) = pair(Transport::Tcp).unwrap();
    let reserved = streams.reserve(ends(1, 1, 2), 4).unwrap();
    reserved.duplicate(&a).unwrap();
    streams.end_all(id(1));
    assert!(!reserved.arrived(end(2, 2)));
    assert!(!reserved.made());
}

#[test]
fn streams_are_bounded_for_both_ends_and_while_they_are_made() {
    let streams = Arc::new(Streams::default());
    let reserve = |ends| streams.reserve(ends, 2);
    let first = reserve(ends(1, 1, 2)).unwrap();
    let _second = reserve(ends(1, 2, 3)).unwrap();
    assert_eq!(reserve(ends(1, 3, 4)).err(), Some(Full::Bound));
    assert_eq!(reserve(ends(4, 1, 1)).err(), Some(Full::Bound));
    drop(first);
    assert_eq!(reserve(ends(1, 2, 4)).err(), Some(Full::Name));
    assert!(reserve(ends(1, 1, 4)).is_ok());
    assert_eq!(streams.count(id(1)), 1);
}

#[test]
fn the_first_streams_of_an_instance_hold_more_than_others() {
    let streams = Arc::new(Streams::default());
    let holds = |end: &OwnedFd| rustix::net::sockopt::socket_send_buffer_size(end).unwrap();
    let plain = holds(&pair(Transport::Tcp).unwrap().0);
    let made: Vec<_> = (0..=FEW as u32)
        .map(|number| {
            let ends = ends(1, number, 2);
            let reserved = streams.reserve(ends, 2 * FEW).unwrap();
            let pair = reserved.pair(ends).unwrap();
            (reserved, pair)
        })
        .collect();
    for (at, (_, (one, other))) in made.iter().enumerate() {
        let large = [holds(one), holds(other)].map(|bytes| bytes > plain);
        assert_eq!(large, [at < FEW; 2], "stream {at}");
    }
}
