//! A queue of bytes, filled from and emptied into the program's memory.

use alloc::collections::VecDeque;

use crate::errno::Result;
use crate::io::{Sink, Source};

/// An empty queue keeps no larger buffer than this.
const KEPT: usize = 8 << 10;

/// Bytes on their way.
#[derive(Default)]
pub struct Bytes(VecDeque<u8>);

impl Bytes {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds bytes from a source, at most `max`.
    ///
    /// # Errors
    ///
    /// EFAULT if the first of them is not readable.
    pub fn put(&mut self, source: &mut Source<'_>, max: usize) -> Result<usize> {
        let before = self.0.len();
        let start = source.done();
        self.0.resize(before + max.min(source.remaining()), 0);
        let (front, back) = self.0.as_mut_slices();
        let in_front = before.min(front.len());
        let in_back = before - in_front;
        let result = source
            .read(&mut front[in_front..])
            .and_then(|_| source.read(&mut back[in_back..]));
        let put = source.done() - start;
        self.0.truncate(before + put);
        match result {
            Err(errno) if put == 0 => Err(errno),
            _ => Ok(put),
        }
    }

    /// Copies the first bytes, at most `max`, into a sink; they stay.
    ///
    /// # Errors
    ///
    /// EFAULT if the first of them cannot be written.
    pub fn copy(&self, from: usize, sink: &mut Sink<'_>, max: usize) -> Result<usize> {
        let start = sink.done();
        let end = self.0.len().min(from.saturating_add(max));
        let (front, back) = self.0.as_slices();
        let cut = |at: usize| (at.min(front.len()), at.saturating_sub(front.len()));
        let ((front_from, back_from), (front_end, back_end)) = (cut(from.min(end)), cut(end));
        let result = sink
            .write(&front[front_from..front_end])
            .and_then(|_| sink.write(&back[back_from..back_end]));
        match (sink.done() - start, result) {
            (0, Err(errno)) => Err(errno),
            (copied, _) => Ok(copied),
        }
    }

    /// Forgets the first bytes.
    pub fn discard(&mut self, count: usize) {
        self.0.drain(..count.min(self.0.len()));
        if self.0.is_empty() && self.0.capacity() > KEPT {
            self.0 = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    #[test]
    fn bytes_come_out_as_they_went_in_across_the_end_of_the_ring() {
        let (mut queue, mut next_in, mut next_out) = (Bytes::default(), 0_u8, 0_u8);
        for round in 0..200_usize {
            let len = round * 7 % 40;
            let data: Vec<u8> = (0..len).map(|at| next_in.wrapping_add(at as u8)).collect();
            next_in = next_in.wrapping_add(len as u8);
            assert_eq!(queue.put(&mut Source::kernel(&data), usize::MAX), Ok(len));
            let want = round * 5 % 40;
            let mut out = vec![0; want];
            let read = queue.copy(0, &mut Sink::kernel(&mut out), want).unwrap();
            assert_eq!(read, want.min(queue.len()));
            for byte in &out[..read] {
                assert_eq!(*byte, next_out);
                next_out = next_out.wrapping_add(1);
            }
            queue.discard(read);
        }
    }

    #[test]
    fn copying_from_the_middle_takes_nothing() {
        let mut queue = Bytes::default();
        queue.put(&mut Source::kernel(b"abcdef"), 4).unwrap();
        let mut out = [0; 8];
        assert_eq!(queue.copy(2, &mut Sink::kernel(&mut out), 8), Ok(2));
        assert_eq!((&out[..2], queue.len()), (&b"cd"[..], 4));
        assert_eq!(queue.copy(9, &mut Sink::kernel(&mut out), 8), Ok(0));
    }
}
