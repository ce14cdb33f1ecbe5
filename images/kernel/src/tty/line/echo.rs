//! What is shown: the program's output, and the echo of what is typed.
//!
//! An echo is kept as what it means, for it may have to wait for room, and where the cursor is then
//! decides how wide a tab is.

use linux_raw_sys::general as linux;

use super::{ECHOES, Line, SHOWN};

/// A piece of echo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Echo {
    /// A byte, as a program would write it.
    Byte(u8),
    /// A control character, as `^X`.
    Control(u8),
    /// Back over a tab: columns since the tab before it, or (false) since the line's start.
    Tab(usize, bool),
    /// The line that is being typed begins here.
    Begin,
    /// The cursor did not move for the byte before.
    Back,
}

/// A control character, as the kernel's `iscntrl`.
pub(super) fn is_control(byte: u8) -> bool {
    byte.is_ascii_control()
}

/// A letter or digit, as the kernel's `isalnum`: of Latin-1.
pub(super) fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0xc0 && byte != 0xd7 && byte != 0xf7
}

fn to_upper(byte: u8) -> u8 {
    let latin = matches!(byte, 0xdf..=0xf6 | 0xf8..=0xff);
    if latin {
        byte - 0x20
    } else {
        byte.to_ascii_uppercase()
    }
}

impl Line {
    /// Whether a byte is part of the character before it.
    pub(super) fn is_continuation(&self, byte: u8) -> bool {
        self.termios.input(linux::IUTF8) && byte & 0xc0 == 0x80
    }

    /// Adds to the echo. The oldest goes if nobody takes any.
    pub(super) fn echo(&mut self, echo: Echo) {
        if self.echoes.len() >= ECHOES {
            self.echoes.pop_front();
        }
        self.echoes.push_back(echo);
    }

    /// Adds the echo of a character, control characters made visible.
    pub(super) fn echo_char(&mut self, byte: u8) {
        let visible = self.termios.local(linux::ECHOCTL) && is_control(byte) && byte != b'\t';
        self.echo(if visible {
            Echo::Control(byte)
        } else {
            Echo::Byte(byte)
        });
    }

    /// Ends the `\...` in which erased characters are shown.
    pub(super) fn finish_erasing(&mut self) {
        if core::mem::take(&mut self.erasing) {
            self.echo(Echo::Byte(b'/'));
        }
    }

    /// Shows the echoes that there is room for.
    pub(super) fn flush_echoes(&mut self) {
        while let Some(echo) = self.echoes.front().copied() {
            if !self.show_echo(echo) {
                break;
            }
            self.echoes.pop_front();
        }
    }

    fn show_echo(&mut self, echo: Echo) -> bool {
        match echo {
            Echo::Byte(byte) if self.termios.output(linux::OPOST) => return self.process(byte),
            Echo::Byte(byte) => return self.show(&[byte]),
            Echo::Control(byte) => {
                if !self.show(&[b'^', byte ^ 0o100]) {
                    return false;
                }
                self.column += 2;
            }
            Echo::Tab(columns, after_tab) => {
                // Between tabs, stops are where they always are; else the line's start counts.
                let start = if after_tab { 0 } else { self.line_column };
                let back = 8 - (columns + start) % 8;
                if !self.show(&b"\x08\x08\x08\x08\x08\x08\x08\x08"[..back]) {
                    return false;
                }
                self.column = self.column.saturating_sub(back);
            }
            Echo::Begin => self.line_column = self.column,
            Echo::Back => self.column = self.column.saturating_sub(1),
        }
        true
    }

    /// How much can be shown.
    fn room(&self) -> usize {
        if self.stopped {
            0
        } else {
            SHOWN.saturating_sub(self.shown.len())
        }
    }

    /// Whether a write would not have to wait.
    pub fn takes_output(&self) -> bool {
        self.room() > 0
    }

    /// Shows bytes as they are, all or none.
    fn show(&mut self, bytes: &[u8]) -> bool {
        let fits = bytes.len() <= self.room();
        if fits {
            self.shown.extend(bytes);
        }
        fits
    }

    /// Shows the start or stop character (V*), whether output waits or not.
    pub fn show_flow_control(&mut self, which: u32) {
        let byte = self.termios.char(which);
        if byte != 0 {
            self.shown.push_back(byte);
        }
    }

    /// Shows what a program writes, as much as there is room for.
    pub fn write(&mut self, bytes: &[u8]) -> usize {
        self.flush_echoes();
        if !self.termios.output(linux::OPOST) {
            let len = bytes.len().min(self.room());
            self.shown.extend(&bytes[..len]);
            return len;
        }
        let refused = bytes.iter().position(|byte| !self.process(*byte));
        refused.unwrap_or(bytes.len())
    }

    /// Shows a byte after the processing that the output flags ask for. False if there is no room.
    fn process(&mut self, byte: u8) -> bool {
        let set = |flag| self.termios.output(flag);
        let (mut column, mut line_column, mut out) = (self.column, self.line_column, byte);
        match byte {
            b'\n' if set(linux::ONLCR) => {
                if !self.show(b"\r\n") {
                    return false;
                }
                (self.column, self.line_column) = (0, 0);
                return true;
            }
            b'\n' => {
                if set(linux::ONLRET) {
                    column = 0;
                }
                line_column = column;
            }
            b'\r' if set(linux::ONOCR) && column == 0 => return self.room() > 0,
            b'\r' if set(linux::OCRNL) => {
                out = b'\n';
                if set(linux::ONLRET) {
                    (column, line_column) = (0, 0);
                }
            }
            b'\r' => (column, line_column) = (0, 0),
            b'\t' => {
                let spaces = 8 - column % 8;
                column += spaces;
                if self.termios.oflag & linux::TABDLY == linux::XTABS {
                    if !self.show(&b"        "[..spaces]) {
                        return false;
                    }
                    self.column = column;
                    return true;
                }
            }
            b'\x08' => column = column.saturating_sub(1),
            _ if is_control(byte) => {}
            _ => {
                if set(linux::OLCUC) {
                    out = to_upper(byte);
                }
                column += usize::from(!self.is_continuation(byte));
            }
        }
        let shown = self.show(&[out]);
        if shown {
            (self.column, self.line_column) = (column, line_column);
        }
        shown
    }
}
