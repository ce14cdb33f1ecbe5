//! Terminals: pseudo terminals, and the instance's console, which is one whose other side is the
//! device.
//!
//! - [`line`](Line) is one terminal's state and everything that is done to bytes on their way
//!   through it: the line discipline, as `drivers/tty/n_tty.c` has it. It neither waits nor sends
//!   signals, and is tested on the host.
//! - [`Terminal`] is a line that is shared: it waits and wakes, and signals the foreground. [`job`]
//!   says whose terminal it is and who may use it.
//! - [`pty`] is what programs have open of it: master and slave, with what they can ask
//!   ([`control`]). [`devpts`] gives slaves their names, [`console`] ties one to the device.

pub mod console;
mod control;
pub mod devpts;
pub mod job;
mod line;
mod pty;
mod terminal;
mod termios;

pub use line::Line;
pub use pty::{open_current, open_master};
pub use terminal::{Terminal, Window};
pub use termios::Termios;
