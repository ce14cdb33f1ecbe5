//! Services that start services.

use unicell_tests::boxes::tree;
use unicell_tests::daemon::Node;
use unicell_tests::hosts::too_long_here;

/// Imports the worker, and the parent that knows it by an alias.
fn import(node: &Node, mebibytes: u32) {
    let worker = "entrypoint = \"/usr/bin/python3.11\"\n\
                  args = [\"/test/worker.py\"]\n\
                  [[slots]]\nport = 7000\n";
    let id = node.import(tree("python").path(), worker, "worker");
    let parent = format!(
        "entrypoint = \"/usr/bin/python3.11\"\n\
         args = [\"/test/parent.py\", \"{mebibytes}\"]\n\
         [dependencies]\nworker = {{ id = \"{id}\" }}\n"
    );
    node.import(tree("python").path(), &parent, "parent");
}

#[test]
fn a_parent_sends_much_through_three_children_and_ends() {
    if too_long_here() {
        return;
    }
    let node = Node::start();
    import(&node, 100);
    let boss = node.run(["start", "parent", "--name", "boss"]);
    let said = node.output("boss");
    assert!(said.out().ends_with("right answers: 3\n"), "{said}");
    node.wait_for("ended", boss.trim());
    // Streams between instances do not pass through the node, and nobody outlives a parent.
    for instance in node.instances() {
        assert_eq!(instance["state"], "ended", "{instance}");
        if instance["name"] != "boss" {
            assert_eq!(instance["usage"]["bytes_relayed"], 0, "{instance}");
        }
    }
    // Both ends of each have told of the same bytes.
    let events = node.run(["events", "--json"]);
    for lie in ["stream-disputed", "misreported"] {
        assert!(!events.contains(lie), "{events}");
    }
}
