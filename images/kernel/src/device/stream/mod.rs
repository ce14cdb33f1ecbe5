//! Streams over the device: many at once, flow-controlled by credit.
//!
//! A stream has a [`Receiver`], which is told what comes, and a [`Stream`], by which its owner
//! sends. What is sent is copied into a buffer that the device reads ([`tx`]); what comes is handed
//! to the receiver where the device has put it ([`rx`]).
//!
//! Invariant: a receiver is called with nothing locked.

mod message;
mod rx;
mod tx;

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::ops::RangeInclusive;
use core::sync::atomic::{AtomicU32, Ordering};

use unicell_guest_abi::message::{DATA_MAX, FIRST_INCOMING, kind};

use super::buffer::Buffer;
use super::platform;
use crate::errno::{Errno, Result};
use crate::io::Source;
use crate::sync::Mutex;
use message::{ENDPOINT, HEADER, write_words};
use rx::Rx;
pub(super) use rx::poll;
use tx::Tx;

/// What is told of a stream.
pub trait Receiver: Send + Sync {
    /// So many bytes more may be sent. The first time, the connection has come to be.
    fn credit(&self, bytes: u32);

    /// Bytes have come, or a datagram. Who keeps many of them takes them as they are, and leaves
    /// others in their place, or none.
    fn data(&self, bytes: &mut Vec<u8>);

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
    rx: Rx,
    tx: Tx,
    open: BTreeMap<u32, Arc<dyn Receiver>>,
    next: u32,
    /// Connections may come from outside.
    listening: bool,
}

static STREAMS: Mutex<Option<Streams>> = Mutex::new(None);

impl Streams {
    fn new() -> Result<Self> {
        Ok(Self {
            rx: Rx::new()?,
            tx: Tx::new(),
            open: BTreeMap::new(),
            next: 1,
            listening: false,
        })
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
    streams.tx.tell_device();
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
    let _ = with(|streams| streams.tx.send([stream, kind, 0, value], &[]));
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
    let payload = message::endpoint(tcp, to, own_port);
    let header = [stream.id, kind::OPEN, ENDPOINT as u32, window];
    with(|streams| streams.tx.send(header, &payload)).inspect_err(|_| stream.forget())?;
    Ok(stream)
}

/// Tells the device of a connection that was refused here, the last of so many.
pub fn refused(tcp: bool, own_port: u16, to: SocketAddr, times: u32) {
    let payload = message::endpoint(tcp, to, own_port);
    let header = [0, kind::REFUSED, ENDPOINT as u32, times];
    // Without memory for a few words nobody hears of it.
    let _ = with(|streams| streams.tx.send(header, &payload));
}

impl Arrival {
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
                    self.send_one(streams, source, len.min(1)..=len)
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

    /// Sends as many bytes of `lens` as there is room for, in one message.
    fn send_one(
        &self,
        streams: &mut Streams,
        source: &mut Source<'_>,
        lens: RangeInclusive<usize>,
    ) -> Result<()> {
        let Streams { tx, open, .. } = streams;
        let room = tx.room(self.id, lens, || open.get(&self.id).cloned());
        let len = room.ok_or(Errno::EAGAIN)?;
        let mut buffer = Buffer::new(HEADER + len)?;
        let start = source.done();
        let read = source.read(&mut buffer.bytes_mut()[HEADER..]);
        let len = source.done() - start;
        if len == 0 {
            read?;
        }
        buffer.truncate(HEADER + len);
        write_words([self.id, kind::DATA, len as u32, 0], buffer.bytes_mut());
        tx.queue(buffer);
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
        let len = datagram.len();
        with(|streams| self.send_one(streams, &mut Source::kernel(datagram), len..=len))
    }

    /// Whether bytes could be sent. If not, [`Receiver::credit`] tells when they can.
    pub fn is_writable(&self) -> bool {
        let has_room = |streams: &mut Streams| {
            let Streams { tx, open, .. } = streams;
            let room = tx.room(self.id, 1..=1, || open.get(&self.id).cloned());
            room.map(|_| ()).ok_or(Errno::EAGAIN)
        };
        self.credit() > 0 && with(has_room).is_ok()
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
