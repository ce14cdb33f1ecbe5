//! What a pipe holds: slots of a page each. Programs can tell slots from a plain buffer, by when a
//! pipe is full and by packets.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::errno::Result;
use crate::io::{Sink, Source};
use crate::memory::PAGE_SIZE;

/// Bytes that a slot holds.
const SLOT: usize = PAGE_SIZE as usize;

struct Slot {
    bytes: Vec<u8>,
    /// Bytes of it that were read already; their room is not used again.
    start: usize,
    /// Whether one read takes it, whole or not, and no other write adds to it.
    packet: bool,
}

/// The slots of a pipe.
pub(super) struct Ring {
    slots: VecDeque<Slot>,
    /// Slots that there may be.
    capacity: usize,
    /// Bytes in all of them.
    len: usize,
    /// An emptied slot's memory, for the next.
    spare: Vec<u8>,
}

impl Ring {
    /// Room for so many bytes.
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            slots: VecDeque::new(),
            capacity: capacity / SLOT,
            len: 0,
            spare: Vec::new(),
        }
    }

    /// Bytes in it.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether there is nothing in it.
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes that it can hold.
    pub(super) fn capacity(&self) -> usize {
        self.capacity * SLOT
    }

    /// Lets it hold so many bytes, unless more slots than that are in use.
    pub(super) fn set_capacity(&mut self, capacity: usize) -> bool {
        let fits = self.slots.len() <= capacity / SLOT;
        if fits {
            self.capacity = capacity / SLOT;
        }
        fits
    }

    /// Bytes that fit into slots of their own.
    pub(super) fn room(&self) -> usize {
        self.capacity.saturating_sub(self.slots.len()) * SLOT
    }

    /// The bytes in it, at most so many.
    pub(super) fn peek(&self, max: usize) -> Vec<u8> {
        let bytes = self.slots.iter().flat_map(|slot| &slot.bytes[slot.start..]);
        bytes.take(max).copied().collect()
    }

    /// Drops bytes, at most as many as there are.
    pub(super) fn consume(&mut self, mut len: usize) {
        while let Some(slot) = self.slots.front_mut() {
            let part = len.min(slot.bytes.len() - slot.start);
            slot.start += part;
            self.len -= part;
            len -= part;
            if slot.start < slot.bytes.len() {
                return;
            }
            self.release();
        }
    }

    /// Gives up the first slot.
    fn release(&mut self) {
        if let Some(mut slot) = self.slots.pop_front() {
            self.len -= slot.bytes.len() - slot.start;
            slot.bytes.clear();
            self.spare = slot.bytes;
        }
        if self.slots.is_empty() {
            self.slots.shrink_to_fit();
        }
    }

    /// Reads, at most one packet. Returns how many bytes. A slot that cannot be given as a whole
    /// stays as it is.
    ///
    /// # Errors
    ///
    /// EFAULT if not even one slot could be given.
    pub(super) fn read(&mut self, sink: &mut Sink<'_>) -> Result<usize> {
        let mut read = 0;
        while let Some(slot) = self.slots.front_mut().filter(|_| sink.remaining() > 0) {
            let packet = slot.packet;
            let part = match sink.write(&slot.bytes[slot.start..]) {
                Ok(part) => part,
                Err(errno) if read == 0 => return Err(errno),
                Err(_) => break,
            };
            slot.start += part;
            self.len -= part;
            read += part;
            if packet || slot.start == slot.bytes.len() {
                self.release();
            }
            if packet {
                break;
            }
        }
        Ok(read)
    }

    /// Writes what there is room for, in whole slots. Returns how many bytes.
    ///
    /// # Errors
    ///
    /// EFAULT if not even one slot could be filled.
    pub(super) fn write(&mut self, source: &mut Source<'_>, packets: bool) -> Result<usize> {
        let mut written = 0;
        // What would leave its last page unfilled completes the last slot, if it fits there.
        let odd = source.remaining() % SLOT;
        if odd > 0
            && let Some(slot) = self.slots.back_mut().filter(|slot| !slot.packet)
            && slot.bytes.len() + odd <= SLOT
        {
            written += Self::fill(&mut slot.bytes, odd, source)?;
        }
        while source.remaining() > 0 && self.slots.len() < self.capacity {
            let mut bytes = core::mem::take(&mut self.spare);
            match Self::fill(&mut bytes, SLOT.min(source.remaining()), source) {
                Ok(len) => written += len,
                Err(errno) if written == 0 => return Err(errno),
                Err(_) => break,
            }
            self.slots.push_back(Slot {
                bytes,
                start: 0,
                packet: packets,
            });
        }
        self.len += written;
        Ok(written)
    }

    /// Adds so many bytes, or none.
    fn fill(bytes: &mut Vec<u8>, len: usize, source: &mut Source<'_>) -> Result<usize> {
        let start = bytes.len();
        bytes.resize(start + len, 0);
        let had = source.read(&mut bytes[start..]);
        if had.is_err() {
            bytes.truncate(start);
        }
        had
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(ring: &mut Ring, len: usize, packets: bool) -> usize {
        let bytes = alloc::vec![1; len];
        ring.write(&mut Source::kernel(&bytes), packets).unwrap()
    }

    fn read(ring: &mut Ring, len: usize) -> usize {
        let mut bytes = alloc::vec![0; len];
        ring.read(&mut Sink::kernel(&mut bytes)).unwrap()
    }

    #[test]
    fn small_writes_share_a_slot_and_read_room_is_not_used_again() {
        let mut ring = Ring::new(2 * SLOT);
        assert_eq!(write(&mut ring, 10, false), 10);
        assert_eq!(write(&mut ring, SLOT - 10, false), SLOT - 10);
        assert_eq!(ring.room(), SLOT);
        assert_eq!(write(&mut ring, 5000, false), SLOT);
        assert_eq!((ring.room(), ring.len()), (0, 2 * SLOT));
        assert_eq!(read(&mut ring, 1), 1);
        assert_eq!(write(&mut ring, 1, false), 0);
        assert_eq!(read(&mut ring, SLOT - 1), SLOT - 1);
        assert_eq!(write(&mut ring, 1, false), 1);
        assert_eq!(read(&mut ring, 3 * SLOT), SLOT + 1);
        assert!(ring.is_empty());
    }

    #[test]
    fn a_packet_is_read_alone_and_its_rest_is_lost() {
        let mut ring = Ring::new(4 * SLOT);
        assert_eq!(write(&mut ring, 3, true) + write(&mut ring, 6, true), 9);
        assert_eq!(read(&mut ring, 100), 3);
        assert_eq!(read(&mut ring, 2), 2);
        assert_eq!((ring.len(), read(&mut ring, 10)), (0, 0));
    }

    #[test]
    fn bytes_are_consumed_across_slots() {
        let mut ring = Ring::new(4 * SLOT);
        write(&mut ring, 2 * SLOT + 5, false);
        ring.consume(SLOT + 1);
        assert_eq!(ring.peek(usize::MAX).len(), SLOT + 4);
        ring.consume(usize::MAX);
        assert_eq!((ring.len(), ring.room()), (0, 4 * SLOT));
        assert!(!ring.set_capacity(0) || ring.is_empty());
    }
}
