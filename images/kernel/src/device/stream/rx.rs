//! Messages of the device: into buffers that it was given, and from there to whom they concern.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use unicell_guest_abi::device::RX;
use unicell_guest_abi::message::{DATA_MAX, kind};

use super::message::{HEADER, Words, errno, words};
use super::{Arrival, Receiver, STREAMS, Streams, tell};
use crate::device::buffer::Buffer;
use crate::device::ring::Ring;
use crate::errno::{Errno, Result};
use crate::memory::PAGE_SIZE;
use crate::memory::frames;

/// Buffers for the device, at most: while the program reads from some, the device fills others.
const BUFFERS_MAX: u16 = 16;
const BUFFERS_MIN: u16 = 8;
/// The part of RAM that they may take, above that.
const SHARE: u64 = 32;

/// How many buffers a guest of this size has.
fn buffers() -> u16 {
    let (frames, _) = frames::usage();
    let fit = frames * PAGE_SIZE / SHARE / DATA_MAX as u64;
    fit.clamp(BUFFERS_MIN.into(), BUFFERS_MAX.into()) as u16
}

/// The receiving side of all streams.
pub(super) struct Rx {
    ring: Ring,
    /// Headers, by slot.
    headers: Buffer,
    /// Data, by slot: apart from the headers, so that a receiver can keep them as they are.
    room: Vec<Buffer>,
}

impl Rx {
    /// Gives the device its first buffers.
    pub(super) fn new() -> Result<Self> {
        let buffers = buffers();
        let mut rx = Self {
            ring: Ring::new(RX),
            headers: Buffer::new(usize::from(buffers) * HEADER)?,
            room: Vec::new(),
        };
        for slot in 0..buffers {
            rx.room.push(Buffer::new(DATA_MAX)?);
            rx.give(slot);
        }
        rx.ring.want_news(true);
        rx.ring.kick(buffers);
        Ok(rx)
    }

    /// Gives the device a buffer: a new one, if its data were taken. Without memory for that it has
    /// one buffer less.
    fn give(&mut self, slot: u16) {
        let room = &mut self.room[usize::from(slot)];
        if room.bytes().len() < DATA_MAX {
            match Buffer::new(DATA_MAX) {
                Ok(fresh) => *room = fresh,
                Err(_) => return,
            }
        }
        let header = self.headers.piece(usize::from(slot) * HEADER, HEADER);
        self.ring.add(slot, &[], &[header, room.piece(0, DATA_MAX)]);
    }

    /// The next message: its slot, its words, and how many bytes came with it.
    fn take(&mut self) -> Option<(u16, Words, usize)> {
        loop {
            let Some((slot, len)) = self.ring.take_used() else {
                if self.ring.want_news(true) {
                    continue;
                }
                return None;
            };
            let slot = slot.min(self.room.len() as u16 - 1);
            let headers = self.headers.bytes().as_chunks::<HEADER>().0;
            let header = words(&headers[usize::from(slot)]);
            let came = (len as usize).saturating_sub(HEADER).min(DATA_MAX);
            return Some((slot, header, came));
        }
    }

    /// The data in a slot, until they are given back.
    fn data(&mut self, slot: u16) -> Buffer {
        self.room[usize::from(slot)].take()
    }
}

/// A message, and whom it concerns.
enum News {
    Known(Arc<dyn Receiver>),
    Arrived(Arrival),
    /// Something for somebody who has gone.
    Stray,
    Nothing,
}

impl Streams {
    fn sort(&mut self, [stream, kind, _, value]: Words, payload: &[u8]) -> News {
        match (kind, self.open.get(&stream)) {
            (kind::RESET, Some(_)) => match self.open.remove(&stream) {
                Some(receiver) => News::Known(receiver),
                None => News::Nothing,
            },
            (_, Some(receiver)) => News::Known(receiver.clone()),
            (kind::INCOMING, None) => {
                Arrival::parse(stream, value, payload).map_or(News::Nothing, News::Arrived)
            }
            // The device waits for an answer to each reset.
            (kind::DATA | kind::RESET, None) => News::Stray,
            _ => News::Nothing,
        }
    }
}

/// Takes messages and tells who waits for them. Returns whether there were any.
pub(in crate::device) fn poll() -> bool {
    let mut came = false;
    loop {
        let (slot, header, mut data, news) = {
            let mut streams = STREAMS.lock();
            let Some(streams) = streams.as_mut() else {
                return false;
            };
            let Some((slot, header, len)) = streams.rx.take() else {
                break;
            };
            let data = streams.rx.data(slot).shortened(len);
            let news = streams.sort(header, &data);
            (slot, header, data, news)
        };
        came = true;
        tell_whom_it_concerns(news, header, &mut data);
        if let Some(streams) = STREAMS.lock().as_mut() {
            streams.rx.room[usize::from(slot)] = Buffer::restored(data, DATA_MAX);
            streams.rx.give(slot);
            streams.rx.ring.kick(1);
        }
    }
    let starved = match STREAMS.lock().as_mut() {
        Some(streams) => {
            let starved = streams.tx.fed();
            streams.tx.tell_device();
            starved
        }
        None => BTreeMap::new(),
    };
    for receiver in starved.into_values() {
        receiver.credit(0);
    }
    came
}

fn tell_whom_it_concerns(news: News, [stream, kind, bytes, value]: Words, data: &mut Vec<u8>) {
    match news {
        News::Known(receiver) => match kind {
            kind::DATA => {
                data.truncate(bytes as usize);
                receiver.data(data);
            }
            kind::END => receiver.ended(),
            kind::CREDIT => receiver.credit(value),
            kind::WINDOW => receiver.resized(value),
            kind::RESET => {
                tell(stream, kind::RESET, 0);
                receiver.reset(errno(value));
            }
            _ => {}
        },
        News::Arrived(arrival) => crate::net::outside::arrive(arrival),
        News::Stray => tell(stream, kind::RESET, Errno::ECONNRESET.number().into()),
        News::Nothing => {}
    }
}
