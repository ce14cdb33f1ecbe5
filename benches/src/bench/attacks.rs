//! What a service notices of another tenant that does its worst.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Instant;

use unicell_tests::boxes::tree;
use unicell_tests::daemon::Node;

use crate::files::Files;
use crate::group::{Contender, Group, Unit};
use crate::sample::{Failure, Sample};

/// Requests of which the slowest hundredth is left out.
const REQUESTS: usize = 5000;

/// What is seen in the table, and what `attack.py` is told to do without end.
const ATTACKS: [(&str, &str); 6] = [
    ("beside one that spins", "spins"),
    ("  takes and gives memory", "takes"),
    ("  prints", "prints"),
    ("  connects to the forbidden", "connects"),
    ("  starts and stops children", "spawns"),
    ("  starts what crashes", "crashes"),
];

pub(crate) fn groups(files: &Files) -> Vec<Group> {
    let hello = files.example("hello");
    let alone = hello.clone();
    let mut contenders = vec![Contender::new("alone", move |_| p99(&alone, None)).base()];
    contenders.extend(ATTACKS.map(|(name, attack)| {
        let hello = hello.clone();
        Contender::new(name, move |_| p99(&hello, Some(attack)))
    }));
    let title = "a neighbour under attack: 99 of 100 HTTP requests take at most";
    vec![Group::new(title, Unit::Nanoseconds, contenders).seldom(4)]
}

/// Nanoseconds that all but the slowest hundredth of the requests take at most.
fn p99(hello: &Path, attack: Option<&str>) -> Sample {
    let node = Node::start();
    node.import_file(hello, "hello");
    let started = node.json(&["start", "hello", "--name", "victim", "--publish", "0:80"]);
    node.until_it_says("victim", "listening");
    if let Some(attack) = attack {
        begin(&node, attack);
    }
    let door = Node::published(&started);
    let took: io::Result<Vec<f64>> = (0..REQUESTS).map(|_| request(door)).collect();
    let mut took = took.map_err(|error| Failure::Ended {
        what: format!("the victim does not answer: {error}"),
    })?;
    took.sort_by(f64::total_cmp);
    Ok(took[REQUESTS - 1 - REQUESTS / 100])
}

/// Starts the attacker, and waits until it is at it.
fn begin(node: &Node, attack: &str) {
    let child = "entrypoint = \"/bin/busybox\"\nargs = [\"sleep\", \"100000\"]\nmemory = \"8M\"\n";
    let child = node.import(tree("busybox").path(), child, "child");
    let broken = "entrypoint = \"/dynamic/end\"\nargs = [\"kernel-address\"]\nmemory = \"8M\"\n";
    let broken = node.import(tree("programs").path(), broken, "broken");
    let attacker = format!(
        "entrypoint = \"/usr/bin/python3.11\"\n\
         args = [\"/test/attack.py\", \"without_end\", \"{attack}\"]\n\
         memory = \"128M\"\n\
         [dependencies]\nchild = {{ id = \"{child}\" }}\nbroken = {{ id = \"{broken}\" }}\n"
    );
    node.import(tree("python").path(), &attacker, "attacker");
    node.run(["start", "attacker"]);
    node.until_it_says("attacker", "attacking");
}

fn request(door: SocketAddr) -> io::Result<f64> {
    let start = Instant::now();
    let mut stream = TcpStream::connect(door)?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: hello\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    match answer.starts_with(b"HTTP/1.1 200") {
        true => Ok(start.elapsed().as_nanos() as f64),
        false => Err(io::Error::other("another answer than 200")),
    }
}
