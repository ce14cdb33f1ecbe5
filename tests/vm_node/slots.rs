//! Slots on ports of the host, and what a guest reaches.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};

use unicell_tests::boxes::tree;
use unicell_tests::daemon::Node;
use unicell_tests::hosts::too_long_here;

use crate::names::small_box;

fn get(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("the slot is there");
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").expect("it takes a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

#[test]
fn a_web_server_answers_on_a_port_of_the_host() {
    if too_long_here() {
        return;
    }
    let node = Node::start();
    let manifest = "entrypoint = \"/usr/bin/python3.11\"\n\
                    args = [\"-m\", \"http.server\", \"8000\"]\n\
                    workdir = \"/usr/lib/python3.11/json\"\n\
                    env = { PYTHONUNBUFFERED = \"1\" }\n\
                    [[slots]]\nport = 8000\n";
    node.import(tree("python").path(), manifest, "web");
    let started = node.json(&["start", "web", "--publish", "0:8000"]);
    let address = Node::published(&started);
    // The server says so when it listens.
    let instance = started["id"].as_str().expect("it has an id");
    node.until_it_says(instance, "Serving HTTP");

    let listing = get(address, "/");
    assert!(
        listing.starts_with("HTTP/1.0 200") && listing.contains("decoder.py"),
        "{listing}"
    );
    let file = get(address, "/decoder.py");
    assert!(file.contains("class JSONDecoder"), "{file}");
    node.run(["stop", instance]);
    assert!(
        TcpStream::connect(address).is_err(),
        "the port is still there"
    );
}

fn client(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    socket.connect(address).expect("loopback is there");
    socket
}

fn ask(client: &UdpSocket, question: &[u8]) -> Vec<u8> {
    client.send(question).expect("it can be sent");
    let mut answer = vec![0; 1 << 16];
    let len = client.recv(&mut answer).expect("it is answered");
    answer.truncate(len);
    answer
}

#[test]
fn datagrams_find_their_way_there_and_back() {
    let node = Node::start();
    let manifest = "entrypoint = \"/musl/streams\"\n\
                    args = [\"echo-datagrams\", \"7000\"]\n\
                    [[slots]]\nport = 7000\ntransport = \"udp\"\n";
    node.import(&small_box(node.path()), manifest, "echo");
    let started = node.json(&["start", "echo", "--publish", "0:7000/udp"]);
    let address = Node::published(&started);
    node.until_it_says("echo", "listening");
    let (one, other) = (client(address), client(address));
    let large: Vec<u8> = (0..65_507).map(|at| at as u8).collect();
    assert_eq!(ask(&one, b""), b"");
    assert_eq!(ask(&other, &large), large);
    assert_eq!(ask(&one, b"again"), b"again");
    let said = node.output("echo").out();
    let from: Vec<_> = said.lines().skip(1).collect();
    assert!(
        from.iter()
            .all(|line| line.starts_with("from: 10.0.0.1 port "))
    );
    assert!(
        from.len() == 3 && from[0] == from[2] && from[0] != from[1],
        "{said}"
    );
}

/// Answers what looks like a query of DNS, as a response without an answer.
const NAMES: &str = r#"
import socketserver
class Names(socketserver.DatagramRequestHandler):
    def handle(self):
        query = self.rfile.read()
        self.wfile.write(query[:2] + b'\x81\x83' + query[4:])
server = socketserver.ThreadingUDPServer(('', 53), Names)
print('serving names', flush=True)
server.serve_forever()
"#;

#[test]
fn many_clients_ask_a_server_of_names() {
    if too_long_here() {
        return;
    }
    let node = Node::start();
    let manifest = format!(
        "entrypoint = \"/usr/bin/python3.11\"\nargs = [\"-c\", {NAMES:?}]\n\
         [[slots]]\nport = 53\ntransport = \"udp\"\n"
    );
    node.import(tree("python").path(), &manifest, "names");
    let started = node.json(&["start", "names", "--publish", "0:53/udp"]);
    let address = Node::published(&started);
    node.until_it_says("names", "serving names");
    let clients: Vec<_> = (0..50).map(|_| client(address)).collect();
    for round in 0..3_u8 {
        for (number, client) in clients.iter().enumerate() {
            let query = [number as u8, round, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            let answer = ask(client, &query);
            assert_eq!(answer[..4], [number as u8, round, 0x81, 0x83]);
            assert_eq!(answer[4..], query[4..]);
        }
    }
}
