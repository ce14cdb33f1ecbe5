//! What an instance may use, changed while it runs.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;
use unicell_tests::boxes::tree;
use unicell_tests::daemon::Node;
use unicell_tests::exit::MEMORY_EXHAUSTED;

/// May have 32 MiB, and 128 MiB if it is given them; takes 64 MiB when somebody connects.
const GROWING: &str = "entrypoint = \"/bin/busybox\"\n\
    args = [\"sh\", \"-c\", \"echo taken | nc -l -p 7000; \
    dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null; echo grown; sleep 100000\"]\n\
    memory = \"32M\"\n\
    [resources]\nat_most = { memory = \"128M\" }\n\
    [[slots]]\nport = 7000\n";

/// A running instance, and where it waits to be told to grow.
fn start(node: &Node) -> (String, SocketAddr) {
    let started = node.json(&["start", "growing", "--publish", "0:7000"]);
    let door = started["slots"][0]["addresses"][0].as_str().unwrap();
    let id = started["id"].as_str().unwrap().to_owned();
    (id, door.parse().unwrap())
}

/// Has it grow. Before it listens, connections are closed with nothing said.
fn grow(door: SocketAddr) {
    let mut said = String::new();
    while said != "taken\n" {
        said.clear();
        let mut stream = TcpStream::connect(door).expect("the port is there");
        // One that is broken off is as good as closed.
        let _ = stream.read_to_string(&mut said);
    }
}

fn resize(node: &Node, id: &str, to: &Value) -> (u16, String) {
    let request = format!("PATCH /v1/instances/{id}/resources");
    let answer = node.api().call(&request, &[], &to.to_string()).unwrap();
    (answer.status, answer.body)
}

#[test]
fn memory_is_raised_while_running_and_not_taken_back_from_use() {
    let node = Node::start();
    node.import(tree("busybox").path(), GROWING, "growing");

    // Without more, it ends where its limit is.
    let (id, door) = start(&node);
    grow(door);
    node.wait_for("ended", &id);
    let ended = node.api().get(&format!("/v1/instances/{id}"));
    assert_eq!(ended["outcome"]["code"], MEMORY_EXHAUSTED, "{ended}");
    assert_eq!(ended["limits"]["memory"], 32 << 20);

    let (id, door) = start(&node);
    let free = || {
        node.api().get("/v1/node")["free"]["memory"]
            .as_u64()
            .unwrap()
    };
    let before = free();
    let (status, body) = resize(&node, &id, &serde_json::json!({ "memory": 128 << 20 }));
    assert_eq!(status, 200, "{body}");
    assert_eq!(free(), before - (96 << 20));
    grow(door);
    node.said(&id, "grown");
    let used = node.api().get(&format!("/v1/instances/{id}"))["usage"]["memory"].as_u64();
    assert!(used > Some(64 << 20), "{used:?}");

    // More than it declares, less than it uses, and what is settled at the start.
    for (to, status, words) in [
        (serde_json::json!({ "memory": 129 << 20 }), 400, "declares"),
        (
            serde_json::json!({ "memory": 32 << 20 }),
            409,
            "that it uses",
        ),
        (serde_json::json!({ "disk": 1 << 20 }), 409, "settled"),
    ] {
        let (found, body) = resize(&node, &id, &to);
        assert_eq!(found, status, "{body}");
        assert!(body.contains(words), "{body}");
    }
    let (status, body) = resize(&node, &id, &serde_json::json!({ "memory": 120 << 20 }));
    assert_eq!(status, 200, "{body}");
    assert_eq!(free(), before - (88 << 20));
    node.run(["stop", &id]);
}
