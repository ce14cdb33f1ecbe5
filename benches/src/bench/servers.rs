//! Servers as Debian has them under load: natively, by `bwrap`, and as services on published slots
//! of a node.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::process::{Child, Command};
use std::rc::Rc;

use unicell_tests::daemon::Node;
use unicell_tests::servers::{
    ASYNCIO_SERVER, GO, HTTP_SERVER, NGINX, REDIS, Server, client, until_ready,
};

use crate::group::{Contender, Group, Unit};
use crate::sample::{Failure, Sample, Stream, start_failure, words};

/// Connections that are open at once.
const CONNECTIONS: &str = "16";
/// How long a server of HTTP is asked.
const DURATION: &str = "2s";
/// How often redis is asked.
const REQUESTS: &str = "20000";

/// What one load tells.
#[derive(Clone, Copy)]
enum Measure {
    /// Requests in a second.
    Throughput,
    /// The time in which half of them were answered, and in which 99 of 100.
    Half,
    Most,
}

/// Where a server runs.
#[derive(Clone, Copy)]
enum Place {
    Native,
    Bwrap,
    Slot,
}

/// A process that is told to end, and waited for, when this is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

/// A server at a place.
struct Contestant {
    server: Server,
    place: Place,
    /// The node that has it, and the port: once it was started there, it is kept.
    kept: Option<(Node, u16)>,
    /// What was measured and not yet asked for: a load measures everything at once.
    measured: [VecDeque<f64>; 3],
}

impl Contestant {
    fn take(&mut self, measure: Measure) -> Sample {
        let at = measure as usize;
        if self.measured[at].is_empty() {
            let load = match self.place {
                Place::Native => self.beside(self.server.native())?,
                Place::Bwrap => self.beside(self.server.bwrap())?,
                Place::Slot => self.on_a_slot()?,
            };
            for (queue, value) in self.measured.iter_mut().zip(load) {
                queue.push_back(value);
            }
        }
        let value = self.measured[at].pop_front();
        value.ok_or_else(|| Failure::Host("a load measured nothing".into()))
    }

    /// As a process, for as long as the load takes: two of them want the same port.
    fn beside(&self, mut command: Command) -> Result<[f64; 3], Failure> {
        let started = until_ready(&mut command, self.server.ready);
        let _process = Process(started.map_err(|source| start_failure(&command, source))?);
        self.load(self.server.port)
    }

    fn on_a_slot(&mut self) -> Result<[f64; 3], Failure> {
        let port = match &self.kept {
            Some((_, port)) => *port,
            None => {
                let node = Node::start();
                let (_, port) = self.server.start(&node);
                self.kept = Some((node, port));
                port
            }
        };
        self.load(port)
    }

    fn load(&self, port: u16) -> Result<[f64; 3], Failure> {
        match self.server.path {
            Some(path) => ask(port, path),
            None => benchmark(port),
        }
    }
}

/// Loads a server of HTTP.
fn ask(port: u16, path: &str) -> Result<[f64; 3], Failure> {
    let mut wrk = client("/usr/bin/wrk");
    wrk.args(["--latency", "--threads", "1", "--connections", CONNECTIONS]);
    wrk.args(["--duration", DURATION]);
    wrk.arg(format!("http://127.0.0.1:{port}{path}"));
    let said = words(&mut wrk, Stream::Out)?;
    let after = |words: &str| {
        let line = said
            .lines()
            .find_map(|line| line.trim().strip_prefix(words));
        line.map(str::trim)
            .ok_or_else(|| Failure::Ended { what: said.clone() })
    };
    let measured = [
        number(after("Requests/sec:")?, &said)?,
        time(after("50%")?, &said)?,
        time(after("99%")?, &said)?,
    ];
    match said.contains("Socket errors") || said.contains("Non-2xx") {
        true => Err(Failure::Ended { what: said }),
        false => Ok(measured),
    }
}

/// Has redis asked for a key, over and over.
fn benchmark(port: u16) -> Result<[f64; 3], Failure> {
    let mut benchmark = client("/usr/bin/redis-benchmark");
    benchmark.args(["-p", &port.to_string(), "-t", "get", "-n", REQUESTS]);
    benchmark.args(["-c", CONNECTIONS, "--csv"]);
    let said = words(&mut benchmark, Stream::Out)?;
    // "test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95…","p99…","max…"
    let values: Vec<_> = said.lines().last().unwrap_or_default().split(',').collect();
    let value = |at: usize| number(values.get(at).unwrap_or(&"").trim_matches('"'), &said);
    Ok([value(1)?, value(4)? * 1e6, value(6)? * 1e6])
}

fn number(text: &str, said: &str) -> Sample {
    let what = || Failure::Ended {
        what: said.to_owned(),
    };
    text.parse().map_err(|_| what())
}

/// Nanoseconds, of what wrk writes as `635.00us`.
fn time(text: &str, said: &str) -> Sample {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let unit = match &text[digits.len()..] {
        "us" => 1e3,
        "ms" => 1e6,
        _ => 1e9,
    };
    Ok(number(digits, said)? * unit)
}

pub(crate) fn groups() -> Vec<Group> {
    [NGINX, REDIS, GO, ASYNCIO_SERVER, HTTP_SERVER]
        .into_iter()
        .flat_map(group)
        .collect()
}

fn group(server: Server) -> impl Iterator<Item = Group> {
    let contestant = |place| {
        let contestant = Contestant {
            server,
            place,
            kept: None,
            measured: [const { VecDeque::new() }; 3],
        };
        Rc::new(RefCell::new(contestant))
    };
    let native = contestant(Place::Native);
    let bwrap = contestant(Place::Bwrap);
    let slot = contestant(Place::Slot);
    let measures = [
        (Measure::Throughput, "requests in a second", Unit::PerSecond),
        (Measure::Half, "half are answered in", Unit::Nanoseconds),
        (
            Measure::Most,
            "99 of 100 are answered in",
            Unit::Nanoseconds,
        ),
    ];
    measures.into_iter().map(move |(measure, title, unit)| {
        let contender = |name, of: &Rc<RefCell<Contestant>>| {
            let of = Rc::clone(of);
            Contender::new(name, move |_| of.borrow_mut().take(measure))
        };
        let contenders = vec![
            contender("native", &native).base(),
            contender("bwrap", &bwrap).base(),
            contender("unicell, published slot", &slot),
        ];
        Group::new(format!("server {}: {title}", server.name), unit, contenders)
    })
}
