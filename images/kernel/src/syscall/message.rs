//! Sending and receiving on sockets, with and without control messages (cmsg(3)).

use alloc::vec::Vec;

use linux_raw_sys::general as linux;
use linux_raw_sys::net;

use super::file::{MOVED_MAX, pieces};
use super::lookup::{file, install};
use super::socket::{Open, read_address, tell_address};
use super::time::deadline_after;
use super::{Address, Answer, Fd};
use crate::errno::{Errno, Result};
use crate::io::{Sink, Source};
use crate::memory::user;
use crate::net::{Control, Outgoing, RIGHTS_MAX, Received, Rights, SenderCredentials};
use crate::task;
use crate::time;

/// Where the last two fields of `struct msghdr` are.
const CONTROL_LEN: u64 = 40;
const FLAGS: u64 = 48;
/// Bytes of `struct mmsghdr`, and where its length is.
const MANY: u64 = 64;
const MANY_LEN: u64 = 56;
/// Messages of one call, at most.
const MANY_MAX: u32 = 1024;
/// Bytes of `struct cmsghdr`.
const CONTROL_HEADER: usize = 16;
/// Bytes of control messages that are read, at most (`net.core.optmem_max`).
const CONTROL_MAX: usize = 128 << 10;

/// Stop waiting after the first message (`recvmmsg`).
const MSG_WAITFORONE: u32 = 0x1_0000;

/// A `struct msghdr`.
struct Header {
    name: Address,
    name_len: i32,
    pieces: (Address, usize),
    control: Address,
    control_len: usize,
}

impl Header {
    fn read(at: Address) -> Result<Self> {
        let [name, name_len, list, count, control, control_len, _]: [u64; 7] = user::read(at.0)?;
        Ok(Self {
            name: Address(name),
            name_len: name_len as i32,
            pieces: (
                Address(list),
                usize::try_from(count).map_err(|_| Errno::EMSGSIZE)?,
            ),
            control: Address(control),
            control_len: usize::try_from(control_len).map_err(|_| Errno::ENOBUFS)?,
        })
    }

    fn pieces(&self) -> Result<Vec<crate::io::Piece>> {
        let (list, count) = self.pieces;
        pieces(list, count).map_err(|errno| match errno {
            Errno::EINVAL if count > linux_raw_sys::general::UIO_MAXIOV as usize => Errno::EMSGSIZE,
            errno => errno,
        })
    }
}

/// Bytes that a control message with so many of data takes among others.
fn space(len: usize) -> usize {
    CONTROL_HEADER + len.next_multiple_of(8)
}

/// Sends all of the source that can be sent.
fn send(open: &Open, source: &mut Source<'_>, outgoing: &mut Outgoing) -> Answer {
    let protocol = open.socket().protocol();
    let nonblocking = outgoing.has(net::MSG_DONTWAIT);
    let is_stream = protocol.settings().kind == net::SOCK_STREAM;
    let mut sent = 0;
    loop {
        match open.attempt(nonblocking, true, || protocol.send(source, outgoing)) {
            Ok(part) => sent += part,
            Err(_) if sent > 0 => break,
            Err(errno) => {
                if errno == Errno::EPIPE && is_stream && !outgoing.has(net::MSG_NOSIGNAL) {
                    task::raise_sigpipe();
                }
                return Err(errno);
            }
        }
        if !is_stream || source.remaining() == 0 {
            break;
        }
    }
    Ok(sent as u64)
}

/// Receives into the sink: once, or with MSG_WAITALL until it is full.
fn receive(open: &Open, sink: &mut Sink<'_>, flags: u32) -> Result<Received> {
    let protocol = open.socket().protocol();
    let nonblocking = flags & net::MSG_DONTWAIT != 0;
    let mut received = open.attempt(nonblocking, false, || protocol.receive(sink, flags))?;
    let again = protocol.settings().kind == net::SOCK_STREAM
        && flags & net::MSG_WAITALL != 0
        && flags & net::MSG_PEEK == 0;
    while again && sink.remaining() > 0 && received.rights.is_empty() {
        match open.attempt(nonblocking, false, || protocol.receive(sink, flags)) {
            Ok(more) if more.bytes > 0 => {
                received.bytes += more.bytes;
                received.whole += more.whole;
                received.rights = more.rights;
            }
            _ => break,
        }
    }
    Ok(received)
}

/// Bytes that a call answers: with MSG_TRUNC all that a message had.
fn answer(received: &Received, flags: u32) -> u64 {
    if flags & net::MSG_TRUNC != 0 {
        received.whole as u64
    } else {
        received.bytes as u64
    }
}

/// sendto(2).
pub fn sendto(fd: Fd, buffer: Address, len: usize, flags: u32, to: Address, to_len: i32) -> Answer {
    let open = Open::get(fd)?;
    let to = match to.is_null() {
        true => None,
        false => Some(read_address(to, to_len)?),
    };
    let mut outgoing = Outgoing {
        to: to.filter(|to| !to.is_empty()),
        flags,
        ..Outgoing::default()
    };
    send(
        &open,
        &mut Source::user(buffer.0, len.min(MOVED_MAX)),
        &mut outgoing,
    )
}

/// recvfrom(2).
pub fn recvfrom(
    fd: Fd,
    buffer: Address,
    len: usize,
    flags: u32,
    from: Address,
    from_len: Address,
) -> Answer {
    let open = Open::get(fd)?;
    let mut sink = Sink::user(buffer.0, len.min(MOVED_MAX));
    let received = receive(&open, &mut sink, flags)?;
    if !from.is_null() {
        tell_address(received.from.as_deref().unwrap_or_default(), from, from_len)?;
    }
    Ok(answer(&received, flags))
}

/// What the control messages of a message to be sent ask for.
fn read_control(header: &Header, outgoing: &mut Outgoing) -> Result<()> {
    if header.control_len > CONTROL_MAX {
        return Err(Errno::ENOBUFS);
    }
    let mut bytes = alloc::vec![0; header.control_len];
    user::copy_in(header.control.0, &mut bytes)?;
    let mut rest = &bytes[..];
    let word = |at: &[u8]| u32::from_ne_bytes([at[0], at[1], at[2], at[3]]);
    let mut files = Vec::new();
    while let Some(head) = rest.first_chunk::<CONTROL_HEADER>() {
        let len = word(head) as usize;
        let data = rest.get(CONTROL_HEADER..len).ok_or(Errno::EINVAL)?;
        match (word(&head[8..]), word(&head[12..])) {
            (net::SOL_SOCKET, net::SCM_RIGHTS) => {
                for fd in data.as_chunks::<4>().0 {
                    files.push(file(Fd(i32::from_ne_bytes(*fd)))?);
                }
                if files.len() > RIGHTS_MAX {
                    return Err(Errno::EINVAL);
                }
            }
            (net::SOL_SOCKET, net::SCM_CREDENTIALS) => {
                let data = <&[u8; 12]>::try_from(data).map_err(|_| Errno::EINVAL)?;
                outgoing.credentials = Some(claimed(SenderCredentials {
                    pid: word(data),
                    uid: word(&data[4..]),
                    gid: word(&data[8..]),
                })?);
            }
            (net::SOL_SOCKET, _) => return Err(Errno::EINVAL),
            (level, kind) => outgoing.control.push(Control {
                level,
                kind,
                data: data.to_vec(),
            }),
        }
        rest = rest.get(space(len - CONTROL_HEADER)..).unwrap_or_default();
    }
    if !files.is_empty() {
        outgoing.rights = Some(Rights::new(files)?);
    }
    Ok(())
}

/// Checks who a sender says that it is: the superuser may say what it likes.
fn claimed(who: SenderCredentials) -> Result<SenderCredentials> {
    let process = task::process();
    let own = process.credentials();
    let own_user = [own.uid, own.euid, own.suid].contains(&who.uid);
    let own_group = [own.gid, own.egid, own.sgid].contains(&who.gid);
    let may_say = (who.pid == process.id() || own.can(linux::CAP_SYS_ADMIN))
        && (own_user || own.can(linux::CAP_SETUID))
        && (own_group || own.can(linux::CAP_SETGID));
    if !may_say {
        return Err(Errno::EPERM);
    }
    if task::numbers::by_id(who.pid).is_none() {
        return Err(Errno::ESRCH);
    }
    Ok(who)
}

fn send_message(open: &Open, at: Address, flags: u32) -> Answer {
    let header = Header::read(at)?;
    let mut outgoing = Outgoing {
        flags,
        ..Outgoing::default()
    };
    if !header.name.is_null() && header.name_len != 0 {
        let len = match header.name_len {
            ..0 => return Err(Errno::EINVAL),
            len => len.min(crate::net::ADDRESS_MAX as i32),
        };
        outgoing.to = Some(read_address(header.name, len)?);
    }
    let mut source = Source::pieces(header.pieces()?);
    if header.control_len > 0 {
        read_control(&header, &mut outgoing)?;
    }
    send(open, &mut source, &mut outgoing)
}

/// sendmsg(2).
pub fn sendmsg(fd: Fd, header: Address, flags: u32) -> Answer {
    send_message(&Open::get(fd)?, header, flags)
}

/// sendmmsg(2).
pub fn sendmmsg(fd: Fd, headers: Address, count: u32, flags: u32) -> Answer {
    let open = Open::get(fd)?;
    let mut sent = 0;
    while sent < u64::from(count.min(MANY_MAX)) {
        let at = headers.0.wrapping_add(sent * MANY);
        let told = send_message(&open, Address(at), flags)
            .and_then(|len| user::write(at.wrapping_add(MANY_LEN), &(len as u32)));
        match told {
            Ok(()) => sent += 1,
            Err(_) if sent > 0 => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(sent)
}

/// Where control messages are put, one after the other.
struct ControlRoom {
    at: u64,
    left: usize,
    cut: bool,
}

impl ControlRoom {
    /// Puts one, cut to the room that there is.
    fn put(&mut self, control: &Control) -> Result<()> {
        let len = CONTROL_HEADER + control.data.len();
        if self.left < CONTROL_HEADER {
            self.cut = true;
            return Ok(());
        }
        let len = if len > self.left {
            self.cut = true;
            self.left
        } else {
            len
        };
        let mut bytes = (len as u64).to_ne_bytes().to_vec();
        bytes.extend(control.level.to_ne_bytes());
        bytes.extend(control.kind.to_ne_bytes());
        bytes.extend(&control.data[..len - CONTROL_HEADER]);
        user::copy_out(self.at, &bytes)?;
        let taken = space(len - CONTROL_HEADER).min(self.left);
        (self.at, self.left) = (self.at + taken as u64, self.left - taken);
        Ok(())
    }

    /// Gives the descriptors numbers, as many as there is room for, and puts these.
    fn put_rights(&mut self, received: &mut Received, close_on_exec: bool) -> Result<()> {
        let fits = self.left.saturating_sub(CONTROL_HEADER) / 4;
        let mut numbers = Vec::new();
        let all = received.rights.len();
        for file in received.rights.drain(..).take(fits) {
            match install(file, close_on_exec) {
                Ok(fd) => numbers.extend((fd as u32).to_ne_bytes()),
                Err(_) => break,
            }
        }
        self.cut |= numbers.len() < all * 4;
        if numbers.is_empty() {
            return Ok(());
        }
        self.put(&Control {
            level: net::SOL_SOCKET,
            kind: net::SCM_RIGHTS,
            data: numbers,
        })
    }
}

fn receive_message(open: &Open, at: Address, flags: u32) -> Answer {
    let header = Header::read(at)?;
    if header.name_len < 0 && !header.name.is_null() {
        return Err(Errno::EINVAL);
    }
    let mut sink = Sink::pieces(header.pieces()?);
    let mut received = receive(open, &mut sink, flags)?;
    let mut room = ControlRoom {
        at: header.control.0,
        left: if header.control.is_null() {
            0
        } else {
            header.control_len
        },
        cut: false,
    };
    for control in core::mem::take(&mut received.control) {
        room.put(&control)?;
    }
    room.put_rights(&mut received, flags & net::MSG_CMSG_CLOEXEC != 0)?;
    if !header.name.is_null() {
        let from = received.from.as_deref().unwrap_or_default();
        let len = from.len().min(header.name_len as usize);
        user::copy_out(header.name.0, &from[..len])?;
        user::write(at.0 + 8, &(from.len() as u32))?;
    }
    let mut told = received.flags | flags & net::MSG_CMSG_CLOEXEC;
    if room.cut {
        told |= net::MSG_CTRUNC;
    }
    user::write(at.0 + FLAGS, &told)?;
    let used = if header.control.is_null() {
        0
    } else {
        room.at - header.control.0
    };
    user::write(at.0 + CONTROL_LEN, &used)?;
    Ok(answer(&received, flags))
}

/// recvmsg(2).
pub fn recvmsg(fd: Fd, header: Address, flags: u32) -> Answer {
    receive_message(&Open::get(fd)?, header, flags)
}

/// recvmmsg(2).
pub fn recvmmsg(fd: Fd, headers: Address, count: u32, flags: u32, timeout: Address) -> Answer {
    let deadline = deadline_after(timeout)?;
    let open = Open::get(fd)?;
    let wait_for_one = flags & MSG_WAITFORONE != 0;
    let (mut received, mut flags) = (0, flags & !MSG_WAITFORONE);
    while received < u64::from(count.min(MANY_MAX)) {
        let at = headers.0.wrapping_add(received * MANY);
        let told = receive_message(&open, Address(at), flags)
            .and_then(|len| user::write(at.wrapping_add(MANY_LEN), &(len as u32)));
        match told {
            Ok(()) => received += 1,
            Err(_) if received > 0 => break,
            Err(errno) => return Err(errno),
        }
        if wait_for_one {
            flags |= net::MSG_DONTWAIT;
        }
        // As in Linux, the time is looked at between messages only.
        if deadline.is_some_and(|deadline| deadline <= time::monotonic()) {
            break;
        }
    }
    Ok(received)
}
