//! What owners can notice of each other on one machine.

use std::collections::BTreeMap;
use std::fs;

use unicell_tests::boxes::tree;
use unicell_tests::daemon::Node;
use unicell_tests::hosts::skip;

/// Inodes of box images that instances have mapped, and how many instances have each.
fn mapped(node: &Node) -> BTreeMap<String, usize> {
    let mut found = BTreeMap::new();
    let parent = format!("PPid:\t{}", node.pid());
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let read = |file: &str| fs::read_to_string(process.path().join(file)).unwrap_or_default();
        if !read("status").lines().any(|line| line == parent) {
            continue;
        }
        // Address, rights, offset, device, inode, path.
        let maps = read("maps");
        let image = maps
            .lines()
            .find(|line| line.contains(&*node.path().to_string_lossy()));
        if let Some(image) = image {
            let inode = image.split_whitespace().nth(4).unwrap();
            *found.entry(inode.to_owned()).or_default() += 1;
        }
    }
    found
}

/// How many instances of one service have the same image, with these settings: two of alice
/// and one of bob.
fn sharers(settings: &str) -> Vec<usize> {
    let node = Node::start_with(settings);
    let child = "entrypoint = \"/bin/busybox\"\nargs = [\"sleep\", \"100000\"]\n";
    let id = node.import(tree("busybox").path(), child, "sleeper");
    for client in ["alice", "alice", "bob"] {
        let token = node.run(["token", "create", client]);
        let bearer = format!("Authorization: Bearer {}", token.trim());
        let body = format!("{{\"service\":\"{id}\"}}");
        let answer = node.api().call("POST /v1/instances", &[&bearer], &body);
        let answer = answer.unwrap();
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    let mut counts: Vec<_> = mapped(&node).into_values().collect();
    counts.sort_unstable();
    counts
}

#[test]
fn owners_have_images_of_their_own_if_the_operator_says_so() {
    if !unicell_vmm::jail::is_privileged() {
        return skip("what a process in its jail has mapped only root sees");
    }
    assert_eq!(sharers(""), [3]);
    assert_eq!(sharers("[isolation]\nshare-images = false\n"), [1, 2]);
}
