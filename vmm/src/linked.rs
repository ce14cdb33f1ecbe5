//! The backend of an instance's process: the console on descriptors, connections on sockets that
//! the node makes, and the link to the node.

use std::sync::Arc;

use rustix::event::PollFlags;
use rustix::io::Errno;
use unicell_guest_abi::message::{Reply, Request, Stream, kind};

use crate::backend::{Ask, Backend, Channel, Data, Nonsense, Room, Watch, Written};
use crate::governor::Hold;
use crate::link::{InstanceEnd, LinkError, Message, Order, Usage};
use crate::stdio::Stdio;
use crate::streams::Streams;

/// [`Stdio`], connections, and the node's orders.
pub struct Linked {
    stdio: Stdio,
    streams: Streams,
    link: InstanceEnd,
    hold: Hold,
}

impl Linked {
    /// Stops the instance that `hold` holds when the node says so, is gone, or makes no sense.
    ///
    /// # Errors
    ///
    /// The host has no descriptors left.
    pub fn new(stdio: Stdio, link: InstanceEnd, hold: Hold) -> Result<Self, Errno> {
        Ok(Self {
            stdio,
            streams: Streams::new()?,
            link,
            hold,
        })
    }

    pub(crate) fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Follows what the node says, and tells it what there is to be told.
    fn converse(&mut self) -> Result<(), LinkError> {
        while self.streams.has_room_for_orders() {
            match self.link.order()? {
                None => break,
                Some(Order::Resize(window)) => self.stdio.resize(window),
                Some(Order::Limits(limits)) => self.hold.limit(limits),
                Some(Order::Usage) => self.streams.say(Message::Usage(self.usage())),
                Some(order) => self.streams.obey(order).map_err(LinkError::Nonsense)?,
            }
        }
        self.report()
    }

    fn usage(&self) -> Usage {
        let used = self.hold.used();
        let (sent, received) = self.streams.totals();
        Usage {
            cpu_ns: used.cpu_ns,
            io_ns: used.io_ns,
            memory: used.memory,
            memory_peak: used.memory_peak,
            sent,
            received,
            exits: used.exits,
        }
    }

    fn report(&mut self) -> Result<(), LinkError> {
        let link = &self.link;
        self.streams
            .send_frames(|frame| match link.try_send(frame) {
                Ok(()) => Ok(true),
                Err(LinkError::Full) => Ok(false),
                Err(error) => Err(error),
            })
    }
}

impl Backend for Linked {
    fn write(&mut self, channel: Channel, text: &[u8]) -> Written {
        self.stdio.write(channel, text)
    }

    fn control(&mut self, request: &Request, payload: &[u8]) -> Result<Reply, Nonsense> {
        self.stdio.control(request, payload)
    }

    fn send(&mut self, message: &Stream, data: &Data<'_>) -> Result<(), Nonsense> {
        if self.streams.is_mine(message) {
            self.streams.take(message, data)
        } else {
            self.stdio.send(message, data)
        }
    }

    fn receive(&mut self, room: &Room<'_>) -> Option<Stream> {
        while let Some(message) = self.streams.next(room) {
            // The socket has ended: if the node has shut it down, it has said so before.
            let ended = message.kind == kind::END;
            if ended && self.converse().is_err() {
                self.hold.stop();
            }
            if !ended || !self.streams.is_broken(message.stream) {
                return Some(message);
            }
        }
        self.stdio.receive(room)
    }

    fn watch(&self, room: bool, watched: &mut Vec<Watch>) {
        let mut events = PollFlags::IN;
        events.set(PollFlags::OUT, self.streams.has_frames());
        let fd = Arc::clone(self.link.fd());
        watched.push(Watch { fd, events });
        self.streams.watch(watched);
        self.stdio.watch(room, watched);
    }

    fn ask(&mut self, ask: Ask) -> Result<(), Nonsense> {
        self.streams.look();
        self.stdio.ask(ask)
    }

    fn tick(&mut self, now: u64) -> Option<u64> {
        if let Some(gives_way) = self.hold.gives_way(now) {
            self.streams.say(Message::GivesWay(gives_way));
        }
        self.streams.tick(now)
    }

    fn is_flushed(&self) -> bool {
        self.streams.is_flushed()
    }

    fn ended(&mut self) {
        self.streams.end_all();
        self.streams.say(Message::Usage(self.usage()));
        // Waits, as for the last message of all; a node that is gone has been told all it wants.
        let link = &self.link;
        let _ = self
            .streams
            .send_frames(|frame| link.send(frame).map(|()| true));
    }

    fn ready(&mut self, events: &[PollFlags]) {
        let [link, sockets, stdio @ ..] = events else {
            return;
        };
        if !sockets.is_empty() {
            self.streams.look();
        }
        // After the sockets: what the node said before it shut one down is then known before that
        // is found out.
        if !link.is_empty() && self.converse().is_err() {
            self.hold.stop();
        }
        self.stdio.ready(stdio);
    }
}
