//! Commands of the operator and of a client that the other tests do not use.

use std::fs;
use std::process::Command;

use unicell_tests::boxes::{tree, unicell};
use unicell_tests::daemon::Node;
use unicell_tests::hosts::too_long_here;
use unicell_tests::process::{Outcome, finish};

const SLEEPER: &str = "entrypoint = \"/bin/busybox\"\nargs = [\"sleep\", \"100000\"]\n\
                       memory = \"16M\"\n[resources]\nat_most = { memory = \"64M\" }\n";

#[test]
fn what_is_no_service_is_named_and_told_what_it_is_not() {
    let node = Node::start();
    let folder = tempfile::tempdir().unwrap();
    let none = "it is no service in any form";
    let cases: [(&str, &[u8], &str, &str); 7] = [
        ("text", b"hello world\n", none, "it is no tar"),
        ("noise", &[0xa5; 3000], none, "it is no tar"),
        (
            "cut.zip",
            b"PK\x03\x04 and no more",
            "it is no service in a zip",
            "it is no tar",
        ),
        (
            "other.json",
            b"{\n\"a\": 1}",
            "in JSON: unknown field `a`",
            "it is no tar",
        ),
        (
            "cut.json",
            b"{\"prose\": ",
            "at line 1 column",
            "it is no tar",
        ),
        ("text.gz", b"\x1f\x8b\x08\0\0\0", none, "compressed (gzip)"),
        ("empty", b"", "it is empty", "it is no tar"),
    ];
    for (name, bytes, imported, packed) in cases {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let path = path.to_str().unwrap();
        refused(&node, &["import", path], path, imported);
        refused(&node, &["inspect", path], path, imported);
        refused(&node, &["run", path], path, packed);
        let package = folder.path().join("package");
        refused(
            &node,
            &["pack", path, "-o", package.to_str().unwrap()],
            path,
            packed,
        );
        refused(&node, &["verify", path], path, "it is no receipt");
    }
    let directory = folder.path().to_str().unwrap();
    for command in ["import", "inspect", "verify"] {
        refused(&node, &[command, directory], directory, "directory");
    }
}

/// Requires one error that names the file and says this of it.
#[track_caller]
fn refused(node: &Node, command: &[&str], path: &str, said: &str) {
    let outcome = node.try_run(command);
    assert_ne!(outcome.code, 0, "{outcome}");
    let named = format!("unicell: {path}");
    assert!(outcome.err().starts_with(&named), "{outcome}");
    assert!(
        outcome.err().to_lowercase().contains(&said.to_lowercase()),
        "{outcome}"
    );
}

#[test]
fn a_service_keeps_its_id_on_its_way_out_and_in() {
    if too_long_here() {
        return;
    }
    let node = Node::start();
    let id = node.import(
        tree("hello").path(),
        "entrypoint = \"/bin/hello\"\n",
        "hello",
    );
    let mut file = node.path().join("hello.cell");
    for encoding in ["proto3", "json", "json+zip"] {
        let exported = node.path().join(format!("exported.{encoding}"));
        let to = exported.to_str().unwrap();
        node.run(["export", "hello", "--encoding", encoding, "-o", to]);
        // Without a node, from the one before: the same bytes.
        let converted = node.path().join(format!("converted.{encoding}"));
        let (from, to) = (file.to_str().unwrap(), converted.to_str().unwrap());
        node.run(["convert", from, "--encoding", encoding, "-o", to]);
        assert!(
            fs::read(&exported).unwrap() == fs::read(&converted).unwrap(),
            "{encoding}"
        );
        node.run(["rm", "hello"]);
        node.run(["gc"]);
        assert_eq!(node.import_file(&exported, "hello"), id, "{encoding}");
        file = exported;
    }
    node.run(["tag", "hello", "other"]);
    node.run(["rm", "--tag", "hello"]);
    let services = node.json(&["services"]);
    assert_eq!(services[0]["tags"], serde_json::json!(["other"]));
    assert!(node.run(["services"]).contains("other"));
    assert_eq!(node.try_run(["start", "hello"]).code, 1);
    let started = node.run(["start", "other"]);
    assert_eq!(node.output(started.trim()).out(), "hello from a box\n");
}

#[test]
fn what_an_instance_costs_and_uses_is_shown_and_bounded() {
    let node = Node::start_with("[capacity]\nmemory = \"64M\"\n");
    node.import(tree("busybox").path(), SLEEPER, "sleeper");
    let before = node.run(["estimate", "sleeper"]);
    assert!(before.contains("start   not known"), "{before}");
    assert!(before.contains("now     yes"), "{before}");
    node.run(["start", "sleeper", "--name", "first"]);
    let after = node.run(["estimate", "sleeper"]);
    assert!(after.contains("(1 starts)"), "{after}");
    let full = node.run(["estimate", "sleeper", "--memory", "64M"]);
    assert!(full.contains("now     no: "), "{full}");

    let limited = node.run(["limit", "first", "--memory", "48M", "--cpus", "0.5"]);
    assert!(
        limited.starts_with("memory 48.0 MiB, cpus 0.5"),
        "{limited}"
    );
    let refused = node.try_run(["limit", "first", "--memory", "65M"]);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(refused.err().contains("declares"), "{refused}");

    let top = node.run(["top", "--count", "2", "--every", "10ms"]);
    let rows = top.lines().filter(|line| line.contains("first"));
    assert_eq!(rows.count(), 2, "{top}");
    assert_eq!(top.matches("EXITS").count(), 2, "{top}");
}

#[test]
fn networks_are_allowed_listed_and_forbidden() {
    let node = Node::start();
    let endpoint = "192.0.2.7:8333";
    node.run(["network", "allow", "chat"]);
    node.run([
        "network",
        "allow",
        "coin",
        "--endpoint",
        endpoint,
        "--no-instances",
    ]);
    let list = node.run(["network", "ls"]);
    let row = |name: &str| list.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(row("chat").contains("yes"), "{list}");
    assert!(
        row("coin").contains("no") && row("coin").contains(endpoint),
        "{list}"
    );
    let members = node.run(["network", "members", "coin"]);
    assert!(members.contains(endpoint), "{members}");
    let nobody = node.try_run(["network", "members", "chat"]);
    assert!(nobody.err().contains("no member"), "{nobody}");
    node.run(["network", "forbid", "coin"]);
    assert!(!node.run(["network", "ls"]).contains("coin"));
    let refused = node.try_run(["network", "forbid", "coin"]);
    assert_eq!(refused.code, 1, "{refused}");
}

/// A file with a token.
fn written(node: &Node, name: &str, token: &str) -> String {
    let path = node.path().join(name);
    fs::write(&path, token).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A command to a node at this address, with the token in a file.
fn client(address: &str, file: &str, arguments: &[&str]) -> Outcome {
    let mut command = Command::new(unicell());
    command.args(["--node", address, "--token-file", file]);
    command.args(arguments);
    finish(command, b"")
}

#[test]
fn clients_fill_the_store_to_its_bound_and_the_operator_beyond() {
    if too_long_here() {
        return;
    }
    let settings = "listen = \"127.0.0.1:0\"\n[capacity]\nstore = \"1M\"\n";
    let mut node = Node::start_with(settings);
    let address = format!("http://{}", node.clients());
    let alice = written(&node, "alice", &node.run(["token", "create", "alice"]));
    let packed = ["small", "large", "larger"].map(|name| {
        let folder = node.path().join(name);
        fs::create_dir(&folder).unwrap();
        // No two blocks are alike.
        let bytes: Vec<u8> = (0..100_000_u64)
            .flat_map(|number| (number * name.len() as u64).to_le_bytes())
            .collect();
        let some = if name == "small" { 1000 } else { bytes.len() };
        fs::write(folder.join("data"), &bytes[..some]).unwrap();
        let package = node.path().join(format!("{name}.cell"));
        let to = package.to_str().unwrap().to_owned();
        let folder = folder.to_str().unwrap();
        node.run(["pack", folder, "--entrypoint", "/data", "-o", &to]);
        to
    });
    let [small, large, larger] = packed;
    let taken = client(&address, &alice, &["import", &large]);
    assert_eq!(taken.code, 0, "{taken}");
    // There is room, and not for this one.
    let refused = client(&address, &alice, &["import", &larger]);
    assert_eq!(refused.code, 1, "{refused}");
    assert!(refused.err().contains("1048576 bytes"), "{refused}");
    assert_eq!(client(&address, &alice, &["import", &small]).code, 0);
    node.run(["import", &larger]);
    let refused = client(&address, &alice, &["import", &small]);
    assert_eq!(refused.code, 1, "{refused}");
    assert_eq!(node.json(&["services"]).as_array().unwrap().len(), 3);
}

#[test]
fn a_client_with_a_token_does_what_the_token_says() {
    let mut node = Node::start_with("listen = \"127.0.0.1:0\"\n");
    let address = format!("http://{}", node.clients());
    node.import(tree("busybox").path(), SLEEPER, "sleeper");
    let write = |name: &str, token: &str| written(&node, name, token);
    let client = |file: &str, arguments: &[&str]| client(&address, file, arguments);
    let alice = write(
        "alice",
        &node.run(["token", "create", "alice", "--expires", "1h"]),
    );
    let mine = client(&alice, &["start", "sleeper", "--name", "mine"]);
    assert_eq!(mine.code, 0, "{mine}");
    node.run(["start", "sleeper", "--name", "operators"]);
    let seen = client(&alice, &["ps"]).out();
    assert!(
        seen.contains("mine") && !seen.contains("operators"),
        "{seen}"
    );

    let narrow = client(&alice, &["token", "narrow", &alice, "--verb", "instance"]);
    let narrow = write("narrow", &narrow.out());
    let looks = client(&narrow, &["ps"]);
    assert_eq!(looks.code, 0, "{looks}");
    let refused = client(&narrow, &["stop", "mine"]);
    assert_eq!(refused.code, 1, "{refused}");
    let endless = client(&alice, &["token", "narrow", &alice]);
    assert!(endless.err().contains("--verb"), "{endless}");

    node.run(["token", "revoke", &alice]);
    for token in [&alice, &narrow] {
        let refused = client(token, &["ps"]);
        assert_eq!(refused.code, 1, "{refused}");
    }
    assert!(node.run(["ps"]).contains("mine"));
}
