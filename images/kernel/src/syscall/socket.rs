//! Sockets: making, naming, connecting, options. What is sent and received is in [`super::message`].

use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;
use linux_raw_sys::net;

use super::lookup::{install, usable_file};
use super::{Address, Answer, Fd};
use crate::errno::{Errno, Result};
use crate::fs::OpenFile;
use crate::memory::user;
use crate::net::{ADDRESS_MAX, RawAddress, Shut, Socket, create, pair};
use crate::task;

/// Connections that may wait to be accepted, at most (`net.core.somaxconn`).
const BACKLOG_MAX: u32 = 4096;
/// Bytes of an option's value that are looked at.
const OPTION_MAX: usize = 256;
/// Bits of a type that are flags.
const FLAGS: u32 = linux::O_CLOEXEC | linux::O_NONBLOCK;
const KIND: u32 = 0xf;

/// The open file and socket behind a descriptor.
pub(super) struct Open(Arc<OpenFile>);

impl Open {
    /// The socket of a descriptor.
    pub(super) fn get(fd: Fd) -> Result<Self> {
        let file = usable_file(fd)?;
        if file.downcast::<Socket>().is_none() {
            return Err(Errno::ENOTSOCK);
        }
        Ok(Self(file))
    }

    /// The open file.
    pub(super) fn file(&self) -> &OpenFile {
        &self.0
    }

    /// The socket.
    pub(super) fn socket(&self) -> &Socket {
        let Some(socket) = self.0.downcast() else {
            unreachable!("looked at when it was made")
        };
        socket
    }

    /// Does something as soon as it can be done, within the time that the socket has for it.
    pub(super) fn attempt<T>(
        &self,
        nonblocking: bool,
        sends: bool,
        operation: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        let patience = self.socket().protocol().settings().patience(sends);
        let nonblocking = nonblocking || self.0.is_nonblocking();
        self.0.attempt_within(nonblocking, patience, operation)
    }
}

/// Splits what socket(2) takes as a type into type and flags.
fn kind_and_flags(kind: u32) -> Result<(u32, u32)> {
    let (kind, flags) = (kind & KIND, kind & !KIND);
    if flags & !FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    Ok((kind, flags))
}

fn put(socket: Arc<Socket>, flags: u32) -> Answer {
    let status = linux::O_RDWR | flags & linux::O_NONBLOCK;
    install(
        OpenFile::new(socket, status, None),
        flags & linux::O_CLOEXEC != 0,
    )
}

/// socket(2).
pub fn socket(family: u32, kind: u32, protocol: u32) -> Answer {
    let (kind, flags) = kind_and_flags(kind)?;
    put(create(family, kind, protocol)?, flags)
}

/// socketpair(2).
pub fn socketpair(family: u32, kind: u32, protocol: u32, into: Address) -> Answer {
    let (kind, flags) = kind_and_flags(kind)?;
    let [one, other] = pair(family, kind, protocol)?;
    let files = task::process().files();
    let one = put(one, flags)? as u32;
    let both = put(other, flags).and_then(|other| {
        let other = other as u32;
        user::write(into.0, &[one, other]).inspect_err(|_| {
            let _ = files.close(other as i32);
        })
    });
    if let Err(errno) = both {
        files.close(one as i32)?;
        return Err(errno);
    }
    Ok(0)
}

/// An address that the program gives.
pub(super) fn read_address(from: Address, len: i32) -> Result<RawAddress> {
    let len = usize::try_from(len)
        .ok()
        .filter(|len| *len <= ADDRESS_MAX)
        .ok_or(Errno::EINVAL)?;
    let mut bytes = vec![0; len];
    user::copy_in(from.0, &mut bytes)?;
    Ok(bytes)
}

/// Tells the program an address, cut to the room that it has, and how long it is.
pub(super) fn tell_address(address: &[u8], into: Address, len: Address) -> Result<()> {
    let room: i32 = user::read(len.0)?;
    let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
    user::copy_out(into.0, &address[..address.len().min(room)])?;
    user::write(len.0, &(address.len() as u32))
}

/// bind(2).
pub fn bind(fd: Fd, address: Address, len: i32) -> Answer {
    let open = Open::get(fd)?;
    let address = read_address(address, len)?;
    open.socket().protocol().bind(&address)?;
    Ok(0)
}

/// listen(2).
pub fn listen(fd: Fd, backlog: u32) -> Answer {
    let open = Open::get(fd)?;
    let backlog = backlog.min(BACKLOG_MAX) as usize;
    open.socket().protocol().listen(backlog)?;
    Ok(0)
}

/// accept4(2).
pub fn accept4(fd: Fd, address: Address, len: Address, flags: u32) -> Answer {
    if flags & !FLAGS != 0 {
        return Err(Errno::EINVAL);
    }
    let open = Open::get(fd)?;
    let protocol = open.socket().protocol();
    let accepted = Socket::new(open.attempt(false, false, || protocol.accept())?);
    if !address.is_null() {
        // Whoever has gone already has no name any more, and the connection is none.
        let peer = accepted.protocol().accepted_from();
        tell_address(&peer.map_err(|_| Errno::ECONNABORTED)?, address, len)?;
    }
    put(accepted, flags)
}

/// accept(2).
pub fn accept(fd: Fd, address: Address, len: Address) -> Answer {
    accept4(fd, address, len, 0)
}

/// connect(2).
pub fn connect(fd: Fd, address: Address, len: i32) -> Answer {
    let open = Open::get(fd)?;
    let address = read_address(address, len)?;
    let protocol = open.socket().protocol();
    let nonblocking = open.file().is_nonblocking();
    let connected = open.attempt(false, true, || protocol.connect(&address, nonblocking));
    match connected {
        // The time for it is over, and it goes on.
        Err(Errno::EAGAIN) if protocol.settings().family != net::AF_UNIX => Err(Errno::EINPROGRESS),
        connected => connected.map(|()| 0),
    }
}

/// getsockname(2).
pub fn getsockname(fd: Fd, address: Address, len: Address) -> Answer {
    let open = Open::get(fd)?;
    tell_address(&open.socket().protocol().name(), address, len)?;
    Ok(0)
}

/// getpeername(2).
pub fn getpeername(fd: Fd, address: Address, len: Address) -> Answer {
    let open = Open::get(fd)?;
    tell_address(&open.socket().protocol().peer()?, address, len)?;
    Ok(0)
}

/// shutdown(2).
pub fn shutdown(fd: Fd, how: u32) -> Answer {
    let open = Open::get(fd)?;
    let how = match how {
        net::SHUT_RD => Shut::RECEIVE,
        net::SHUT_WR => Shut::SEND,
        net::SHUT_RDWR => Shut::all(),
        _ => return Err(Errno::EINVAL),
    };
    open.socket().protocol().shutdown(how)?;
    Ok(0)
}

/// The value of an option.
fn option(socket: &Socket, level: u32, name: u32) -> Result<Vec<u8>> {
    let protocol = socket.protocol();
    let number = |number: u32| Ok(number.to_ne_bytes().to_vec());
    match (level, name) {
        (net::SOL_SOCKET, net::SO_ERROR) => {
            let error = protocol.take_error().map_or(0, Errno::number);
            number(error.into())
        }
        (net::SOL_SOCKET, net::SO_ACCEPTCONN) => number(protocol.is_listening().into()),
        (net::SOL_SOCKET, net::SO_COOKIE) => Ok(socket.number().to_ne_bytes().to_vec()),
        (net::SOL_SOCKET, net::SO_PEERNAME) => protocol.peer(),
        (net::SOL_SOCKET, net::SO_PEERCRED) => protocol
            .option(level, name)
            .or_else(|_| Ok(crate::net::SenderCredentials::NOBODY.to_bytes())),
        _ => match protocol.settings().get(level, name) {
            Err(Errno::ENOPROTOOPT) => protocol.option(level, name),
            known => known,
        },
    }
}

/// getsockopt(2).
pub fn getsockopt(fd: Fd, level: u32, name: u32, value: Address, len: Address) -> Answer {
    let open = Open::get(fd)?;
    let room: i32 = user::read(len.0)?;
    let room = usize::try_from(room).map_err(|_| Errno::EINVAL)?;
    let told = option(open.socket(), level, name)?;
    let told = &told[..told.len().min(room)];
    user::copy_out(value.0, told)?;
    user::write(len.0, &(told.len() as u32))?;
    Ok(0)
}

/// setsockopt(2).
pub fn setsockopt(fd: Fd, level: u32, name: u32, value: Address, len: i32) -> Answer {
    let len = usize::try_from(len).map_err(|_| Errno::EINVAL)?;
    let open = Open::get(fd)?;
    let mut bytes = vec![0; len.min(OPTION_MAX)];
    user::copy_in(value.0, &mut bytes)?;
    let protocol = open.socket().protocol();
    if !protocol.set_option(level, name, &bytes)? {
        protocol.settings().set(level, name, &bytes)?;
    }
    Ok(0)
}
