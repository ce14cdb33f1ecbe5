//! Standard input, output and error: streams to whoever started the instance. Not terminals.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::ioctl::FIONREAD;
use unicell_guest_abi::message::channel;

use super::anonymous;
use super::file::{Events, File};
use super::stat::{Kind, Stat};
use crate::device::console;
use crate::device::stdin::Incoming;
use crate::errno::{Errno, Result};
use crate::io::{Sink, Source};
use crate::memory::user;
use crate::sync::Mutex;
use crate::task::{self, WaitQueue};

/// Bytes that are handed to the console at once, at most.
const PART: usize = 32 << 10;

/// Standard input. Opened at the gateway when somebody first looks at it: most programs never do.
pub struct Input {
    state: Mutex<State>,
    opened: WaitQueue,
    ino: u64,
}

#[derive(Clone, Copy)]
enum State {
    Closed,
    Opening,
    /// There is one standard input, and it is there for ever.
    Open(&'static Incoming),
    Failed(Errno),
}

impl Input {
    /// Standard input.
    #[must_use]
    pub fn new() -> Self {
        let (state, opened) = (Mutex::new(State::Closed), WaitQueue::new());
        Self {
            state,
            opened,
            ino: anonymous::new_ino(),
        }
    }

    fn stream(&self) -> Option<&'static Incoming> {
        match *self.state.lock() {
            State::Open(stream) => Some(stream),
            _ => None,
        }
    }
}

impl Default for Input {
    fn default() -> Self {
        Self::new()
    }
}

impl File for Input {
    fn stat(&self) -> Stat {
        anonymous::stat(self.ino, Kind::Fifo.mode() | 0o600)
    }

    fn prepare(&self) -> Result<()> {
        let is_first = {
            let mut state = self.state.lock();
            let is_first = matches!(*state, State::Closed);
            if is_first {
                *state = State::Opening;
            }
            is_first
        };
        if is_first {
            let opened = match Incoming::stdin(false) {
                Ok(stream) => State::Open(Box::leak(Box::new(stream))),
                Err(errno) => State::Failed(errno),
            };
            *self.state.lock() = opened;
            self.opened.wake_all();
        }
        task::wait(&[&self.opened], None, || match *self.state.lock() {
            State::Closed | State::Opening => None,
            State::Open(_) => Some(Ok(())),
            State::Failed(errno) => Some(Err(errno)),
        })?
    }

    fn read(&self, _: u64, sink: &mut Sink<'_>) -> Result<usize> {
        if sink.remaining() == 0 {
            return Ok(0);
        }
        self.stream().ok_or(Errno::EIO)?.read(sink)
    }

    fn poll(&self) -> Events {
        let Some(stream) = self.stream() else {
            return Events::ERR;
        };
        let mut events = Events::empty();
        events.set(Events::READ, stream.available() > 0);
        events.set(Events::HUP, stream.has_ended());
        events
    }

    fn is_outside(&self) -> bool {
        true
    }

    fn queue(&self) -> Option<&WaitQueue> {
        self.stream().map(|stream| &stream.readable)
    }

    fn ioctl(&self, command: u32, argument: u64) -> Result<u64> {
        match command {
            FIONREAD => {
                let available = self.stream().map_or(0, Incoming::available) as u32;
                user::write(argument, &available)?;
                Ok(0)
            }
            _ => Err(Errno::ENOTTY),
        }
    }

    fn reopen(self: Arc<Self>, _: u32) -> Result<Arc<dyn File>> {
        Ok(self)
    }

    fn name(&self) -> Vec<u8> {
        alloc::format!("pipe:[{}]", self.ino).into_bytes()
    }
}

/// Standard output or error.
pub struct Output {
    channel: u32,
    ino: u64,
}

impl Output {
    /// Standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self {
            channel: channel::STDOUT,
            ino: anonymous::new_ino(),
        }
    }

    /// Standard error.
    #[must_use]
    pub fn stderr() -> Self {
        Self {
            channel: channel::STDERR,
            ino: anonymous::new_ino(),
        }
    }
}

impl File for Output {
    fn stat(&self) -> Stat {
        anonymous::stat(self.ino, Kind::Fifo.mode() | 0o600)
    }

    fn write(&self, _: u64, source: &mut Source<'_>) -> Result<usize> {
        let mut small = [0; 512];
        if source.remaining() <= small.len() {
            return self.put(&mut small, source);
        }
        let mut large = alloc::vec![0; PART.min(source.remaining())];
        self.put(&mut large, source)
    }

    fn poll(&self) -> Events {
        if console::has_room() {
            Events::WRITE
        } else {
            Events::empty()
        }
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&console::ROOM)
    }

    fn reopen(self: Arc<Self>, _: u32) -> Result<Arc<dyn File>> {
        Ok(self)
    }

    fn name(&self) -> Vec<u8> {
        alloc::format!("pipe:[{}]", self.ino).into_bytes()
    }
}

impl Output {
    /// Writes a part, or as much of it as there is room for.
    fn put(&self, part: &mut [u8], source: &mut Source<'_>) -> Result<usize> {
        let len = source.peek(part)?;
        if len == 0 {
            return Ok(0);
        }
        let written = console::write(self.channel, &part[..len])?;
        source.skip(written);
        Ok(written)
    }
}
