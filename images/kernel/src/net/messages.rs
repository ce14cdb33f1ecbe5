//! A queue of messages.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use linux_raw_sys::net;

use super::protocol::{Received, peeks};
use crate::errno::Result;
use crate::io::Sink;

/// What Linux counts for a message beyond its bytes: the `sk_buff`, and the least of its data.
const OVERHEAD: usize = 256 + 512;

/// A message with what `N` says of it.
pub struct Message<N> {
    /// Its bytes.
    pub data: Vec<u8>,
    /// From whom, to whom, with what.
    pub note: N,
}

/// Messages on their way.
pub struct Messages<N> {
    queue: VecDeque<Message<N>>,
    used: usize,
}

impl<N> Default for Messages<N> {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            used: 0,
        }
    }
}

/// What a message of so many bytes takes of a buffer.
const fn cost(len: usize) -> usize {
    OVERHEAD + len
}

impl<N> Messages<N> {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// What they take of a buffer: their bytes, and something for each.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used
    }

    /// Bytes of the first.
    #[must_use]
    pub fn first_len(&self) -> usize {
        self.queue.front().map_or(0, |message| message.data.len())
    }

    /// Bytes of all.
    #[must_use]
    pub fn total_len(&self) -> usize {
        self.used - self.queue.len() * OVERHEAD
    }

    /// Adds one.
    pub fn put(&mut self, message: Message<N>) {
        self.used += cost(message.data.len());
        self.queue.push_back(message);
    }

    /// Copies the first into a sink, cutting off what does not fit. With MSG_PEEK it stays and
    /// `peeked` tells what is to be told of it, else it goes and `taken` does. `None` if there is
    /// none.
    ///
    /// # Errors
    ///
    /// EFAULT; the message stays.
    pub fn receive(
        &mut self,
        sink: &mut Sink<'_>,
        flags: u32,
        peeked: impl FnOnce(&N, &mut Received),
        taken: impl FnOnce(N, &mut Received),
    ) -> Result<Option<Received>> {
        let Some(first) = self.queue.front() else {
            return Ok(None);
        };
        let whole = first.data.len();
        let mut received = Received {
            bytes: sink.write(&first.data)?,
            whole,
            ..Received::default()
        };
        if received.bytes < whole {
            received.flags |= net::MSG_TRUNC;
        }
        if peeks(flags) {
            peeked(&first.note, &mut received);
        } else if let Some(message) = self.queue.pop_front() {
            self.used -= cost(whole);
            taken(message.note, &mut received);
        }
        Ok(Some(received))
    }
}
