//! Messages for the device, until it has read them.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use core::ops::RangeInclusive;

use unicell_guest_abi::device::TX;
use unicell_guest_abi::message::kind;
use unicell_guest_abi::platform::NEVER;

use super::message::{HEADER, Words, words, write_words};
use super::{Receiver, platform};
use crate::device::buffer::Buffer;
use crate::device::ring::{Ring, SLOTS};
use crate::errno::Result;
use crate::reproducible;

/// Messages with data that may wait for a slot, from whatever streams.
const WAITING_MAX: usize = 128;
/// Bytes that a stream of which none wait may add to more than that: what was writable takes
/// something, however many others are.
const FIRST: usize = 4096;
const _: () = assert!(SLOTS == 32);

/// The sending side of all streams.
pub(super) struct Tx {
    ring: Ring,
    /// What the device reads, by slot.
    sending: [Option<Buffer>; SLOTS as usize],
    /// Messages that the device was given and not told of.
    untold: u16,
    /// Messages that wait for a slot.
    waiting: VecDeque<Buffer>,
    /// Those that wait for room, by their streams.
    starved: BTreeMap<u32, Arc<dyn Receiver>>,
}

impl Tx {
    pub(super) const fn new() -> Self {
        Self {
            ring: Ring::new(TX),
            sending: [const { None }; SLOTS as usize],
            untold: 0,
            waiting: VecDeque::new(),
            starved: BTreeMap::new(),
        }
    }

    /// How many bytes of `lens` one more message with data of a stream may have. With room for not
    /// even the fewest that is none, and `receiver` is told when there is.
    pub(super) fn room(
        &mut self,
        stream: u32,
        lens: RangeInclusive<usize>,
        receiver: impl FnOnce() -> Option<Arc<dyn Receiver>>,
    ) -> Option<usize> {
        let (least, most) = lens.into_inner();
        if self.reap() || self.waiting.len() < WAITING_MAX {
            return Some(most);
        }
        if least <= FIRST && !self.waiting.iter().any(|message| is_data(message, stream)) {
            return Some(most.min(FIRST));
        }
        if let Some(receiver) = receiver() {
            self.starved.insert(stream, receiver);
        }
        // One may have become free since.
        (self.ring.want_news(true) && self.reap()).then_some(most)
    }

    /// Takes back what the device has read, and gives it what waits. Returns whether a slot is free.
    fn reap(&mut self) -> bool {
        while let Some((slot, _)) = self.ring.take_used() {
            self.sending[usize::from(slot)] = None;
        }
        while let Some(slot) = self.free_slot() {
            let Some(next) = self.waiting.pop_front() else {
                return true;
            };
            self.submit(slot, next);
        }
        false
    }

    fn free_slot(&self) -> Option<usize> {
        self.sending.iter().position(Option::is_none)
    }

    fn submit(&mut self, slot: usize, message: Buffer) {
        let len = message.bytes().len();
        let piece = message.piece(0, len);
        self.sending[slot] = Some(message);
        self.ring.add(slot as u16, &[piece], &[]);
        self.untold += 1;
        // How fast the device reads is no input.
        while reproducible::is_on() && self.sending[slot].is_some() {
            self.tell_device();
            if !self.ring.want_news(true) {
                platform::park(NEVER);
            }
            while let Some((slot, _)) = self.ring.take_used() {
                self.sending[usize::from(slot)] = None;
            }
        }
    }

    /// Tells the device of all that it was given, by one doorbell at most.
    pub(super) fn tell_device(&mut self) {
        if self.untold > 0 {
            self.ring.kick(core::mem::take(&mut self.untold));
        }
    }

    /// Sends what waits, and tells who waited for a slot if there is one again; else asks to be told
    /// of the next that becomes free.
    pub(super) fn fed(&mut self) -> BTreeMap<u32, Arc<dyn Receiver>> {
        while !self.waiting.is_empty() || !self.starved.is_empty() {
            if self.reap() || self.waiting.len() < WAITING_MAX {
                let starved = core::mem::take(&mut self.starved);
                if !starved.is_empty() {
                    return starved;
                }
                if self.waiting.is_empty() {
                    break;
                }
            }
            if !self.ring.want_news(true) {
                return BTreeMap::new();
            }
        }
        self.ring.want_news(false);
        BTreeMap::new()
    }

    /// Sends a message without data of a program: at once, or as soon as there is a slot.
    pub(super) fn send(&mut self, header: Words, payload: &[u8]) -> Result<()> {
        let mut message = Buffer::new(HEADER + payload.len())?;
        write_words(header, message.bytes_mut());
        message.bytes_mut()[HEADER..].copy_from_slice(payload);
        self.reap();
        self.queue(message);
        Ok(())
    }

    /// Gives the device a message behind those that wait.
    pub(super) fn queue(&mut self, message: Buffer) {
        match self.free_slot().filter(|_| self.waiting.is_empty()) {
            Some(slot) => self.submit(slot, message),
            None => {
                self.waiting.push_back(message);
                if self.ring.want_news(true) {
                    self.reap();
                }
            }
        }
    }
}

/// Whether a message carries bytes of a stream.
fn is_data(message: &Buffer, stream: u32) -> bool {
    let header = message.bytes().first_chunk();
    header.is_some_and(|header| {
        let [of, kind, ..] = words(header);
        (of, kind) == (stream, kind::DATA)
    })
}
