//! The examples, by the commands of the pages that tell about them. A page is followed to the
//! letter, so that it stays true.

use std::process::Command;

use unicell_tests::boxes::{repository, unicell};
use unicell_tests::daemon::Node;
use unicell_tests::hosts::too_long_here;
use unicell_tests::process::finish;

/// The port of the host that the pages publish to. Here it is any that is free.
const PORT: &str = "8080";

/// A command of a page, and what the page says that it prints.
struct Step {
    command: String,
    prints: String,
}

/// What stands in the console blocks of a page.
fn steps(page: &str) -> Vec<Step> {
    let path = repository().join(page);
    let text = std::fs::read_to_string(&path).expect("the page is there");
    let blocks = text.split("```console\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("```").next().unwrap_or_default().lines());
    let mut steps: Vec<Step> = Vec::new();
    for line in lines {
        match line.strip_prefix("$ ") {
            Some(command) => steps.push(Step {
                command: command.to_owned(),
                prints: String::new(),
            }),
            None => {
                let step = steps.last_mut().expect("a command goes before its output");
                step.prints += &format!("{line}\n");
            }
        }
    }
    assert!(!steps.is_empty(), "{page} shows no command");
    steps
}

/// Text in which ids, which are others each time, are all the same.
fn without_ids(text: &str) -> String {
    let is_id = |word: &str| {
        [12, 64].contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let line = |line: &str| {
        let words = line.split(' ');
        let words: Vec<_> = words
            .map(|word| if is_id(word) { "ID" } else { word })
            .collect();
        words.join(" ") + "\n"
    };
    text.lines().map(line).collect()
}

/// Does what a page says, on a node that knows nothing yet.
fn follow(page: &str) -> Node {
    follow_steps(&steps(page))
}

fn follow_steps(steps: &[Step]) -> Node {
    let node = Node::start();
    let bin = node.path().join("bin");
    std::fs::create_dir(&bin).expect("a directory can be made");
    std::os::unix::fs::symlink(unicell(), bin.join("unicell")).expect("a link can be made");
    let inherited = std::env::var("PATH").expect("there is a path");
    let mut port = PORT.to_owned();
    for Step { command, prints } in steps {
        let done_by_the_runner = ["./build", "PATH=", "images/examples/build "];
        if done_by_the_runner
            .iter()
            .any(|start| command.starts_with(start))
            || command == "unicell node &"
        {
            continue;
        }
        if let Some(instance) = command.strip_prefix("unicell logs --follow ") {
            // Until it says what the page says; by hand it is ended with Ctrl-C.
            let last = prints.lines().last().expect("it prints something");
            assert_eq!(node.until_it_says(instance, last), *prints);
            continue;
        }
        let adapted = command
            .replace(&format!("{PORT}:"), "0:")
            .replace(PORT, &port);
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &format!("{adapted} 2>&1")])
            .current_dir(repository())
            .env("PATH", format!("{}:{inherited}", bin.display()))
            .env("UNICELL_NODE", node.socket());
        let outcome = finish(shell, b"");
        assert_eq!(outcome.code, 0, "{command}: {outcome}");
        if adapted != *command && command.starts_with("unicell start ") {
            port = published(&node);
        }
        let printed = outcome.out().replace(&port, PORT);
        assert_eq!(without_ids(&printed), without_ids(prints), "{command}");
    }
    node
}

/// The port on the host of the instance that has one.
fn published(node: &Node) -> String {
    let instances = node.instances();
    let mut addresses = instances
        .iter()
        .filter_map(|instance| instance["slots"][0]["addresses"][0].as_str());
    let address = addresses.next_back().expect("a slot is published");
    address.rsplit(':').next().unwrap_or_default().to_owned()
}

#[test]
fn the_readme_leads_from_source_to_a_running_service() {
    let text = std::fs::read_to_string(repository().join("README.md")).expect("it is there");
    let section = "## A service, from source to running\n";
    let (_, section) = text.split_once(section).expect("it has the section");
    let (section, _) = section.split_once("\n## ").expect("others follow");
    let manifest = repository().join("images/examples/hello/service.toml");
    let manifest = std::fs::read_to_string(manifest).expect("the example is there");
    assert!(section.contains(&manifest), "it shows another service.toml");
    let page = tempfile::NamedTempFile::new().expect("a file can be made");
    std::fs::write(page.path(), section).expect("a file can be written");
    let path = page.path().to_str().expect("its name is text");
    follow(path);
}

#[test]
fn hello_answers() {
    follow("images/examples/hello/README.md");
}

#[test]
fn sort_shares_its_work_out() {
    let node = follow("images/examples/sort/README.md");
    // Its children's streams go from VM to VM, and not through the node.
    let children: Vec<_> = node
        .instances()
        .into_iter()
        .filter(|instance| instance["name"] != "sort")
        .collect();
    assert_eq!(children.len(), 3);
    for child in children {
        let usage = &child["usage"];
        assert_eq!(usage["bytes_relayed"], 0, "{child}");
        assert_eq!(usage["bytes_out"], usage["bytes_in"], "{child}");
    }
}

#[test]
fn neighbours_greet_each_other() {
    follow("images/examples/neighbours/README.md");
}

#[test]
fn counter_counts_in_a_redis_of_its_own() {
    if too_long_here() {
        return;
    }
    follow("images/examples/counter/README.md");
}
