//! Where bytes go to and come from: the program's memory, in one piece or several, or the kernel's.

use alloc::vec::Vec;

use crate::errno::Result;
use crate::memory::{PAGE_SIZE, user};

/// A piece of the program's memory: address and bytes.
pub type Piece = (u64, usize);

enum Target<'a> {
    Kernel(&'a mut [u8]),
    User(Vec<Piece>),
}

/// Bytes from an address to the end of its page: what is there or is not as a whole.
fn in_page(address: u64) -> usize {
    (PAGE_SIZE - address % PAGE_SIZE) as usize
}

/// Takes bytes, up to a limit.
pub struct Sink<'a> {
    target: Target<'a>,
    done: usize,
    /// Bytes done in the piece at hand, and its number.
    in_piece: usize,
    piece: usize,
    total: usize,
}

impl<'a> Sink<'a> {
    /// Into kernel memory.
    pub fn kernel(buffer: &'a mut [u8]) -> Self {
        let total = buffer.len();
        Self {
            target: Target::Kernel(buffer),
            done: 0,
            in_piece: 0,
            piece: 0,
            total,
        }
    }

    /// Into one piece of the program's memory.
    #[must_use]
    pub fn user(address: u64, len: usize) -> Self {
        Self::pieces(alloc::vec![(address, len)])
    }

    /// Into several pieces of the program's memory.
    #[must_use]
    pub fn pieces(pieces: Vec<Piece>) -> Self {
        let total = pieces.iter().map(|piece| piece.1).sum();
        Self {
            target: Target::User(pieces),
            done: 0,
            in_piece: 0,
            piece: 0,
            total,
        }
    }

    /// Bytes that can still be taken.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.total - self.done
    }

    /// Bytes taken so far.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done
    }

    /// Takes bytes, as many as there is room for.
    ///
    /// # Errors
    ///
    /// EFAULT; what was taken before counts in [`Sink::done`].
    pub fn write(&mut self, from: &[u8]) -> Result<usize> {
        self.each(
            from.len(),
            |address, range| user::copy_out(address, &from[range]),
            |to, range| {
                to.copy_from_slice(&from[range]);
            },
        )
    }

    /// Takes zeros.
    ///
    /// # Errors
    ///
    /// As [`Sink::write`].
    pub fn zero(&mut self, len: usize) -> Result<usize> {
        self.each(
            len,
            |address, range| user::zero_out(address, range.len()),
            |to, _| to.fill(0),
        )
    }

    fn each(
        &mut self,
        len: usize,
        mut user: impl FnMut(u64, core::ops::Range<usize>) -> Result<()>,
        mut kernel: impl FnMut(&mut [u8], core::ops::Range<usize>),
    ) -> Result<usize> {
        let len = len.min(self.remaining());
        match &mut self.target {
            Target::Kernel(buffer) => {
                kernel(&mut buffer[self.done..self.done + len], 0..len);
                self.done += len;
            }
            Target::User(pieces) => {
                let mut taken = 0;
                while taken < len {
                    let (address, size) = pieces[self.piece];
                    let to = address.wrapping_add(self.in_piece as u64);
                    let part = (len - taken).min(size - self.in_piece).min(in_page(to));
                    user(to, taken..taken + part)?;
                    taken += part;
                    self.done += part;
                    self.in_piece += part;
                    if self.in_piece == size {
                        (self.piece, self.in_piece) = (self.piece + 1, 0);
                    }
                }
            }
        }
        Ok(len)
    }
}

#[derive(Clone)]
enum Origin<'a> {
    Kernel(&'a [u8]),
    User(Vec<Piece>),
}

/// Gives bytes, up to a limit.
#[derive(Clone)]
pub struct Source<'a> {
    origin: Origin<'a>,
    done: usize,
    in_piece: usize,
    piece: usize,
    total: usize,
}

impl<'a> Source<'a> {
    /// From kernel memory.
    #[must_use]
    pub fn kernel(buffer: &'a [u8]) -> Self {
        let total = buffer.len();
        Self {
            origin: Origin::Kernel(buffer),
            done: 0,
            in_piece: 0,
            piece: 0,
            total,
        }
    }

    /// From one piece of the program's memory.
    #[must_use]
    pub fn user(address: u64, len: usize) -> Self {
        Self::pieces(alloc::vec![(address, len)])
    }

    /// From several pieces of the program's memory.
    #[must_use]
    pub fn pieces(pieces: Vec<Piece>) -> Self {
        let total = pieces.iter().map(|piece| piece.1).sum();
        Self {
            origin: Origin::User(pieces),
            done: 0,
            in_piece: 0,
            piece: 0,
            total,
        }
    }

    /// Bytes that can still be had.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.total - self.done
    }

    /// Gives no more than so many further bytes.
    pub fn shorten(&mut self, len: usize) {
        self.total = self.total.min(self.done.saturating_add(len));
    }

    /// Bytes given so far.
    #[must_use]
    pub fn done(&self) -> usize {
        self.done
    }

    /// Adds bytes to a vector, at most `max` and no more than it has room for.
    ///
    /// # Errors
    ///
    /// EFAULT; what was given before counts in [`Source::done`].
    pub fn append(&mut self, to: &mut Vec<u8>, max: usize) -> Result<()> {
        let len = max.min(self.remaining()).min(to.capacity() - to.len());
        if let Origin::Kernel(buffer) = &self.origin {
            to.extend_from_slice(&buffer[self.done..self.done + len]);
            self.done += len;
            return Ok(());
        }
        let (before, start) = (to.len(), self.done);
        to.resize(before + len, 0);
        let result = self.read(&mut to[before..]);
        to.truncate(before + self.done - start);
        result.map(|_| ())
    }

    /// Gives bytes, as many as there are, up to `into`'s length.
    ///
    /// # Errors
    ///
    /// EFAULT; what was given before counts in [`Source::done`].
    pub fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let len = into.len().min(self.remaining());
        match &self.origin {
            Origin::Kernel(buffer) => {
                into[..len].copy_from_slice(&buffer[self.done..self.done + len]);
                self.done += len;
            }
            Origin::User(pieces) => {
                let mut given = 0;
                while given < len {
                    let (address, size) = pieces[self.piece];
                    let from = address.wrapping_add(self.in_piece as u64);
                    let part = (len - given).min(size - self.in_piece).min(in_page(from));
                    user::copy_in(from, &mut into[given..given + part])?;
                    given += part;
                    self.done += part;
                    self.in_piece += part;
                    if self.in_piece == size {
                        (self.piece, self.in_piece) = (self.piece + 1, 0);
                    }
                }
            }
        }
        Ok(len)
    }

    /// As [`Source::read`], ending before a byte that cannot be had.
    ///
    /// # Errors
    ///
    /// EFAULT if not even the first can be had.
    pub fn read_some(&mut self, into: &mut [u8]) -> Result<usize> {
        let before = self.done;
        match self.read(into) {
            Err(_) if self.done > before => Ok(self.done - before),
            result => result,
        }
    }

    /// Gives bytes as [`Source::read`] does, to be given again.
    ///
    /// # Errors
    ///
    /// EFAULT.
    pub fn peek(&self, into: &mut [u8]) -> Result<usize> {
        self.clone().read(into)
    }

    /// Passes over bytes, up to the end.
    pub fn skip(&mut self, len: usize) {
        let mut left = len.min(self.remaining());
        self.done += left;
        let Origin::User(pieces) = &self.origin else {
            return;
        };
        while left > 0 {
            let size = pieces[self.piece].1;
            let part = left.min(size - self.in_piece);
            left -= part;
            self.in_piece += part;
            if self.in_piece == size {
                (self.piece, self.in_piece) = (self.piece + 1, 0);
            }
        }
    }

    /// Everything that is left, in kernel memory. The caller has bounded it.
    ///
    /// # Errors
    ///
    /// EFAULT.
    pub fn read_all(&mut self) -> Result<Vec<u8>> {
        let mut bytes = alloc::vec![0; self.remaining()];
        self.read(&mut bytes)?;
        Ok(bytes)
    }
}
