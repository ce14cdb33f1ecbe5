//! TCP.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use unicell_tests::boxes::tree;
use unicell_tests::node::{Instance, start_with_addresses};
use unicell_vmm::link::{Message, Transport};

fn program(arguments: &[&str]) -> Instance {
    let command = [&["/static/streams"], arguments].concat();
    start_with_addresses(&tree("programs"), &command)
}

fn stream(fd: OwnedFd) -> UnixStream {
    fd.into()
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
