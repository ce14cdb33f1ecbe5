//! Streams over the device: many at once, flow-controlled by credit.
//!
//! A stream has a [`Receiver`], which is told what comes, and a [`Stream`], by which its owner
//! sends. What is sent is copied into a buffer that the device reads; what comes is handed to the
//! receiver where the device has put it.
//!
//! Invariant: a receiver is called with nothing locked.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicU32, Ordering};

use unicell_guest_abi::device::{RX, TX};
use unicell_guest_abi::message::{
    DATA_MAX, Endpoint, FIRST_INCOMING, Stream as Header, kind, transport,
};
use unicell_guest_abi::platform::NEVER;

use super::buffer::Buffer;
use super::platform;
use super::ring::{Ring, SLOTS};
use crate::errno::{Errno, Result};
use crate::io::Source;
use crate::reproducible;
use crate::sync::Mutex;

const HEADER: usize = size_of::<Header>();
const ENDPOINT: usize = size_of::<Endpoint>();
/// Buffers for the device.
const BUFFERS: u16 = 8;
/// Messages with data that may wait for a slot, so that a few small ones on each of many streams
/// find room.
const WAITING_MAX: usize = 128;
const _: () = assert!(SLOTS == 32);

/// What is told of a stream.
pub trait Receiver: Send + Sync {
    /// So many bytes more may be sent. The first time, the connection has come to be.
    fn credit(&self, bytes: u32);

    /// Bytes have come, or a datagram.
    fn data(&self, bytes: &[u8]);

    /// No more will come.
    fn ended(&self);

    /// It is broken, or was refused; with no error it is merely over.
    fn reset(&self, errno: Option<Errno>);

    /// What may come of it.
    fn expects(&self) -> Outside {
        Outside::Possible
    }

    /// The terminal behind it has another size, as the guest ABI has it.
    fn resized(&self, _size: u32) {}
}

/// What may come from outside, in a reproducible run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outside {
    /// Nothing.
    Nothing,
    /// Something, but nobody waits for it.
    Unawaited,
    /// Something, perhaps: time passes meanwhile.
    Possible,
    /// An answer that is certain to come: until then time stands still.
    Awaited,
}

/// A connection that comes from outside.
pub struct Arrival {
    /// TCP rather than UDP.
    pub tcp: bool,
    /// From whom.
    pub from: SocketAddr,
    /// To which port.
    pub port: u16,
    stream: u32,
    credit: u32,
}

/// The sending side of a stream, and what is granted to the device.
pub struct Stream {
    id: u32,
    /// Bytes that may be sent.
    credit: AtomicU32,
    /// Bytes that have come and were not granted again.
    taken: AtomicU32,
    window: u32,
}

struct Streams {
    rx: Ring,
    tx: Ring,
    room: Vec<Buffer>,
    /// What the device reads, by slot.
    sending: [Option<Buffer>; SLOTS as usize],
    /// Messages that the device was given and not told of.
    untold: u16,
    /// Messages that wait for a slot.
    waiting: VecDeque<Buffer>,
    open: BTreeMap<u32, Arc<dyn Receiver>>,
    /// Those that wait for a slot.
    starved: Vec<Arc<dyn Receiver>>,
    next: u32,
    /// Connections may come from outside.
    listening: bool,
}

static STREAMS: Mutex<Option<Streams>> = Mutex::new(None);

/// The error that a message names.
fn errno(value: u32) -> Option<Errno> {
    match value {
        0 => None,
        1..4096 => Some(Errno::new(value as u16)),
        _ => Some(Errno::EIO),
    }
}

/// Numbers of a message, in order: stream, kind, bytes that follow, value.
type Words = [u32; 4];

fn words(bytes: &[u8]) -> Option<(Words, &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let word = |at: usize| {
        let bytes = header[4 * at..].first_chunk();
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    Some(([word(0), word(1), word(2), word(3)], rest))
}

fn write_words(words: Words, into: &mut [u8]) {
    for (word, bytes) in words.iter().zip(into.as_chunks_mut::<4>().0) {
        *bytes = word.to_le_bytes();
    }
}

impl Streams {
    fn new() -> Result<Self> {
        let mut streams = Self {
            rx: Ring::new(RX),
            tx: Ring::new(TX),
            room: Vec::new(),
            sending: [const { None }; SLOTS as usize],
            untold: 0,
            waiting: VecDeque::new(),
            open: BTreeMap::new(),
            starved: Vec::new(),
            next: 1,
            listening: false,
        };
        for slot in 0..BUFFERS {
            streams.room.push(Buffer::new(HEADER + DATA_MAX)?);
            streams.give_room(slot);
        }
        streams.rx.want_news(true);
        streams.rx.kick(BUFFERS);
        Ok(streams)
    }

    fn give_room(&mut self, slot: u16) {
        let piece = self.room[usize::from(slot)].piece(0, HEADER + DATA_MAX);
        self.rx.add(slot, None, Some(piece));
    }

    /// Takes back what the device has read, and gives it what waits. Returns whether a slot is free.
    fn reap(&mut self) -> bool {
        while let Some((slot, _)) = self.tx.take_used() {
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
        self.tx.add(slot as u16, Some(piece), None);
        self.untold += 1;
        // How fast the device reads is no input.
        while reproducible::is_on() && self.sending[slot].is_some() {
            self.tell_device();
            if !self.tx.want_news(true) {
                platform::park(NEVER);
            }
            while let Some((slot, _)) = self.tx.take_used() {
                self.sending[usize::from(slot)] = None;
            }
        }
    }

    /// Tells the device of all that it was given, by one doorbell at most.
    fn tell_device(&mut self) {
        if self.untold > 0 {
            self.tx.kick(core::mem::take(&mut self.untold));
        }
    }

    /// Sends what waits, and tells who waited for a slot if there is one again; else asks to be told
    /// of the next that becomes free.
    fn fed(&mut self) -> Vec<Arc<dyn Receiver>> {
        while !self.waiting.is_empty() || !self.starved.is_empty() {
            if self.reap() || self.waiting.len() < WAITING_MAX {
                let starved = core::mem::take(&mut self.starved);
                if !starved.is_empty() {
                    return starved;
                }
                if self.waiting.is_empty() {
                    self.tx.want_news(false);
                    break;
                }
            }
            if !self.tx.want_news(true) {
                break;
            }
        }
        Vec::new()
    }

    /// Sends a message without data of a program: at once, or as soon as there is a slot.
    fn send(&mut self, header: Words, payload: &[u8]) -> Result<()> {
        let mut message = Buffer::new(HEADER + payload.len())?;
        write_words(header, message.bytes_mut());
        message.bytes_mut()[HEADER..].copy_from_slice(payload);
        self.reap();
        self.queue(message);
        Ok(())
    }

    /// Gives the device a message behind those that wait.
    fn queue(&mut self, message: Buffer) {
        match self.free_slot().filter(|_| self.waiting.is_empty()) {
            Some(slot) => self.submit(slot, message),
            None => {
                self.waiting.push_back(message);
                if self.tx.want_news(true) {
                    self.reap();
                }
            }
        }
    }
}

/// Runs `with` on the streams, which are set up when they are first needed.
fn with<R>(with: impl FnOnce(&mut Streams) -> Result<R>) -> Result<R> {
    let mut streams = STREAMS.lock();
    if streams.is_none() {
        *streams = Some(Streams::new()?);
    }
    let streams = streams.as_mut().ok_or(Errno::ENOBUFS)?;
    let result = with(streams);
    streams.tell_device();
    result
}

/// Makes ready for connections from outside.
///
/// # Errors
///
/// ENOBUFS.
pub fn start() -> Result<()> {
    with(|streams| {
        streams.listening = true;
        Ok(())
    })
}

/// What may come from outside.
#[must_use]
pub fn outside() -> Outside {
    let streams = STREAMS.lock();
    let Some(streams) = streams.as_ref() else {
        return Outside::Nothing;
    };
    let least = if streams.listening {
        Outside::Possible
    } else {
        Outside::Nothing
    };
    let open = streams.open.values().map(|receiver| receiver.expects());
    open.fold(least, Ord::max)
}

/// How many streams there are.
#[must_use]
pub fn count() -> usize {
    STREAMS
        .lock()
        .as_ref()
        .map_or(0, |streams| streams.open.len())
}

/// Tells the device something of a stream. Without memory for a few words the stream stalls, and
/// nothing else.
fn tell(stream: u32, kind: u32, value: u32) {
    let _ = with(|streams| streams.send([stream, kind, 0, value], &[]));
}

/// A new stream to be opened by a request: its number, and nothing else, is taken.
pub(super) fn reserve(receiver: Arc<dyn Receiver>, window: u32) -> Result<Arc<Stream>> {
    with(|streams| {
        let id = streams.next;
        streams.next = (id + 1) % FIRST_INCOMING;
        streams.open.insert(id, receiver);
        Ok(Stream::new(id, 0, window))
    })
}

/// Asks for a connection to an address; `receiver` is told how that ends.
///
/// # Errors
///
/// ENOBUFS.
pub fn connect(
    receiver: Arc<dyn Receiver>,
    tcp: bool,
    own_port: u16,
    to: SocketAddr,
    window: u32,
) -> Result<Arc<Stream>> {
    let stream = reserve(receiver, window)?;
    let address = match to.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let transport = if tcp { transport::TCP } else { transport::UDP };
    let mut payload = [0; ENDPOINT];
    payload[..4].copy_from_slice(&transport.to_le_bytes());
    payload[4..6].copy_from_slice(&to.port().to_le_bytes());
    payload[6..8].copy_from_slice(&own_port.to_le_bytes());
    payload[8..].copy_from_slice(&address.octets());
    let header = [stream.id, kind::OPEN, ENDPOINT as u32, window];
    with(|streams| streams.send(header, &payload)).inspect_err(|_| stream.forget())?;
    Ok(stream)
}

impl Arrival {
    fn parse(stream: u32, credit: u32, payload: &[u8]) -> Option<Self> {
        let payload: &[u8; ENDPOINT] = payload.first_chunk()?;
        let short = |at: usize| u16::from_le_bytes([payload[at], payload[at + 1]]);
        let mut address = [0; 16];
        address.copy_from_slice(&payload[8..]);
        let address = IpAddr::from(address).to_canonical();
        Some(Self {
            tcp: payload[0] == transport::TCP as u8,
            from: SocketAddr::new(address, short(4)),
            port: short(6),
            stream,
            credit,
        })
    }

    /// Takes the connection; `receiver` is told what comes.
    ///
    /// # Errors
    ///
    /// ENOBUFS.
    pub fn accept(&self, receiver: Arc<dyn Receiver>, window: u32) -> Result<Arc<Stream>> {
        with(|streams| {
            streams.open.insert(self.stream, receiver);
            Ok(())
        })?;
        tell(self.stream, kind::CREDIT, window);
        Ok(Stream::new(self.stream, self.credit, window))
    }

    /// Refuses it.
    pub fn refuse(&self, errno: Errno) {
        tell(self.stream, kind::RESET, errno.number().into());
    }
}

impl Stream {
    fn new(id: u32, credit: u32, window: u32) -> Arc<Self> {
        Arc::new(Self {
            id,
            credit: AtomicU32::new(credit),
            taken: AtomicU32::new(0),
            window,
        })
    }

    /// Its number.
    #[must_use]
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// Bytes that may be sent.
    #[must_use]
    pub fn credit(&self) -> usize {
        self.credit.load(Ordering::Relaxed) as usize
    }

    /// More may be sent, as the receiver was told.
    pub fn add_credit(&self, bytes: u32) {
        let credit = self.credit.load(Ordering::Relaxed);
        self.credit
            .store(credit.saturating_add(bytes), Ordering::Relaxed);
    }

    /// Sends bytes, as many as there is credit and room for.
    ///
    /// # Errors
    ///
    /// EAGAIN if there is neither ([`Receiver::credit`] tells when there is), EFAULT, ENOBUFS.
    pub fn send(&self, source: &mut Source<'_>) -> Result<usize> {
        let start = source.done();
        // One doorbell for all the messages.
        with(|streams| {
            loop {
                let len = source.remaining().min(self.credit()).min(DATA_MAX);
                let sent = if len == 0 && source.remaining() > 0 {
                    Err(Errno::EAGAIN)
                } else {
                    self.send_one(streams, source, len)
                };
                let done = source.done() - start;
                match sent {
                    Err(errno) if done == 0 => return Err(errno),
                    Err(_) => return Ok(done),
                    Ok(()) if source.remaining() == 0 => return Ok(done),
                    Ok(()) => {}
                }
            }
        })
    }

    /// Sends `len` bytes in one message.
    fn send_one(&self, streams: &mut Streams, source: &mut Source<'_>, len: usize) -> Result<()> {
        if !streams.reap() && streams.waiting.len() >= WAITING_MAX {
            if let Some(receiver) = streams.open.get(&self.id) {
                streams.starved.push(receiver.clone());
            }
            // One may have become free since.
            if !streams.tx.want_news(true) || !streams.reap() {
                return Err(Errno::EAGAIN);
            }
        }
        let mut buffer = Buffer::new(HEADER + len)?;
        let start = source.done();
        let read = source.read(&mut buffer.bytes_mut()[HEADER..]);
        let len = source.done() - start;
        if len == 0 {
            read?;
        }
        buffer.truncate(HEADER + len);
        write_words([self.id, kind::DATA, len as u32, 0], buffer.bytes_mut());
        streams.queue(buffer);
        self.credit
            .store((self.credit() - len) as u32, Ordering::Relaxed);
        Ok(())
    }

    /// Sends a datagram, whole.
    ///
    /// # Errors
    ///
    /// As [`Stream::send`].
    pub fn send_datagram(&self, datagram: &[u8]) -> Result<()> {
        if datagram.len() > self.credit() {
            return Err(Errno::EAGAIN);
        }
        with(|streams| self.send_one(streams, &mut Source::kernel(datagram), datagram.len()))
    }

    /// The program has taken bytes that came: lets more come, once that is worth a message.
    pub fn taken(&self, bytes: usize) {
        let taken = self.taken.load(Ordering::Relaxed) + bytes as u32;
        if taken < self.window / 4 {
            return self.taken.store(taken, Ordering::Relaxed);
        }
        self.taken.store(0, Ordering::Relaxed);
        tell(self.id, kind::CREDIT, taken);
    }

    /// Nothing more will be sent.
    pub fn end(&self) {
        tell(self.id, kind::END, 0);
    }

    /// Nothing more will be sent, and what comes is of no interest. Both sides have ended it, or
    /// what still comes is answered by a reset.
    pub fn forget(&self) {
        if let Some(streams) = STREAMS.lock().as_mut() {
            streams.open.remove(&self.id);
        }
    }

    /// Breaks it off.
    pub fn reset(&self, errno: Option<Errno>) {
        self.forget();
        tell(self.id, kind::RESET, errno.map_or(0, Errno::number).into());
    }
}

/// A message, and whom it concerns.
enum News {
    Known(Arc<dyn Receiver>, Words),
    Arrived(Arrival),
    /// Data for somebody who has gone.
    Stray(u32),
    Nothing,
}

impl Streams {
    fn sort(&mut self, slot: u16, len: u32) -> News {
        let buffer = &self.room[usize::from(slot.min(BUFFERS - 1))];
        let bytes = &buffer.bytes()[..(len as usize).min(HEADER + DATA_MAX)];
        let Some((words, payload)) = words(bytes) else {
            return News::Nothing;
        };
        let [stream, kind, _, value] = words;
        match (kind, self.open.get(&stream)) {
            (kind::RESET, Some(_)) => match self.open.remove(&stream) {
                Some(receiver) => News::Known(receiver, words),
                None => News::Nothing,
            },
            (_, Some(receiver)) => News::Known(receiver.clone(), words),
            (kind::INCOMING, None) => {
                Arrival::parse(stream, value, payload).map_or(News::Nothing, News::Arrived)
            }
            (kind::DATA, None) => News::Stray(stream),
            // The device waits for an answer to each reset.
            (kind::RESET, None) => News::Stray(stream),
            _ => News::Nothing,
        }
    }
}

/// Takes messages and tells who waits for them. Returns whether there were any.
pub(super) fn poll() -> bool {
    let mut came = false;
    loop {
        let (slot, len, news) = {
            let mut streams = STREAMS.lock();
            let Some(streams) = streams.as_mut() else {
                return false;
            };
            let Some((slot, len)) = streams.rx.take_used() else {
                if streams.rx.want_news(true) {
                    continue;
                }
                break;
            };
            (slot, len, streams.sort(slot, len))
        };
        came = true;
        match news {
            News::Known(receiver, [stream, kind, bytes, value]) => match kind {
                kind::DATA => hand_over(&*receiver, slot, bytes.min(len)),
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
            News::Stray(stream) => tell(stream, kind::RESET, Errno::ECONNRESET.number().into()),
            News::Nothing => {}
        }
        if let Some(streams) = STREAMS.lock().as_mut() {
            streams.give_room(slot);
            streams.rx.kick(1);
        }
    }
    let starved = match STREAMS.lock().as_mut() {
        Some(streams) => {
            let starved = streams.fed();
            streams.tell_device();
            starved
        }
        None => Vec::new(),
    };
    for receiver in starved {
        receiver.credit(0);
    }
    came
}

/// Hands data to its receiver, from the buffer that the device has filled and that nobody else has
/// until it is given back.
fn hand_over(receiver: &dyn Receiver, slot: u16, len: u32) {
    let buffer = {
        let mut streams = STREAMS.lock();
        let room = streams
            .as_mut()
            .and_then(|streams| streams.room.get_mut(usize::from(slot)));
        room.map(Buffer::take)
    };
    let Some(buffer) = buffer else {
        return;
    };
    let end = (HEADER + len as usize).min(buffer.bytes().len());
    receiver.data(&buffer.bytes()[HEADER.min(end)..end]);
    if let Some(streams) = STREAMS.lock().as_mut()
        && let Some(room) = streams.room.get_mut(usize::from(slot))
    {
        *room = buffer;
    }
}
