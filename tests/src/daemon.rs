//! A node of its own for a test: `unicell node` with a directory for its state,
//! and the commands that its operator would type.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::api::Api;
use crate::boxes::unicell;
use crate::process::{Outcome, finish};

/// A running node. Killed, with everything that it has started, when dropped.
pub struct Node {
    directory: TempDir,
    child: Child,
    log: BufReader<ChildStderr>,
}

impl Node {
    /// Starts a node that knows nothing yet, and waits until it can be asked.
    pub fn start() -> Node {
        Node::start_with("")
    }

    /// The same with a file of settings.
    pub fn start_with(settings: &str) -> Node {
        let directory = tempfile::tempdir().expect("a directory can be made");
        std::fs::write(directory.path().join("node.toml"), settings)
            .expect("the settings can be written");
        let (child, log) = begin(directory.path());
        Node {
            directory,
            child,
            log,
        }
    }

    /// Kills the node without a warning and starts it again.
    pub fn kill_and_restart(&mut self) {
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a child can be waited for");
        (self.child, self.log) = begin(self.directory.path());
    }

    /// Tells the node to end, and waits until it has.
    pub fn end(mut self) -> Option<i32> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .expect("a child can be told to end");
        // Its last words, or it would wait for a reader.
        std::io::copy(&mut self.log, &mut std::io::sink()).expect("a pipe can be read");
        let status = self.child.wait().expect("a child can be waited for");
        status.code()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A directory for the test's files, which goes with the node.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The operator's socket.
    pub fn socket(&self) -> PathBuf {
        socket(self.directory.path())
    }

    /// Where it serves clients, if its settings have it listen at a port that is free.
    ///
    /// # Panics
    ///
    /// When it does not, or this was asked before.
    pub fn clients(&mut self) -> SocketAddr {
        let mut line = String::new();
        while !line.contains("clients are served") {
            line.clear();
            let len = self.log.read_line(&mut line).expect("a pipe can be read");
            assert_ne!(len, 0, "it serves no clients");
        }
        let (_, address) = line.trim().rsplit_once("address=").expect("it says where");
        address.parse().expect("it is an address")
    }

    /// Its API.
    pub fn api(&self) -> Api {
        Api::at(&self.socket())
    }

    /// A command to this node, not yet started.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(unicell());
        command.args(arguments).env("UNICELL_NODE", self.socket());
        command
    }

    /// Runs a command to its end.
    pub fn try_run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Outcome {
        finish(self.command(arguments), b"")
    }

    /// Runs a command that has to succeed, and gives what it printed.
    ///
    /// # Panics
    ///
    /// When it fails.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> String {
        let outcome = self.try_run(arguments);
        assert_eq!(outcome.code, 0, "{outcome}");
        outcome.out()
    }

    /// Runs a command with `--json`.
    ///
    /// # Panics
    ///
    /// When it fails, or prints no JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let text = self.run(arguments.iter().copied().chain(["--json"]));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Packs a box with a `service.toml` of this text and imports it under a name.
    pub fn import(&self, tree: &Path, manifest: &str, tag: &str) -> String {
        let file = self.path().join(format!("{tag}.toml"));
        let package = self.path().join(format!("{tag}.cell"));
        std::fs::write(&file, manifest).expect("a manifest can be written");
        let arguments: [&OsStr; 6] = [
            "pack".as_ref(),
            tree.as_ref(),
            "--manifest".as_ref(),
            file.as_ref(),
            "-o".as_ref(),
            package.as_ref(),
        ];
        self.run(arguments);
        self.import_file(&package, tag)
    }

    /// Imports a file, a package or a service in any encoding, under a name. Returns its id.
    pub fn import_file(&self, file: &Path, tag: &str) -> String {
        let arguments: [&OsStr; 4] = [
            "import".as_ref(),
            file.as_ref(),
            "--tag".as_ref(),
            tag.as_ref(),
        ];
        self.run(arguments).trim().to_owned()
    }

    /// The instances that there are, ended ones too.
    pub fn instances(&self) -> Vec<Value> {
        match self.json(&["ps", "--all"]) {
            Value::Array(instances) => instances,
            other => panic!("{other} is no list"),
        }
    }

    /// Waits until something has happened to an instance: the name of an event.
    ///
    /// # Panics
    ///
    /// When the node ends before.
    pub fn wait_for(&self, event: &str, instance: &str) {
        let mut command = self.command(["events", "--follow", "--json"]);
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("unicell starts");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let seen = BufReader::new(stdout).lines().any(|line| {
            let line = line.expect("events are text");
            let value: Value = serde_json::from_str(&line).expect("an event is JSON");
            value["event"] == event && value["instance"] == instance
        });
        // It may have ended with the node.
        let _ = child.kill();
        child.wait().expect("a child can be waited for");
        assert!(seen, "{instance} never told of {event}");
    }

    /// Waits until an instance has printed a line that contains some words, and returns what it
    /// printed until then.
    ///
    /// # Panics
    ///
    /// When it ends before.
    pub fn until_it_says(&self, instance: &str, words: &str) -> String {
        let (output, theirs) = std::io::pipe().expect("a pipe can be made");
        let mut command = self.command(["logs", "--follow", instance]);
        command.stderr(theirs.try_clone().expect("a descriptor is left"));
        let mut child = command.stdout(theirs).spawn().expect("unicell starts");
        // The command would hold the pipe open.
        drop(command);
        let mut output = BufReader::new(output);
        let mut said = String::new();
        while !said.lines().any(|line| line.contains(words)) {
            let len = output.read_line(&mut said).expect("a log is text");
            assert_ne!(len, 0, "{instance} ended and never said {words:?}:\n{said}");
        }
        // It may have ended by itself.
        let _ = child.kill();
        child.wait().expect("a child can be waited for");
        said
    }

    /// Where the first published slot of an instance is, by what its start was answered with.
    ///
    /// # Panics
    ///
    /// When no slot is published.
    pub fn published(started: &Value) -> SocketAddr {
        let address = started["slots"][0]["addresses"][0].as_str();
        let address = address.unwrap_or_else(|| panic!("no slot is published: {started}"));
        address.parse().expect("it is an address")
    }

    /// Waits until an instance has printed something that contains these words, and gives it.
    ///
    /// # Panics
    ///
    /// When it ends before.
    pub fn said(&self, instance: &str, words: &str) -> String {
        let request = format!("GET /v1/instances/{instance}/logs?follow=true");
        let said = self.api().lines(&request).find_map(|entry| {
            let text = entry["text"].as_str()?;
            text.contains(words).then(|| text.to_owned())
        });
        said.unwrap_or_else(|| panic!("{instance} never said {words}"))
    }

    /// What an instance has printed when it has ended; waits for that.
    pub fn output(&self, instance: &str) -> Outcome {
        self.try_run(["logs", "--follow", instance])
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn socket(directory: &Path) -> PathBuf {
    directory.join("node.sock")
}

fn begin(directory: &Path) -> (Child, BufReader<ChildStderr>) {
    let mut command = Command::new(unicell());
    command
        .arg("node")
        .arg("--state")
        .arg(directory.join("state"))
        .arg("--socket")
        .arg(socket(directory))
        .arg("--config")
        .arg(directory.join("node.toml"))
        .env("RUST_LOG", "warn,unicell=info")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("unicell starts");
    let mut log = BufReader::new(child.stderr.take().expect("stderr is a pipe"));
    let mut said = String::new();
    while !said.contains("the node is there") {
        let len = log.read_line(&mut said).expect("a pipe can be read");
        if len == 0 {
            let status = child.wait().expect("a child can be waited for");
            panic!("the node does not start, {status}:\n{said}");
        }
    }
    (child, log)
}
