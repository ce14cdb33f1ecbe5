//! Descriptor chains, checked before anything is read or written through them.
//!
//! `virtio-queue` would follow indirect tables and end quietly at a descriptor that makes no
//! sense; a driver that offers either is broken or hostile, and its instance is to end with a
//! reason. So the walk is done here, once, and what it saw is kept: the guest can change the table
//! afterwards without changing what is read or written.

use virtio_queue::desc::RawDescriptor;
use virtio_queue::desc::split::Descriptor;
use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend};

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
