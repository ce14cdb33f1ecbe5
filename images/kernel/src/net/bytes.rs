//! A queue of bytes, filled from and emptied into the program's memory.
//!
//! The bytes lie in pieces, so that a long queue is never copied to grow, and gives its memory back
//! as it is read.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::errno::Result;
use crate::io::{Sink, Source};

/// Bytes of a piece.
const LEAST: usize = 1 << 10;
const MOST: usize = 64 << 10;

/// Bytes on their way.
#[derive(Default)]
pub struct Bytes {
    /// None is empty.
    pieces: VecDeque<Vec<u8>>,
    /// Bytes of the first that were discarded.
    gone: usize,
    len: usize,
}

impl Bytes {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds bytes from a source, at most `max`.
    ///
    /// # Errors
    ///
    /// EFAULT if the first of them is not readable.
    pub fn put(&mut self, source: &mut Source<'_>, max: usize) -> Result<usize> {
        let start = source.done();
        let end = start + max.min(source.remaining());
        let mut result = Ok(());
        while result.is_ok() && source.done() < end {
            result = self.put_some(source, end - source.done());
        }
        let put = source.done() - start;
        self.len += put;
        match result {
            Err(errno) if put == 0 => Err(errno),
            _ => Ok(put),
        }
    }

    /// Adds bytes of the kernel's: as a piece of their own, with their memory, where they fill half
    /// of that; else copied.
    pub fn put_piece(&mut self, bytes: &mut Vec<u8>) {
        if bytes.len() < (bytes.capacity() / 2).max(LEAST) {
            // From the kernel's memory nothing is missing.
            let _ = self.put(&mut Source::kernel(bytes), usize::MAX);
            return;
        }
        self.len += bytes.len();
        self.pieces.push_back(core::mem::take(bytes));
    }

    /// Adds bytes to the last piece, or to a new one.
    fn put_some(&mut self, source: &mut Source<'_>, max: usize) -> Result<()> {
        let has_room = |piece: &Vec<u8>| piece.len() < piece.capacity();
        let mut piece = match self.pieces.back().is_some_and(has_room) {
            true => self.pieces.pop_back().unwrap_or_default(),
            false => Vec::with_capacity(max.clamp(LEAST, MOST)),
        };
        let result = source.append(&mut piece, max);
        if !piece.is_empty() {
            self.pieces.push_back(piece);
        }
        result
    }

    /// Copies the first bytes after `from`, at most `max`, into a sink; they stay.
    ///
    /// # Errors
    ///
    /// EFAULT if the first of them cannot be written.
    pub fn copy(&self, from: usize, sink: &mut Sink<'_>, max: usize) -> Result<usize> {
        let start = sink.done();
        let (mut skip, mut left) = (self.gone + from.min(self.len), max);
        let mut result = Ok(());
        for piece in &self.pieces {
            let bytes = &piece[skip.min(piece.len())..];
            skip -= piece.len() - bytes.len();
            let bytes = &bytes[..left.min(bytes.len())];
            let before = sink.done();
            result = sink.write(bytes).map(|_| ());
            left -= bytes.len();
            if left == 0 || sink.done() - before < bytes.len() {
                break;
            }
        }
        match (sink.done() - start, result) {
            (0, Err(errno)) => Err(errno),
            (copied, _) => Ok(copied),
        }
    }

    /// Forgets the first bytes.
    pub fn discard(&mut self, count: usize) {
        let count = count.min(self.len);
        self.len -= count;
        self.gone += count;
        while let Some(first) = self.pieces.front().filter(|first| first.len() <= self.gone) {
            self.gone -= first.len();
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

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

    #[test]
    fn a_piece_is_kept_as_it_is_if_it_is_large_and_follows_what_came_before() {
        let mut queue = Bytes::default();
        queue.put(&mut Source::kernel(b"first"), 5).unwrap();
        let mut large = vec![7; 5000];
        let mut small = Vec::with_capacity(64 << 10);
        small.extend(*b"last");
        queue.put_piece(&mut large);
        queue.put_piece(&mut small);
        assert_eq!((large.len(), &small[..]), (0, &b"last"[..]));
        let mut out = vec![0; 6000];
        let copied = queue.copy(0, &mut Sink::kernel(&mut out), usize::MAX);
        assert_eq!((copied, queue.len()), (Ok(5009), 5009));
        assert_eq!((&out[..5], &out[5005..5009]), (&b"first"[..], &b"last"[..]));
        assert!(out[5..5005].iter().all(|byte| *byte == 7));
    }

    #[test]
    fn long_queues_lie_in_pieces_and_are_read_across_them() {
        let data: Vec<u8> = (0..300_000).map(|at| (at % 251) as u8).collect();
        let mut queue = Bytes::default();
        let mut source = Source::kernel(&data);
        assert_eq!(queue.put(&mut source, 5), Ok(5));
        assert_eq!(queue.put(&mut source, usize::MAX), Ok(data.len() - 5));
        assert!(queue.pieces.len() > 4 && queue.len() == data.len());
        let mut out = vec![0; data.len()];
        let copied = queue.copy(70_000, &mut Sink::kernel(&mut out), 100_000);
        assert_eq!(copied, Ok(100_000));
        assert_eq!(out[..100_000], data[70_000..170_000]);
        queue.discard(200_000);
        let copied = queue.copy(0, &mut Sink::kernel(&mut out), usize::MAX);
        assert_eq!(copied, Ok(100_000));
        assert_eq!(out[..100_000], data[200_000..]);
        queue.discard(usize::MAX);
        assert!(queue.is_empty() && queue.pieces.is_empty());
    }
}
