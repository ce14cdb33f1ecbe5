//! The backend of an instance's process: the console on descriptors, and the link to the node.

use std::sync::Arc;

use rustix::event::PollFlags;
use unicell_guest_abi::message::{Reply, Request, Stream};

use crate::backend::{Backend, Channel, Nonsense, Watch, Written};
use crate::link::{InstanceEnd, Wish};
use crate::run::StopHandle;
use crate::stdio::Stdio;

/// [`Stdio`], and the node's wishes.
pub struct Linked {
    stdio: Stdio,
    link: InstanceEnd,
    stop: StopHandle,
}

impl Linked {
    /// Stops the instance by `stop` when the node says so, or is gone.
    #[must_use]
    pub fn new(stdio: Stdio, link: InstanceEnd, stop: StopHandle) -> Self {
        Self { stdio, link, stop }
    }
}

impl Backend for Linked {
    fn write(&mut self, channel: Channel, text: &[u8]) -> Written {
        self.stdio.write(channel, text)
    }

    fn control(&mut self, request: &Request, payload: &[u8]) -> Result<Reply, Nonsense> {
        self.stdio.control(request, payload)
    }

    fn send(&mut self, message: &Stream, data: &[u8]) -> Result<(), Nonsense> {
        self.stdio.send(message, data)
    }

    fn receive(&mut self, room: &mut [u8]) -> Option<Stream> {
        self.stdio.receive(room)
    }

    fn watch(&self, room: bool, watched: &mut Vec<Watch>) {
        watched.push(Watch {
            fd: Arc::clone(self.link.fd()),
            events: PollFlags::IN,
        });
        self.stdio.watch(room, watched);
    }

    fn ready(&mut self, events: &[PollFlags]) {
        let Some((link, stdio)) = events.split_first() else {
            return;
        };
        // One at a time: if there are more, the link is ready again.
        if !link.is_empty() {
            match self.link.wish() {
                Some(Wish::Stop) => self.stop.stop(),
                Some(Wish::Resize(window)) => self.stdio.resize(window),
                None => {}
            }
        }
        self.stdio.ready(stdio);
    }
}
