//! Descriptor chains, checked before anything is read or written through them.
//!
//! `virtio-queue` would follow indirect tables and end quietly at a descriptor that makes no
//! sense; a driver that offers either is broken or hostile, and its instance is to end with a
//! reason. So the walk is done here, once, and what it saw is kept: the guest can change the table
//! afterwards without changing what is read or written.
//!
//! [`Data`] and [`Room`] are what a backend sees of a chain: between guest memory and a descriptor
//! bytes go without being copied.

use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use virtio_queue::desc::RawDescriptor;
use virtio_queue::desc::split::Descriptor;
use virtio_queue::{Queue, QueueT};
use vm_memory::{
    Bytes, GuestAddress, GuestMemoryBackend, ReadVolatile, VolatileMemoryError, WriteVolatile,
};

use unicell_guest_abi::device::CHAIN_MAX;

use super::Violation;
use crate::memory::Memory;

/// A piece of guest memory that lies in one mapping.
#[derive(Clone, Copy, Debug)]
struct Piece {
    gpa: u64,
    len: usize,
}

/// A chain taken from a queue: where to read, where to write.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) head: u16,
    readable: Vec<Piece>,
    writable: Vec<Piece>,
}

fn total(pieces: &[Piece]) -> usize {
    pieces.iter().map(|piece| piece.len).sum()
}

impl Chain {
    /// Walks the chain that begins at `head`.
    pub(super) fn walk(memory: &Memory, queue: &Queue, head: u16) -> Result<Self, Violation> {
        let mut chain = Self {
            head,
            readable: Vec::new(),
            writable: Vec::new(),
        };
        let mut index = head;
        // A chain without a loop has no more descriptors than its table.
        for _ in 0..queue.size() {
            let descriptor = descriptor(memory, queue, index)?;
            chain.push(memory, &descriptor)?;
            if !descriptor.has_next() {
                return Ok(chain);
            }
            index = descriptor.next();
        }
        Err(Violation::Loop { head })
    }

    fn push(&mut self, memory: &Memory, descriptor: &Descriptor) -> Result<(), Violation> {
        let (gpa, len) = (descriptor.addr().0, descriptor.len());
        if descriptor.refers_to_indirect_table() {
            return Err(Violation::Indirect);
        }
        let sum = total(&self.readable) + total(&self.writable) + len as usize;
        if sum > CHAIN_MAX as usize {
            return Err(Violation::TooLong);
        }
        let (pieces, within) = if descriptor.is_write_only() {
            (&mut self.writable, memory.ram())
        } else if self.writable.is_empty() {
            (&mut self.readable, memory.readable())
        } else {
            return Err(Violation::Order);
        };
        if !within.check_range(GuestAddress(gpa), len as usize) {
            return Err(Violation::Wild { gpa, len });
        }
        pieces.push(Piece {
            gpa,
            len: len as usize,
        });
        Ok(())
    }

    pub(super) fn readable(&self) -> usize {
        total(&self.readable)
    }

    pub(super) fn writable(&self) -> usize {
        total(&self.writable)
    }

    /// Copies the readable part from `offset` on into `to`, as far as there is any. Returns how
    /// much there was.
    pub(super) fn read(&self, memory: &Memory, offset: usize, to: &mut [u8]) -> usize {
        let mut done = 0;
        each(&self.readable, offset, to.len(), |gpa, len| {
            let part = &mut to[done..done + len];
            let copied = memory.readable().read_slice(part, gpa);
            debug_assert!(copied.is_ok(), "the range was checked, mappings stay");
            done += len;
        });
        done
    }

    /// Copies `from` to the writable part from `offset` on, as far as there is room.
    pub(super) fn write(&self, memory: &Memory, offset: usize, from: &[u8]) -> usize {
        let mut done = 0;
        each(&self.writable, offset, from.len(), |gpa, len| {
            let copied = memory.ram().write_slice(&from[done..done + len], gpa);
            debug_assert!(copied.is_ok(), "the range was checked, mappings stay");
            done += len;
        });
        done
    }
}

/// The data of a stream message, where the guest has put it.
#[derive(Clone, Copy)]
pub struct Data<'a> {
    memory: &'a Memory,
    chain: &'a Chain,
    /// Where it begins in the chain's readable part.
    start: usize,
}

impl<'a> Data<'a> {
    pub(super) fn new(memory: &'a Memory, chain: &'a Chain, start: usize) -> Self {
        Self {
            memory,
            chain,
            start,
        }
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chain.readable().saturating_sub(self.start)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes from `from` on, copied.
    #[must_use]
    pub fn copy(&self, from: usize) -> Vec<u8> {
        let mut bytes = vec![0; self.len().saturating_sub(from)];
        self.chain.read(self.memory, self.start + from, &mut bytes);
        bytes
    }

    /// Writes bytes from `from` on to a descriptor, by one write(2): at least one of them, and all
    /// if they lie in a row. Returns how many it took.
    ///
    /// # Errors
    ///
    /// As write(2).
    pub fn write_to(&self, from: usize, mut to: BorrowedFd<'_>) -> Result<usize, Errno> {
        let Some((gpa, len)) = first(&self.chain.readable, self.start + from) else {
            return rustix::io::write(to, &[]);
        };
        let slice = self.memory.readable().get_slice(gpa, len);
        let slice = slice.map_err(|_| Errno::FAULT)?;
        result(to.write_volatile(&slice))
    }

    /// Whether the bytes lie in a row.
    pub(crate) fn is_whole(&self) -> bool {
        first(&self.chain.readable, self.start).is_none_or(|(_, len)| len == self.len())
    }
}

/// Where the data of a message for the guest is to be put.
#[derive(Clone, Copy)]
pub struct Room<'a> {
    memory: &'a Memory,
    chain: &'a Chain,
    /// Where it begins in the chain's writable part.
    start: usize,
}

impl<'a> Room<'a> {
    pub(super) fn new(memory: &'a Memory, chain: &'a Chain, start: usize) -> Self {
        Self {
            memory,
            chain,
            start,
        }
    }

    /// How many bytes have room.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chain.writable().saturating_sub(self.start)
    }

    /// Whether there is room for none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `len` bytes there, copied.
    pub(crate) fn copy(&self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len.min(self.len())];
        let mut done = 0;
        each(&self.chain.writable, self.start, bytes.len(), |gpa, len| {
            let copied = self
                .memory
                .ram()
                .read_slice(&mut bytes[done..done + len], gpa);
            debug_assert!(copied.is_ok(), "the range was checked, mappings stay");
            done += len;
        });
        bytes
    }

    /// Puts bytes there, as far as there is room.
    pub fn put(&self, bytes: &[u8]) {
        self.chain.write(self.memory, self.start, bytes);
    }

    /// Reads at most `most` bytes from a descriptor, by one read(2) into what lies in a row.
    ///
    /// # Errors
    ///
    /// As read(2); EAGAIN if there is no room.
    pub fn read_from(&self, most: usize, mut from: BorrowedFd<'_>) -> Result<usize, Errno> {
        let (gpa, len) = first(&self.chain.writable, self.start).ok_or(Errno::AGAIN)?;
        let slice = self.memory.ram().get_slice(gpa, len.min(most));
        let mut slice = slice.map_err(|_| Errno::FAULT)?;
        result(from.read_volatile(&mut slice))
    }
}

/// The first bytes from `offset` on that lie in a row.
fn first(pieces: &[Piece], mut offset: usize) -> Option<(GuestAddress, usize)> {
    for piece in pieces {
        if offset < piece.len {
            return Some((GuestAddress(piece.gpa + offset as u64), piece.len - offset));
        }
        offset -= piece.len;
    }
    None
}

/// What a system call on guest memory has come to. The range was checked when the chain was walked.
fn result(done: Result<usize, VolatileMemoryError>) -> Result<usize, Errno> {
    done.map_err(|error| match error {
        VolatileMemoryError::IOError(error) => Errno::from_io_error(&error).unwrap_or(Errno::IO),
        _ => Errno::FAULT,
    })
}

fn descriptor(memory: &Memory, queue: &Queue, index: u16) -> Result<Descriptor, Violation> {
    if index >= queue.size() {
        return Err(Violation::Index { index });
    }
    let at = queue.desc_table() + u64::from(index) * size_of::<RawDescriptor>() as u64;
    let raw: Result<RawDescriptor, _> = memory.ram().read_obj(GuestAddress(at));
    raw.map(Descriptor::from).map_err(|_| Violation::Rings)
}

/// Calls `f` for the parts of `pieces` that hold the bytes `offset..offset + len`.
fn each(pieces: &[Piece], offset: usize, len: usize, mut f: impl FnMut(GuestAddress, usize)) {
    let (mut skip, mut left) = (offset, len);
    for piece in pieces {
        let part = piece.len.saturating_sub(skip).min(left);
        if part > 0 {
            f(GuestAddress(piece.gpa + skip as u64), part);
        }
        skip = skip.saturating_sub(piece.len);
        left -= part;
    }
}
