//! Counting what test binaries report.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use unicell_tests::hosts::SKIPPED;

/// What one run of tests came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// Tests that could not run or are marked `#[ignore]`: a line for each
    /// that gave its reason itself.
    pub(crate) skipped: Vec<String>,
    pub(crate) ignored: usize,
}

impl Count {
    /// One thing that went wrong.
    pub(crate) fn failure() -> Count {
        Count {
            failed: 1,
            ..Count::default()
        }
    }

    /// One thing that was checked.
    pub(crate) fn of(passed: bool) -> Count {
        Count {
            passed: usize::from(passed),
            failed: usize::from(!passed),
            ..Count::default()
        }
    }

    pub(crate) fn add(&mut self, other: Count) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.skipped.extend(other.skipped);
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// The counts of all phases, in order.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    phases: Vec<(&'static str, Count)>,
    notes: Vec<String>,
}

impl Summary {
    /// Ends a phase: prints its own summary and keeps it.
    pub(crate) fn add(&mut self, phase: &'static str, count: Count) {
        println!("==> {phase}: {count}\n");
        self.phases.push((phase, count));
    }

    /// Keeps a remark to print at the end.
    pub(crate) fn note(&mut self, text: &str) {
        println!("{text}\n");
        self.notes.push(text.into());
    }

    pub(crate) fn total(&self) -> Count {
        let mut total = Count::default();
        for (_, count) in &self.phases {
            total.add(count.clone());
        }
        total
    }

    /// Prints every phase, what was skipped and why, and the closing line.
    pub(crate) fn print(&self) {
        for (phase, count) in &self.phases {
            let skipped = count.skipped.len() + count.ignored;
            print!("{phase:<14} {count}");
            println!(
                "{}",
                if skipped > 0 {
                    format!(", {skipped} skipped")
                } else {
                    String::new()
                }
            );
            for line in &count.skipped {
                println!("    {line}");
            }
            if count.ignored > 0 {
                println!("    marked #[ignore]: {}", count.ignored);
            }
        }
        for note in &self.notes {
            println!("{note}");
        }
        println!("{}", self.total());
    }
}

/// What becomes of the lines that a command prints.
pub(crate) enum Lines {
    /// They are passed on as they come.
    Shown,
    /// They are kept until all are there: several commands run at once.
    Kept(Mutex<String>),
}

impl Lines {
    fn out(&self, line: &str) {
        match self {
            Lines::Shown => {
                println!("{line}");
                let _ = std::io::stdout().flush();
            }
            Lines::Kept(_) => self.keep(line),
        }
    }

    fn err(&self, line: &str) {
        match self {
            Lines::Shown => eprintln!("{line}"),
            Lines::Kept(_) => self.keep(line),
        }
    }

    fn keep(&self, line: &str) {
        if let Lines::Kept(kept) = self {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push_str(line);
            kept.push('\n');
        }
    }

    /// Prints what was kept.
    pub(crate) fn show(self) {
        if let Lines::Kept(kept) = self {
            print!(
                "{}",
                kept.into_inner().unwrap_or_else(PoisonError::into_inner)
            );
        }
    }
}

/// Runs a command that prints as Rust's test harness does, passes its output
/// on as it comes, and counts. What ends without `harnesses` summaries, or
/// badly with no failure counted, counts as one failure.
pub(crate) fn counted(command: Command, harnesses: usize) -> Count {
    counted_to(&Lines::Shown, command, harnesses)
}

/// As [`counted`], with another place for its output.
pub(crate) fn counted_to(lines: &Lines, mut command: Command, harnesses: usize) -> Count {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            lines.out(&format!("{command:?} does not start: {error}"));
            return Count::failure();
        }
    };
    let stderr = child.stderr.take();
    let mut count = Count::default();
    let mut summaries = 0;
    thread::scope(|scope| {
        let skips = scope.spawn(|| {
            let mut skipped = Vec::new();
            for_each_line(stderr, |line| {
                lines.err(line);
                skipped.extend(line.strip_prefix(SKIPPED).map(str::to_owned));
            });
            skipped
        });
        for_each_line(child.stdout.take(), |line| {
            lines.out(line);
            if let Some(seen) = parse(line) {
                summaries += 1;
                count.add(seen);
            }
        });
        count.skipped = skips.join().unwrap_or_default();
    });
    let succeeded = child.wait().is_ok_and(|status| status.success());
    // The harness knows nothing of a skip and counts it as passed.
    count.passed = count.passed.saturating_sub(count.skipped.len());
    if summaries < harnesses || (!succeeded && count.failed == 0) {
        lines.out(&format!(
            "{summaries} of {harnesses} test binaries reported; counted as a failure"
        ));
        count.failed += 1;
    }
    count
}

fn for_each_line(stream: Option<impl std::io::Read>, mut each: impl FnMut(&str)) {
    let Some(stream) = stream else { return };
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    // Not lines(): what a program writes need not be UTF-8.
    while stream
        .read_until(b'\n', &mut line)
        .is_ok_and(|length| length > 0)
    {
        each(String::from_utf8_lossy(&line).trim_end_matches('\n'));
        line.clear();
    }
}

/// Reads the closing line of Rust's test harness, such as
/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; ...`.
fn parse(line: &str) -> Option<Count> {
    let numbers = line.strip_prefix("test result: ")?.split_once(". ")?.1;
    let number = |what: &str| {
        numbers
            .split("; ")
            .find_map(|part| part.strip_suffix(what)?.trim().parse().ok())
    };
    Some(Count {
        passed: number(" passed")?,
        failed: number(" failed")?,
        ignored: number(" ignored")?,
        skipped: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Count {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        counted(command, 1)
    }

    const CLOSING: &str = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; \
                           0 filtered out; finished in 0.01s";

    #[test]
    fn the_harness_closing_line_is_read() {
        let failing = "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured";
        let seen = parse(failing).unwrap();
        assert_eq!((seen.passed, seen.failed, seen.ignored), (3, 2, 0));
        assert_eq!(parse(CLOSING).unwrap().ignored, 1);
        assert_eq!(parse("test vm::hello ... ok"), None);
        assert_eq!(parse("test result: nonsense"), None);
    }

    #[test]
    fn a_skip_is_not_a_pass() {
        let count = shell(&format!(
            "echo 'skipped a::b: no room' >&2; echo '{CLOSING}'"
        ));
        assert_eq!((count.passed, count.failed), (2, 0));
        assert_eq!(count.skipped, ["a::b: no room"]);
    }

    #[test]
    fn a_binary_that_dies_is_a_failure() {
        assert_eq!(shell("exit 0").failed, 1);
        assert_eq!(shell("kill -9 $$").failed, 1);
        assert_eq!(shell(&format!("echo '{CLOSING}'; exit 1")).failed, 1);
    }
}
