//! Datagrams and sequenced packets.

use linux_raw_sys::net;

use super::End;
use super::connect;
use super::end::Role;
use super::name::Name;
use super::note;
use crate::errno::{Errno, Result};
use crate::io::{Sink, Source};
use crate::net::messages::Message;
use crate::net::protocol::peeks;
use crate::net::{Outgoing, Received, Shut};

/// Messages that may wait at an end that is not connected back (`net.unix.max_dgram_qlen`).
const WAITING_MAX: usize = 10;
/// Bytes of the buffer that no message may use.
const RESERVED: usize = 32;
/// A buffer counts as full for `poll` when more than one part in so many is used.
const POLLED_PART: usize = 4;

/// What accompanies a message.
pub(super) struct Note {
    from: Option<Name>,
    note: note::Note,
}

/// Whether `end` takes messages from `from`: who is connected, only from its peer.
pub(super) fn permits(end: &End, from: &End) -> bool {
    let state = end.state.lock();
    let peer = state.peer.as_deref();
    peer.is_none_or(|peer| core::ptr::eq(peer, from))
}

/// Sends a message.
pub(super) fn send(end: &End, source: &mut Source<'_>, outgoing: &mut Outgoing) -> Result<usize> {
    let (peer, shut, from) = {
        let state = end.state.lock();
        if !end.is_datagram() && !matches!(state.role, Role::Connected) {
            return Err(Errno::ENOTCONN);
        }
        (state.peer.clone(), state.shut, state.name.clone())
    };
    let named = outgoing.to.as_ref().filter(|_| end.is_datagram());
    let to = match named {
        Some(address) => Name::parse(address)?
            .ok_or(Errno::EINVAL)?
            .find(net::SOCK_DGRAM)?,
        None => peer.ok_or(Errno::ENOTCONN)?,
    };
    let from = match from {
        None => {
            end.name_if_told()?;
            end.state.lock().name.clone()
        }
        named => named,
    };
    let len = source.remaining();
    let buffer = end.settings.send_buffer();
    if len > buffer - RESERVED {
        return Err(Errno::EMSGSIZE);
    }
    if shut.contains(Shut::SEND) {
        return Err(Errno::EPIPE);
    }
    let mutual = end.is_datagram() && to.is_joined_to(end);
    {
        let mut theirs = to.state.lock();
        if theirs.closed {
            drop(theirs);
            if named.is_none() {
                connect::separate(end);
            }
            return Err(Errno::ECONNREFUSED);
        }
        if theirs.peer.is_some() && !mutual && end.is_datagram() {
            return Err(Errno::EPERM);
        }
        if theirs.shut.contains(Shut::RECEIVE) {
            return Err(Errno::EPIPE);
        }
        let is_full = if mutual || !end.is_datagram() {
            theirs.used() >= buffer
        } else {
            theirs.messages.len() > WAITING_MAX
        };
        if is_full {
            End::add_waiting(&mut theirs, end);
            return Err(Errno::EAGAIN);
        }
        let data = source.read_all()?;
        let note = Note {
            from,
            note: note::Note::of(outgoing),
        };
        theirs.messages.put(Message { data, note });
    }
    to.changed.wake_all();
    Ok(len)
}

/// Receives a message.
pub(super) fn receive(end: &End, sink: &mut Sink<'_>, flags: u32) -> Result<Received> {
    let told = end.settings.has(net::SO_PASSCRED);
    let tell = |note: &Note, received: &mut Received| {
        received.from = note.from.as_ref().map(|name| Name::address(Some(name)));
        if told {
            note.note.tell_sender(received);
        }
    };
    let (received, peer) = {
        let mut state = end.state.lock();
        if !end.is_datagram() && !matches!(state.role, Role::Connected) {
            return Err(Errno::ENOTCONN);
        }
        if let Some(errno) = state.error.take() {
            return Err(errno);
        }
        let received = state.messages.receive(
            sink,
            flags,
            |note, received| {
                tell(note, received);
                note.note.copy_rights(received);
            },
            |mut note, received| {
                tell(&note, received);
                note.note.hand_over(received);
            },
        )?;
        let Some(mut received) = received else {
            let ended = state.shut.contains(Shut::RECEIVE);
            return if ended {
                Ok(Received::default())
            } else {
                Err(Errno::EAGAIN)
            };
        };
        if !end.is_datagram() {
            received.from = None;
        }
        (received, state.peer.clone())
    };
    if !peeks(flags) {
        end.wake_waiting();
        if let Some(peer) = peer.filter(|_| !end.is_datagram()) {
            peer.changed.wake_all();
        }
    }
    Ok(received)
}

/// Whether a message, or bytes, can be sent now; if not, `end` is woken when that changes.
pub(super) fn is_writable(end: &End, peer: Option<&End>) -> bool {
    let Some(peer) = peer else { return true };
    let one_sided = end.is_datagram() && !peer.is_joined_to(end);
    let mut theirs = peer.state.lock();
    let writable = if one_sided {
        theirs.messages.len() <= WAITING_MAX
    } else {
        theirs.used() * POLLED_PART <= end.settings.send_buffer()
    };
    if !writable {
        End::add_waiting(&mut theirs, end);
    }
    writable
}
