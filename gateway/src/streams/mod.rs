//! The open streams of instances. The node keeps a duplicate of one end of
//! each, and no more than that: bytes go from process to process. The duplicate
//! is to break the stream (`shutdown(2)`) when a grant is withdrawn or an
//! instance ends; both ends' processes are told of the former first, so that the
//! guests find a stream that broke and not one that ended.
//!
//! A stream is over when either end's process says so. Between two instances,
//! the other end still counts until its process has said so too, and how many
//! bytes went through: then both are compared. A process that never says so
//! fills its own bound.

mod dispute;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType};
use unicell_gateway_api::id::InstanceId;
use unicell_gateway_api::instance::Transport;
use unicell_gateway_api::run::{Carried, LOCAL_BUFFER, StreamId};

use crate::net::Member;
pub(crate) use dispute::Dispute;
use dispute::agree;

/// Why a stream is permitted, for as long as that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Via {
    /// One end is the other's parent.
    Family,
    /// The other end is a member of a network that was granted to the first.
    Network,
    /// Somebody outside the guests: a published port, a call to connect.
    Outside,
}

/// Who has the ends of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    /// Who opened it, and what it calls it; nobody, if that was no instance.
    pub(crate) from: Option<End>,
    /// Where it leads.
    pub(crate) to: Member,
    /// The port there.
    pub(crate) port: u16,
    /// How it is carried.
    pub(crate) transport: Transport,
    /// Why it may be.
    pub(crate) via: Via,
}

/// A stream, as one instance calls it.
pub(crate) type End = (InstanceId, StreamId);

impl Ends {
    /// The instances that have an end.
    fn instances(&self) -> impl Iterator<Item = InstanceId> + use<> {
        let to = match self.to {
            Member::Instance(id) => Some(id),
            Member::Endpoint(..) => None,
        };
        self.from.map(|(id, _)| id).into_iter().chain(to)
    }

    fn has(&self, id: InstanceId) -> bool {
        self.instances().any(|other| other == id)
    }
}

/// All open streams.
#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    next: u64,
    streams: BTreeMap<u64, Stream>,
    /// Streams by the names that instances have for them.
    ends: BTreeMap<End, u64>,
    /// How many streams each instance has.
    counts: BTreeMap<InstanceId, usize>,
    /// How many streams are being brought to each instance.
    arriving: BTreeMap<InstanceId, usize>,
    /// Of those, ends that were over before their name was known here.
    early: BTreeMap<End, Carried>,
}

#[derive(Debug)]
struct Stream {
    ends: Ends,
    /// What the target calls it, once it has it.
    far: Option<End>,
    duplicate: Option<OwnedFd>,
    /// Bytes that may lie in it unread.
    holds: u64,
    /// The end that is over, and what its process says, if that of the other is still to speak.
    over: Option<(End, Carried)>,
}

/// What the end of a stream leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// Nothing.
    Nothing,
    /// The other end is to be broken off.
    Break(End),
    /// The ends tell of different bytes.
    Disputed(Dispute),
}

/// Why there is no room for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// An end has as many as it may have.
    Bound,
    /// The instance has a stream of that name.
    Name,
}

impl Open {
    fn remove(&mut self, number: u64) -> Option<Stream> {
        let stream = self.streams.remove(&number)?;
        for end in stream.ends.from.iter().chain(&stream.far) {
            // One that is over may have its name in use again.
            if self.ends.get(end) == Some(&number) {
                self.ends.remove(end);
            }
        }
        for id in stream.counted() {
            decrement(&mut self.counts, id);
        }
        if stream.far.is_none() {
            self.no_longer_arriving(&stream.ends);
        }
        Some(stream)
    }

    /// A stream has arrived where it leads to, or never will.
    fn no_longer_arriving(&mut self, ends: &Ends) {
        if let Member::Instance(id) = ends.to {
            decrement(&mut self.arriving, id);
            if !self.arriving.contains_key(&id) {
                self.early.retain(|(other, _), _| *other != id);
            }
        }
    }

    /// An end that is not known is over: remembered, if it may be one that is arriving.
    fn over_early(&mut self, end: End, carried: Carried) {
        let of = |id: InstanceId| (id, StreamId(0))..=(id, StreamId(u32::MAX));
        let arriving = self.arriving.get(&end.0).copied().unwrap_or(0);
        if self.early.range(of(end.0)).count() < arriving {
            self.early.insert(end, carried);
        }
    }

    /// One end is over; the other has yet to say what it has seen of the stream.
    fn end_is_over(&mut self, number: u64, end: End, carried: Carried) {
        self.ends.remove(&end);
        decrement(&mut self.counts, end.0);
        if let Some(stream) = self.streams.get_mut(&number) {
            stream.over = Some((end, carried));
            if let Some(duplicate) = stream.duplicate.take() {
                shut(&duplicate);
            }
        }
    }
}

fn decrement(counts: &mut BTreeMap<InstanceId, usize>, id: InstanceId) {
    if let Some(count) = counts.get_mut(&id) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&id);
        }
    }
}

impl Stream {
    /// Whether both ends are instances'.
    fn is_local(&self) -> bool {
        self.ends.from.is_some() && matches!(self.ends.to, Member::Instance(_))
    }

    /// The instance whose end is not over, if the other is.
    fn still_to_speak(&self) -> Option<InstanceId> {
        let (over, _) = self.over?;
        match (self.ends.from, self.ends.to) {
            (Some(from), Member::Instance(to)) => Some(if over == from { to } else { from.0 }),
            _ => None,
        }
    }

    /// For whom it counts.
    fn counted(&self) -> Vec<InstanceId> {
        match self.still_to_speak() {
            Some(id) => vec![id],
            None => self.ends.instances().collect(),
        }
    }

    /// What the ends say differently, once both are over.
    fn dispute(&self, end: End, said: Carried) -> Option<Dispute> {
        let ((first, _), earlier) = self.over?;
        let last = end.0;
        let ways = [
            ([first, last], earlier.sent, said.received),
            ([last, first], said.sent, earlier.received),
        ];
        let differs = |(_, sent, received): &([InstanceId; 2], u64, u64)| {
            !agree(self.ends.transport, *sent, *received, self.holds)
        };
        let (ends, sent, received) = ways.into_iter().find(differs)?;
        Some(Dispute {
            ends,
            sent,
            received,
        })
    }
}

/// A stream that is being made, and counts already. Dropped, it does not any more.
#[derive(Debug)]
pub(crate) struct Reserved {
    streams: Arc<Streams>,
    number: u64,
    kept: bool,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.kept {
            self.streams.0.lock().remove(self.number);
        }
    }
}

impl Reserved {
    /// Makes the two ends of a stream between instances.
    pub(crate) fn pair(&self, ends: Ends) -> io::Result<(OwnedFd, OwnedFd)> {
        let (one, other) = pair(ends.transport)?;
        let open = self.streams.0.lock();
        let most = ends.instances().filter_map(|id| open.counts.get(&id)).max();
        let few = most.is_none_or(|most| *most <= FEW);
        drop(open);
        if few && ends.transport == Transport::Tcp {
            enlarge(&one)?;
            enlarge(&other)?;
        }
        Ok((one, other))
    }

    /// Keeps a duplicate of a stream's end, by which it can be broken from now on.
    pub(crate) fn duplicate(&self, end: impl AsFd) -> io::Result<()> {
        let duplicate = rustix::io::fcntl_dupfd_cloexec(end.as_fd(), 3)?;
        // A writer waits when its buffer is full, and its last write is at most half of that.
        let buffer = rustix::net::sockopt::socket_send_buffer_size(&duplicate)?;
        if let Some(stream) = self.streams.0.lock().streams.get_mut(&self.number) {
            stream.duplicate = Some(duplicate);
            stream.holds = 2 * buffer as u64;
        }
        Ok(())
    }

    /// The target has it, and calls it so. Says whether the stream is still
    /// there: if not, it was broken meanwhile, and the target is to be told.
    pub(crate) fn arrived(&self, far: End) -> bool {
        let mut open = self.streams.0.lock();
        let Some(stream) = open.streams.get_mut(&self.number) else {
            return false;
        };
        stream.far = Some(far);
        let ends = stream.ends;
        open.ends.insert(far, self.number);
        let early = open.early.remove(&far);
        open.no_longer_arriving(&ends);
        if let Some(carried) = early {
            if ends.from.is_some() {
                open.end_is_over(self.number, far, carried);
            } else {
                open.remove(self.number);
            }
        }
        true
    }

    /// It is made: from now on it counts until it is over. Says whether it is
    /// still there.
    pub(crate) fn made(mut self) -> bool {
        self.kept = true;
        self.streams.0.lock().streams.contains_key(&self.number)
    }
}

impl Streams {
    /// Makes room for a stream.
    pub(crate) fn reserve(self: &Arc<Self>, ends: Ends, bound: usize) -> Result<Reserved, Full> {
        let mut open = self.0.lock();
        let count = |id| open.counts.get(&id).copied().unwrap_or(0);
        if ends.instances().any(|id| count(id) >= bound) {
            return Err(Full::Bound);
        }
        if ends.from.is_some_and(|end| open.ends.contains_key(&end)) {
            return Err(Full::Name);
        }
        let number = open.next;
        open.next += 1;
        for id in ends.instances() {
            *open.counts.entry(id).or_default() += 1;
        }
        if let Some(end) = ends.from {
            open.ends.insert(end, number);
        }
        let stream = Stream {
            ends,
            far: None,
            duplicate: None,
            holds: 0,
            over: None,
        };
        if let Member::Instance(to) = ends.to {
            *open.arriving.entry(to).or_default() += 1;
        }
        open.streams.insert(number, stream);
        Ok(Reserved {
            streams: Arc::clone(self),
            number,
            kept: false,
        })
    }

    /// How many there are that are not over.
    pub(crate) fn len(&self) -> usize {
        let open = self.0.lock();
        let open = open.streams.values().filter(|stream| stream.over.is_none());
        open.count()
    }

    #[cfg(test)]
    fn count(&self, id: InstanceId) -> usize {
        self.0.lock().counts.get(&id).copied().unwrap_or(0)
    }

    /// One end's process says that a stream is over, and what went through it. If it was broken off,
    /// the other end is to be broken off too, if it is an instance's.
    pub(crate) fn closed(&self, end: End, broken: bool, carried: Carried) -> Closed {
        let mut open = self.0.lock();
        let Some(number) = open.ends.get(&end).copied() else {
            open.over_early(end, carried);
            return Closed::Nothing;
        };
        let Some(stream) = open.streams.get(&number) else {
            return Closed::Nothing;
        };
        let mut others = stream.ends.from.into_iter().chain(stream.far);
        let other = others.find(|other| broken && *other != end);
        if stream.over.is_some() {
            let dispute = stream.dispute(end, carried);
            open.remove(number);
            return dispute.map_or(Closed::Nothing, Closed::Disputed);
        }
        if stream.is_local() {
            open.end_is_over(number, end, carried);
        } else if let Some(duplicate) = open.remove(number).and_then(|stream| stream.duplicate) {
            drop(open);
            // For TCP, closing without waiting sends RST. It is closed here: a
            // process closes its own before it says that the stream is over.
            let reset = broken
                && rustix::net::sockopt::set_socket_linger(&duplicate, Some(Duration::ZERO))
                    .is_ok();
            if !reset {
                shut(&duplicate);
            }
        }
        other.map_or(Closed::Nothing, Closed::Break)
    }

    /// Breaks the streams of which `broken` says so.
    pub(crate) fn break_where(&self, broken: impl Fn(&Ends) -> bool) -> Broken {
        let mut open = self.0.lock();
        let hit = open
            .streams
            .iter()
            .filter(|(_, stream)| stream.over.is_none() && broken(&stream.ends));
        let hit: Vec<_> = hit.map(|(number, _)| *number).collect();
        let mut all = Broken::default();
        for stream in hit.into_iter().filter_map(|number| open.remove(number)) {
            // That of which there is a duplicate first: when it is given up, the
            // other notices nothing.
            all.ends
                .extend(stream.far.into_iter().chain(stream.ends.from));
            all.duplicates.extend(stream.duplicate);
        }
        all
    }

    /// Ends all streams of an instance that is gone. What it has sent before is
    /// still delivered, as when a process ends.
    pub(crate) fn end_all(&self, id: InstanceId) {
        drop(self.break_where(|ends| ends.has(id)));
        // Of what is over at the other end already, it will not speak any more.
        let mut open = self.0.lock();
        let streams = open.streams.iter();
        let silent = streams.filter(|(_, stream)| stream.still_to_speak() == Some(id));
        let silent: Vec<_> = silent.map(|(number, _)| *number).collect();
        for number in silent {
            open.remove(number);
        }
    }
}

/// Streams that are broken. Dropped, nothing passes through them any more; whoever
/// is to know that they were not ended but broken has to be told before.
#[derive(Debug, Default)]
#[must_use = "the streams end without a word"]
pub(crate) struct Broken {
    /// Their ends, in the order in which they are to be told.
    pub(crate) ends: Vec<End>,
    duplicates: Vec<OwnedFd>,
}

impl Drop for Broken {
    fn drop(&mut self) {
        self.duplicates.iter().for_each(shut);
    }
}

fn shut(socket: &OwnedFd) {
    // One that is not connected any more needs none.
    let _ = rustix::net::shutdown(socket, Shutdown::Both);
}

/// How many streams of an instance may have that. What lies in others is bounded as in any socket of the
/// host.
const FEW: usize = 8;

/// Lets more bytes lie in a stream, as far as the host permits it: beyond `net.core.wmem_max` only to
/// whoever administrates its network.
fn enlarge(end: &OwnedFd) -> io::Result<()> {
    use rustix::net::sockopt::{
        set_socket_send_buffer_size as set, set_socket_send_buffer_size_force as force,
    };
    Ok(force(end, LOCAL_BUFFER).or_else(|_| set(end, LOCAL_BUFFER))?)
}

/// Two connected ends of a transport: bytes for TCP; messages for UDP.
pub(crate) fn pair(transport: Transport) -> io::Result<(OwnedFd, OwnedFd)> {
    let kind = match transport {
        Transport::Tcp => SocketType::STREAM,
        Transport::Udp => SocketType::SEQPACKET,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socketpair(
        AddressFamily::UNIX,
        kind,
        flags,
        None,
    )?)
}
