//! UDP.

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use unicell_vmm::link::{Command, Message, Transport};

use crate::program;

#[test]
fn datagrams_keep_their_boundaries() {
    for (host, from) in [("10.1.0.1", "10.1.0.1"), ("fd00::1:1", "fd00::1:1")] {
        let mut guest = program(&["datagrams", host, "7"]);
        let open = guest.wish();
        assert_eq!((open.transport, open.to.port()), (Transport::Udp, 7));
        let (ours, _duplicate) = guest.grant(&open);
        let mut sizes = Vec::new();
        let mut buffer = vec![0; 1 << 17];
        for _ in 0..12 {
            let (_, len) = recv(&ours, &mut buffer[..], RecvFlags::empty()).unwrap();
            sizes.push(len);
            send(&ours, &buffer[..len], SendFlags::empty()).unwrap();
        }
        assert_eq!(sizes[..6], [0, 1, 100, 1500, 9000, 65_507]);
        assert_eq!(sizes[..6], sizes[6..]);
        let printed = guest.succeeds();
        let from = format!("from: {from} port 7\n");
        assert_eq!(printed.matches(&from).count(), 2, "{printed}");
        assert!(
            printed.ends_with("too long: Message too long\n"),
            "{printed}"
        );
    }
}

#[test]
fn each_peer_has_a_flow_of_its_own() {
    let mut guest = program(&["echo-datagrams", "7"]);
    assert_eq!(guest.line(), "listening\n");
    let mut held = Vec::new();
    for from in ["10.0.0.3:5", "10.0.0.3:6", "10.1.0.1:5"] {
        let (ours, number) = guest.offer(Transport::Udp, from, 7);
        let accepted = guest.message();
        assert!(
            matches!(accepted, Message::Accepted { stream } if stream == number),
            "{accepted:?}"
        );
        send(&ours, from.as_bytes(), SendFlags::empty()).unwrap();
        let mut buffer = [0; 64];
        let (_, len) = recv(&ours, &mut buffer[..], RecvFlags::empty()).unwrap();
        assert_eq!(&buffer[..len], from.as_bytes());
        held.push(ours);
    }
    let printed = guest.succeeds();
    assert!(printed.contains("from: 10.1.0.1 port 5\n"), "{printed}");
}

#[test]
fn a_refused_datagram_is_told_to_who_is_connected() {
    let mut guest = program(&["unwanted", "10.1.0.1", "7"]);
    let stream = guest.wish().stream;
    let errno = Errno::CONNREFUSED.raw_os_error() as u16;
    guest.say(&Command::Refused { stream, errno });
    let text = "connect: 0\nsend: 1\nreceive: Connection refused\n";
    assert_eq!(guest.succeeds(), text);
}

#[test]
fn datagrams_to_a_port_without_a_socket_are_refused() {
    let mut guest = program(&["echo-datagrams", "7"]);
    assert_eq!(guest.line(), "listening\n");
    let (_ours, number) = guest.offer(Transport::Udp, "10.0.0.3:5", 8);
    let Message::Closed(end) = guest.message() else {
        panic!("nobody has that port");
    };
    let refused = Errno::CONNREFUSED.raw_os_error() as u16;
    assert_eq!((end.stream, end.errno), (number, refused));
    guest.node.stop().unwrap();
}
