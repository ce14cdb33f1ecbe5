//! CPython's own test suite as a judge: a module of it run natively and in a micro-VM, test by
//! test. `docs/judge.md` tells what came of it.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use crate::boxes::tree;
use crate::process::finish_within;
use crate::run::Run;

/// A module of the suite.
#[derive(Clone, Copy, Debug)]
pub struct Module {
    /// Its name without `test.test_`.
    pub name: &'static str,
    /// How long a whole run of it may take.
    pub limit: Duration,
}

const fn module(name: &'static str, minutes: u64) -> Module {
    Module {
        name,
        limit: Duration::from_secs(minutes * 60),
    }
}

/// The modules that are judged.
pub const MODULES: [Module; 28] = [
    module("os", 5),
    module("io", 15),
    module("fileio", 5),
    module("threading", 15),
    module("thread", 5),
    module("subprocess", 15),
    module("signal", 10),
    module("select", 5),
    module("selectors", 5),
    module("epoll", 5),
    module("mmap", 5),
    module("socket", 15),
    module("socketserver", 5),
    module("asyncio", 30),
    module("time", 5),
    module("tempfile", 5),
    module("shutil", 5),
    module("pathlib", 5),
    module("posix", 5),
    module("pty", 5),
    module("fcntl", 5),
    module("resource", 5),
    module("multiprocessing_fork", 30),
    module("multiprocessing_spawn", 30),
    module("concurrent_futures", 30),
    module("sqlite3", 10),
    module("json", 5),
    module("hashlib", 10),
];

/// Longer than any single test takes that does not hang.
const TEST_SECONDS: &str = "120";

/// Where a module runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// On this machine's own kernel.
    Native,
    /// In a micro-VM.
    Guest,
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should.
    Pass,
    /// An assertion failed or an exception was raised.
    Fail,
    /// The test found that it cannot run there.
    Skip,
    /// It took too long, or the process died in it.
    Hang,
}

/// The verdict on each test, by its name; one that occurs again in a module gets `#2` and so on.
pub type Verdicts = BTreeMap<String, Verdict>;

/// Runs the module to its end: the verdicts, and what was written to stderr, with the reasons. A
/// test that hangs ends the process; another goes on behind it.
///
/// # Panics
///
/// When the module does not start, or its limit passes.
#[must_use]
pub fn run(module: Module, side: Side) -> (Verdicts, String) {
    let mut transcript = Transcript::default();
    let mut log = String::new();
    loop {
        let mut command = command(module, side, transcript.last.as_deref());
        let outcome = finish_within(&mut command, b"", module.limit);
        let seen = transcript.started;
        transcript.read(&outcome.out());
        log.push_str(&outcome.err());
        if transcript.ended {
            return (transcript.verdicts, log);
        }
        assert!(
            transcript.started > seen,
            "test_{} does not go on: {outcome}",
            module.name
        );
    }
}

fn command(module: Module, side: Side, last: Option<&str>) -> Command {
    let run = Run::new(&tree("judge"), "/usr/bin/python3.11")
        .env("LC_ALL", "C.UTF-8")
        .arg("/test/judge.py")
        .arg(format!("test.test_{}", module.name))
        .arg(TEST_SECONDS)
        .args(last)
        .options(["--memory", "1G"]);
    match side {
        Side::Native => run.native_command(),
        Side::Guest => run.command(),
    }
}

/// What `tests/debian/files/judge/test/judge.py` has told so far.
#[derive(Debug, Default)]
struct Transcript {
    verdicts: Verdicts,
    /// How often each name has begun.
    names: BTreeMap<String, usize>,
    /// Tests that have begun, in all.
    started: usize,
    /// The test that began last, as Python names it.
    last: Option<String>,
    ended: bool,
}

impl Transcript {
    fn read(&mut self, text: &str) {
        for line in text.lines().filter_map(|line| line.strip_prefix("@judge ")) {
            match line.split_once(' ') {
                Some(("start", name)) => {
                    *self.names.entry(name.into()).or_default() += 1;
                    self.started += 1;
                    self.last = Some(name.into());
                    self.verdict(name, Verdict::Hang);
                }
                Some(("pass", name)) => self.verdict(name, Verdict::Pass),
                Some(("fail", name)) => self.verdict(name, Verdict::Fail),
                Some(("skip", name)) => self.verdict(name, Verdict::Skip),
                _ => self.ended |= line == "end",
            }
        }
    }

    fn verdict(&mut self, name: &str, verdict: Verdict) {
        let key = match self.names.get(name) {
            Some(nth @ 2..) => format!("{name}#{nth}"),
            _ => name.into(),
        };
        self.verdicts.insert(key, verdict);
    }
}

/// A module on both sides.
#[derive(Debug)]
pub struct Comparison {
    /// Its name without `test.test_`.
    pub module: &'static str,
    /// Tests that pass natively.
    pub native: usize,
    /// Those of them that do not pass in the guest, and how they end there.
    pub missing: Vec<(String, Option<Verdict>)>,
    /// What was written to stderr natively and in the guest, with the reasons.
    pub logs: [String; 2],
}

impl Comparison {
    /// Runs the module natively and in a micro-VM.
    ///
    /// # Panics
    ///
    /// As [`run`].
    #[must_use]
    pub fn of(module: Module) -> Comparison {
        let (native, native_log) = run(module, Side::Native);
        let (guest, guest_log) = run(module, Side::Guest);
        let passing = native
            .into_iter()
            .filter(|(_, verdict)| *verdict == Verdict::Pass);
        let passing: Vec<String> = passing.map(|(name, _)| name).collect();
        let missing = passing
            .iter()
            .map(|name| (name.clone(), guest.get(name).copied()))
            .filter(|(_, verdict)| *verdict != Some(Verdict::Pass));
        Comparison {
            module: module.name,
            native: passing.len(),
            missing: missing.collect(),
            logs: [native_log, guest_log],
        }
    }

    /// Tests that pass natively and in the guest.
    #[must_use]
    pub fn guest(&self) -> usize {
        self.native - self.missing.len()
    }
}

/// Why a test that passes natively does not pass in the guest, from `tests/judge/known`: lines of
/// a name (or the start of one, before a `*`) and the reason.
#[must_use]
pub fn known(test: &str) -> Option<&'static str> {
    include_str!("../judge/known")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .find(|(name, _)| match name.strip_suffix('*') {
            Some(start) => test.starts_with(start),
            None => test == *name,
        })
        .map(|(_, reason)| reason.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transcript_is_read_between_other_output() {
        let mut transcript = Transcript::default();
        transcript.read("noise\n@judge start a.b\nmore\n@judge pass a.b\n@judge start a.c\n");
        assert!(!transcript.ended);
        assert_eq!(transcript.last.as_deref(), Some("a.c"));
        transcript.read("\n@judge start a.b\n@judge fail a.b\n@judge end\n");
        assert!(transcript.ended);
        let expected = [
            ("a.b", Verdict::Pass),
            ("a.b#2", Verdict::Fail),
            ("a.c", Verdict::Hang),
        ];
        assert_eq!(
            transcript.verdicts,
            expected
                .map(|(name, verdict)| (name.into(), verdict))
                .into()
        );
    }
}
