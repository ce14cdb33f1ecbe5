//! Services that mean harm: to the host, to the node, to another tenant. Each
//! is refused or bounded, leaves an event, and its neighbour does not notice.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;

use serde_json::Value;
use unicell_tests::boxes::tree;
use unicell_tests::daemon::Node;
use unicell_tests::exit::{KERNEL_PANIC, MEMORY_EXHAUSTED, PROTOCOL};
use unicell_tests::hosts::too_long_here;
use unicell_tests::process::Outcome;

/// A node with a victim that serves HTTP, and a service that attacks.
struct Scene {
    node: Node,
    victim: String,
    door: SocketAddr,
}

impl Scene {
    fn new(attack: &[&str]) -> Scene {
        Scene::with("", attack)
    }

    fn with(settings: &str, attack: &[&str]) -> Scene {
        let node = Node::start_with(settings);
        let victim = "entrypoint = \"/bin/busybox\"\n\
                      args = [\"sh\", \"-c\", \"busybox httpd -p 8000 -h /; \
                      echo there; exec sleep 100000\"]\n\
                      [[slots]]\nport = 8000\n";
        node.import(tree("busybox").path(), victim, "victim");
        let child = "entrypoint = \"/bin/busybox\"\nargs = [\"sleep\", \"100000\"]\n\
                     memory = \"8M\"\n";
        let child = node.import(tree("busybox").path(), child, "child");
        let started = node.json(&["start", "victim", "--publish", "0:8000"]);
        let door = started["slots"][0]["addresses"][0].as_str().unwrap();
        let scene = Scene {
            victim: started["id"].as_str().unwrap().to_owned(),
            door: door.parse().unwrap(),
            node,
        };
        // It listens when it says so.
        scene.node.until_it_says(&scene.victim, "there");
        let attacker = format!(
            "entrypoint = \"/usr/bin/python3.11\"\n\
             args = {:?}\n\
             memory = \"128M\"\n\
             [dependencies]\nchild = {{ id = \"{child}\" }}\n",
            [&["/test/attack.py"], attack].concat()
        )
        .replace("VICTIM", &scene.victim);
        scene
            .node
            .import(tree("python").path(), &attacker, "attacker");
        scene
    }

    /// Lets it attack to its end, and gives what it printed and how it ended.
    fn attack(&self) -> (Outcome, Value) {
        let id = self.node.run(["start", "attacker", "--name", "mallory"]);
        let id = id.trim();
        self.node.wait_for("ended", id);
        let said = self.node.output(id);
        let instances = self.node.instances();
        let one = instances.into_iter().find(|instance| instance["id"] == id);
        (said, one.expect("the node remembers it"))
    }

    /// The victim serves as if nothing had been, and its story is whole.
    fn nobody_else_was_hurt(&self) {
        let mut stream = TcpStream::connect(self.door).expect("the victim's slot is there");
        stream
            .write_all(b"GET /etc/hosts HTTP/1.0\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 200 OK\r\n"), "{answer}");
        let running: Vec<String> = self
            .node
            .instances()
            .iter()
            .filter(|instance| instance["state"] != "ended")
            .map(|instance| instance["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(running, [self.victim.as_str()]);
        assert!(
            self.events()
                .iter()
                .any(|event| event["event"] == "running" && event["instance"] == *self.victim),
            "the victim's events are gone"
        );
        // None of them was taken over: each has told what it has used.
        assert_eq!(self.told("misreported"), Vec::<Value>::new());
    }

    /// What was told of the attack.
    fn told(&self, kind: &str) -> Vec<Value> {
        let mut events = self.events();
        events.retain(|event| event["event"] == kind);
        events
    }

    fn events(&self) -> Vec<Value> {
        let text = self.node.run(["events", "--json"]);
        let parse = |line| serde_json::from_str(line).expect("an event is JSON");
        text.lines().map(parse).collect()
    }
}

#[test]
fn addresses_of_others_are_unreachable() {
    if too_long_here() {
        return;
    }
    // Something that listens where only the host may come.
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    host.set_nonblocking(true).unwrap();
    let port = host.local_addr().unwrap().port();
    let scene = Scene::new(&["reach", &port.to_string()]);
    let (said, _) = scene.attack();
    // Its own loopback, and its gateway, where nothing listens on that port; nothing else is there.
    let refused = ["127.0.0.1", "::1", "10.0.0.1"];
    let lines = said.out();
    assert_eq!(lines.lines().count(), 22, "{said}");
    for line in lines.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let errno = match refused.contains(&words[1]) {
            true => "ECONNREFUSED",
            false => "ENETUNREACH",
        };
        assert_eq!(words[2], errno, "{said}");
    }
    let accepted = host.accept().map_err(|error| error.kind());
    assert_eq!(accepted.unwrap_err(), ErrorKind::WouldBlock);
    // Who tried what. What the guest itself refuses is nobody's business: its loopback, and a
    // broadcast by TCP.
    let told = scene.told("connect-refused");
    assert_eq!(told.len(), 17, "{told:?}");
    for to in ["169.254.169.254:80", "10.1.0.1:8000", "[2001:db8::1]:80"] {
        let about = told.iter().filter(|event| event["to"] == to);
        assert_eq!(about.count(), 2, "{to}: {told:?}");
    }
    scene.nobody_else_was_hurt();
}

#[test]
fn verbs_about_others_are_refused() {
    if too_long_here() {
        return;
    }
    let scene = Scene::new(&["verbs", "VICTIM"]);
    let (said, _) = scene.attack();
    let wanted = "\
        stop 404 not-found\n\
        look 404 not-found\n\
        logs 404 not-found\n\
        limit 404 not-found\n\
        grant 403 forbidden\n\
        allow 403 forbidden\n\
        token 403 forbidden\n\
        import 403 forbidden\n\
        remove 403 forbidden\n\
        collect 403 forbidden\n\
        start 404 not-found\n\
        others 200 0\n\
        without token 401 unauthenticated\n\
        with origin 403 forbidden\n\
        as another host 403 forbidden\n\
        forged 401 unauthenticated\n";
    assert_eq!(said.out(), wanted);
    // Who tried what, and as whom: all but looking for others.
    let told = scene.told("call-refused");
    assert_eq!(told.len(), wanted.lines().count() - 1, "{told:?}");
    for event in &told {
        assert_eq!(event["door"], "guest", "{event}");
        let own = event["token_of"]["id"] == event["instance"];
        assert_eq!(own, event["code"] != "unauthenticated", "{event}");
    }
    let stop = format!("DELETE /v1/instances/{}", scene.victim);
    assert_eq!(told[0]["call"], stop.as_str());
    scene.nobody_else_was_hurt();
}

#[test]
fn a_storm_of_children_meets_the_bounds_of_its_parent() {
    if too_long_here() {
        return;
    }
    let scene = Scene::with("capacity = { cpus = 16.0 }", &["children"]);
    let (said, _) = scene.attack();
    // A processor for each of them, for the victim and for itself.
    assert_eq!(said.out(), "children 14\nrefused 503 no-resources\n");
    assert_eq!(scene.told("starting").len(), 14 + 2);
    scene.nobody_else_was_hurt();
}

#[test]
fn a_storm_of_starts_meets_the_rate_of_its_parent() {
    if too_long_here() {
        return;
    }
    // The third waits for longer than any does.
    let slow = "starts = { instance = { burst = 2, per-second = 1 } }";
    let scene = Scene::with(slow, &["starts", "16"]);
    let (said, _) = scene.attack();
    let words = said.out();
    let words: Vec<&str> = words.split_whitespace().collect();
    let &["started", started, "refused", refused, "otherwise", "0"] = &words[..] else {
        panic!("{said}");
    };
    let (started, refused): (usize, usize) = (started.parse().unwrap(), refused.parse().unwrap());
    assert!(
        started >= 2 && refused >= 1 && started + refused == 16,
        "{said}"
    );
    // The victim and the attacker itself are of the operator.
    assert_eq!(scene.told("starting").len(), started + 2);
    let told = scene.told("call-refused");
    assert_eq!(told.len(), refused);
    assert!(
        told.iter().all(|event| event["code"] == "too-often"),
        "{told:?}"
    );
    scene.nobody_else_was_hurt();
}

#[test]
fn streams_without_end_are_bounded() {
    if too_long_here() {
        return;
    }
    let scene = Scene::new(&["streams"]);
    let (said, _) = scene.attack();
    assert_eq!(said.out(), "streams 32 ENOBUFS\n");
    assert_eq!(scene.told("connect-refused")[0]["errno"], "ENOBUFS");
    scene.nobody_else_was_hurt();
}

#[test]
fn events_without_end_displace_nobody_elses() {
    if too_long_here() {
        return;
    }
    let scene = Scene::new(&["events", "3000"]);
    let began = Instant::now();
    let (said, _) = scene.attack();
    assert_eq!(said.out(), "refused 3000\n");
    let told = scene.told("connect-refused");
    // So many within any second.
    let most = 32 * (1 + began.elapsed().as_secs() as usize);
    assert!((1..=most).contains(&told.len()), "{} events", told.len());
    // Each attempt has a port of its own, and each is told of or counted.
    let port = |event: &Value| {
        let to: SocketAddr = event["to"].as_str().unwrap().parse().unwrap();
        u64::from(to.port())
    };
    for pair in told.windows(2) {
        let between = port(&pair[1]) - port(&pair[0]) - 1;
        assert_eq!(pair[1]["left_out"], between, "{told:?}");
    }
    scene.nobody_else_was_hurt();
}

#[test]
fn output_without_end_is_forgotten_from_its_beginning() {
    if too_long_here() {
        return;
    }
    let scene = Scene::new(&["logs", "20000"]);
    let (said, _) = scene.attack();
    let kept = said.stdout.len();
    assert!((200 << 10..=256 << 10).contains(&kept), "{kept} bytes");
    assert!(said.out().ends_with("the last line\n"));
    scene.nobody_else_was_hurt();
}

#[test]
fn what_is_used_up_is_the_attackers_own() {
    if too_long_here() {
        return;
    }
    for (attack, said, code) in [
        ("descriptors", "descriptors EMFILE\n", 0),
        ("files", "files ENOSPC\n", 0),
        ("memory", "", MEMORY_EXHAUSTED),
        ("threads", "", MEMORY_EXHAUSTED),
    ] {
        let scene = Scene::new(&[attack]);
        let (output, instance) = scene.attack();
        assert_eq!(output.out(), said, "{attack}");
        let outcome = &instance["outcome"];
        match code {
            0 => assert_eq!(outcome["kind"], "exited", "{attack}: {outcome}"),
            code => assert_eq!(outcome["code"], code, "{attack}: {outcome}"),
        }
        let peak = instance["usage"]["memory_peak"].as_u64();
        assert!(peak <= Some(128 << 20), "{attack}: {peak:?}");
        scene.nobody_else_was_hurt();
    }
}

/// Each ends its own machine in the way that is the worst for a VMM.
#[test]
fn a_storm_of_broken_guests_ends_each_by_itself() {
    if too_long_here() {
        return;
    }
    let node = Node::start();
    for (how, code) in [("kernel-address", PROTOCOL), ("kernel-jump", KERNEL_PANIC)] {
        let manifest = format!("entrypoint = \"/dynamic/end\"\nargs = [\"{how}\"]\n");
        node.import(tree("programs").path(), &manifest, how);
        for _ in 0..10 {
            let id = node.run(["start", how]);
            node.wait_for("ended", id.trim());
        }
        for instance in node.instances() {
            let name = instance["name"].as_str().unwrap();
            if name.starts_with(how) {
                assert_eq!(instance["outcome"]["code"], code, "{instance}");
            }
        }
    }
}
