//! Names: the resolvers of glibc and musl, unmodified, ask the node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::thread;

use hickory_proto::op::{Message as Query, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use unicell_guest_abi::init::{File, Furnishing};
use unicell_tests::boxes::tree;
use unicell_tests::node::{OWN, OWN_V6, start};
use unicell_vmm::link::{Message, Transport};

/// Answers a query: `child` has addresses, nobody else.
fn answer(query: &[u8]) -> Vec<u8> {
    let query = Query::from_vec(query).unwrap();
    let question = query.queries.first().unwrap();
    let mut answer = Query::response(query.metadata.id, query.metadata.op_code);
    answer.add_query(question.clone());
    answer.metadata.recursion_available = true;
    let name = question.name();
    let data = match question.query_type() {
        _ if !name.to_ascii().starts_with("child") => {
            answer.metadata.response_code = ResponseCode::NXDomain;
            None
        }
        RecordType::A => Some(RData::A(Ipv4Addr::new(10, 1, 0, 1).into())),
        RecordType::AAAA => {
            let address = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 1, 1);
            Some(RData::AAAA(address.into()))
        }
        _ => None,
    };
    if let Some(data) = data {
        answer.add_answer(Record::from_rdata(name.clone(), 0, data));
    }
    answer.to_vec().unwrap()
}

#[test]
fn names_are_resolved_by_asking_the_node() {
    let files = [
        File {
            path: b"/etc/resolv.conf",
            mode: 0o644,
            contents: b"nameserver 10.0.0.1\n",
        },
        File {
            path: b"/etc/hosts",
            mode: 0o644,
            contents: b"127.0.0.1 localhost\n10.0.0.1 gateway\n",
        },
    ];
    let furnishing = Furnishing {
        ipv4: Some(OWN),
        ipv6: Some(OWN_V6),
        files: &files,
        ..Furnishing::default()
    };
    for linking in ["musl", "dynamic"] {
        let path = format!("/{linking}/streams");
        let command = [&path, "resolve", "child", "gateway", "nobody"];
        let mut guest = start(&tree("programs"), &command, &furnishing);
        let mut held = Vec::new();
        let outcome = loop {
            match guest.message() {
                Message::Open(open) => {
                    assert_eq!(open.transport, Transport::Udp);
                    assert_eq!(open.to.ip(), IpAddr::from([10, 0, 0, 1]));
                    assert_eq!(open.to.port(), 53);
                    let (ours, duplicate) = guest.grant(&open);
                    held.push(duplicate);
                    thread::spawn(move || {
                        let mut buffer = [0; 1500];
                        // Until the flow is given up and the duplicate shut down.
                        while let Ok((_, len @ 1..)) = recv(&ours, &mut buffer, RecvFlags::empty())
                        {
                            send(&ours, &answer(&buffer[..len]), SendFlags::NOSIGNAL).unwrap();
                        }
                    });
                }
                Message::Ended(outcome) => break outcome,
                _ => {}
            }
        };
        for duplicate in held {
            rustix::net::shutdown(&duplicate, rustix::net::Shutdown::Both).unwrap();
        }
        let printed = guest.rest();
        for expected in [
            "child: 10.1.0.1 port 80\n",
            "child: fd00::1:1 port 80\n",
            "gateway: 10.0.0.1 port 80\n",
        ] {
            assert_eq!(
                printed.matches(expected).count(),
                2,
                "{linking}: {outcome}\n{printed}"
            );
        }
        assert_eq!(
            printed.matches("nobody: no address").count(),
            2,
            "{printed}"
        );
    }
}
