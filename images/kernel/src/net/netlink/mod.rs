//! Netlink sockets (netlink(7)), of one protocol: NETLINK_ROUTE, which tells about interfaces,
//! addresses and routes ([`route`]) and changes none.
//!
//! The kernel answers while the program sends: what it answers lies in the socket's queue before
//! `send` returns. Programs cannot send to each other, and nothing ever changes that a group would
//! be told of.

mod message;
mod route;

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::{net, netlink};

use super::messages::{self, Messages};
use super::settings::{self, Known, Rule, Settings, known};
use super::table::Line;
use super::{Outgoing, Protocol, RawAddress, Received, Shut, family};
use crate::errno::{Errno, Result};
use crate::fs::Events;
use crate::io::{Sink, Source};
use crate::sync::Mutex;
use crate::task::{self, WaitQueue};
use message::{Answers, Message};

/// Bytes of an address (`struct sockaddr_nl`).
const ADDRESS: usize = 12;
/// Bytes of the buffers before they are set.
const BUFFER: i32 = 212_992;
/// What of a send buffer is not for the message.
const RESERVED: usize = 32;
/// One past the highest protocol (MAX_LINKS).
const PROTOCOLS: u32 = 32;
/// Numbers of sockets that were not asked for, from here downwards, where that of the process is
/// taken.
const FIRST_FREE: u32 = (-4097_i32) as u32;
/// SOL_NETLINK.
const LEVEL: u32 = 270;
/// The highest group (RTNLGRP_MAX).
const GROUPS: i32 = 36;

const OPTIONS: &[Known] = &[
    known(LEVEL, netlink::NETLINK_PKTINFO, 0, Rule::Flag),
    known(LEVEL, netlink::NETLINK_BROADCAST_ERROR, 0, Rule::Flag),
    known(LEVEL, netlink::NETLINK_NO_ENOBUFS, 0, Rule::Flag),
    known(LEVEL, netlink::NETLINK_CAP_ACK, 0, Rule::Flag),
    known(LEVEL, netlink::NETLINK_EXT_ACK, 0, Rule::Flag),
    known(LEVEL, netlink::NETLINK_GET_STRICT_CHK, 0, Rule::Flag),
];

/// Numbers that sockets have.
static PORTS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// A netlink socket.
struct End {
    settings: Settings,
    state: Mutex<State>,
    changed: WaitQueue,
}

#[derive(Default)]
struct State {
    /// Its number, once it has one.
    port: Option<u32>,
    groups: u32,
    /// To whom it is connected: a number and groups.
    to: (u32, u32),
    messages: Messages<()>,
}

/// A new socket.
///
/// # Errors
///
/// ESOCKTNOSUPPORT, EPROTONOSUPPORT.
pub(super) fn create(kind: u32, protocol: u32) -> Result<Arc<dyn Protocol>> {
    if kind != net::SOCK_RAW && kind != net::SOCK_DGRAM {
        return Err(Errno::ESOCKTNOSUPPORT);
    }
    if protocol >= PROTOCOLS || protocol != netlink::NETLINK_ROUTE {
        return Err(Errno::EPROTONOSUPPORT);
    }
    let of = (net::AF_NETLINK, kind, protocol);
    Ok(Arc::new(End {
        settings: Settings::new(of, &[OPTIONS], (BUFFER, BUFFER)),
        state: Mutex::default(),
        changed: WaitQueue::new(),
    }))
}

/// Number and groups in an address.
fn parse(bytes: &[u8]) -> Result<(u32, u32)> {
    if bytes.len() < ADDRESS || family(bytes) != Some(net::AF_NETLINK) {
        return Err(Errno::EINVAL);
    }
    let word = |at: usize| {
        bytes[at..]
            .first_chunk()
            .copied()
            .map_or(0, u32::from_ne_bytes)
    };
    Ok((word(4), word(8)))
}

fn shown((port, groups): (u32, u32)) -> RawAddress {
    let family = net::AF_NETLINK.to_ne_bytes();
    [family, port.to_ne_bytes(), groups.to_ne_bytes()].concat()
}

impl End {
    /// Its number, which it gets if it has none: that of the process, if it is free.
    fn port(&self) -> Result<u32> {
        if let Some(port) = self.state.lock().port {
            return Ok(port);
        }
        let mut ports = PORTS.lock();
        let own = task::process().id();
        let mut wanted = [own].into_iter().chain((0..=FIRST_FREE).rev());
        let port = wanted
            .find(|port| !ports.contains(port))
            .ok_or(Errno::EADDRINUSE)?;
        ports.insert(port);
        self.state.lock().port = Some(port);
        Ok(port)
    }

    fn take(&self, port: u32) -> Result<()> {
        if !PORTS.lock().insert(port) {
            return Err(Errno::EADDRINUSE);
        }
        self.state.lock().port = Some(port);
        Ok(())
    }

    /// Queues a datagram for the program, or loses it where the program does not read.
    fn deliver(&self, data: Vec<u8>) {
        let mut state = self.state.lock();
        if !data.is_empty() && state.messages.used() < self.settings.receive_buffer() {
            state.messages.put(messages::Message { data, note: () });
        }
    }

    /// Answers all messages in some bytes.
    fn serve(&self, mut bytes: &[u8], port: u32) {
        while let Some((message, rest)) = Message::first(bytes) {
            bytes = rest;
            if !message.has(netlink::NLM_F_REQUEST)
                || u32::from(message.kind) < netlink::NLMSG_MIN_TYPE
            {
                self.acknowledge(&message, port, Ok(()));
                continue;
            }
            let mut answers = Answers::new(&message, port);
            let answered = route::answer(&message, &mut answers);
            self.deliver(answers.into_bytes());
            // A list has an end of its own, in place of an acknowledgement.
            if answered.is_ok() && message.has(netlink::NLM_F_DUMP) {
                let mut end = Answers::new(&message, port);
                end.begin(netlink::NLMSG_DONE, netlink::NLM_F_MULTI);
                end.add(&[0; 4]);
                self.deliver(end.into_bytes());
            } else {
                self.acknowledge(&message, port, answered);
            }
        }
    }

    /// Says how a message went, if that was asked for or it went wrong.
    fn acknowledge(&self, message: &Message<'_>, port: u32, answered: Result<()>) {
        if answered.is_ok() && !message.has(netlink::NLM_F_ACK) {
            return;
        }
        let errno = answered.err().map_or(0, |errno| -i32::from(errno.number()));
        let capped = self.settings.number(LEVEL, netlink::NETLINK_CAP_ACK) != 0;
        let whole = errno != 0 && !capped;
        let mut answers = Answers::new(message, port);
        let flags = if whole { 0 } else { netlink::NLM_F_CAPPED };
        answers.begin(netlink::NLMSG_ERROR, flags);
        answers.add(&errno.to_ne_bytes());
        let told = if whole {
            message.bytes
        } else {
            &message.bytes[..message::HEADER]
        };
        answers.add(told);
        self.deliver(answers.into_bytes());
    }
}

impl Protocol for End {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn bind(&self, address: &[u8]) -> Result<()> {
        let (port, groups) = parse(address)?;
        let bound = self.state.lock().port;
        match bound {
            Some(bound) if bound != port => return Err(Errno::EINVAL),
            Some(_) => {}
            None if port == 0 => {
                self.port()?;
            }
            None => self.take(port)?,
        }
        self.state.lock().groups = groups;
        Ok(())
    }

    fn connect(&self, address: &[u8], _: bool) -> Result<()> {
        if family(address) == Some(net::AF_UNSPEC) {
            self.state.lock().to = (0, 0);
            return Ok(());
        }
        let to = parse(address)?;
        self.port()?;
        self.state.lock().to = to;
        Ok(())
    }

    fn name(&self) -> RawAddress {
        let state = self.state.lock();
        shown((state.port.unwrap_or(0), state.groups))
    }

    fn peer(&self) -> Result<RawAddress> {
        Ok(shown(self.state.lock().to))
    }

    fn send(&self, source: &mut Source<'_>, outgoing: &mut Outgoing) -> Result<usize> {
        if outgoing.has(net::MSG_OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        if source.remaining() == 0 {
            return Err(Errno::ENODATA);
        }
        let (to, _) = match &outgoing.to {
            Some(bytes) => parse(bytes)?,
            None => self.state.lock().to,
        };
        let port = self.port()?;
        if source.remaining() > self.settings.send_buffer() - RESERVED {
            return Err(Errno::EMSGSIZE);
        }
        if to != 0 {
            return Err(Errno::ECONNREFUSED);
        }
        let data = source.read_all()?;
        self.serve(&data, port);
        self.changed.wake_all();
        Ok(data.len())
    }

    fn receive(&self, sink: &mut Sink<'_>, flags: u32) -> Result<Received> {
        if flags & net::MSG_OOB != 0 {
            return Err(Errno::EOPNOTSUPP);
        }
        let from_kernel = |received: &mut Received| received.from = Some(shown((0, 0)));
        let received = self.state.lock().messages.receive(
            sink,
            flags,
            |(), received| from_kernel(received),
            |(), received| from_kernel(received),
        )?;
        received.ok_or(Errno::EAGAIN)
    }

    fn shutdown(&self, _: Shut) -> Result<()> {
        Err(Errno::EOPNOTSUPP)
    }

    fn poll(&self) -> Events {
        let mut events = Events::WRITE;
        events.set(Events::READ, !self.state.lock().messages.is_empty());
        events
    }

    fn queue(&self) -> &WaitQueue {
        &self.changed
    }

    fn unread(&self) -> Result<usize> {
        Err(Errno::ENOTTY)
    }

    fn unsent(&self) -> Result<usize> {
        Err(Errno::ENOTTY)
    }

    fn take_error(&self) -> Option<Errno> {
        None
    }

    /// Groups can be joined, and nothing is sent to them.
    fn set_option(&self, level: u32, name: u32, value: &[u8]) -> Result<bool> {
        let joins = name == netlink::NETLINK_ADD_MEMBERSHIP;
        if level != LEVEL || !joins && name != netlink::NETLINK_DROP_MEMBERSHIP {
            return Ok(false);
        }
        let group = settings::number(value)?;
        if !(1..=GROUPS).contains(&group) {
            return Err(Errno::EINVAL);
        }
        let bit = 1_u32.checked_shl(group as u32 - 1).unwrap_or(0);
        let mut state = self.state.lock();
        if joins {
            state.groups |= bit;
        } else {
            state.groups &= !bit;
        }
        Ok(true)
    }

    fn notice(&self, data: Vec<u8>) {
        self.deliver(data);
        self.changed.wake_all();
    }

    fn close(&self) {
        if let Some(port) = self.state.lock().port.take() {
            PORTS.lock().remove(&port);
        }
    }

    fn line(&self, _: u64) -> Line {
        Line::None
    }
}
