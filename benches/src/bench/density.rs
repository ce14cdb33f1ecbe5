//! A node that packs many instances: what each keeps while it is idle, and how many can be launched
//! one after the other, in their jails.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use unicell_tests::daemon::Node;

use crate::files::Files;
use crate::group::{Contender, Group, Size, Unit};
use crate::idle::{available, settled};
use crate::sample::{Failure, Sample};

/// Who asks for launches at once.
const CALLERS: usize = 4;
/// What a service asks for: little, as hundreds do.
const SMALL: &str = "memory = \"32M\"\n";
/// Room for as many as are asked for.
const SETTINGS: &str = "[capacity]\nmemory = \"1024G\"\ndisk = \"1024G\"\ncpus = 65536.0\n";

pub(crate) fn groups(files: &Files) -> Vec<Group> {
    let (tree, again) = (files.programs.clone(), files.programs.clone());
    let kept = Contender::new("of a node, each", move |size| idle(&tree, size.instances));
    // One load measures all three.
    let load = Rc::new(RefCell::new(Load::default()));
    let (first, second, third) = (Rc::clone(&load), Rc::clone(&load), load);
    let launches = Contender::new("launches", move |size| {
        *first.borrow_mut() = launch(&again, size)?;
        Ok(first.borrow().per_second())
    });
    let p50 = Contender::new("launch, p50", move |_| second.borrow().percentile(50));
    let p99 = Contender::new("launch, p99", move |_| third.borrow().percentile(99));
    vec![
        Group::new(
            "density: memory of idle instances of one service, by MemAvailable",
            Unit::Bytes,
            vec![kept],
        )
        .seldom(u32::MAX),
        Group::new(
            "density: launches one after the other, of a static hello",
            Unit::PerSecond,
            vec![launches],
        )
        .seldom(u32::MAX),
        Group::new(
            "density: from the wish to the program that runs",
            Unit::Nanoseconds,
            vec![p50, p99],
        )
        .seldom(u32::MAX),
    ]
}

/// What a load of launches measured.
#[derive(Default)]
struct Load {
    took: Duration,
    /// Of each launch, sorted.
    each: Vec<Duration>,
}

impl Load {
    fn per_second(&self) -> f64 {
        self.each.len() as f64 / self.took.as_secs_f64()
    }

    fn percentile(&self, percent: usize) -> Sample {
        let last = self.each.len().checked_sub(1);
        let at = last.map(|last| last * percent / 100);
        let found = at.and_then(|at| self.each.get(at));
        found
            .map(|took| took.as_nanos() as f64)
            .ok_or_else(|| Failure::Host("nothing was launched".into()))
    }
}

/// By how much available memory falls for each of many.
fn idle(tree: &Path, instances: u32) -> Sample {
    let node = Node::start_with(SETTINGS);
    let manifest = format!("entrypoint = \"/bin/idle\"\n{SMALL}");
    node.import(tree, &manifest, "idle");
    let socket = node.socket();
    // One by itself first: what all share is there before it is counted.
    start(&socket, "idle")?;
    let before = settled()?;
    for _ in 0..instances {
        start(&socket, "idle")?;
    }
    let fall = before - available()?;
    Ok(fall / f64::from(instances))
}

/// Launches for as long as `size` says, by several callers who each wait for one before the next.
fn launch(tree: &Path, size: &Size) -> Result<Load, Failure> {
    let node = Node::start_with(SETTINGS);
    let manifest = format!("entrypoint = \"/bin/hello\"\n{SMALL}");
    node.import(tree, &manifest, "hello");
    let socket = node.socket();
    start(&socket, "hello")?;
    let begun = Instant::now();
    let end = begun + Duration::from_secs(size.seconds.into());
    let caller = || -> Result<Vec<Duration>, Failure> {
        let mut each = Vec::new();
        while Instant::now() < end {
            let asked = Instant::now();
            start(&socket, "hello")?;
            each.push(asked.elapsed());
        }
        Ok(each)
    };
    let measured: Result<Vec<_>, Failure> = thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS).map(|_| scope.spawn(caller)).collect();
        let panicked = |_| Failure::Host("a caller panicked".into());
        let joined = callers.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|each| each.map_err(panicked)?).collect()
    });
    let mut each = measured?.concat();
    each.sort_unstable();
    Ok(Load {
        took: begun.elapsed(),
        each,
    })
}

/// Starts an instance of a service, and returns when its program runs.
fn start(socket: &Path, service: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Host(format!("the node: {error}"));
    let body = format!("{{\"service\":\"{service}\"}}");
    let request = format!(
        "POST /v1/instances HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = UnixStream::connect(socket).map_err(failed)?;
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    match answer.split(' ').nth(1) {
        Some(status) if status.starts_with('2') => Ok(()),
        _ => Err(Failure::Ended { what: answer }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_percentiles_are_of_all_launches() {
        let load = Load {
            took: Duration::from_secs(2),
            each: (1..=101).map(Duration::from_nanos).collect(),
        };
        assert_eq!(load.per_second(), 50.5);
        assert_eq!(load.percentile(50).unwrap(), 51.0);
        assert_eq!(load.percentile(99).unwrap(), 100.0);
        assert!(Load::default().percentile(50).is_err());
    }
}
