//! Bytes with notes: what lies between the two ends of a Unix stream.

use alloc::collections::VecDeque;

use super::note::Note;
use crate::errno::Result;
use crate::io::{Sink, Source};
use crate::net::Received;
use crate::net::bytes::Bytes;

/// What a note takes of the buffer, so that they are bounded with it.
const NOTE: usize = 64;

/// A run of bytes that were sent with the same note.
struct Run {
    len: usize,
    note: Note,
}

/// Bytes on their way.
#[derive(Default)]
pub(super) struct Stream {
    bytes: Bytes,
    runs: VecDeque<Run>,
}

impl Stream {
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What they take of the buffer.
    pub(super) fn used(&self) -> usize {
        self.bytes.len() + self.runs.len().saturating_sub(1) * NOTE
    }

    /// Adds bytes, at most `max`. The note is asked for once some are there.
    pub(super) fn put(
        &mut self,
        source: &mut Source<'_>,
        max: usize,
        note: impl FnOnce() -> Note,
    ) -> Result<usize> {
        let len = self.bytes.put(source, max)?;
        if len == 0 {
            return Ok(0);
        }
        let note = note();
        match self.runs.back_mut() {
            Some(last)
                if last.note.rights.is_none()
                    && note.rights.is_none()
                    && last.note.credentials == note.credentials =>
            {
                last.len += len;
            }
            _ => self.runs.push_back(Run { len, note }),
        }
        Ok(len)
    }

    /// Reads bytes. Descriptors end what is read at once, and if the sender is told (`told`), so
    /// does another one.
    pub(super) fn receive(
        &mut self,
        sink: &mut Sink<'_>,
        peek: bool,
        told: bool,
    ) -> Result<Received> {
        let mut received = Received::default();
        let mut sender = None;
        let (mut at, mut run) = (0, 0);
        while sink.remaining() > 0
            && let Some(from) = self.runs.get_mut(run)
        {
            if told && sender.is_some_and(|sender| sender != from.note.credentials) {
                break;
            }
            let start = if peek { at } else { 0 };
            let copied = match self.bytes.copy(start, sink, from.len) {
                Ok(copied) => copied,
                Err(_) if received.bytes > 0 => break,
                Err(errno) => return Err(errno),
            };
            received.bytes += copied;
            if told && sender.replace(from.note.credentials).is_none() {
                from.note.tell_sender(&mut received);
            }
            if peek {
                from.note.copy_rights(&mut received);
                (at, run) = (at + from.len, run + 1);
            } else {
                from.note.hand_over(&mut received);
                self.bytes.discard(copied);
                from.len -= copied;
                if from.len == 0 {
                    self.runs.pop_front();
                }
            }
            if !received.rights.is_empty() || copied == 0 {
                break;
            }
        }
        received.whole = received.bytes;
        Ok(received)
    }
}
