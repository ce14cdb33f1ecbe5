//! A command on a terminal: what a user types, and what they see.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::hosts::scale;

/// A command that has a terminal, seen from the other side of it.
pub struct Session {
    child: Child,
    screen: OwnedFd,
    /// Kept open, so that the settings can be seen when the command is gone.
    terminal: OwnedFd,
    before: Termios,
    seen: Vec<u8>,
    /// How much of `seen` was expected.
    expected: usize,
}

impl Session {
    /// Starts a command as the leader of a session, on a terminal of this size.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[allow(unsafe_code)]
    pub fn start(mut command: Command, rows: u16, columns: u16) -> Session {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let screen = openpt(flags).expect("there are terminals");
        grantpt(&screen).expect("a terminal of ours");
        unlockpt(&screen).expect("a terminal of ours");
        let name = ptsname(&screen, Vec::new()).expect("a terminal has a name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal =
            rustix::fs::open(&name, flags, Mode::empty()).expect("a terminal can be opened");
        let before = tcgetattr(&terminal).expect("a terminal has settings");
        let end = || terminal.try_clone().expect("a descriptor can be copied");
        command.stdin(end()).stdout(end()).stderr(end());
        let lead = || {
            rustix::process::setsid()?;
            rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
            Ok::<_, io::Error>(())
        };
        // SAFETY: between fork and exec it makes two system calls and touches no memory.
        unsafe { command.pre_exec(lead) };
        resize(&screen, rows, columns);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Session {
            child,
            screen,
            terminal,
            before,
            seen: Vec::new(),
            expected: 0,
        }
    }

    /// Types.
    ///
    /// # Panics
    ///
    /// When the terminal takes no more.
    pub fn type_in(&mut self, keys: &str) {
        let typed = rustix::io::write(&self.screen, keys.as_bytes());
        assert_eq!(typed, Ok(keys.len()), "all is typed");
    }

    /// Waits until this is seen, after what was expected before.
    ///
    /// # Panics
    ///
    /// When it has not come after a time that nothing here needs, or the command has ended.
    pub fn expect(&mut self, text: &str) {
        let limit = Instant::now() + Duration::from_secs(scale(60, 240));
        loop {
            let new = &self.seen[self.expected..];
            let found = new.windows(text.len()).position(|at| at == text.as_bytes());
            if let Some(at) = found {
                self.expected += at + text.len();
                return;
            }
            assert!(
                self.look(limit),
                "{text:?} is not seen, but\n{}",
                String::from_utf8_lossy(&self.seen).escape_debug()
            );
        }
    }

    /// Takes what is shown, waiting for it. False if nothing came, or nothing more will.
    fn look(&mut self, limit: Instant) -> bool {
        let left = limit.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).expect("the limit is a time");
        let gone = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty());
        let gone = gone.expect("a child can be watched");
        let mut watched = [
            PollFd::new(&self.screen, PollFlags::IN),
            PollFd::new(&gone, PollFlags::IN),
        ];
        poll(&mut watched, Some(&timeout)).expect("a terminal can be waited for");
        if !watched[0].revents().contains(PollFlags::IN) {
            return false;
        }
        let mut part = [0; 4096];
        let len = rustix::io::read(&self.screen, &mut part).expect("a screen can be read");
        self.seen.extend_from_slice(&part[..len]);
        true
    }

    /// Changes the size of the terminal.
    ///
    /// # Panics
    ///
    /// Never, as the terminal is ours.
    pub fn resize(&self, rows: u16, columns: u16) {
        resize(&self.screen, rows, columns);
    }

    /// The command's process.
    pub fn process(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends the command a signal.
    ///
    /// # Panics
    ///
    /// When it is gone.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.process(), signal).expect("the command is there");
    }

    /// Waits for the end. Returns the exit code (128 + n for signal n) and all that was seen.
    ///
    /// # Panics
    ///
    /// When the terminal is not set as it was, or the command hangs.
    pub fn end(mut self) -> (i32, String) {
        let limit = Instant::now() + Duration::from_secs(scale(60, 240));
        while self.look(limit) {}
        let ended = self.child.try_wait().expect("a child can be waited for");
        let seen = String::from_utf8_lossy(&self.seen).into_owned();
        let status = ended.unwrap_or_else(|| panic!("it has not ended, but shown\n{seen}"));
        let after = tcgetattr(&self.terminal).expect("a terminal has settings");
        assert_eq!(
            format!("{after:?}"),
            format!("{:?}", self.before),
            "the terminal is set as it was"
        );
        let signal = status.signal().map(|signal| 128 + signal);
        (status.code().or(signal).expect("it ended"), seen)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Of use after a panic only.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resize(screen: impl AsFd, rows: u16, columns: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(screen, size).expect("a terminal of ours");
}
