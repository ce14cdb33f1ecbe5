//! The guest's connections to the outside: between the messages of the device on one side, sockets
//! that the node has made and the frames of the link on the other.
//!
//! Nothing here waits. What a socket does not take at once is kept, and no more of it comes than
//! was granted; what the guest does not take stays in the socket. Sockets take turns.
//!
//! Invariants: each socket that was given is told of once, by [`Message::Closed`]. A guest that
//! sends what it likes and takes nothing makes nothing here grow without bound:
//!
//! | what | at most |
//! | --- | --- |
//! | streams | [`STREAMS_MAX`] |
//! | bytes of the guest that are kept | each stream's window: 2 MiB of the first 8, 256 KiB up to 64, 64 KiB of others |
//! | datagrams that are kept | `stream::DATAGRAMS_MAX` of each stream |
//! | what the guest is to be told | of each stream: that it comes, a sum of credit, that it is broken |
//! | new streams that were refused for want of room | [`REFUSED_MAX`], then the guest is ended |
//! | frames for the node | [`FRAMES_MAX`] and two for each stream |

mod guest;
mod node;
mod socket;
mod stream;

use std::collections::{HashMap, VecDeque};
use std::mem::MaybeUninit;
use std::sync::Arc;

use rustix::event::epoll::{self, EventFlags};
use rustix::event::{PollFlags, Timespec};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use unicell_guest_abi::message::STREAMS_MAX;

use crate::backend::Watch;
use crate::link::{Closed, Message, Transport};
use stream::{Due, Stage, Stream};

/// How long a flow of UDP may be idle before it is given up.
const IDLE_NS: u64 = 120_000_000_000;
/// Streams that were ready that are asked for from the host's kernel at once.
const EVENTS: usize = 64;
/// Frames that may wait for the node before no more is taken from it.
const FRAMES_MAX: usize = 2 * STREAMS_MAX;
/// Refusals for want of room that the guest may leave untaken.
const REFUSED_MAX: usize = STREAMS_MAX;

/// All connections of an instance.
pub(crate) struct Streams {
    ready: Arc<OwnedFd>,
    open: HashMap<u32, Stream>,
    /// Streams whose sockets may have something for the guest, in turn.
    turns: VecDeque<u32>,
    /// Streams of which the guest is to be told something, each once.
    news: VecDeque<u32>,
    /// New streams for which there was no room.
    refused: VecDeque<u32>,
    /// Connections that the guest has refused by itself, and of which the node does not know.
    untold: u32,
    /// Frames for the node.
    frames: VecDeque<Message>,
    /// Bytes that the guest has sent and was sent, on streams that are gone.
    gone: (u64, u64),
    now: u64,
}

fn errno_of(errno: Errno) -> u16 {
    errno.raw_os_error().unsigned_abs() as u16
}

impl Streams {
    /// None yet.
    pub(crate) fn new() -> Result<Self, Errno> {
        Ok(Self {
            ready: Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?),
            open: HashMap::new(),
            turns: VecDeque::new(),
            news: VecDeque::new(),
            refused: VecDeque::new(),
            untold: 0,
            frames: VecDeque::new(),
            gone: (0, 0),
            now: crate::clock::monotonic_ns(),
        })
    }

    // Events.

    /// What is to be waited for.
    pub(crate) fn watch(&self, watched: &mut Vec<Watch>) {
        watched.push(Watch {
            fd: Arc::clone(&self.ready),
            events: PollFlags::IN,
        });
    }

    /// Sockets have news: finds out which, and sends what can be sent.
    pub(crate) fn look(&mut self) {
        let mut events = [const { MaybeUninit::<epoll::Event>::uninit() }; EVENTS];
        let now = Timespec::default();
        loop {
            let Ok((found, _)) = epoll::wait(&self.ready, &mut events[..], Some(&now)) else {
                return;
            };
            let found: Vec<_> = found
                .iter()
                .map(|event| (event.data.u64() as u32, event.flags))
                .collect();
            let all = found.len() < EVENTS;
            for (id, flags) in found {
                self.happened(id, flags);
            }
            if all {
                return;
            }
        }
    }

    fn happened(&mut self, id: u32, flags: EventFlags) {
        let Some(stream) = self.open.get_mut(&id) else {
            return;
        };
        let over = EventFlags::HUP | EventFlags::ERR;
        if flags.intersects(EventFlags::OUT | over) {
            let granted = stream.flush();
            self.grant(id, granted);
        }
        if flags.intersects(EventFlags::IN | EventFlags::RDHUP | over) {
            if let Some(stream) = self.open.get_mut(&id) {
                stream.readable(flags.intersects(EventFlags::RDHUP | over));
            }
            self.queue(id);
        }
        self.settle(id);
    }

    /// The time, monotonic ns: gives up what was idle for long. Returns when to be asked again.
    pub(crate) fn tick(&mut self, now: u64) -> Option<u64> {
        self.now = now;
        let flows = |stream: &&Stream| {
            stream.transport == Transport::Udp && matches!(stream.stage, Stage::Open)
        };
        let next = self
            .open
            .values()
            .filter(flows)
            .map(|flow| flow.active)
            .min()?
            + IDLE_NS;
        if next > now {
            return Some(next);
        }
        let idle: Vec<u32> = self
            .open
            .iter()
            .filter(|(_, stream)| flows(stream) && stream.active + IDLE_NS <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in idle {
            self.break_off(id, 0);
        }
        Some(now + IDLE_NS)
    }

    /// Whether all that the guest has sent is on its way.
    pub(crate) fn is_flushed(&self) -> bool {
        self.open.values().all(Stream::is_flushed)
    }

    /// The instance has ended, and with it all streams.
    pub(crate) fn end_all(&mut self) {
        let all: Vec<u32> = self.open.keys().copied().collect();
        for id in all {
            let Some(stream) = self.open.get_mut(&id) else {
                continue;
            };
            // As when a process ends: what the guest has closed is delivered, and not broken off.
            let errno = if stream.is_said() {
                0
            } else {
                errno_of(Errno::CONNABORTED)
            };
            stream.end_socket();
            if stream.close() {
                self.report(id, errno);
            }
            self.remove(id);
        }
    }

    /// Bytes that the guest has sent, and was sent, on all streams.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let add = |(sent, received): (u64, u64), stream: &Stream| {
            (sent + stream.sent, received + stream.received)
        };
        self.open.values().fold(self.gone, add)
    }

    /// Whether the bounds hold that this module's head states.
    pub(crate) fn is_bounded(&self) -> bool {
        let streams = self.open.len();
        streams <= STREAMS_MAX
            && self.news.len() <= streams
            && self.turns.len() <= streams
            && self.refused.len() <= REFUSED_MAX
            && self.frames.len() <= FRAMES_MAX + 2 * STREAMS_MAX
            && self.open.values().all(Stream::is_bounded)
    }

    // Inside.

    /// Has the guest told something of a stream.
    fn tell(&mut self, id: u32, what: impl FnOnce(&mut Due)) {
        if let Some(stream) = self.open.get_mut(&id) {
            what(&mut stream.due);
            if !stream.due.is_nothing() && !std::mem::replace(&mut stream.has_news, true) {
                self.news.push_back(id);
            }
        }
    }

    /// The guest may send so much more.
    fn grant(&mut self, id: u32, bytes: u32) {
        self.tell(id, |due| due.credit = due.credit.saturating_add(bytes));
    }

    fn queue(&mut self, id: u32) {
        if let Some(stream) = self.open.get_mut(&id)
            && stream.has_turn()
        {
            stream.queued = true;
            self.turns.push_back(id);
        }
    }

    /// Breaks a stream off towards the guest; with errno 0 it is merely over.
    fn break_off(&mut self, id: u32, errno: u16) {
        let Some(stream) = self.open.get_mut(&id) else {
            return;
        };
        if !stream.close() {
            return;
        }
        stream.stage = Stage::Broken;
        self.report(id, errno);
        self.tell(id, |due| due.reset = Some(errno));
    }

    /// Removes a stream that both sides have ended.
    fn settle(&mut self, id: u32) {
        if let Some(stream) = self.open.get_mut(&id)
            && stream.is_over()
        {
            stream.close();
            self.report(id, 0);
            self.remove(id);
        }
    }

    /// Tells the node that a socket is of no more use.
    fn report(&mut self, id: u32, errno: u16) {
        let (sent, received) = self
            .open
            .get(&id)
            .map_or((0, 0), |stream| (stream.sent, stream.received));
        self.frames.push_back(Message::Closed(Closed {
            stream: id,
            errno,
            sent,
            received,
        }));
    }

    fn remove(&mut self, id: u32) {
        if let Some(stream) = self.open.remove(&id) {
            // Its number may be taken by another: nothing of it stays in a queue.
            if stream.queued {
                self.turns.retain(|turn| *turn != id);
            }
            if stream.has_news {
                self.news.retain(|news| *news != id);
            }
            self.gone.0 += stream.sent;
            self.gone.1 += stream.received;
        }
    }
}
