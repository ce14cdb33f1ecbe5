//! The stream from which standard input is read.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use unicell_guest_abi::message::op;

use super::control;
use super::stream::{self, Outside, Receiver, Stream};
use crate::errno::{Errno, Result};
use crate::io::Sink;
use crate::sync::Mutex;
use crate::task::WaitQueue;

/// Bytes that may be on their way or unread.
const WINDOW: u32 = 48 << 10;

/// What has come of standard input.
pub struct Incoming {
    state: Mutex<State>,
    /// Woken when there are bytes, or the stream has ended.
    pub readable: WaitQueue,
    /// A terminal takes it, whether somebody waits for it or not.
    is_typed: bool,
}

#[derive(Default)]
struct State {
    stream: Option<Arc<Stream>>,
    unread: VecDeque<u8>,
    ended: bool,
    broken: Option<Errno>,
    /// A new size of the terminal behind it, which nobody has taken.
    window: Option<u32>,
}

impl Receiver for Incoming {
    fn credit(&self, _: u32) {}

    fn data(&self, bytes: &mut Vec<u8>) {
        self.state.lock().unread.extend(&*bytes);
        self.readable.wake_all();
    }

    fn ended(&self) {
        self.state.lock().ended = true;
        self.readable.wake_all();
    }

    fn reset(&self, errno: Option<Errno>) {
        {
            let mut state = self.state.lock();
            (state.ended, state.broken) = (true, errno);
        }
        self.readable.wake_all();
    }

    fn expects(&self) -> Outside {
        match self.state.lock().ended {
            false if self.is_typed => Outside::Possible,
            false if self.readable.has_waiters() => Outside::Awaited,
            false => Outside::Unawaited,
            true => Outside::Nothing,
        }
    }

    fn resized(&self, size: u32) {
        self.state.lock().window = Some(size);
    }
}

impl Incoming {
    /// Opens the stream of standard input, for a terminal or for whoever reads it.
    ///
    /// # Errors
    ///
    /// What the gateway answers; ENOBUFS.
    pub fn stdin(is_typed: bool) -> Result<Arc<Self>> {
        let incoming = Arc::new(Self {
            state: Mutex::new(State::default()),
            readable: WaitQueue::new(),
            is_typed,
        });
        let stream = stream::reserve(incoming.clone(), WINDOW)?;
        let id = stream.id();
        incoming.state.lock().stream = Some(stream);
        control::request(op::OPEN_STDIN, id, WINDOW, &[])?;
        Ok(incoming)
    }

    /// Whether everything that will ever come has come.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.state.lock().ended
    }

    /// Bytes that can be read at once.
    #[must_use]
    pub fn available(&self) -> usize {
        self.state.lock().unread.len()
    }

    /// The new size of the terminal behind it, once.
    #[must_use]
    pub fn take_window(&self) -> Option<u32> {
        self.state.lock().window.take()
    }

    /// Reads what is there; 0 at the end of the stream.
    ///
    /// # Errors
    ///
    /// EAGAIN if nothing is there yet, EFAULT, or the error that broke the stream.
    pub fn read(&self, sink: &mut Sink<'_>) -> Result<usize> {
        let mut state = self.state.lock();
        if state.unread.is_empty() {
            return match state.broken {
                Some(errno) => Err(errno),
                None if state.ended => Ok(0),
                None => Err(Errno::EAGAIN),
            };
        }
        let mut read = 0;
        while sink.remaining() > 0 && !state.unread.is_empty() {
            let (front, _) = state.unread.as_slices();
            let len = sink.write(front)?;
            state.unread.drain(..len);
            read += len;
        }
        let stream = state.stream.clone().filter(|_| !state.ended);
        drop(state);
        if let Some(stream) = stream {
            stream.taken(read);
        }
        Ok(read)
    }
}
