//! Memory of instances that do nothing.

use std::fs;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::files::Files;
use crate::group::{Contender, Group, Size, Unit};
use crate::sample::{Failure, Sample};

pub(crate) fn groups(files: &Files) -> Result<Vec<Group>, Failure> {
    let package = files.package(&files.programs)?;
    let native = files.programs.join("bin/idle");
    let unicell = move |files: &Files| {
        let binary = files.unicell.clone();
        let package = package.clone();
        move || {
            let mut command = Command::new(&binary);
            command
                .arg("run")
                .arg(&package)
                .args(["--entrypoint", "/bin/idle"]);
            command
        }
    };
    let (all, parent, instance) = (unicell(files), unicell(files), unicell(files));
    let by_fall = vec![
        Contender::new("native process", move |size| {
            fall(size, || Command::new(&native))
        }),
        Contender::new("unicell run, in all", move |size| fall(size, &all)),
    ];
    let by_share = vec![
        Contender::new("of it: unicell run", move |_| share(&parent, Who::Parent)),
        Contender::new("of it: the instance", move |_| share(&instance, Who::Child)),
    ];
    Ok(vec![
        Group::new(
            "memory of an idle instance, by MemAvailable",
            Unit::Bytes,
            by_fall,
        )
        .seldom(7),
        Group::new(
            "memory of an idle instance, by PSS of its processes",
            Unit::Bytes,
            by_share,
        )
        .seldom(7),
    ])
}

/// A process that has said that it is idle; ended when it is dropped.
struct Idle(Child);

impl Idle {
    fn start(mut command: Command) -> Result<Self, Failure> {
        let program = command.get_program().to_string_lossy().into_owned();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let child = command
            .spawn()
            .map_err(|source| Failure::Start { program, source })?;
        let mut idle = Self(child);
        let mut word = [0; 5];
        let read = idle.0.stdout.as_mut().map(|out| out.read_exact(&mut word));
        match read {
            Some(Ok(())) if word == *b"idle\n" => Ok(idle),
            _ => Err(Failure::Ended {
                what: "it ended instead of being idle".into(),
            }),
        }
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        // What has ended already needs neither.
        let _ = self.0.kill();
        let _ = self.0.wait();
        // The end of its output: whoever else held it has ended too.
        let _ = self
            .0
            .stdout
            .take()
            .map(|mut out| out.read_to_end(&mut Vec::new()));
    }
}

/// By how much available memory falls for each of many.
fn fall(size: &Size, command: impl Fn() -> Command) -> Sample {
    // One by itself first: what all share is there before it is counted.
    let _first = Idle::start(command())?;
    let before = settled()?;
    let all: Result<Vec<_>, _> = (0..size.instances)
        .map(|_| Idle::start(command()))
        .collect();
    let all = all?;
    let fall = before - available()?;
    Ok(fall / all.len() as f64)
}

/// The same when it does not rise any more: what was measured before gives some of its memory back
/// late, for the host takes namespaces of networks apart in its own time.
pub(crate) fn settled() -> Result<f64, Failure> {
    const STEADY: f64 = 256.0 * 1024.0;
    let mut before = available()?;
    loop {
        thread::sleep(Duration::from_secs(1));
        let now = available()?;
        if now - before < STEADY {
            return Ok(now);
        }
        before = now;
    }
}

/// Bytes of memory that the host could give.
pub(crate) fn available() -> Result<f64, Failure> {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    kilobytes(&meminfo, "MemAvailable:")
        .ok_or_else(|| Failure::Host("/proc/meminfo tells no MemAvailable".into()))
}

/// The process that the user starts, or the one that an instance becomes.
#[derive(Clone, Copy)]
enum Who {
    Parent,
    Child,
}

/// What a process has by itself, and its share of what it has with others (proc(5), Pss).
fn share(command: impl Fn() -> Command, who: Who) -> Sample {
    // A few, so that they share as many do.
    let all: Result<Vec<_>, _> = (0..10).map(|_| Idle::start(command())).collect();
    let all = all?;
    let parent = all[0].0.id();
    let id = match who {
        Who::Parent => parent,
        Who::Child => {
            let path = format!("/proc/{parent}/task/{parent}/children");
            let children = fs::read_to_string(&path).unwrap_or_default();
            let first = children
                .split_whitespace()
                .next()
                .and_then(|id| id.parse().ok());
            first.ok_or_else(|| Failure::Host(format!("{path} names no child")))?
        }
    };
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    kilobytes(&rollup, "Pss:").ok_or_else(|| Failure::Host(format!("no Pss of process {id}")))
}

/// A line such as `Pss:  123 kB`, in bytes.
fn kilobytes(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: f64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(number * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kilobytes_are_read() {
        let text = "Rss:   8 kB\nPss:                  84 kB\nPss_Dirty: 4 kB\n";
        assert_eq!(kilobytes(text, "Pss:"), Some(84.0 * 1024.0));
        assert_eq!(kilobytes(text, "Swap:"), None);
    }
}
