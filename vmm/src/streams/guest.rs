//! What the guest says of its connections, and what it is told.

use std::net::{Ipv6Addr, SocketAddr};

use rustix::io::Errno;
use unicell_guest_abi::message::{
    Endpoint, FIRST_INCOMING, STREAMS_MAX, Stream as Header, kind, transport,
};
use vm_memory::ByteValued;

use super::stream::{Read, Stage, Stream, Told};
use super::{FRAMES_MAX, REFUSED_MAX, Streams, errno_of};
use crate::backend::{Data, Nonsense, Room};
use crate::link::{Message, Open, Refused, Transport};
use crate::memory::Abi;

impl Streams {
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
