//! Slots on ports of the host, and what a guest reaches.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use unicell_tests::boxes::tree;
use unicell_tests::daemon::Node;
use unicell_tests::hosts::too_long_here;

/// Where the first published slot of an instance is.
fn published(started: &serde_json::Value) -> SocketAddr {
    let address = started["slots"][0]["addresses"][0].as_str();
    let address = address.unwrap_or_else(|| panic!("no slot is published: {started}"));
    address.parse().expect("it is an address")
}

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
    let address = published(&started);
    // The server says so when it listens.
    let instance = started["id"].as_str().expect("it has an id");
    let mut logs = node.command(["logs", "--follow", instance]);
    let mut logs = logs
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("unicell starts");
    let mut said = [0; 12];
    let stdout = logs.stdout.as_mut().expect("stdout is a pipe");
    stdout
        .read_exact(&mut said)
        .expect("the server says something");
    assert_eq!(&said, b"Serving HTTP");
    logs.kill().expect("a child can be killed");
    logs.wait().expect("a child can be waited for");

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
