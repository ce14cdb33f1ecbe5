//! One terminal: what lies in it, how it is set, whose it is.
//!
//! ```text
//!   master writes                                             slave reads
//!   ------------->  typed  --receive-->  buffer  ---read---------------->
//!                             |  echo
//!                             v
//!                           echoes
//!                             |
//!   master reads              v            post-process      slave writes
//!   <--------------  shown  <-------------------------------------------
//! ```

mod echo;
mod edit;
mod input;
pub(super) mod packet;
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;

use linux_raw_sys::general as linux;

use super::terminal::Window;
use super::termios::Termios;
use echo::Echo;

/// Bytes that wait to be read, at most: the longest line, its end included.
pub(super) const BUFFER: usize = 4096;
/// Bytes that were typed and not yet looked at, at most.
const TYPED: usize = 8192;
/// Bytes that are shown and not yet taken, at most.
const SHOWN: usize = 8192;
/// Echoes that wait for room, at most.
const ECHOES: usize = 4096;

/// A byte that waits to be read.
#[derive(Clone, Copy)]
struct Char {
    byte: u8,
    /// Whether a line ends with it. If so and it is 0, it stands for the end of file.
    ends: bool,
}

/// The state of a terminal.
#[derive(Default)]
pub struct Line {
    /// How it is set.
    termios: Termios,
    /// How large it is.
    pub window: Window,
    /// What was typed and not yet looked at.
    typed: VecDeque<u8>,
    /// What can be read, and the line that is being typed.
    buffer: VecDeque<Char>,
    /// Of `buffer`: how much are whole lines, in canonical mode.
    lines: usize,
    /// The next character is taken as it is.
    literal: bool,
    /// Inside of `\...\/`, in which erased characters are shown on paper.
    erasing: bool,
    echoes: VecDeque<Echo>,
    /// Where the cursor is.
    column: usize,
    /// Where it was when the line began that is being typed.
    line_column: usize,
    /// What the master can read.
    shown: VecDeque<u8>,
    /// Output waits: by the stop character, or by a program's wish.
    stopped: bool,
    /// It waits by a program's wish, which the start character does not undo.
    held: bool,
    /// Whether the master is told what happens (TIOCPKT).
    packet: bool,
    /// What it is to be told next: [`packet`].
    status: u8,
    /// The number of its session.
    pub session: Option<u32>,
    /// The number of its foreground process group.
    pub foreground: Option<u32>,
    /// No slave can be opened (TIOCSPTLCK).
    pub locked: bool,
    /// TIOCEXCL.
    pub exclusive: bool,
    /// Open slaves.
    pub slaves: u32,
    /// The last slave was closed, and none was opened since.
    pub abandoned: bool,
    /// The master was closed.
    pub over: bool,
    /// Counts how often everybody who had it open lost it.
    pub epoch: u32,
}

impl Line {
    /// How it is set.
    pub fn termios(&self) -> &Termios {
        &self.termios
    }

    /// Sets it. What is being typed becomes a line where lines begin to count, and loose bytes
    /// where they no longer do.
    pub fn set_termios(&mut self, termios: Termios) {
        let old = core::mem::replace(&mut self.termios, termios);
        let changed = old.lflag ^ termios.lflag;
        if changed & (linux::ICANON | linux::EXTPROC) != 0 {
            for char in &mut self.buffer {
                char.ends = false;
            }
            self.lines = 0;
            if termios.local(linux::ICANON)
                && let Some(last) = self.buffer.back_mut()
            {
                last.ends = true;
                self.lines = self.buffer.len();
            }
            (self.erasing, self.literal) = (false, false);
        }
        if old.input(linux::IXON) && !termios.input(linux::IXON) && !self.held {
            self.start();
        }
        self.tell_flow(&old);
    }

    fn tell_flow(&mut self, old: &Termios) {
        let usual = |termios: &Termios| {
            termios.input(linux::IXON)
                && termios.char(linux::VSTOP) == 0o23
                && termios.char(linux::VSTART) == 0o21
        };
        match (usual(old), usual(&self.termios)) {
            (false, true) => self.tell(packet::DO_STOP, packet::NO_STOP),
            (true, false) => self.tell(packet::NO_STOP, packet::DO_STOP),
            _ => {}
        }
        if (old.lflag | self.termios.lflag) & linux::EXTPROC != 0 {
            self.tell(packet::IOCTL, 0);
        }
    }

    /// Notes something that the master is told, instead of its contrary.
    fn tell(&mut self, what: u8, instead: u8) {
        if self.packet {
            self.status = self.status & !instead | what;
        }
    }

    /// Lets the master be told what happens, or not.
    pub fn set_packet(&mut self, packet: bool) {
        if packet != self.packet {
            (self.packet, self.status) = (packet, 0);
        }
    }

    /// Whether the master is told what happens.
    pub fn is_packet(&self) -> bool {
        self.packet
    }

    /// Output waits from now on.
    fn stop(&mut self) {
        if !self.stopped {
            self.stopped = true;
            self.tell(packet::STOP, packet::START);
        }
    }

    /// Output goes on.
    fn start(&mut self) {
        if self.stopped && !self.held {
            self.stopped = false;
            self.tell(packet::START, packet::STOP);
        }
        self.flush_echoes();
    }

    /// Output waits, or goes on, by a program's wish (TCXONC).
    pub fn hold(&mut self, hold: bool) {
        if hold == self.held {
            return;
        }
        self.held = hold;
        if hold { self.stop() } else { self.start() }
    }

    /// Forgets what could be read.
    pub fn flush_input(&mut self) {
        self.buffer.clear();
        self.lines = 0;
        (self.erasing, self.literal) = (false, false);
        self.tell(packet::FLUSH_READ, 0);
    }

    /// Forgets what could not be shown yet. What is shown already has left the terminal.
    pub fn flush_output(&mut self) {
        self.echoes.clear();
        self.tell(packet::FLUSH_WRITE, 0);
    }

    // The master's side.

    /// Takes bytes as typed, as many as there is room for.
    pub fn type_in(&mut self, bytes: &[u8]) -> usize {
        let len = bytes.len().min(self.typing_room());
        self.typed.extend(&bytes[..len]);
        len
    }

    /// How much can be typed.
    pub fn typing_room(&self) -> usize {
        TYPED.saturating_sub(self.typed.len())
    }

    /// Gives what is shown.
    pub fn take_shown(&mut self, into: &mut [u8]) -> usize {
        let len = self.peek_shown(into);
        self.drop_shown(len);
        len
    }

    /// What [`Line::take_shown`] would give.
    pub fn peek_shown(&self, into: &mut [u8]) -> usize {
        let len = into.len().min(self.shown.len());
        for (to, from) in into.iter_mut().zip(&self.shown) {
            *to = *from;
        }
        len
    }

    /// Passes over what is shown.
    pub fn drop_shown(&mut self, len: usize) {
        self.shown.drain(..len.min(self.shown.len()));
        self.flush_echoes();
    }

    /// Forgets what is shown.
    pub fn flush_shown(&mut self) {
        self.drop_shown(self.shown.len());
    }

    /// What is shown and not taken, in bytes.
    pub fn shown_len(&self) -> usize {
        self.shown.len()
    }

    /// What the master is to be told, once; 0 for nothing.
    pub fn take_status(&mut self) -> u8 {
        core::mem::take(&mut self.status)
    }

    /// Whether there is something that the master is to be told.
    pub fn has_status(&self) -> bool {
        self.status != 0
    }
}
