//! A socket of UDP or UDP-Lite.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use linux_raw_sys::net;

use super::super::option::{self, About, OF_UDP, OF_UDP_LITE, OF_V4, OF_V6};
use super::super::port::Ports;
use super::super::{UDP, address, bindable};
use super::flow::Flows;
use crate::errno::{Errno, Result};
use crate::fs::Events;
use crate::io::{Sink, Source};
use crate::net::messages::{Message, Messages};
use crate::net::settings::Settings;
use crate::net::table::Line;
use crate::net::{Control, Outgoing, Protocol, RawAddress, Received, Shut, family, outside};
use crate::sync::Mutex;
use crate::task::WaitQueue;

/// Bytes of a datagram, at most: those of a packet without its headers.
const DATA_MAX_V4: usize = 65_507;
const DATA_MAX_V6: usize = 65_527;
/// Bytes of the buffers before they are set (`net.core.wmem_default`, `rmem_default`).
const BUFFER: i32 = 212_992;
/// TCP_CLOSE and TCP_ESTABLISHED, which `/proc/net/udp` shows.
const UNCONNECTED: u8 = 7;
const CONNECTED: u8 = 1;

/// How far a datagram goes unless told otherwise (`net.ipv4.ip_default_ttl`).
const HOPS: i32 = 64;

pub(super) static PORTS: Ports<End> = Ports::new();
static LITE_PORTS: Ports<End> = Ports::new();

/// A UDP socket.
pub struct End {
    pub(super) me: Weak<Self>,
    settings: Settings,
    pub(super) state: Mutex<State>,
    pub(super) changed: WaitQueue,
}

pub(super) struct State {
    local: SocketAddr,
    /// Whether the local address was asked for, and stays.
    named: bool,
    pub(super) remote: Option<SocketAddr>,
    messages: Messages<Note>,
    pub(super) error: Option<Errno>,
    shut: Shut,
    /// Exchanges with the outside.
    pub(super) flows: Flows,
    /// The program was told that there is no room to send.
    pub(super) starved: bool,
}

/// What accompanies a datagram.
#[derive(Clone, Copy)]
struct Note {
    from: SocketAddr,
    to: IpAddr,
    hops: i32,
    class: i32,
}

/// A number in a control message, from `least` to 255.
fn byte(data: &[u8], least: i32) -> Result<i32> {
    let data = <&[u8; 4]>::try_from(data).map_err(|_| Errno::EINVAL)?;
    let number = i32::from_ne_bytes(*data);
    if (least..=255).contains(&number) {
        Ok(number)
    } else {
        Err(Errno::EINVAL)
    }
}

impl End {
    /// An end of a family (AF_*), of UDP or UDP-Lite (IPPROTO_*).
    #[must_use]
    pub fn new(of: u32, protocol: u32) -> Arc<Self> {
        let known: &[&[_]] = match (of, protocol) {
            (net::AF_INET6, UDP) => &[OF_UDP, OF_V4, OF_V6],
            (net::AF_INET6, _) => &[OF_UDP_LITE, OF_V4, OF_V6],
            (_, UDP) => &[OF_UDP, OF_V4],
            _ => &[OF_UDP_LITE, OF_V4],
        };
        let state = State {
            local: SocketAddr::new(address::any(of), 0),
            named: false,
            remote: None,
            messages: Messages::default(),
            error: None,
            shut: Shut::empty(),
            flows: Flows::default(),
            starved: false,
        };
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            settings: Settings::new((of, net::SOCK_DGRAM, protocol), known, (BUFFER, BUFFER)),
            state: Mutex::new(state),
            changed: WaitQueue::new(),
        })
    }

    fn ports(&self) -> &'static Ports<Self> {
        if self.settings.protocol == UDP {
            &PORTS
        } else {
            &LITE_PORTS
        }
    }

    fn is_v6(&self) -> bool {
        self.settings.family == net::AF_INET6
    }

    fn parse(&self, bytes: &[u8]) -> Result<SocketAddr> {
        let v6_only = self.settings.number(net::SOL_IPV6, net::IPV6_V6ONLY) != 0;
        address::parse_destination(self.settings.family, v6_only, bytes)
    }

    /// The port, which it gets if it has none.
    fn bound(&self) -> Result<SocketAddr> {
        let local = self.state.lock().local;
        if local.port() != 0 {
            return Ok(local);
        }
        let port = PORTS
            .claim(&self.me, &self.settings, local)
            .map_err(|_| Errno::EAGAIN)?;
        let mut state = self.state.lock();
        state.local.set_port(port);
        Ok(state.local)
    }

    fn check_destination(&self, to: SocketAddr) -> Result<()> {
        // Where loopback is the only network, so is its broadcast address; the
        // general one is merely unreachable.
        let broadcast = to.ip() == IpAddr::V4(Ipv4Addr::new(127, 255, 255, 255));
        if broadcast && !self.settings.has(net::SO_BROADCAST) {
            return Err(Errno::EACCES);
        }
        Ok(())
    }

    /// The notes that were asked for.
    fn tell(&self, note: &Note, received: &mut Received) {
        received.from = Some(address::shown(self.settings.family, note.from));
        let mut tell = |level, asked, kind, data: Vec<u8>| {
            if self.settings.number(level, asked) != 0 {
                received.control.push(Control { level, kind, data });
            }
        };
        let index = if note.to.is_loopback() {
            option::LOOPBACK
        } else {
            option::OUTSIDE
        };
        let index = index.to_ne_bytes();
        let number = |number: i32| number.to_ne_bytes().to_vec();
        if let IpAddr::V4(to) = note.to {
            let octets = to.octets();
            let info = [index, octets, octets].concat();
            tell(net::SOL_IP, net::IP_PKTINFO, net::IP_PKTINFO, info);
            tell(net::SOL_IP, net::IP_RECVTTL, net::IP_TTL, number(note.hops));
            tell(
                net::SOL_IP,
                net::IP_RECVTOS,
                net::IP_TOS,
                [note.class as u8].to_vec(),
            );
        }
        if self.is_v6() {
            let ip = match note.to {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            let info = [&ip.octets()[..], &index].concat();
            tell(
                net::SOL_IPV6,
                net::IPV6_RECVPKTINFO,
                net::IPV6_PKTINFO,
                info,
            );
            let hops = number(note.hops);
            tell(
                net::SOL_IPV6,
                net::IPV6_RECVHOPLIMIT,
                net::IPV6_HOPLIMIT,
                hops,
            );
            tell(
                net::SOL_IPV6,
                net::IPV6_RECVTCLASS,
                net::IPV6_TCLASS,
                number(note.class),
            );
        }
    }

    fn note(&self, from: SocketAddr, to: SocketAddr, control: &[Control]) -> Result<Note> {
        let (mut hops, mut class) = match to.ip() {
            IpAddr::V4(_) => (
                self.settings.number(net::SOL_IP, net::IP_TTL),
                self.settings.number(net::SOL_IP, net::IP_TOS),
            ),
            IpAddr::V6(_) => (
                self.settings.number(net::SOL_IPV6, net::IPV6_UNICAST_HOPS),
                self.settings.number(net::SOL_IPV6, net::IPV6_TCLASS),
            ),
        };
        // What a message asks for goes before what the socket is set to.
        for asked in control {
            match (asked.level, asked.kind) {
                (net::SOL_IP, net::IP_TTL) => hops = byte(&asked.data, 1)?,
                (net::SOL_IPV6, net::IPV6_HOPLIMIT) => hops = byte(&asked.data, -1)?,
                (net::SOL_IP, net::IP_TOS) if asked.data.len() == 1 => {
                    class = asked.data[0].into();
                }
                (net::SOL_IP, net::IP_TOS) => class = byte(&asked.data, 0)?,
                (net::SOL_IPV6, net::IPV6_TCLASS) => class = byte(&asked.data, -1)?,
                // On the only interface there is, all is said with the destination.
                (net::SOL_IP, net::IP_PKTINFO) | (net::SOL_IPV6, net::IPV6_PKTINFO) => {}
                (net::SOL_IP | net::SOL_IPV6, _) => return Err(Errno::EINVAL),
                _ => {}
            }
        }
        Ok(Note {
            from,
            to: to.ip(),
            hops: if hops < 0 { HOPS } else { hops },
            class: class.max(0),
        })
    }

    /// How well this end is meant by something that comes from an address.
    pub(super) fn score(&self, from: SocketAddr) -> Option<u32> {
        match self.state.lock().remote {
            None => Some(0),
            Some(remote) if remote == from => Some(1),
            Some(_) => None,
        }
    }

    /// Takes a datagram, or loses it if there is no room.
    fn arrive(&self, data: Vec<u8>, note: Note) {
        {
            let mut state = self.state.lock();
            if state.messages.used() >= self.settings.receive_buffer() {
                return;
            }
            state.messages.put(Message { data, note });
        }
        self.changed.wake_all();
    }

    /// Takes a datagram that comes from outside.
    pub(super) fn arrive_from_outside(&self, from: SocketAddr, data: &[u8]) {
        let note = Note {
            from,
            to: address::own(from.ip()),
            hops: HOPS,
            class: 0,
        };
        self.arrive(data.to_vec(), note);
    }

    fn about(&self) -> About {
        let state = self.state.lock();
        About {
            bound: state.local.port() != 0,
            connected: state.remote.is_some(),
            state: if state.remote.is_some() {
                CONNECTED
            } else {
                UNCONNECTED
            },
        }
    }

    fn disconnect(&self) {
        let mut state = self.state.lock();
        state.remote = None;
        if !state.named {
            let port = state.local.port();
            state.local = SocketAddr::new(address::any(self.settings.family), 0);
            drop(state);
            self.ports().release(&self.me, port);
        }
    }
}

impl Protocol for End {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    fn bind(&self, bytes: &[u8]) -> Result<()> {
        let mut local = bindable(&self.settings, bytes)?;
        if self.state.lock().local.port() != 0 {
            return Err(Errno::EINVAL);
        }
        local.set_port(self.ports().claim(&self.me, &self.settings, local)?);
        let mut state = self.state.lock();
        (state.local, state.named) = (local, true);
        Ok(())
    }

    fn connect(&self, bytes: &[u8], _: bool) -> Result<()> {
        if family(bytes) == Some(net::AF_UNSPEC) {
            self.disconnect();
            return Ok(());
        }
        let to = self.parse(bytes)?;
        self.check_destination(to)?;
        let mut local = self.bound()?;
        if !address::is_inside(to.ip()) {
            outside::check(false, local.port(), to)?;
        }
        if local.ip().is_unspecified() {
            local.set_ip(address::own(to.ip()));
            self.ports().move_to(&self.me, local);
        }
        let mut state = self.state.lock();
        (state.local, state.remote) = (local, Some(to));
        Ok(())
    }

    fn name(&self) -> RawAddress {
        address::shown(self.settings.family, self.state.lock().local)
    }

    fn peer(&self) -> Result<RawAddress> {
        let remote = self.state.lock().remote.ok_or(Errno::ENOTCONN)?;
        Ok(address::shown(self.settings.family, remote))
    }

    fn send(&self, source: &mut Source<'_>, outgoing: &mut Outgoing) -> Result<usize> {
        let most = if self.is_v6() {
            DATA_MAX_V6
        } else {
            DATA_MAX_V4
        };
        if source.remaining() > most {
            return Err(Errno::EMSGSIZE);
        }
        if outgoing.has(net::MSG_OOB) {
            return Err(Errno::EOPNOTSUPP);
        }
        let (remote, shut) = {
            let mut state = self.state.lock();
            if let Some(errno) = state.error.take() {
                return Err(errno);
            }
            (state.remote, state.shut)
        };
        let to = match &outgoing.to {
            Some(bytes) => self.parse(bytes)?,
            None => remote.ok_or(Errno::EDESTADDRREQ)?,
        };
        if to.port() == 0 {
            return Err(Errno::EINVAL);
        }
        if shut.contains(Shut::SEND) {
            return Err(Errno::EPIPE);
        }
        self.check_destination(to)?;
        let mut from = self.bound()?;
        if from.ip().is_unspecified() {
            from.set_ip(address::own(to.ip()));
        }
        let note = self.note(from, to, &outgoing.control)?;
        if !address::is_inside(to.ip()) {
            return self.send_outside(from.port(), to, source);
        }
        let data = source.read_all()?;
        let len = data.len();
        match self.ports().find(to, |end| end.score(from)) {
            Some(end) => end.arrive(data, note),
            // Nobody is there: a connected socket is told so, later.
            None if remote.is_some() => {
                self.state.lock().error = Some(Errno::ECONNREFUSED);
                self.changed.wake_all();
            }
            None => {}
        }
        Ok(len)
    }

    fn receive(&self, sink: &mut Sink<'_>, flags: u32) -> Result<Received> {
        if flags & net::MSG_ERRQUEUE != 0 {
            return Err(Errno::EAGAIN);
        }
        let mut state = self.state.lock();
        if let Some(errno) = state.error.take() {
            return Err(errno);
        }
        let received = state.messages.receive(
            sink,
            flags,
            |note, received| self.tell(note, received),
            |note, received| self.tell(&note, received),
        )?;
        match received {
            Some(received) => Ok(received),
            None if state.shut.contains(Shut::RECEIVE) => Ok(Received::default()),
            None => Err(Errno::EAGAIN),
        }
    }

    fn shutdown(&self, how: Shut) -> Result<()> {
        let connected = {
            let mut state = self.state.lock();
            state.shut |= how;
            state.remote.is_some()
        };
        self.changed.wake_all();
        if connected {
            Ok(())
        } else {
            Err(Errno::ENOTCONN)
        }
    }

    fn poll(&self) -> Events {
        let state = self.state.lock();
        let mut events = Events::empty();
        events.set(Events::WRITE, !state.starved);
        let ended = state.shut.contains(Shut::RECEIVE);
        events.set(Events::READ, ended || !state.messages.is_empty());
        events.set(Events::RDHUP, ended);
        events.set(Events::HUP, state.shut == Shut::all());
        events.set(Events::ERR, state.error.is_some());
        events
    }

    fn queue(&self) -> &WaitQueue {
        &self.changed
    }

    fn unread(&self) -> Result<usize> {
        Ok(self.state.lock().messages.first_len())
    }

    fn unsent(&self) -> Result<usize> {
        Ok(0)
    }

    fn take_error(&self) -> Option<Errno> {
        self.state.lock().error.take()
    }

    fn option(&self, level: u32, name: u32) -> Result<Vec<u8>> {
        option::get(&self.settings, &self.about(), level, name)
    }

    fn set_option(&self, level: u32, name: u32, value: &[u8]) -> Result<bool> {
        option::set(&self.settings, &self.about(), level, name, value)
    }

    fn close(&self) {
        let (port, messages, flows) = {
            let mut state = self.state.lock();
            let messages = core::mem::take(&mut state.messages);
            (
                state.local.port(),
                messages,
                core::mem::take(&mut state.flows),
            )
        };
        drop(messages);
        flows.end();
        self.ports().release(&self.me, port);
    }

    fn line(&self, inode: u64) -> Line {
        let state = self.state.lock();
        let none = SocketAddr::new(address::any(self.settings.family), 0);
        Line::Inet {
            v6: self.is_v6(),
            udp: true,
            local: state.local,
            remote: state.remote.unwrap_or(none),
            state: if state.remote.is_some() {
                CONNECTED
            } else {
                UNCONNECTED
            },
            unsent: 0,
            unread: state.messages.used(),
            inode,
        }
    }
}
