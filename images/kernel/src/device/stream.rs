//! Streams over the device, flow-controlled by credit. For now they only come in: standard input.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec;

use unicell_guest_abi::device::{RX, TX};
use unicell_guest_abi::message::{Stream as Header, kind, op};

use super::control;
use super::ring::Ring;
use crate::errno::{Errno, Result};
use crate::io::Sink;
use crate::memory::{Frame, PAGE_SIZE};
use crate::sync::Mutex;
use crate::task::WaitQueue;

const HEADER: usize = size_of::<Header>();
/// Buffers for the device, each a page.
const BUFFERS: u16 = 16;
/// Bytes that a stream may have on its way or unread.
const WINDOW: u32 = 48 << 10;
/// Bytes that the program has to have read before more are granted, so that credit is not
/// granted byte by byte.
const GRANT: u32 = WINDOW / 4;

/// The receiving half of a stream.
pub struct Incoming {
    id: u32,
    state: Mutex<State>,
    /// Woken when there are bytes, or the stream has ended.
    pub readable: WaitQueue,
}

#[derive(Default)]
struct State {
    unread: VecDeque<u8>,
    /// Read by the program but not granted again yet.
    read: u32,
    ended: bool,
    broken: Option<Errno>,
}

struct Streams {
    rx: Ring,
    tx: Ring,
    buffers: VecDeque<Frame>,
    /// A page for each message being sent.
    sending: VecDeque<Frame>,
    open: BTreeMap<u32, Arc<Incoming>>,
    next: u32,
    tx_slot: u16,
}

static STREAMS: Mutex<Option<Streams>> = Mutex::new(None);

impl Streams {
    fn new() -> Result<Self> {
        let mut rx = Ring::new(RX);
        let mut buffers = VecDeque::new();
        for slot in 0..BUFFERS {
            let page = Frame::uninitialised()?;
            rx.add(slot, None, Some((page.address(), PAGE_SIZE as u32)));
            buffers.push_back(page);
        }
        rx.want_news(true);
        rx.kick(BUFFERS);
        let (tx, open, sending) = (Ring::new(TX), BTreeMap::new(), VecDeque::new());
        Ok(Self {
            rx,
            tx,
            buffers,
            sending,
            open,
            next: 1,
            tx_slot: 0,
        })
    }

    /// Sends a message without bytes.
    fn send(&mut self, stream: u32, kind: u32, value: u32) {
        while self.tx.take_used().is_some() {
            self.sending.pop_front();
        }
        // Messages are few (one for each quarter of a window), the ring is never full; if memory
        // is, the stream stalls and nothing else.
        let Ok(page) = Frame::uninitialised() else {
            return;
        };
        for (at, word) in [stream, kind, 0, value].iter().enumerate() {
            page.write(4 * at, &word.to_le_bytes());
        }
        self.tx
            .add(self.tx_slot, Some((page.address(), HEADER as u32)), None);
        self.tx_slot = (self.tx_slot + 1) % super::ring::SLOTS;
        self.sending.push_back(page);
        self.tx.kick(1);
    }

    fn receive(&mut self, slot: u16, len: u32) -> Option<Arc<Incoming>> {
        let page = &self.buffers[usize::from(slot.min(BUFFERS - 1))];
        let mut bytes = vec![0; (len as usize).min(PAGE_SIZE as usize)];
        page.read(0, &mut bytes);
        self.rx
            .add(slot, None, Some((page.address(), PAGE_SIZE as u32)));
        let (header, bytes) = bytes.split_at_checked(HEADER)?;
        let word = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        let stream = self.open.get(&word(0))?;
        {
            let mut state = stream.state.lock();
            match word(4) {
                kind::DATA => state
                    .unread
                    .extend(&bytes[..bytes.len().min(word(8) as usize)]),
                kind::END => state.ended = true,
                kind::RESET => state.broken = Some(Errno::new(word(12) as u16)),
                _ => {}
            }
        }
        Some(stream.clone())
    }
}

/// Takes messages and wakes who waits for them.
pub(super) fn poll() {
    loop {
        let stream = {
            let mut streams = STREAMS.lock();
            let Some(streams) = streams.as_mut() else {
                return;
            };
            let Some((slot, len)) = streams.rx.take_used() else {
                if streams.rx.want_news(true) {
                    continue;
                }
                return;
            };
            let stream = streams.receive(slot, len);
            streams.rx.kick(1);
            stream
        };
        if let Some(stream) = stream {
            stream.readable.wake_all();
        }
    }
}

impl Incoming {
    /// Opens the stream of standard input.
    ///
    /// # Errors
    ///
    /// What the gateway answers; ENOMEM.
    pub fn stdin() -> Result<Arc<Self>> {
        let stream = {
            let mut streams = STREAMS.lock();
            if streams.is_none() {
                *streams = Some(Streams::new()?);
            }
            let streams = streams.as_mut().ok_or(Errno::ENOMEM)?;
            let id = streams.next;
            streams.next += 1;
            let stream = Arc::new(Self {
                id,
                state: Mutex::new(State::default()),
                readable: WaitQueue::new(),
            });
            streams.open.insert(id, stream.clone());
            stream
        };
        control::request(op::OPEN_STDIN, stream.id, WINDOW, &[])?;
        Ok(stream)
    }

    /// Whether a read would not have to wait.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        let state = self.state.lock();
        !state.unread.is_empty() || self.is_over(&state)
    }

    /// Whether everything that will ever come has come.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.is_over(&self.state.lock())
    }

    fn is_over(&self, state: &State) -> bool {
        state.ended || state.broken.is_some()
    }

    /// Bytes that can be read at once.
    #[must_use]
    pub fn available(&self) -> usize {
        self.state.lock().unread.len()
    }

    /// Reads what is there; 0 at the end of the stream.
    ///
    /// # Errors
    ///
    /// EAGAIN if nothing is there yet, EFAULT, or the error that broke the stream.
    pub fn read(&self, sink: &mut Sink<'_>) -> Result<usize> {
        let mut state = self.state.lock();
        if state.unread.is_empty() {
            return match state.broken {
                Some(errno) => Err(errno),
                None if state.ended => Ok(0),
                None => Err(Errno::EAGAIN),
            };
        }
        let mut read = 0;
        while sink.remaining() > 0 && !state.unread.is_empty() {
            let (front, _) = state.unread.as_slices();
            let len = sink.write(front)?;
            state.unread.drain(..len);
            read += len;
        }
        state.read += read as u32;
        if state.read >= GRANT && !state.ended {
            let granted = core::mem::take(&mut state.read);
            drop(state);
            if let Some(streams) = STREAMS.lock().as_mut() {
                streams.send(self.id, kind::CREDIT, granted);
            }
        }
        Ok(read)
    }
}
