//! A named network that is allowed, and then no more.

use unicell_tests::boxes::tree;
use unicell_tests::daemon::Node;
use unicell_tests::hosts::too_long_here;

/// Takes one connection, and says how it ends.
const SERVER: &str = "\
import socket
listener = socket.create_server(('', 7000))
print('listening', flush=True)
connection, _ = listener.accept()
print('got', connection.recv(9).decode(), flush=True)
try: print('then', connection.recv(9))
except OSError as error: print('then', error.strerror)";

/// Connects to the network's member, and again when that has ended.
const CLIENT: &str = "\
import socket
connection = socket.create_connection(('chat', 7000))
there = connection.getpeername()
connection.send(b'hello')
try: print(connection.recv(9))
except OSError as error: print(error.strerror)
for name in there[0], 'chat':
    try: print(socket.create_connection((name, 7000)))
    except OSError as error: print(error.strerror)";

#[test]
fn streams_break_when_their_network_is_forbidden_and_none_is_opened_again() {
    if too_long_here() {
        return;
    }
    let node = Node::start();
    // One service, whose instances are told what to run.
    let manifest = "entrypoint = \"/usr/bin/python3.11\"\n\
        args = [\"-c\", \"import os; exec(os.environ['PROGRAM'])\"]\n\
        [variables]\nPROGRAM = { tags = [\"text\"] }\n\
        [[slots]]\nport = 7000\n[[networks]]\ntags = [\"chat\"]\n";
    node.import(tree("python").path(), manifest, "chatter");
    let start = |name: &str, program: &str| {
        let program = format!("PROGRAM={program}");
        node.try_run(["start", "chatter", "--name", name, "--env", &program])
    };
    // Declared, and not allowed: it says so at the start.
    let alone = start("alone", "");
    assert!(alone.err().contains("network chat"), "{alone}");

    node.run(["network", "allow", "chat"]);
    start("listener", SERVER);
    node.until_it_says("listener", "listening");
    start("caller", CLIENT);
    node.until_it_says("listener", "got hello");
    node.run(["network", "forbid", "chat"]);
    // Half of what was to come must not be taken for all of it.
    let server = node.output("listener").out();
    let last = server.lines().last();
    assert_eq!(last, Some("then Connection reset by peer"), "{server}");
    let client = node.output("caller").out();
    let lines: Vec<_> = client.lines().collect();
    assert_eq!(lines[0], "Connection reset by peer", "{client}");
    assert_eq!(lines[1], "Network is unreachable");
    assert_eq!(lines.len(), 3, "{client}");
    assert!(!lines[2].contains("socket"), "{client}");
    let refused = |event: &serde_json::Value| {
        event["event"] == "connect-refused"
            && event["to"].as_str().is_some_and(|to| to.ends_with(":7000"))
    };
    let events = node.run(["events", "--json"]);
    let events = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let told: Vec<serde_json::Value> = events.filter(refused).collect();
    assert!(!told.is_empty(), "{lines:?}");
}
