//! The console queue: what the program prints, the kernel's log, the trace.

use core::fmt::{self, Write};

use unicell_guest_abi::device::CONSOLE;
use unicell_guest_abi::message::{Console, channel};
use unicell_guest_abi::platform::NEVER;

use super::platform;
use super::ring::{Ring, SLOTS};
use crate::errno::{Errno, Result};
use crate::memory::{Frame, PAGE_SIZE};
use crate::reproducible;
use crate::sync::Mutex;
use crate::task::WaitQueue;

const HEADER: usize = size_of::<Console>();
const STATUS: usize = PAGE_SIZE as usize - 4;
/// The longest text of one message.
const TEXT_MAX: usize = STATUS - HEADER;
const CHANNELS: usize = 5;

struct State {
    ring: Ring,
    /// A page for each slot, from its first use on.
    pages: [Option<Frame>; SLOTS as usize],
    /// Slots that the device has, bit by bit.
    busy: u32,
    /// For each channel, why earlier text was lost.
    failed: [Option<Errno>; CHANNELS],
    /// The channel of each slot.
    channels: [u8; SLOTS as usize],
    waited_for: bool,
}

static STATE: Mutex<State> = Mutex::new(State {
    ring: Ring::new(CONSOLE),
    pages: [const { None }; SLOTS as usize],
    busy: 0,
    failed: [None; CHANNELS],
    channels: [0; SLOTS as usize],
    waited_for: false,
});

/// Woken when there is room again.
pub static ROOM: WaitQueue = WaitQueue::new();

const _: () = assert!(SLOTS == 32);

impl State {
    fn reap(&mut self) {
        while let Some((slot, _)) = self.ring.take_used() {
            let slot = usize::from(slot);
            self.busy &= !(1 << slot);
            let mut status = [0; 4];
            if let Some(page) = &self.pages[slot] {
                page.read(STATUS, &mut status);
            }
            let status = u32::from_le_bytes(status);
            // How the outside takes what is written is no input.
            if status != 0 && !reproducible::is_on() {
                self.failed[usize::from(self.channels[slot])] = Some(Errno::new(status as u16));
            }
        }
    }

    /// In a reproducible run, nobody notices how fast the host takes what is written: all pages are
    /// taken at once, and room is waited for on the spot.
    fn make_room(&mut self) -> Result<()> {
        if self.pages[0].is_none() {
            for page in &mut self.pages {
                *page = Some(Frame::uninitialised()?);
            }
        }
        while self.busy == u32::MAX {
            if !self.ring.want_news(true) {
                platform::park(NEVER);
            }
            self.reap();
        }
        self.ring.want_news(false);
        Ok(())
    }

    /// Sends a message of at most [`TEXT_MAX`] bytes, if a slot is free.
    fn send(&mut self, channel: u32, text: &[u8]) -> Result<()> {
        if reproducible::is_on() {
            self.make_room()?;
        }
        let slot = self.busy.trailing_ones() as u16;
        if slot >= SLOTS {
            return Err(Errno::EAGAIN);
        }
        let at = usize::from(slot);
        if self.pages[at].is_none() {
            self.pages[at] = Some(Frame::uninitialised()?);
        }
        let Some(page) = &self.pages[at] else {
            return Err(Errno::ENOMEM);
        };
        page.write(0, &channel.to_le_bytes());
        page.write(4, &(text.len() as u32).to_le_bytes());
        page.write(HEADER, text);
        page.zero(STATUS, 4);
        let address = page.address();
        self.busy |= 1 << slot;
        self.channels[at] = channel as u8;
        let readable = (address, (HEADER + text.len()) as u32);
        self.ring
            .add(slot, &[readable], &[(address + STATUS as u64, 4)]);
        Ok(())
    }
}

/// Whether a write would be taken at once.
#[must_use]
pub fn has_room() -> bool {
    if reproducible::is_on() {
        return true;
    }
    let mut state = STATE.lock();
    state.reap();
    let full = state.busy == u32::MAX;
    if full {
        state.waited_for = true;
        state.ring.want_news(true);
    }
    !full
}

/// Sends text, as much as there is room for; returns how much was taken.
///
/// # Errors
///
/// EAGAIN if there is no room ([`ROOM`] is woken when there is), or the error with which the
/// channel's reader has gone.
pub fn write(channel: u32, text: &[u8]) -> Result<usize> {
    let mut state = STATE.lock();
    state.reap();
    if let Some(errno) = state.failed[channel as usize] {
        return Err(errno);
    }
    let mut sent = 0;
    let mut messages = 0;
    for part in text.chunks(TEXT_MAX) {
        match state.send(channel, part) {
            Ok(()) => (sent, messages) = (sent + part.len(), messages + 1),
            Err(errno) if sent == 0 => {
                state.waited_for = true;
                // A slot may have become free since the look above: then there is room already.
                if state.ring.want_news(true) {
                    state.reap();
                    continue;
                }
                return Err(errno);
            }
            Err(_) => break,
        }
    }
    state.ring.kick(messages);
    Ok(sent)
}

/// Takes finished slots back and wakes who waits for room.
pub(super) fn poll() {
    let mut state = STATE.lock();
    state.reap();
    if state.waited_for && state.busy != u32::MAX {
        state.waited_for = false;
        state.ring.want_news(false);
        drop(state);
        ROOM.wake_all();
    }
}

/// A line for the kernel's log. Lost if there is no room: the log never stops the program.
pub fn log(line: fmt::Arguments<'_>) {
    send_line(channel::LOG, line);
}

/// A line for the trace. Waits for room, so that no line is lost.
pub fn trace(line: fmt::Arguments<'_>) {
    wait_for_room();
    send_line(channel::TRACE, line);
}

/// A line of a report, for the log. Waits for room, so that no line is lost.
pub fn report(line: fmt::Arguments<'_>) {
    wait_for_room();
    send_line(channel::LOG, line);
}

fn wait_for_room() {
    while !has_room() {
        crate::task::wait_for_device();
    }
}

fn send_line(channel: u32, line: fmt::Arguments<'_>) {
    let mut text = Line {
        text: [0; LINE_MAX],
        len: 0,
    };
    // Cut at worst: the writer never fails.
    let _ = text.write_fmt(line);
    let len = text.len.min(LINE_MAX - 1);
    text.text[len] = b'\n';
    let _ = write(channel, &text.text[..=len]);
}

const LINE_MAX: usize = 1024;

struct Line {
    text: [u8; LINE_MAX],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let part = &text.as_bytes()[..text.len().min(LINE_MAX - self.len)];
        self.text[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
        Ok(())
    }
}
