//! Pipes, with and without names.

use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;
use linux_raw_sys::ioctl::FIONREAD;

use super::anonymous;
use super::file::{Events, File};
use super::pipe_ring::Ring;
use super::stat::{Kind, Stat};
use crate::errno::{Errno, Result};
use crate::io::{Sink, Source};
use crate::memory::user;
use crate::sync::Mutex;
use crate::task::{self, WaitQueue};

/// Bytes that a pipe holds unless told otherwise.
const CAPACITY: usize = 64 << 10;
/// Bytes that a pipe can be told to hold.
const CAPACITY_MAX: usize = 1 << 20;
/// Bytes that a pipe holds at least.
const CAPACITY_MIN: usize = 4096;

/// What both ends share.
pub struct Pipe {
    state: Mutex<State>,
    /// Woken at every change.
    changed: WaitQueue,
    ino: u64,
}

struct State {
    ring: Ring,
    readers: u32,
    writers: u32,
    /// How often an end was opened, so that who waits for one does not miss it.
    readers_ever: u64,
    writers_ever: u64,
    /// Changes that concern readers, and writers.
    for_readers: u64,
    for_writers: u64,
}

impl Default for Pipe {
    fn default() -> Self {
        let state = State {
            ring: Ring::new(CAPACITY),
            readers: 0,
            writers: 0,
            readers_ever: 0,
            writers_ever: 0,
            for_readers: 0,
            for_writers: 0,
        };
        Self {
            state: Mutex::new(state),
            changed: WaitQueue::new(),
            ino: anonymous::new_ino(),
        }
    }
}

impl Pipe {
    fn update<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let result = change(&mut self.state.lock());
        self.changed.wake_all();
        result
    }

    /// Another end.
    fn end(self: &Arc<Self>, reads: bool, writes: bool, packets: bool) -> Arc<PipeEnd> {
        self.update(|state| {
            if reads {
                (state.readers, state.readers_ever) = (state.readers + 1, state.readers_ever + 1);
                state.for_writers += 1;
            }
            if writes {
                (state.writers, state.writers_ever) = (state.writers + 1, state.writers_ever + 1);
                state.for_readers += 1;
            }
        });
        Arc::new(PipeEnd {
            pipe: self.clone(),
            reads,
            writes,
            packets,
        })
    }
}

/// Both ends of a new pipe: to read from, to write to. With `packets`, each write is read alone.
#[must_use]
pub fn pair(packets: bool) -> (Arc<PipeEnd>, Arc<PipeEnd>) {
    let pipe = Arc::new(Pipe::default());
    (pipe.end(true, false, false), pipe.end(false, true, packets))
}

/// Whether what is opened so is to be read, and whether it is to be written.
fn directions(flags: u32) -> (bool, bool) {
    match flags & linux::O_ACCMODE {
        linux::O_RDONLY => (true, false),
        linux::O_WRONLY => (false, true),
        _ => (true, true),
    }
}

/// Opens a pipe that has a name; waits for the other end as fifo(7) says.
///
/// # Errors
///
/// ENXIO if it is to be written, without waiting, and nobody reads; RESTART.
pub fn open(pipe: &Arc<Pipe>, flags: u32) -> Result<Arc<dyn File>> {
    let (reads, writes) = directions(flags);
    let nonblocking = flags & linux::O_NONBLOCK != 0;
    let (readers, writers) = {
        let state = pipe.state.lock();
        if writes && !reads && nonblocking && state.readers == 0 {
            return Err(Errno::ENXIO);
        }
        (state.readers_ever, state.writers_ever)
    };
    let end = pipe.end(reads, writes, false);
    if !nonblocking && reads != writes {
        task::wait(&[&pipe.changed], None, || {
            let state = pipe.state.lock();
            let met = if reads {
                state.writers > 0 || state.writers_ever != writers
            } else {
                state.readers > 0 || state.readers_ever != readers
            };
            met.then_some(())
        })?;
    }
    Ok(end)
}

/// One end of a pipe, or both in one.
pub struct PipeEnd {
    pipe: Arc<Pipe>,
    reads: bool,
    writes: bool,
    /// Whether what it writes is read in packets.
    packets: bool,
}

impl PipeEnd {
    /// Whether it is the end that is read.
    #[must_use]
    pub fn reads(&self) -> bool {
        self.reads
    }

    /// Whether both are ends of the same pipe.
    #[must_use]
    pub fn is_other_end_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pipe, &other.pipe)
    }

    /// Bytes that it can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.pipe.state.lock().ring.capacity()
    }

    /// Changes how many bytes it can hold; returns how many it is.
    ///
    /// # Errors
    ///
    /// EBUSY if more are in it, EPERM if it is too many, EINVAL if it is none.
    pub fn set_capacity(&self, capacity: usize) -> Result<usize> {
        if capacity > CAPACITY_MAX {
            return Err(if capacity > 1 << 31 {
                Errno::EINVAL
            } else {
                Errno::EPERM
            });
        }
        let capacity = capacity.max(CAPACITY_MIN).next_power_of_two();
        self.pipe.update(|state| {
            if !state.ring.set_capacity(capacity) {
                return Err(Errno::EBUSY);
            }
            state.for_writers += 1;
            Ok(capacity)
        })
    }

    /// Bytes that are in it, at most `max`, without taking them.
    ///
    /// # Errors
    ///
    /// EAGAIN if there are none yet; none at all at the end.
    pub fn peek(&self, max: usize) -> Result<Vec<u8>> {
        let state = self.pipe.state.lock();
        if state.ring.is_empty() && state.writers > 0 {
            return Err(Errno::EAGAIN);
        }
        Ok(state.ring.peek(max))
    }

    /// Takes bytes that were peeked at.
    pub fn consume(&self, len: usize) {
        self.pipe.update(|state| {
            state.ring.consume(len);
            state.for_writers += 1;
        });
    }

    /// Bytes that can be written at once.
    ///
    /// # Errors
    ///
    /// EAGAIN if there is no room yet, EPIPE if nobody reads.
    pub fn room(&self) -> Result<usize> {
        let state = self.pipe.state.lock();
        match state.ring.room() {
            _ if state.readers == 0 => Err(Errno::EPIPE),
            0 => Err(Errno::EAGAIN),
            room => Ok(room),
        }
    }
}

impl File for PipeEnd {
    fn stat(&self) -> Stat {
        anonymous::stat(self.pipe.ino, Kind::Fifo.mode() | 0o600)
    }

    fn read(&self, _: u64, sink: &mut Sink<'_>) -> Result<usize> {
        let mut state = self.pipe.state.lock();
        if state.ring.is_empty() || sink.remaining() == 0 {
            let more = state.writers > 0 && sink.remaining() > 0;
            return if more { Err(Errno::EAGAIN) } else { Ok(0) };
        }
        let read = state.ring.read(sink)?;
        state.for_writers += 1;
        drop(state);
        self.pipe.changed.wake_all();
        Ok(read)
    }

    fn write(&self, _: u64, source: &mut Source<'_>) -> Result<usize> {
        if source.remaining() == 0 {
            return Ok(0);
        }
        let mut state = self.pipe.state.lock();
        if state.readers == 0 {
            return Err(Errno::EPIPE);
        }
        let written = state.ring.write(source, self.packets)?;
        if written == 0 {
            return Err(Errno::EAGAIN);
        }
        state.for_readers += 1;
        drop(state);
        self.pipe.changed.wake_all();
        Ok(written)
    }

    fn poll(&self) -> Events {
        let state = self.pipe.state.lock();
        let mut events = Events::empty();
        if self.reads {
            events.set(Events::READ, !state.ring.is_empty());
            events.set(Events::HUP, state.writers == 0 && state.writers_ever > 0);
        }
        if self.writes {
            events.set(Events::WRITE, state.ring.room() > 0);
            events.set(Events::ERR, state.readers == 0);
        }
        events
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.pipe.changed)
    }

    fn generation(&self) -> u64 {
        let state = self.pipe.state.lock();
        let mut generation = 0;
        if self.reads {
            generation += state.for_readers;
        }
        if self.writes {
            generation += state.for_writers;
        }
        generation
    }

    fn ioctl(&self, command: u32, argument: u64) -> Result<u64> {
        match command {
            FIONREAD => {
                let len = self.pipe.state.lock().ring.len() as u32;
                user::write(argument, &len)?;
                Ok(0)
            }
            _ => Err(Errno::ENOTTY),
        }
    }

    fn reopen(self: Arc<Self>, flags: u32) -> Result<Arc<dyn File>> {
        // One without a name is opened without waiting for another end.
        let (reads, writes) = directions(flags);
        Ok(self.pipe.end(reads, writes, false))
    }

    fn name(&self) -> Vec<u8> {
        format!("pipe:[{}]", self.pipe.ino).into_bytes()
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        self.pipe.update(|state| {
            if self.reads {
                state.readers -= 1;
                state.for_writers += 1;
            }
            if self.writes {
                state.writers -= 1;
                state.for_readers += 1;
            }
            if state.readers == 0 && state.writers == 0 {
                state.ring = Ring::new(state.ring.capacity());
            }
        });
    }
}
