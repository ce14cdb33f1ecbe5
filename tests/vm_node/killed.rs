//! Killed anywhere: a parent with three children that stream to it; the
//! parent, a child or the node dies at any point, and nothing is left.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;
use unicell_tests::api::Events;
use unicell_tests::boxes::tree;
use unicell_tests::daemon::Node;
use unicell_tests::hosts::scale;

use crate::life::{NO_OTHERS, is_running};

/// Says again what a run did: its rounds come from this.
const SEED: &str = "UNICELL_KILL_SEED";

/// How long a node may take to close what it has answered.
const PATIENCE: Duration = Duration::from_secs(20);

/// Prints its token, starts three children, and sends to each without end.
const PARENT: &str = r#"
token=$(sed -n 's/.*"token": *"\([^"]*\)".*/\1/p' /__config__)
echo "token $token"
for i in 1 2 3; do
  wget -q -O /dev/null --header "Unicell-Token: $token" --header "Content-Type: application/json" \
    --post-data "{\"service\":\"worker\",\"name\":\"worker$i\"}" http://gateway/v1/instances || exit 1
done
for i in 1 2 3; do
  until nc worker$i 7000 </dev/zero; do :; done &
done
echo streaming
wait
"#;

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Parent,
    Child,
    Node,
}

/// What has just happened when the clock of a kill begins to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The start was asked for: there is a process at most.
    Launching,
    /// Its machine boots, and it begins to run.
    Booting,
    /// So many children have been asked for.
    Starting(usize),
    /// All children run and are sent to.
    Streaming,
    /// The parent is being stopped.
    Stopping,
}

/// Where one kill happens.
#[derive(Clone, Copy, Debug)]
struct Point {
    victim: Victim,
    phase: Phase,
    /// After that, microseconds.
    after: u64,
}

impl Point {
    /// The points take turns in phases and victims; the instant within is random.
    fn new(round: u64, random: &mut Rng) -> Self {
        // Most of a phase lies within this, in microseconds.
        let (phase, length) = match round % 5 {
            0 => (Phase::Launching, 3_000),
            1 => (Phase::Booting, 15_000),
            2 => (Phase::Starting(1 + random.usize(..3)), 15_000),
            3 => (Phase::Streaming, 30_000),
            _ => (Phase::Stopping, 5_000),
        };
        let has_children = !matches!(phase, Phase::Launching | Phase::Booting);
        let victim = match round % 3 {
            0 => Victim::Parent,
            1 if has_children => Victim::Child,
            1 => Victim::Parent,
            _ => Victim::Node,
        };
        Self {
            victim,
            phase,
            after: random.u64(..length),
        }
    }
}

/// What a node has on its host: all of it must be as before when its instances are gone.
#[derive(Debug)]
struct Belongings {
    /// Its open descriptors, by what they are; sockets have no names that stay.
    descriptors: Vec<String>,
    /// Files of its state, and its sockets.
    files: BTreeSet<PathBuf>,
    /// The control groups of its instances.
    groups: BTreeSet<PathBuf>,
    /// What of its capacity is free, and how many instances have not ended.
    accounts: [Value; 2],
}

impl Belongings {
    fn of(node: &Node) -> Self {
        let said = node.api().get("/v1/node");
        let fds = fs::read_dir(format!("/proc/{}/fd", node.pid())).unwrap();
        let mut descriptors: Vec<String> = fds
            .filter_map(|fd| fs::read_link(fd.ok()?.path()).ok())
            .map(|target| {
                target
                    .to_string_lossy()
                    .split(':')
                    .next()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        descriptors.sort();
        let mut files = BTreeSet::new();
        below(node.path(), &mut files);
        Self {
            descriptors,
            files,
            groups: groups(node.pid()),
            accounts: [said["free"].clone(), said["instances"].clone()],
        }
    }
}

impl Belongings {
    /// Whether nothing has come since. A connection of an earlier call may have gone meanwhile.
    fn is_no_more_than(&self, before: &Self) -> bool {
        let count = |of: &Self, kind| of.descriptors.iter().filter(|it| *it == kind).count();
        self.descriptors
            .iter()
            .all(|kind| count(self, kind) <= count(before, kind))
            && self.files == before.files
            && self.groups.is_empty()
            && self.accounts == before.accounts
    }

    /// What is not the same later.
    fn compared(&self, later: &Self) -> String {
        let files = self.files.symmetric_difference(&later.files);
        format!(
            "files {:?}, groups {:?}\naccounts {:?}\nbefore {:?}\ndescriptors {:?}\nbefore {:?}",
            files.collect::<Vec<_>>(),
            later.groups,
            later.accounts,
            self.accounts,
            later.descriptors,
            self.descriptors
        )
    }
}

/// All directories and files below a directory; what vanishes meanwhile is not there.
fn below(directory: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            below(&entry.path(), found);
        }
        found.insert(entry.path());
    }
}

/// The control groups that a node has made, by its process.
fn groups(node: u32) -> BTreeSet<PathBuf> {
    let name = format!("unicell-{node}-");
    let mut groups = BTreeSet::new();
    below(Path::new("/sys/fs/cgroup"), &mut groups);
    let is_group = |path: &PathBuf| {
        let last = path.file_name().unwrap_or_default();
        last.to_string_lossy().starts_with(&name)
    };
    groups.retain(is_group);
    groups
}

/// The ids of all instances that a node remembers.
fn instances(node: &Node) -> Vec<String> {
    let listed = node.api().get("/v1/instances");
    let ids = listed.as_array().unwrap().iter();
    ids.map(|instance| instance["id"].as_str().unwrap().to_owned())
        .collect()
}

/// All processes below one.
fn descendants(pid: u32, found: &mut Vec<u32>) {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    for thread in threads.into_iter().flatten().flatten() {
        let text = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in text.split_whitespace().flat_map(str::parse) {
            found.push(child);
            descendants(child, found);
        }
    }
}

/// The processes of a node that hold a virtual machine, in the order of their start.
fn machines(node: u32) -> Vec<u32> {
    let mut found = Vec::new();
    descendants(node, &mut found);
    found.retain(|pid| {
        let fds = fs::read_dir(format!("/proc/{pid}/fd"));
        let fds = fds.into_iter().flatten().flatten();
        fds.filter_map(|fd| fs::read_link(fd.path()).ok())
            .any(|target| target.to_string_lossy().contains("kvm-vm"))
    });
    found.sort_unstable();
    found
}

/// Kills a process without a warning, if it is still there.
fn kill(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    if let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) {
        // It may end at this moment.
        let _ = pidfd_send_signal(&process, Signal::KILL);
    }
}

/// What was seen of a life that was cut short.
struct Seen {
    /// The node's process.
    node: u32,
    /// Instances that the node has said to be starting.
    instances: BTreeSet<String>,
    machines: BTreeSet<u32>,
    token: Option<String>,
}

/// Reads events until the phase begins; says of which instances they told.
fn until(phase: Phase, events: &mut Events) -> Vec<String> {
    let mut started = Vec::new();
    let mut running = 0;
    loop {
        let event = events.next().expect("the node lives");
        match event["event"].as_str() {
            Some("starting") => started.push(event["instance"].as_str().unwrap().to_owned()),
            Some("running") => running += 1,
            Some("ended") => panic!("it ended by itself: {event}"),
            _ => {}
        }
        let reached = match phase {
            Phase::Launching | Phase::Booting => !started.is_empty(),
            Phase::Starting(children) => started.len() > children,
            Phase::Streaming | Phase::Stopping => running == 4,
        };
        if reached {
            return started;
        }
    }
}

/// Starts the parent, waits for the phase and the instant in it, and kills.
fn live_and_die(node: &mut Node, point: Point) -> Seen {
    let (api, pid) = (node.api(), node.pid());
    let mut events = api.events_from_now();
    let request = r#"{"service":"parent","name":"boss"}"#;
    let start = thread::spawn({
        let api = api.clone();
        move || api.call("POST /v1/instances", &[], request)
    });
    let started = until(point.phase, &mut events);
    // Printed before anything else.
    let token = (point.phase == Phase::Streaming).then(|| {
        let said = node.said(&started[0], "token ");
        let line = said.lines().next().unwrap();
        line.strip_prefix("token ").unwrap().to_owned()
    });
    let stop = (point.phase == Phase::Stopping).then(|| {
        let (api, request) = (api.clone(), format!("DELETE /v1/instances/{}", started[0]));
        thread::spawn(move || api.call(&request, &[], ""))
    });
    // A process cannot be killed before it is there; the node can.
    let needed = match point.victim {
        _ if stop.is_some() => 0,
        Victim::Node => 0,
        Victim::Parent => 1,
        Victim::Child => 2,
    };
    while machines(pid).len() < needed {
        thread::yield_now();
    }
    // The point in time is what the test is about: any will do.
    thread::sleep(Duration::from_micros(point.after));
    let machines = machines(pid);
    match point.victim {
        Victim::Parent => machines.iter().take(1).for_each(|pid| kill(*pid)),
        Victim::Child => machines.iter().skip(1).take(1).for_each(|pid| kill(*pid)),
        Victim::Node => node.kill_and_restart(),
    }
    // Whatever they are told, both calls end.
    start.join().unwrap();
    stop.map(|stop| stop.join().unwrap());
    Seen {
        node: pid,
        instances: started.into_iter().collect(),
        machines: machines.into_iter().collect(),
        token,
    }
}

/// Waits until no instance is left, and nothing of what it had.
fn nothing_is_left(node: &Node, point: Point, seen: &Seen, before: &mut Belongings) {
    let api = node.api();
    if point.victim == Victim::Node {
        let lost: BTreeSet<String> = api
            .call("GET /v1/events", &[], "")
            .unwrap()
            .body
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|event| event["event"] == "lost")
            .map(|event| event["instance"].as_str().unwrap().to_owned())
            .collect();
        // Of the last that was said to be starting, the record may not have been written.
        let unsaid = seen.instances.difference(&lost).count();
        assert!(unsaid <= 1 || point.phase == Phase::Stopping, "{lost:?}");
    } else if point.victim == Victim::Child {
        // Its parent runs on, until somebody stops it.
        let boss = instances(node)
            .into_iter()
            .find(|id| seen.instances.contains(id));
        let stopped = api.call(&format!("DELETE /v1/instances/{}", boss.unwrap()), &[], "");
        assert!(stopped.unwrap().status < 500);
    }
    let mut events = api.events();
    let mut open = HashSet::new();
    let mut known = 0;
    let all = instances(node).len();
    while known < all || !open.is_empty() {
        let event = events.next().expect("the node lives");
        match event["event"].as_str() {
            Some("starting") => {
                known += 1;
                open.insert(event["instance"].clone());
            }
            Some("ended") => {
                open.remove(&event["instance"]);
            }
            _ => {}
        }
    }
    drop(events);
    for pid in &seen.machines {
        assert!(!is_running(*pid), "process {pid} runs on");
    }
    if point.victim == Victim::Node {
        assert_eq!(groups(seen.node), BTreeSet::new());
    }
    if let Some(token) = &seen.token {
        let header = format!("Authorization: Bearer {token}");
        let refused = api.call("GET /v1/instances", &[&header], "").unwrap();
        assert_eq!(refused.status, 401, "{}", refused.body);
    }
    // Connections of the API are closed a moment after their answers.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = Belongings::of(node);
        if now.is_no_more_than(before) {
            *before = now;
            return;
        }
        assert!(Instant::now() < deadline, "{}", before.compared(&now));
    }
}

#[test]
fn killed_at_any_point_nothing_is_left() {
    let seed = std::env::var(SEED).map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("{SEED}={seed}");
    let mut random = Rng::with_seed(seed);
    let mut node = Node::start_with(NO_OTHERS);
    let worker = "entrypoint = \"/bin/busybox\"\n\
                  args = [\"sh\", \"-c\", \"nc -l -p 7000 >/dev/null\"]\n\
                  [[slots]]\nport = 7000\n";
    let id = node.import(tree("busybox").path(), worker, "worker");
    let script = serde_json::to_string(PARENT).unwrap();
    let parent = format!(
        "entrypoint = \"/bin/busybox\"\n\
         args = [\"sh\", \"-c\", {script}]\n\
         [dependencies]\nworker = {{ id = \"{id}\" }}\n"
    );
    node.import(tree("busybox").path(), &parent, "parent");
    let mut before = at_rest(&node);
    for round in 0..scale(50, 4) {
        let point = Point::new(round, &mut random);
        println!("{round}: {point:?}");
        let seen = live_and_die(&mut node, point);
        if point.victim == Victim::Node {
            before = at_rest(&node);
        }
        nothing_is_left(&node, point, &seen, &mut before);
    }
    assert_eq!(node.end(), Some(0));
}

/// What a node has once it has run something and that is over.
fn at_rest(node: &Node) -> Belongings {
    for service in ["worker", "parent"] {
        node.run(["start", service, "--name", "first"]);
        node.run(["stop", "first"]);
    }
    Belongings::of(node)
}
