//! What is typed, on its way to who reads.

use linux_raw_sys::general as linux;

use super::echo::Echo;
use super::{BUFFER, Char, Line};
use crate::signal::{SIGINT, SIGQUIT, SIGTSTP};

/// What parity errors are marked with, and so doubled where it is an ordinary byte.
const MARK: u8 = 0xff;

impl Line {
    /// Looks at what was typed, until all is done, there is no room, or a signal has to be sent to
    /// the foreground first: then its number.
    pub fn take_typed(&mut self) -> Option<u32> {
        while let Some(byte) = self.typed.front().copied() {
            if !self.make_room() {
                break;
            }
            self.typed.pop_front();
            let signal = self.receive(byte);
            self.flush_echoes();
            if signal.is_some() {
                return signal;
            }
        }
        None
    }

    /// Whether another character can be looked at. While the first line is too long, each takes
    /// the place of the last, so that it can still be edited and ended.
    fn make_room(&mut self) -> bool {
        let mut room = BUFFER.saturating_sub(self.buffer.len());
        if self.termios.input(linux::PARMRK) {
            room = room.div_ceil(3);
        }
        if room > 1 {
            return true;
        }
        let endless = self.termios.local(linux::ICANON) && self.lines == 0;
        if endless && room == 0 {
            self.buffer.pop_back();
        }
        endless
    }

    fn receive(&mut self, byte: u8) -> Option<u32> {
        let mut byte = byte;
        let extended = self.termios.local(linux::IEXTEN);
        if self.termios.input(linux::ISTRIP) {
            byte &= 0x7f;
        }
        if self.termios.input(linux::IUCLC) && extended {
            byte = byte.to_ascii_lowercase();
        }
        if self.termios.local(linux::EXTPROC) {
            self.put(byte);
            return None;
        }
        if core::mem::take(&mut self.literal) {
            self.start_by_any();
            self.take_text(byte, false);
            return None;
        }
        if self.takes_flow_control(byte) {
            return None;
        }
        if let Some(signal) = self.signal_of(byte) {
            self.take_signal(byte);
            return Some(signal);
        }
        self.start_by_any();
        let mut is_return = false;
        match byte {
            b'\r' if self.termios.input(linux::IGNCR) => return None,
            b'\r' if self.termios.input(linux::ICRNL) => (byte, is_return) = (b'\n', true),
            b'\n' if self.termios.input(linux::INLCR) => byte = b'\r',
            _ => {}
        }
        if !(self.termios.local(linux::ICANON) && self.takes_editing(byte)) {
            self.take_text(byte, is_return);
        }
        None
    }

    fn start_by_any(&mut self) {
        if self.stopped && self.termios.input(linux::IXON) && self.termios.input(linux::IXANY) {
            self.start();
        }
    }

    fn takes_flow_control(&mut self, byte: u8) -> bool {
        if !self.termios.input(linux::IXON) {
            return false;
        }
        if self.termios.is(byte, linux::VSTART) {
            self.start();
            return true;
        }
        let stops = self.termios.is(byte, linux::VSTOP);
        if stops {
            self.stop();
        }
        stops
    }

    fn signal_of(&self, byte: u8) -> Option<u32> {
        let signals = [
            (linux::VINTR, SIGINT),
            (linux::VQUIT, SIGQUIT),
            (linux::VSUSP, SIGTSTP),
        ];
        let found = signals
            .iter()
            .find(|(which, _)| self.termios.is(byte, *which));
        let (_, signal) = found.filter(|_| self.termios.local(linux::ISIG))?;
        Some(*signal)
    }

    /// A character that sends a signal: what was typed and not read is forgotten with it.
    fn take_signal(&mut self, byte: u8) {
        if !self.termios.local(linux::NOFLSH) {
            self.flush_output();
            self.flush_input();
        }
        if self.termios.input(linux::IXON) {
            self.start();
        }
        if self.termios.local(linux::ECHO) {
            self.echo_char(byte);
        }
    }

    /// A character that is text, and is echoed as such; a newline that was typed as a carriage
    /// return is echoed as one, and otherwise as a control character.
    fn take_text(&mut self, byte: u8, is_return: bool) {
        if self.termios.local(linux::ECHO) {
            self.finish_erasing();
            if is_return {
                self.echo(Echo::Byte(byte));
            } else {
                self.echo_text(byte);
            }
        }
        if byte == MARK && self.termios.input(linux::PARMRK) {
            self.put(byte);
        }
        self.put(byte);
    }

    fn echo_text(&mut self, byte: u8) {
        if self.unfinished() == 0 {
            self.echo(Echo::Begin);
        }
        self.echo_char(byte);
    }

    fn put(&mut self, byte: u8) {
        self.buffer.push_back(Char { byte, ends: false });
    }

    /// Ends a line.
    fn end_line(&mut self, byte: u8) {
        self.buffer.push_back(Char { byte, ends: true });
        self.lines = self.buffer.len();
    }

    /// A character that edits or ends the line, in canonical mode. False if it is text.
    fn takes_editing(&mut self, byte: u8) -> bool {
        let termios = self.termios;
        let extended = termios.local(linux::IEXTEN);
        let (is, echoes) = (|which| termios.is(byte, which), termios.local(linux::ECHO));
        if is(linux::VERASE) || is(linux::VKILL) || is(linux::VWERASE) && extended {
            self.erase(byte);
        } else if is(linux::VLNEXT) && extended {
            self.literal = true;
            if echoes {
                self.finish_erasing();
                if termios.local(linux::ECHOCTL) {
                    self.echo(Echo::Byte(b'^'));
                    self.echo(Echo::Byte(b'\x08'));
                }
            }
        } else if is(linux::VREPRINT) && echoes && extended {
            self.reprint(byte);
        } else if byte == b'\n' {
            if echoes || termios.local(linux::ECHONL) {
                self.echo(Echo::Byte(b'\n'));
            }
            self.end_line(byte);
        } else if is(linux::VEOF) {
            self.end_line(0);
        } else if is(linux::VEOL) || is(linux::VEOL2) && extended {
            if echoes {
                self.echo_text(byte);
            }
            if byte == MARK && termios.input(linux::PARMRK) {
                self.put(byte);
            }
            self.end_line(byte);
        } else {
            return false;
        }
        true
    }

    /// Shows the line again.
    fn reprint(&mut self, byte: u8) {
        self.finish_erasing();
        self.echo_char(byte);
        self.echo(Echo::Byte(b'\n'));
        let line: alloc::vec::Vec<u8> = self
            .buffer
            .range(self.lines..)
            .map(|char| char.byte)
            .collect();
        for byte in line {
            self.echo_char(byte);
        }
    }

    // The slave's side.

    /// Whether so many bytes (or, in canonical mode, a line) can be read.
    pub fn is_readable(&self, least: usize) -> bool {
        if self.termios.is_canonical() {
            self.lines > 0
        } else {
            self.buffer.len() >= least.max(1)
        }
    }

    /// What FIONREAD says: bytes that can be read.
    pub fn readable(&self) -> usize {
        if !self.termios.is_canonical() {
            return self.buffer.len();
        }
        let lines = self.buffer.range(..self.lines);
        lines.filter(|char| !(char.ends && char.byte == 0)).count()
    }

    /// Gives what can be read, up to the end of a line in canonical mode.
    pub fn read(&mut self, into: &mut [u8]) -> usize {
        let canonical = self.termios.is_canonical();
        let mut read = 0;
        while read < into.len() && !(canonical && self.lines == 0) {
            let Some(char) = self.take_char() else { break };
            if char.ends && char.byte == 0 {
                return read;
            }
            into[read] = char.byte;
            read += 1;
            if char.ends {
                return read;
            }
        }
        // An end of file behind a read that is full belongs to it: the next read waits.
        let ends = |char: &Char| char.ends && char.byte == 0;
        if canonical && self.lines > 0 && self.buffer.front().is_some_and(ends) {
            self.take_char();
        }
        read
    }

    fn take_char(&mut self) -> Option<Char> {
        self.lines = self.lines.saturating_sub(1);
        self.buffer.pop_front()
    }
}
