//! Instances from start to end, and the node's own.

use unicell_tests::boxes::tree;
use unicell_tests::daemon::Node;
use unicell_tests::hosts::scale;

const HELLO: &str = "entrypoint = \"/bin/hello\"\n";
/// Says that it is there, and then sleeps for longer than any test.
const SLEEPER: &str = "entrypoint = \"/bin/busybox\"\n\
                       args = [\"sh\", \"-c\", \"echo there; sleep 100000\"]\n";

/// No processes but those of instances.
pub(crate) const NO_OTHERS: &str = "[jail]\nwaiting = 0\n";

/// Whether a process still runs. A zombie does not: its parent is to blame for it.
pub(crate) fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
    state.is_some_and(|state| !state.starts_with(['Z', 'X']))
}

/// The processes that a node has started.
fn children(pid: u32) -> Vec<u32> {
    let list = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a process has threads");
    let children = list.flat_map(|task| {
        let path = task.expect("a thread is listed").path().join("children");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let pids: Vec<u32> = text.split_whitespace().flat_map(str::parse).collect();
        pids
    });
    children.collect()
}

#[test]
fn a_service_runs_and_says_so() {
    let node = Node::start();
    let id = node.import(tree("hello").path(), HELLO, "hello");
    let services = node.json(&["services"]);
    assert_eq!(services[0]["id"], id.as_str());
    assert_eq!(services[0]["tags"][0], "hello");

    let instance = node
        .run(["start", "hello", "--name", "first"])
        .trim()
        .to_owned();
    let said = node.output("first");
    assert_eq!(said.out(), "hello from a box\n", "{said}");
    // It has ended when its log has.
    let instances = node.instances();
    assert_eq!(instances[0]["id"], instance.as_str());
    assert_eq!(instances[0]["service"], id.as_str());
    assert_eq!(instances[0]["outcome"]["kind"], "exited");
    assert_eq!(instances[0]["outcome"]["status"], 0);

    let events = node.run(["events", "--json"]);
    for event in ["starting", "running", "ended"] {
        assert!(
            events.contains(&format!("\"event\":\"{event}\"")),
            "{events}"
        );
    }
    assert_eq!(node.end(), Some(0));
}

#[test]
fn what_is_stopped_is_gone() {
    let node = Node::start_with(NO_OTHERS);
    node.import(tree("busybox").path(), SLEEPER, "sleeper");
    node.run(["start", "sleeper"]);
    let processes = children(node.pid());
    assert_eq!(processes.len(), 1);
    // In use: it can neither be removed nor collected.
    let refused = node.try_run(["rm", "sleeper"]);
    assert_eq!(refused.code, 1, "{refused}");
    let usage = node.json(&["ps"])[0]["usage"]["memory"].as_u64();
    assert!(usage.is_some_and(|bytes| bytes > 0), "{usage:?}");

    let stopped = node.run(["stop", "sleeper"]);
    assert!(stopped.contains("stopped"), "{stopped}");
    assert!(!is_running(processes[0]));
    node.run(["rm", "sleeper"]);
    let collected = node.json(&["gc"]);
    assert!(collected["bytes"].as_u64() > Some(0), "{collected}");
    assert_eq!(node.json(&["services"]), serde_json::json!([]));
}

#[test]
fn a_node_that_ends_stops_what_it_runs() {
    let node = Node::start();
    node.import(tree("busybox").path(), SLEEPER, "sleeper");
    node.run(["start", "sleeper"]);
    node.run(["start", "sleeper"]);
    // Those that wait to become instances are among them.
    let processes = children(node.pid());
    assert!(processes.len() >= 2);
    assert_eq!(node.end(), Some(0));
    for process in processes {
        assert!(!is_running(process));
    }
}

#[test]
fn a_node_that_ends_leaves_none_that_it_was_just_making() {
    for _ in 0..scale(5, 2) {
        // It makes them one after the other, once it is there.
        let node = Node::start_with("[jail]\nwaiting = 50\n");
        let mut processes = Vec::new();
        while processes.len() < 3 {
            processes = children(node.pid());
        }
        assert_eq!(node.end(), Some(0));
        for process in processes {
            assert!(!is_running(process));
        }
    }
}

#[test]
fn a_node_that_was_killed_comes_back_and_says_what_was_lost() {
    let mut node = Node::start_with(NO_OTHERS);
    let service = node.import(tree("busybox").path(), SLEEPER, "sleeper");
    let instance = node.run(["start", "sleeper"]).trim().to_owned();
    let processes = children(node.pid());
    node.kill_and_restart();
    for process in processes {
        assert!(!is_running(process));
    }
    let events = node.run(["events", "--json"]);
    let lost = events
        .lines()
        .find(|line| line.contains("\"event\":\"lost\""))
        .unwrap_or_else(|| panic!("nothing was lost: {events}"));
    assert!(
        lost.contains(&instance) && lost.contains(&service),
        "{lost}"
    );
    // The store is as it was.
    node.run(["start", "sleeper"]);
}

#[test]
fn errors_name_what_is_wrong() {
    let node = Node::start();
    for (arguments, words) in [
        (&["start", "nothing"][..], "nothing"),
        (&["stop", "nobody"], "nobody"),
        (&["logs", "0123456789ab"], "0123456789ab"),
    ] {
        let outcome = node.try_run(arguments);
        assert_eq!(outcome.code, 1, "{outcome}");
        assert!(outcome.err().contains(words), "{outcome}");
    }
    let file = node.path().join("nonsense");
    std::fs::write(&file, b"this is no service").unwrap();
    let outcome = node.try_run(["import".as_ref(), file.as_os_str()]);
    assert_eq!(outcome.code, 1, "{outcome}");
    let mut elsewhere = node.command(["ps"]);
    elsewhere.env("UNICELL_NODE", node.path().join("no.sock"));
    let outcome = unicell_tests::process::finish(elsewhere, b"");
    assert_eq!(outcome.code, 1, "{outcome}");
    assert!(outcome.err().contains("unicell node"), "{outcome}");
}
