//! Instances whose runs can be repeated: started at D1, proven by a receipt, and run again from it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use unicell_netstack::receipt;
use unicell_tests::boxes::{tree, unicell};
use unicell_tests::daemon::Node;
use unicell_tests::process::{Outcome, finish};

use crate::names;

/// A box with our program that shows all by which a run could be told, and busybox.
fn small_box(node: &Node) -> PathBuf {
    let small = node.path().join("reproducible-box");
    std::fs::create_dir_all(small.join("bin")).expect("it can be made");
    for (from, name) in [
        (tree("programs").path().join("musl/reproducible"), "program"),
        (tree("busybox").path().join("bin/busybox"), "busybox"),
    ] {
        std::fs::copy(&from, small.join("bin").join(name))
            .unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
    small
}

/// A node with a key.
fn node() -> Node {
    node_with("")
}

/// The same with these settings.
fn node_with(settings: &str) -> Node {
    let node = Node::start_with(settings);
    let key = node.path().join("state/node.key");
    node.run(["key", "create", "--key", key.to_str().expect("it is text")]);
    node
}

fn manifest(args: &str, rest: &str) -> String {
    format!("entrypoint = \"/bin/program\"\nargs = [{args}]\n{rest}")
}

/// The instance of this name, as its operator sees it.
fn seen(node: &Node, name: &str) -> Value {
    let instances = node.instances();
    let found = instances.iter().find(|instance| instance["name"] == name);
    found
        .unwrap_or_else(|| panic!("no {name} in {instances:?}"))
        .clone()
}

/// Fetches the receipt of an instance that has ended, and verifies it with the box of this tag.
fn verify(node: &Node, instance: &str, tag: &str) -> Outcome {
    node.wait_for(
        "ended",
        seen(node, instance)["id"].as_str().expect("it has an id"),
    );
    let receipt = node.path().join(format!("{instance}.json"));
    let name = receipt.to_str().expect("it is text");
    node.run(["receipt", instance, "-o", name, "--nonce", "for me & you"]);
    let package = node.path().join(format!("{tag}.cell"));
    let mut command = Command::new(unicell());
    command
        .args(["verify", name, "--nonce", "for me & you", "--box"])
        .arg(package);
    finish(command, b"")
}

#[test]
fn what_an_instance_computes_is_the_same_each_time_and_proven() {
    let node = node();
    node.import(&small_box(&node), &manifest("", ""), "program");
    let said = ["one", "two"].map(|name| {
        node.run(["start", "program", "--name", name, "--level", "D1"]);
        node.output(name)
    });
    assert!(said[0].out().contains("unicell.level=D1"), "{}", said[0]);
    assert_eq!(said[0].out(), said[1].out());
    assert_eq!(seen(&node, "one")["determinism"], "D1");
    let outcome = verify(&node, "one", "program");
    assert_eq!(outcome.code, 0, "{outcome}");

    let own = ["--name", "own", "--level", "D1", "--cpu", "host"];
    node.run([&["start", "program"][..], &own].concat());
    let outcome = verify(&node, "own", "program");
    assert_eq!(outcome.code, 0, "{outcome}");
    let class = |name: &str| {
        let path = node.path().join(format!("{name}.json"));
        let receipt = std::fs::read(path).expect("it was fetched");
        receipt::parse(&receipt).expect("it is one").claim.cpu_class
    };
    assert!(class("one").starts_with("x86-64-v2-"), "{}", class("one"));
    assert!(!class("own").starts_with("x86-64"), "{}", class("own"));
    let refused = node.try_run(["start", "program", "--cpu", "x86-64-v2"]);
    assert!(refused.err().contains("from level D1 on"), "{refused}");

    node.run(["start", "program", "--name", "ordinary"]);
    node.output("ordinary");
    assert_eq!(seen(&node, "ordinary")["determinism"], "D0");
    let refused = node.try_run(["receipt", "ordinary", "-o", "/dev/null"]);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(refused.err().contains("its level is D0"), "{refused}");
}

fn get(address: SocketAddr, path: &str, late: Duration) -> String {
    let mut stream = TcpStream::connect(address).expect("the slot is there");
    let (first, second) = path.split_at(1);
    write!(stream, "GET {first}").expect("it takes a request");
    thread::sleep(late);
    write!(stream, "{second} HTTP/1.0\r\n\r\n").expect("it takes the rest");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    answer
}

#[test]
fn requests_that_came_to_a_slot_come_again_in_its_replay() {
    let node = node();
    let manifest = manifest("\"8000\", \"3\"", "[[slots]]\nport = 8000\n");
    node.import(&small_box(&node), &manifest, "server");
    let arguments = ["start", "server", "--level", "D1", "--publish", "0:8000"];
    let address = Node::published(&node.json(&arguments));
    node.until_it_says("server", "listening");
    let early = node.try_run(["receipt", "server", "-o", "/dev/null"]);
    assert!(early.err().contains("has not ended"), "{early}");
    let seed = fastrand::u64(..);
    println!("pauses of seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for number in 0..3 {
        let late = Duration::from_millis(random.u64(0..30));
        let answer = get(address, &format!("/{number}"), late);
        assert!(
            answer.contains(&format!("{number}: GET /{number}")),
            "{answer}"
        );
    }
    let said = node.output("server").out();
    assert_eq!(said.lines().count(), 4, "{said}");
    let outcome = verify(&node, "server", "server");
    assert_eq!(outcome.code, 0, "{outcome}");

    // A byte of what one of the three asked for.
    let path = node.path().join("server.json.transcript");
    let mut transcript = std::fs::read(&path).expect("it was fetched");
    let words = b"HTTP/1.0";
    let asked = transcript
        .windows(words.len())
        .position(|bytes| bytes == words);
    transcript[asked.expect("the request is in it")] ^= 1;
    std::fs::write(&path, transcript).expect("it can be written");
    let mut command = Command::new(unicell());
    command.arg("verify").arg(node.path().join("server.json"));
    command.arg("--box").arg(node.path().join("server.cell"));
    let tampered = finish(command, b"");
    assert_eq!(tampered.code, 215, "{tampered}");
    assert!(tampered.err().contains("transcript"), "{tampered}");
}

/// Hears more than half a MiB from its gateway, and says how many bytes.
const HEAR: &str = r#"
token=$(sed -n 's/.*"token": *"\([^"]*\)".*/\1/p' /__config__)
for time in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do
    wget -q -O - --header "Unicell-Token: $token" http://gateway/openapi.json
done | wc -c
"#;

#[test]
fn evidence_of_the_ended_is_bounded_and_what_was_dropped_is_named() {
    const BOUND: u64 = 1 << 20;
    let node = node_with("[capacity]\nevidence = \"1M\"\n");
    let manifest = format!("entrypoint = \"/bin/busybox\"\nargs = [\"sh\", \"-c\", {HEAR:?}]\n");
    node.import(&small_box(&node), &manifest, "hearer");
    let metric = |name: &str| -> u64 {
        let metrics = node.api().call("GET /metrics", &[], "");
        let metrics = metrics.expect("the node answers").body;
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        let value = line.unwrap_or_else(|| panic!("{name} is not in {metrics}"));
        value.trim().parse().expect("it is a number")
    };
    let fetch = |name| node.try_run(["receipt", name, "-o", "/dev/null"]);
    for name in ["first", "second"] {
        node.run(["start", "hearer", "--name", name, "--level", "D1"]);
        let said = node.output(name);
        let heard: u64 = said.out().trim().parse().expect("it says how much");
        let id = seen(&node, name)["id"].clone();
        node.wait_for("ended", id.as_str().expect("it has an id"));
        let kept = metric("unicell_evidence_bytes ");
        // Two do not fit beside each other.
        assert!((BOUND / 2..=BOUND).contains(&heard), "{said}");
        assert!((heard..=BOUND).contains(&kept), "{kept} of {heard}");
        let whole = fetch(name);
        assert_eq!(whole.code, 0, "{whole}");
    }
    let dropped = fetch("first");
    assert_eq!(dropped.code, 1, "{dropped}");
    assert!(dropped.err().contains("was dropped"), "{dropped}");
    assert!(dropped.err().contains("keeps 1048576 bytes"), "{dropped}");
    assert_eq!(metric("unicell_evidence_dropped_total "), 1);
    assert_eq!(metric("unicell_evidence_capacity_bytes "), BOUND);
}

#[test]
fn datagrams_that_came_to_a_slot_come_again_in_its_replay() {
    let node = node();
    let manifest = "entrypoint = \"/musl/streams\"\n\
                    args = [\"echo-datagrams\", \"7000\"]\n\
                    [[slots]]\nport = 7000\ntransport = \"udp\"\n";
    node.import(&names::small_box(node.path()), manifest, "echo");
    let arguments = ["start", "echo", "--level", "D1", "--publish", "0:7000/udp"];
    let address = Node::published(&node.json(&arguments));
    node.until_it_says("echo", "listening");
    let client = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    client.connect(address).expect("loopback is there");
    let large: Vec<u8> = (0..65_507).map(|at| (at / 3) as u8).collect();
    for datagram in [&b""[..], &large, b"again"] {
        client.send(datagram).expect("it can be sent");
        let mut answer = vec![0; 1 << 16];
        let len = client.recv(&mut answer).expect("it is answered");
        assert_eq!(answer[..len], *datagram);
    }
    let outcome = verify(&node, "echo", "echo");
    assert_eq!(outcome.code, 0, "{outcome}");
}

/// Starts the server by its alias, as repeatable as itself, and talks to it once it listens.
const PARENT: &str = r#"
token=$(sed -n 's/.*"token": *"\([^"]*\)".*/\1/p' /__config__)
call() { wget -q -O - --header "Unicell-Token: $token" "$@"; }
call --header "Content-Type: application/json" \
    --post-data '{"service":"server","determinism":"D1"}' http://gateway/v1/instances
for path in one two; do
    until wget -q -O - http://server:8000/$path; do :; done
done
"#;

#[test]
fn a_parent_its_calls_of_the_gateway_and_its_child_are_proven() {
    let node = node();
    let small = small_box(&node);
    let slot = "[[slots]]\nport = 8000\n";
    let id = node.import(&small, &manifest("\"8000\", \"2\"", slot), "server");
    let parent = format!(
        "entrypoint = \"/bin/busybox\"\nargs = [\"sh\", \"-c\", {PARENT:?}]\n\
         [dependencies]\nserver = {{ id = \"{id}\" }}\n"
    );
    node.import(&small, &parent, "parent");
    node.run(["start", "parent", "--name", "boss", "--level", "D1"]);
    let said = node.output("boss");
    assert!(said.out().contains("1: GET /two HTTP/1.1"), "{said}");
    for (instance, tag) in [("boss", "parent"), ("server", "server")] {
        let outcome = verify(&node, instance, tag);
        assert_eq!(outcome.code, 0, "{instance}: {outcome}");
    }
}
