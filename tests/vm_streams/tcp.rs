//! TCP.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread;

use rustix::io::Errno;
use rustix::net::sockopt::set_socket_send_buffer_size;
use unicell_tests::hosts::scale;
use unicell_tests::node::{Instance, pair};
use unicell_vmm::link::{Closed, Command, Message, Transport};

use crate::program;

fn stream(fd: OwnedFd) -> UnixStream {
    fd.into()
}

fn errno(errno: Errno) -> u16 {
    errno.raw_os_error() as u16
}

/// Sends everything back that comes, until the end.
fn echo(fd: OwnedFd) {
    let mut ours = stream(fd);
    let mut buffer = vec![0; 1 << 17];
    loop {
        let len = ours.read(&mut buffer).unwrap();
        if len == 0 {
            break;
        }
        ours.write_all(&buffer[..len]).unwrap();
    }
    ours.shutdown(Shutdown::Write).unwrap();
}

fn closed(messages: &[Message]) -> Vec<Closed> {
    let closed = |message: &Message| match message {
        Message::Closed(closed) => Some(*closed),
        _ => None,
    };
    messages.iter().filter_map(closed).collect()
}

#[test]
fn a_guest_connects_talks_and_ends() {
    for (host, own) in [("10.1.0.1", "10.0.0.2"), ("fd00::1:1", "fd00::2")] {
        let mut guest = program(&["talk", host, "80", "hello"]);
        let open = guest.wish();
        assert_eq!(open.transport, Transport::Tcp);
        assert_eq!(open.to.ip().to_string(), host);
        assert_eq!(open.to.port(), 80);
        let (ours, _) = guest.grant(&open);
        let mut ours = stream(ours);
        let mut text = String::new();
        ours.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        ours.write_all(b"and back").unwrap();
        ours.shutdown(Shutdown::Write).unwrap();
        let Message::Closed(end) = guest.message() else {
            panic!("both directions have ended");
        };
        let stream = open.stream;
        let (errno, sent, received) = (0, 5, 8);
        let whole = Closed {
            stream,
            errno,
            sent,
            received,
        };
        assert_eq!(end, whole);
        let printed = guest.succeeds();
        let expected = format!(
            "connect: 0\nown: {own}\npeer: {host} port 80\nshutdown: 0\ngot and back\nread: 0\n\
             write: Broken pipe\n"
        );
        assert_eq!(printed, expected);
    }
}

#[test]
fn a_guest_is_reached() {
    for (at, from, own) in [
        ("0.0.0.0", "10.0.0.3:4000", "10.0.0.2"),
        ("::", "10.0.0.3:4000", "::ffff:10.0.0.2"),
        ("10.0.0.2", "10.0.0.3:4000", "10.0.0.2"),
        ("::", "[fd00::3]:4000", "fd00::2"),
    ] {
        let mut guest = program(&["answer", at, "80"]);
        assert_eq!(guest.line(), "listening\n");
        let (ours, number) = guest.offer(Transport::Tcp, from, 80);
        let accepted = guest.message();
        assert!(
            matches!(accepted, Message::Accepted { stream } if stream == number),
            "{accepted:?}"
        );
        let mut ours = stream(ours);
        ours.write_all(b"over and out").unwrap();
        ours.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        ours.read_to_string(&mut text).unwrap();
        assert_eq!(text, "over and out");
        let printed = guest.succeeds();
        assert!(printed.contains(&format!("own: {own}\n")), "{printed}");
        assert!(printed.ends_with("port 4000\nread: 0\n"), "{printed}");
    }
}

#[test]
fn a_guest_is_not_reached_where_it_does_not_listen() {
    let mut guest = program(&["answer", "127.0.0.1", "80"]);
    assert_eq!(guest.line(), "listening\n");
    for (from, port) in [("10.0.0.3:1", 80), ("10.0.0.3:1", 81), ("[fd00::3]:1", 80)] {
        let (_ours, number) = guest.offer(Transport::Tcp, from, port);
        let Message::Closed(end) = guest.message() else {
            panic!("nobody listens there");
        };
        let refused = (number, errno(Errno::CONNREFUSED));
        assert_eq!((end.stream, end.errno), refused);
    }
    guest.node.stop().unwrap();
}

#[test]
fn connections_wait_for_their_place_in_the_queue() {
    // The program listens with a backlog of 4 and accepts one connection, whenever that comes.
    let mut guest = program(&["answer", "0.0.0.0", "80"]);
    assert_eq!(guest.line(), "listening\n");
    let ours: Vec<_> = (0..20)
        .map(|_| guest.offer(Transport::Tcp, "10.0.0.3:1", 80))
        .collect();
    let Message::Accepted { stream: number } = guest.message() else {
        panic!("the first is accepted");
    };
    let mut first = None;
    for (fd, other) in ours {
        if other == number {
            first = Some(stream(fd));
        }
    }
    first.unwrap().shutdown(Shutdown::Write).unwrap();
    let printed = guest.succeeds();
    assert!(printed.ends_with("read: 0\n"), "{printed}");
}

#[test]
fn what_is_refused_says_why() {
    for (errno, text) in [
        (Errno::NETUNREACH, "Network is unreachable"),
        (Errno::CONNREFUSED, "Connection refused"),
        (Errno::TIMEDOUT, "Connection timed out"),
    ] {
        let mut guest = program(&["refused", "10.9.0.1", "80"]);
        for _ in 0..2 {
            let stream = guest.wish().stream;
            let errno = self::errno(errno);
            guest.say(&Command::Refused { stream, errno });
        }
        let printed = guest.succeeds();
        let expected = format!(
            "connect: {text}\nown: 0.0.0.0\ngetpeername: Transport endpoint is not connected\n\
             events 1c\nlater: {text}\n"
        );
        assert_eq!(printed, expected);
    }
}

#[test]
fn an_address_that_is_not_virtual_is_unreachable_at_once_and_the_node_knows() {
    for host in ["8.8.8.8", "2001:db8::1"] {
        let guest = program(&["refused", host, "53"]);
        let (outcome, printed, before) = guest.finish();
        let lines: Vec<_> = printed.lines().collect();
        assert_eq!(lines[0], "connect: Network is unreachable", "{outcome}");
        assert_eq!(lines.last(), Some(&"later: Network is unreachable"));
        let tried = before.iter().filter_map(|message| match message {
            Message::Refused(refused) => Some((refused.to.ip().to_string(), refused.times)),
            _ => None,
        });
        let each = (host.to_owned(), 1);
        assert_eq!(tried.collect::<Vec<_>>(), [each.clone(), each]);
    }
}

#[test]
fn much_goes_there_and_back() {
    let bytes = scale(100_u64, 2) << 20;
    let mut guest = program(&["pump", "10.1.0.1", "7", &bytes.to_string()]);
    let open = guest.wish();
    let (ours, _) = guest.grant(&open);
    let echo = thread::spawn(move || echo(ours));
    let (_, printed, before) = guest.finish();
    echo.join().unwrap();
    assert_eq!(printed, format!("connect: 0\nend: 0\npumped {bytes}\n"));
    let [end] = closed(&before)[..] else {
        panic!("{before:?}");
    };
    assert_eq!((end.sent, end.received, end.errno), (bytes, bytes, 0));
}

#[test]
fn much_goes_from_guest_to_guest() {
    let bytes = scale(20_u64, 1) << 20;
    let mut server = program(&["answer", "0.0.0.0", "7"]);
    assert_eq!(server.line(), "listening\n");
    let mut client = program(&["pump", "10.1.0.1", "7", &bytes.to_string()]);
    let open = client.wish();
    // The node makes the pair, gives an end to each, and keeps duplicates; no byte passes it.
    let (theirs, one) = client.grant(&open);
    let number = server.node.new_stream();
    server.say(&Command::Incoming {
        stream: number,
        transport: Transport::Tcp,
        from: "10.0.0.3:9".parse().unwrap(),
        port: 7,
        socket: std::os::fd::AsFd::as_fd(&theirs),
    });
    let printed = client.succeeds();
    assert_eq!(printed, format!("connect: 0\nend: 0\npumped {bytes}\n"));
    let printed = server.succeeds();
    assert!(printed.ends_with("read: 0\n"), "{printed}");
    drop((theirs, one));
}

#[test]
fn a_thousand_connections_at_once() {
    let count = scale(1000, 50);
    let mut guest = program(&["many", "10.1.0.1", "7", &count.to_string()]);
    // All are asked for before the first is there.
    let wishes: Vec<_> = (0..count).map(|_| guest.wish()).collect();
    let granted: Vec<_> = wishes.iter().map(|open| guest.grant(open)).collect();
    for (ours, _) in granted.iter().rev() {
        let mut ours = UnixStream::from(ours.try_clone().unwrap());
        let mut word = [0; 4];
        if let Err(error) = ours.read_exact(&mut word) {
            let (outcome, printed, _) = guest.finish();
            panic!("{error}: {outcome}\n{printed}");
        }
        ours.write_all(&word).unwrap();
    }
    assert_eq!(guest.succeeds(), format!("done {count}\n"));
}

/// A guest that reads, with the connection it has, after its first words have come.
fn reading() -> (Instance, u32, UnixStream, OwnedFd) {
    let mut guest = program(&["broken", "10.1.0.1", "7"]);
    let open = guest.wish();
    let (ours, duplicate) = guest.grant(&open);
    let mut ours = stream(ours);
    let mut word = [0; 5];
    ours.read_exact(&mut word).unwrap();
    (guest, open.stream, ours, duplicate)
}

#[test]
fn a_grant_that_is_withdrawn_breaks_the_connection() {
    let (guest, stream, _ours, duplicate) = reading();
    guest.say(&Command::Reset { stream });
    rustix::net::shutdown(&duplicate, rustix::net::Shutdown::Both).unwrap();
    let (_, printed, before) = guest.finish();
    let text = "connect: 0\nread: Connection reset by peer\nagain: 0\nwrite: Broken pipe\n";
    assert_eq!(printed, text);
    assert_eq!(closed(&before)[0].errno, errno(Errno::CONNRESET));
}

#[test]
fn a_shut_down_socket_alone_ends_the_connection() {
    let (guest, _, _ours, duplicate) = reading();
    rustix::net::shutdown(&duplicate, rustix::net::Shutdown::Both).unwrap();
    let printed = guest.succeeds();
    assert!(
        printed.starts_with("connect: 0\nread: 0\nagain: 0\nwrite: "),
        "{printed}"
    );
}

#[test]
fn a_program_that_closes_hard_breaks_the_connection_for_the_node() {
    // It ends with unread data: more than its two reads take lies there before it has the stream.
    let mut guest = program(&["broken", "10.1.0.1", "7"]);
    let open = guest.wish();
    let (ours, theirs) = pair(open.transport);
    set_socket_send_buffer_size(&ours, 1 << 20).unwrap();
    let mut ours = stream(ours);
    ours.write_all(&[0; 300_000]).unwrap();
    let (stream, socket) = (open.stream, theirs.as_fd());
    guest.say(&Command::Opened { stream, socket });
    let (_, printed, before) = guest.finish();
    assert!(printed.starts_with("connect: 0\nread: "), "{printed}");
    // Reset, or aborted by the end of the instance if what is unread had not come yet.
    assert_ne!(closed(&before)[0].errno, 0);
}

#[test]
fn a_slow_reader_holds_the_guest_back() {
    let mut guest = program(&["fill", "10.1.0.1", "7"]);
    let open = guest.wish();
    let (ours, _duplicate) = guest.grant(&open);
    let line = guest.line();
    assert_eq!(line, "connect: 0\n");
    let line = guest.line();
    let filled: usize = line
        .trim()
        .strip_prefix("filled ")
        .unwrap()
        .parse()
        .unwrap();
    // What the socket takes, and a window of 2 MiB.
    assert!((64 << 10..3 << 20).contains(&filled), "{line}");
    let mut ours = stream(ours);
    let mut all = Vec::new();
    ours.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), filled);
    ours.write_all(b"x").unwrap();
    assert_eq!(guest.succeeds(), "read: 1\n");
}

#[test]
fn what_a_program_sent_is_delivered_after_its_end() {
    let mut guest = program(&["talk", "10.1.0.1", "80", "last words"]);
    let open = guest.wish();
    let (ours, _duplicate) = guest.grant(&open);
    let mut ours = stream(ours);
    ours.shutdown(Shutdown::Write).unwrap();
    guest.succeeds();
    let mut text = String::new();
    ours.read_to_string(&mut text).unwrap();
    assert_eq!(text, "last words");
}

#[test]
fn a_program_without_addresses_reaches_nothing() {
    use unicell_guest_abi::init::Furnishing;
    let tree = unicell_tests::boxes::tree("programs");
    let command = ["/static/streams", "refused", "10.0.0.1", "80"];
    let guest = unicell_tests::node::start(&tree, &command, &Furnishing::default());
    let (_, printed, before) = guest.finish();
    assert!(
        printed.starts_with("connect: Network is unreachable\n"),
        "{printed}"
    );
    let tried = before
        .iter()
        .any(|message| matches!(message, Message::Open(_)));
    assert!(!tried, "{before:?}");
}

#[test]
fn orders_that_make_no_sense_end_the_instance() {
    let (ours, theirs) = unicell_tests::node::pair(Transport::Udp);
    let socket = std::os::fd::AsFd::as_fd(&theirs);
    let number = unicell_guest_abi::message::FIRST_INCOMING;
    let offer = Command::Incoming {
        stream: number,
        transport: Transport::Tcp,
        from: "10.0.0.3:9".parse().unwrap(),
        port: 7,
        socket,
    };
    let orders = HashMap::from([
        (
            "opens what nobody asked for",
            Command::Opened { stream: 77, socket },
        ),
        (
            "refuses what nobody asked for",
            Command::Refused {
                stream: 77,
                errno: 1,
            },
        ),
        ("is no stream socket", offer),
    ]);
    for (what, order) in orders {
        let guest = program(&["answer", "0.0.0.0", "80"]);
        guest.say(&order);
        let (outcome, _, _) = guest.finish();
        assert_eq!(outcome.end, unicell_vmm::End::Stopped, "{what}: {outcome}");
    }
    drop(ours);
}
