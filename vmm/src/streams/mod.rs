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

mod socket;
mod stream;

use std::collections::{HashMap, VecDeque};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use rustix::event::epoll::{self, EventFlags};
use rustix::event::{PollFlags, Timespec};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use unicell_guest_abi::message::{
    Endpoint, FIRST_INCOMING, STREAMS_MAX, Stream as Header, kind, transport,
};
use vm_memory::ByteValued;

use crate::backend::{Data, Nonsense, Room, Watch};
use crate::link::{Closed, Message, Open, Order, Refused, Transport};
use crate::memory::Abi;
use socket::Socket;
use stream::{Due, Read, Stage, Stream, Told};

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

    // From the guest.

    /// Whether a message is one of these streams' (the others are standard input's).
    pub(crate) fn is_mine(&self, message: &Header) -> bool {
        matches!(message.kind, kind::OPEN | kind::REFUSED)
            || self.open.contains_key(&message.stream)
    }

    /// Takes a message of the guest.
    pub(crate) fn take(&mut self, message: &Header, data: &Data<'_>) -> Result<(), Nonsense> {
        let id = message.stream;
        if message.kind == kind::OPEN {
            return self.ask(message, data);
        }
        if message.kind == kind::REFUSED {
            return self.refused_inside(message, data);
        }
        let Some(stream) = self.open.get_mut(&id) else {
            // It was closed before this one could know.
            return Ok(());
        };
        if message.kind != kind::DATA && !data.is_empty() {
            return Err(Nonsense("data in a message that has none"));
        }
        stream.active = self.now;
        match message.kind {
            kind::DATA => {
                let granted = stream.send(data)?;
                self.grant(id, granted);
            }
            kind::END => stream.end()?,
            kind::CREDIT => {
                if stream.allow(message.value) {
                    self.frames.push_back(Message::Accepted { stream: id });
                }
                self.queue(id);
            }
            kind::RESET => self.forget(id, message.value),
            _ => return Err(Nonsense("a stream message of unknown kind")),
        }
        self.settle(id);
        Ok(())
    }

    /// The guest wants to connect.
    fn ask(&mut self, message: &Header, data: &Data<'_>) -> Result<(), Nonsense> {
        let id = message.stream;
        if id >= FIRST_INCOMING || self.open.contains_key(&id) {
            return Err(Nonsense("a new stream with a number that is not free"));
        }
        let (transport, to, from_port) = wanted(data)?;
        if self.open.len() >= STREAMS_MAX || self.frames.len() >= FRAMES_MAX {
            if self.refused.len() >= REFUSED_MAX {
                return Err(Nonsense("new streams without an end, and no answer taken"));
            }
            self.refused.push_back(id);
            return Ok(());
        }
        let mut stream = Stream::new(transport, Stage::Asked, self.open.len(), self.now);
        stream.allow(message.value);
        self.open.insert(id, stream);
        self.frames.push_back(Message::Open(Open {
            stream: id,
            transport,
            to,
            from_port,
        }));
        Ok(())
    }

    /// The guest has refused connections by itself. Of what the node cannot be told now it is told
    /// the number, later.
    fn refused_inside(&mut self, message: &Header, data: &Data<'_>) -> Result<(), Nonsense> {
        let (transport, to, _) = wanted(data)?;
        self.untold = self.untold.saturating_add(message.value);
        if self.frames.len() < FRAMES_MAX {
            self.frames.push_back(Message::Refused(Refused {
                transport,
                to,
                times: std::mem::take(&mut self.untold),
            }));
        }
        Ok(())
    }

    /// The guest will neither send nor take anything on a stream any more.
    fn forget(&mut self, id: u32, errno: u32) {
        let Some(stream) = self.open.get_mut(&id) else {
            return;
        };
        if matches!(stream.stage, Stage::Asked) {
            // The node's answer is yet to come, and may bring a socket.
            stream.stage = Stage::Abandoned;
            return;
        }
        let closed = stream.close();
        self.remove(id);
        if closed {
            self.report(id, u16::try_from(errno).unwrap_or(0).min(4095));
        }
    }

    // From the node.

    /// Whether more may be taken from the node.
    pub(crate) fn has_room_for_orders(&self) -> bool {
        self.frames.len() < FRAMES_MAX
    }

    /// Follows an order about a stream.
    pub(crate) fn obey(&mut self, order: Order) -> Result<(), &'static str> {
        match order {
            Order::Opened { stream, socket } => self.opened(stream, socket),
            Order::Refused { stream, errno } => {
                match self.open.get_mut(&stream) {
                    Some(asked) if matches!(asked.stage, Stage::Asked) => {
                        asked.stage = Stage::Broken;
                        self.tell(stream, |due| due.reset = Some(errno));
                    }
                    Some(asked) if matches!(asked.stage, Stage::Abandoned) => self.remove(stream),
                    _ => return Err("it refuses what nobody asked for"),
                }
                Ok(())
            }
            Order::Incoming {
                stream,
                transport,
                from,
                port,
                socket,
            } => self.offer(stream, transport, from, port, socket),
            Order::Reset { stream } => {
                self.break_off(stream, errno_of(Errno::CONNRESET));
                Ok(())
            }
            Order::Resize(_) | Order::Usage | Order::Limits(_) => Ok(()),
        }
    }

    fn opened(&mut self, id: u32, socket: OwnedFd) -> Result<(), &'static str> {
        let Some(stream) = self.open.get_mut(&id) else {
            return Err("it opens what nobody asked for");
        };
        match stream.stage {
            Stage::Asked => {}
            Stage::Abandoned => {
                self.remove(id);
                self.report(id, errno_of(Errno::CONNABORTED));
                return Ok(());
            }
            _ => return Err("it opens what nobody asked for"),
        }
        stream.socket = Some(connect(socket, stream.transport, id, &self.ready)?);
        stream.stage = Stage::Open;
        let window = stream.window();
        self.grant(id, window);
        Ok(())
    }

    fn offer(
        &mut self,
        id: u32,
        transport: Transport,
        from: SocketAddr,
        port: u16,
        socket: OwnedFd,
    ) -> Result<(), &'static str> {
        if self.open.contains_key(&id) {
            return Err("its stream is there already");
        }
        let socket = connect(socket, transport, id, &self.ready)?;
        if self.open.len() >= STREAMS_MAX {
            self.report(id, errno_of(Errno::NOBUFS));
            return Ok(());
        }
        let mut stream = Stream::new(transport, Stage::Offered, self.open.len(), self.now);
        stream.socket = Some(socket);
        self.open.insert(id, stream);
        let address = match from.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let endpoint = Endpoint {
            transport: match transport {
                Transport::Tcp => transport::TCP,
                Transport::Udp => transport::UDP,
            },
            port: from.port(),
            own_port: port,
            address: address.octets(),
        };
        self.tell(id, |due| due.incoming = Some(endpoint));
        Ok(())
    }

    /// Frames for the node, oldest first, until `send` says that there is no room.
    pub(crate) fn send_frames<E>(
        &mut self,
        mut send: impl FnMut(&Message) -> Result<bool, E>,
    ) -> Result<(), E> {
        while let Some(frame) = self.frames.front() {
            if !send(frame)? {
                break;
            }
            self.frames.pop_front();
        }
        Ok(())
    }

    /// Has the node told something.
    pub(crate) fn say(&mut self, message: Message) {
        self.frames.push_back(message);
    }

    /// Whether frames wait for the node.
    pub(crate) fn has_frames(&self) -> bool {
        !self.frames.is_empty()
    }

    // To the guest.

    /// The next message for the guest, its data in `room`.
    pub(crate) fn next(&mut self, room: &Room<'_>) -> Option<Header> {
        if let Some(header) = self.next_news(room) {
            return Some(header);
        }
        while let Some(id) = self.turns.pop_front() {
            let Some(stream) = self.open.get_mut(&id) else {
                continue;
            };
            stream.queued = false;
            let header = |kind, len, value| Header {
                stream: id,
                kind,
                len,
                value,
            };
            match stream.receive(room) {
                Read::Nothing => {}
                Read::Data(len) => {
                    stream.active = self.now;
                    self.queue(id);
                    return Some(header(kind::DATA, len, 0));
                }
                Read::End => {
                    self.settle(id);
                    return Some(header(kind::END, 0, 0));
                }
                Read::Broken(errno) => {
                    self.break_off(id, errno);
                }
            }
            if let Some(header) = self.next_news(room) {
                return Some(header);
            }
        }
        None
    }

    /// The next message that carries no data of a socket.
    fn next_news(&mut self, room: &Room<'_>) -> Option<Header> {
        let header = |stream, kind, len, value| Header {
            stream,
            kind,
            len,
            value,
        };
        if let Some(id) = self.refused.pop_front() {
            return Some(header(id, kind::RESET, 0, errno_of(Errno::NOBUFS).into()));
        }
        while let Some(id) = self.news.pop_front() {
            let Some(stream) = self.open.get_mut(&id) else {
                continue;
            };
            stream.has_news = false;
            let window = stream.window();
            let Some(due) = stream.due.take() else {
                continue;
            };
            // There may be more to tell of it.
            self.tell(id, |_| {});
            return Some(match due {
                Told::Incoming(endpoint) => {
                    room.put(Abi(endpoint).as_slice());
                    header(id, kind::INCOMING, size_of::<Endpoint>() as u32, window)
                }
                Told::Credit(bytes) => header(id, kind::CREDIT, 0, bytes),
                Told::Reset(errno) => header(id, kind::RESET, 0, errno.into()),
            });
        }
        None
    }

    /// Whether the guest is being told that a stream is broken.
    pub(crate) fn is_broken(&self, id: u32) -> bool {
        let stage = self.open.get(&id).map(|stream| stream.stage);
        stage == Some(Stage::Broken)
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

/// Where the guest wants to connect, or wanted: how, to whom, from which port.
fn wanted(data: &Data<'_>) -> Result<(Transport, SocketAddr, u16), Nonsense> {
    let mut endpoint = Abi::<Endpoint>::zeroed();
    let bytes = data.copy(0);
    if bytes.len() != size_of::<Endpoint>() {
        return Err(Nonsense("a wish to connect without an endpoint"));
    }
    endpoint.as_mut_slice().copy_from_slice(&bytes);
    let endpoint = endpoint.0;
    let transport = match endpoint.transport {
        transport::TCP => Transport::Tcp,
        transport::UDP => Transport::Udp,
        _ => return Err(Nonsense("a wish to connect by an unknown transport")),
    };
    let address = Ipv6Addr::from(endpoint.address).to_canonical();
    let to = SocketAddr::new(address, endpoint.port);
    Ok((transport, to, endpoint.own_port))
}

/// Takes a socket that the node has made, and has it watched.
fn connect(
    socket: OwnedFd,
    transport: Transport,
    id: u32,
    watcher: &Arc<OwnedFd>,
) -> Result<Socket, &'static str> {
    let unfit = "its descriptor is no socket of that kind";
    let mut socket = Socket::new(socket, transport).map_err(|()| unfit)?;
    socket.watch(watcher, id).map_err(|_| unfit)?;
    Ok(socket)
}
