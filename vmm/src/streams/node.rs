//! What the node orders about connections, and what it is told.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use unicell_guest_abi::message::{Endpoint, STREAMS_MAX, transport};

use super::socket::Socket;
use super::stream::{Stage, Stream};
use super::{FRAMES_MAX, Streams, errno_of};
use crate::link::{Message, Order, Transport};

impl Streams {
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
