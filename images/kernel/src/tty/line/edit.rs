//! Editing the line that is being typed.

use linux_raw_sys::general as linux;

use super::Line;
use super::echo::{Echo, is_alphanumeric, is_control};

/// What is erased.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Erase {
    Character,
    Word,
    Line,
}

impl Line {
    /// Bytes of the line that is being typed.
    pub(super) fn unfinished(&self) -> usize {
        self.buffer.len() - self.lines
    }

    /// Erases what a character asks for: the last character, word, or all of the line.
    pub(super) fn erase(&mut self, by: u8) {
        if self.unfinished() == 0 {
            return;
        }
        let set = |flag| self.termios.local(flag);
        let what = if self.termios.is(by, linux::VERASE) {
            Erase::Character
        } else if self.termios.is(by, linux::VWERASE) {
            Erase::Word
        } else if !set(linux::ECHO) {
            self.buffer.truncate(self.lines);
            return;
        } else if !set(linux::ECHOK) || !set(linux::ECHOKE) || !set(linux::ECHOE) {
            let newline = set(linux::ECHOK);
            self.buffer.truncate(self.lines);
            self.finish_erasing();
            self.echo_char(self.termios.char(linux::VKILL));
            if newline {
                self.echo(Echo::Byte(b'\n'));
            }
            return;
        } else {
            Erase::Line
        };
        self.erase_characters(what);
        if self.unfinished() == 0 && self.termios.local(linux::ECHO) {
            self.finish_erasing();
        }
    }

    fn erase_characters(&mut self, what: Erase) {
        let mut in_word = false;
        while self.unfinished() > 0 {
            let Some(len) = self.last_character() else {
                break;
            };
            let at = self.buffer.len() - len;
            let first = self.buffer[at].byte;
            if what == Erase::Word {
                if is_alphanumeric(first) || first == b'_' {
                    in_word = true;
                } else if in_word {
                    break;
                }
            }
            let rest: alloc::vec::Vec<u8> =
                self.buffer.range(at + 1..).map(|char| char.byte).collect();
            self.buffer.truncate(at);
            if self.termios.local(linux::ECHO) {
                self.echo_erased(first, &rest, what);
            }
            if what == Erase::Character {
                break;
            }
        }
    }

    /// How many bytes the last character of the line has; none if its first byte is not there.
    fn last_character(&self) -> Option<usize> {
        let unfinished = self.buffer.range(self.lines..).rev();
        let continued = unfinished
            .take_while(|char| self.is_continuation(char.byte))
            .count();
        (continued < self.unfinished()).then_some(continued + 1)
    }

    fn echo_erased(&mut self, first: u8, rest: &[u8], what: Erase) {
        let set = |flag| self.termios.local(flag);
        let visible = set(linux::ECHOCTL);
        if set(linux::ECHOPRT) {
            if !self.erasing {
                self.echo(Echo::Byte(b'\\'));
                self.erasing = true;
            }
            self.echo_char(first);
            for byte in rest {
                self.echo(Echo::Byte(*byte));
                self.echo(Echo::Back);
            }
        } else if what == Erase::Character && !set(linux::ECHOE) {
            self.echo_char(self.termios.char(linux::VERASE));
        } else if first == b'\t' {
            self.echo_erased_tab();
        } else {
            let cells = match is_control(first) {
                true if visible => 2,
                true => 0,
                false => 1,
            };
            for byte in b"\x08 \x08".repeat(cells) {
                self.echo(Echo::Byte(byte));
            }
        }
    }

    /// Columns since the tab before the one that was erased, or since the start of the line.
    fn echo_erased_tab(&mut self) {
        let mut columns = 0;
        let mut after_tab = false;
        for char in self.buffer.range(self.lines..).rev() {
            if char.byte == b'\t' {
                after_tab = true;
                break;
            }
            if is_control(char.byte) {
                columns += if self.termios.local(linux::ECHOCTL) {
                    2
                } else {
                    0
                };
            } else if !self.is_continuation(char.byte) {
                columns += 1;
            }
        }
        self.echo(Echo::Tab(columns, after_tab));
    }
}
