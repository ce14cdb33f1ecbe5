//! Running a command to its end: input given, output kept, a limit on time.

use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::hosts::scale;

/// How a command ended and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code; 128 + n where signal n ended it, as shells say it.
    pub code: i32,
    /// All that it wrote to its stdout.
    pub stdout: Vec<u8>,
    /// All that it wrote to its stderr.
    pub stderr: Vec<u8>,
}

impl Outcome {
    /// Its stdout as text, with what is not UTF-8 replaced.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Its stderr as text, with what is not UTF-8 replaced.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "exit code {}\n--- stdout\n{}--- stderr\n{}",
            self.code,
            self.out(),
            self.err()
        )
    }
}

/// Runs the command with this input to its end, in a process group of its own.
///
/// # Panics
///
/// When it cannot be started, or has not ended after a time that only a
/// command that hangs can need; the group is killed and what it said is shown.
pub fn finish(mut command: Command, input: &[u8]) -> Outcome {
    let limit = Duration::from_secs(scale(60, 240));
    finish_within(&mut command, input, limit)
}

/// As [`finish`], with a limit for a command that is known to take long.
///
/// # Panics
///
/// As [`finish`].
pub fn finish_within(command: &mut Command, input: &[u8], limit: Duration) -> Outcome {
    command.process_group(0);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let pid = Pid::from_child(&child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("a child can be watched");

    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let stdout = child.stdout.take().expect("stdout is a pipe");
    let stderr = child.stderr.take().expect("stderr is a pipe");
    thread::scope(|scope| {
        // A command may end without reading: a broken pipe is no failure.
        scope.spawn(move || drop(stdin.write_all(input)));
        let stdout = scope.spawn(move || read_all(stdout));
        let stderr = scope.spawn(move || read_all(stderr));

        let timeout = Timespec::try_from(limit).expect("the limit is a time");
        let mut watched = [PollFd::new(&pidfd, PollFlags::IN)];
        let ended = poll(&mut watched, Some(&timeout)).expect("a child can be waited for") > 0;
        if !ended {
            kill_process_group(pid, Signal::KILL).expect("a group of ours can be killed");
        }
        let status = child.wait().expect("a child can be waited for");
        let outcome = Outcome {
            code: status
                .code()
                .or_else(|| status.signal().map(|n| 128 + n))
                .expect("it ended"),
            stdout: stdout.join().expect("reading does not panic"),
            stderr: stderr.join().expect("reading does not panic"),
        };
        assert!(
            ended,
            "{command:?} hangs: killed after {limit:?}\n{outcome}"
        );
        outcome
    })
}

fn read_all(mut pipe: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes).expect("a pipe can be read");
    bytes
}
