//! Connecting and parting.

use alloc::sync::Arc;

use linux_raw_sys::net;

use super::End;
use super::end::Role;
use super::message::permits;
use super::name::Name;
use crate::errno::{Errno, Result};
use crate::net::{SenderCredentials, Shut};

/// Connects two new ends of the running process to each other.
pub(super) fn join(one: &Arc<End>, other: &Arc<End>) {
    for (end, peer) in [(one, other), (other, one)] {
        let mut state = end.state.lock();
        state.peer = Some(peer.clone());
        state.credentials = SenderCredentials::of_peer();
        state.role = Role::Connected;
    }
}

/// Opens a connection to a socket that listens.
pub(super) fn open(end: &End, address: &[u8]) -> Result<()> {
    let name = Name::parse(address)?.ok_or(Errno::EINVAL)?;
    let listener = name.find(end.kind())?;
    let me = end.arc()?;
    match end.state.lock().role {
        Role::Idle => {}
        Role::Connected => return Err(Errno::EISCONN),
        Role::Listening { .. } => return Err(Errno::EINVAL),
    }
    end.name_if_told()?;
    let theirs = End::new(end.kind());
    let (name, credentials) = {
        let mut state = listener.state.lock();
        let refused = state.closed || state.shut.contains(Shut::RECEIVE);
        let state = &mut *state;
        let Role::Listening { queue, backlog } = &mut state.role else {
            return Err(Errno::ECONNREFUSED);
        };
        if refused {
            return Err(Errno::ECONNREFUSED);
        }
        if queue.len() > *backlog {
            End::add_waiting(state, end);
            return Err(Errno::EAGAIN);
        }
        queue.push_back(theirs.clone());
        (state.name.clone(), state.credentials)
    };
    {
        let mut state = theirs.state.lock();
        state.name = name;
        state.role = Role::Connected;
        state.peer = Some(me);
        state.credentials = SenderCredentials::of_peer();
    }
    {
        let mut state = end.state.lock();
        state.role = Role::Connected;
        state.peer = Some(theirs);
        state.credentials = credentials;
    }
    end.changed.wake_all();
    listener.changed.wake_all();
    Ok(())
}

/// Sets whom datagrams go to, and from whom alone they come.
pub(super) fn address(end: &End, address: &[u8]) -> Result<()> {
    let name = Name::parse(address)?.ok_or(Errno::EINVAL)?;
    end.name_if_told()?;
    let peer = name.find(end.kind())?;
    if !permits(&peer, end) {
        return Err(Errno::EPERM);
    }
    let old = {
        let mut state = end.state.lock();
        state.role = Role::Connected;
        state.peer.replace(peer)
    };
    drop(old);
    end.changed.wake_all();
    Ok(())
}

/// Undoes [`address`].
pub(super) fn separate(end: &End) {
    let old = {
        let mut state = end.state.lock();
        state.role = Role::Idle;
        state.peer.take()
    };
    drop(old);
    end.changed.wake_all();
}

/// Nobody has the end open any more.
pub(super) fn close(end: &End) {
    let (name, role, peer, unread, stream, messages) = {
        let mut state = end.state.lock();
        state.closed = true;
        state.shut = Shut::all();
        let unread = state.used() > 0;
        (
            state.name.clone(),
            core::mem::replace(&mut state.role, Role::Connected),
            state.peer.take(),
            unread,
            core::mem::take(&mut state.stream),
            core::mem::take(&mut state.messages),
        )
    };
    if let Some(name) = name {
        name.forget(end);
    }
    drop((stream, messages));
    end.wake_waiting();
    if let Some(peer) = peer.filter(|_| end.kind() != net::SOCK_DGRAM) {
        part(&peer, unread);
    }
    if let Role::Listening { queue, .. } = role {
        for waiting in queue {
            let peer = waiting.peer_end();
            close(&waiting);
            if let Some(peer) = peer {
                part(&peer, true);
            }
        }
    }
}

/// The other end of a connection has gone; if it had not read everything, that is an error.
fn part(peer: &End, reset: bool) {
    {
        let mut state = peer.state.lock();
        state.shut = Shut::all();
        if reset {
            state.error = Some(Errno::ECONNRESET);
        }
    }
    peer.changed.wake_all();
}
