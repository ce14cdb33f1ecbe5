//! The open streams of instances. The node keeps a duplicate of one end of
//! each, and no more than that: bytes go from process to process. The duplicate
//! is to break the stream (`shutdown(2)`) when a grant is withdrawn or an
//! instance ends. A stream is forgotten when either end's process says that it
//! is over; a process that never says so fills its own bound.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType};
use unicell_gateway_api::id::InstanceId;
use unicell_gateway_api::instance::Transport;
use unicell_gateway_api::run::StreamId;

use crate::net::Member;

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
}

#[derive(Debug)]
struct Stream {
    ends: Ends,
    /// What the target calls it, once it has it.
    far: Option<End>,
    duplicate: Option<OwnedFd>,
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
            self.ends.remove(end);
        }
        for id in stream.ends.instances() {
            if let Some(count) = self.counts.get_mut(&id) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&id);
                }
            }
        }
        Some(stream)
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
    /// Keeps a duplicate of a stream's end, by which it can be broken from now on.
    pub(crate) fn duplicate(&self, end: impl AsFd) -> io::Result<()> {
        let duplicate = rustix::io::fcntl_dupfd_cloexec(end.as_fd(), 3)?;
        if let Some(stream) = self.streams.0.lock().streams.get_mut(&self.number) {
            stream.duplicate = Some(duplicate);
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
        open.ends.insert(far, self.number);
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
        };
        open.streams.insert(number, stream);
        Ok(Reserved {
            streams: Arc::clone(self),
            number,
            kept: false,
        })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().streams.len()
    }

    #[cfg(test)]
    fn count(&self, id: InstanceId) -> usize {
        self.0.lock().counts.get(&id).copied().unwrap_or(0)
    }

    /// One end says that a stream is over. If it was broken off, the other end
    /// is to be broken off too: it is returned if it is an instance's.
    pub(crate) fn closed(&self, end: End, broken: bool) -> Option<End> {
        let mut open = self.0.lock();
        let number = *open.ends.get(&end)?;
        let stream = open.remove(number)?;
        drop(open);
        let outside = !matches!(stream.ends.to, Member::Instance(_)) || stream.ends.from.is_none();
        if let Some(duplicate) = stream.duplicate {
            // For TCP, closing without waiting sends RST. It is closed here: a
            // process closes its own before it says that the stream is over.
            let reset = broken
                && outside
                && rustix::net::sockopt::set_socket_linger(&duplicate, Some(Duration::ZERO))
                    .is_ok();
            if !reset {
                shut(&duplicate);
            }
        }
        let mut others = stream.ends.from.into_iter().chain(stream.far);
        others.find(|other| broken && *other != end)
    }

    /// Breaks the streams of which `broken` says so, and returns their ends, to
    /// be reset, and how many they were.
    pub(crate) fn break_where(&self, broken: impl Fn(&Ends) -> bool) -> (usize, Vec<End>) {
        let mut open = self.0.lock();
        let hit = open
            .streams
            .iter()
            .filter(|(_, stream)| broken(&stream.ends));
        let hit: Vec<_> = hit.map(|(number, _)| *number).collect();
        let mut ends = Vec::new();
        for number in &hit {
            if let Some(stream) = open.remove(*number) {
                ends.extend(stream.ends.from.into_iter().chain(stream.far));
                stream.duplicate.iter().for_each(shut);
            }
        }
        (hit.len(), ends)
    }

    /// Ends all streams of an instance that is gone. What it has sent before is
    /// still delivered, as when a process ends.
    pub(crate) fn end_all(&self, id: InstanceId) {
        self.break_where(|ends| ends.has(id));
    }
}

fn shut(socket: &OwnedFd) {
    // One that is not connected any more needs none.
    let _ = rustix::net::shutdown(socket, Shutdown::Both);
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn id(number: u8) -> InstanceId {
        InstanceId::new([number; 6])
    }

    fn end(instance: u8, stream: u32) -> End {
        (id(instance), StreamId(stream))
    }

    fn ends(from: u8, stream: u32, to: u8) -> Ends {
        Ends {
            from: Some(end(from, stream)),
            to: Member::Instance(id(to)),
            port: 80,
            transport: Transport::Tcp,
            via: Via::Family,
        }
    }

    fn made(streams: &Arc<Streams>, ends: Ends, far: Option<End>, socket: impl AsFd) {
        let reserved = streams.reserve(ends, 4).unwrap();
        reserved.duplicate(socket).unwrap();
        assert!(far.is_none_or(|far| reserved.arrived(far)));
        assert!(reserved.made());
    }

    fn blocking(end: OwnedFd) -> UnixStream {
        let stream = UnixStream::from(end);
        stream.set_nonblocking(false).unwrap();
        stream
    }

    #[test]
    fn a_stream_that_is_over_is_forgotten_and_its_end_delivered() {
        let streams = Arc::new(Streams::default());
        let (a, b) = pair(Transport::Tcp).unwrap();
        let (mut a, mut b) = (blocking(a), blocking(b));
        made(&streams, ends(1, 7, 2), Some(end(2, 9)), &a);
        a.write_all(b"answer").unwrap();
        drop(a);
        assert_eq!(streams.closed(end(1, 7), false), None);
        assert_eq!(
            (streams.len(), streams.count(id(1)), streams.count(id(2))),
            (0, 0, 0)
        );
        let mut text = String::new();
        b.read_to_string(&mut text).unwrap();
        assert_eq!(text, "answer");
        assert_eq!(streams.closed(end(2, 9), true), None);
    }

    #[test]
    fn a_stream_that_was_broken_off_is_broken_off_at_the_other_end() {
        let streams = Arc::new(Streams::default());
        let (a, _b) = pair(Transport::Tcp).unwrap();
        made(&streams, ends(1, 7, 2), Some(end(2, 9)), &a);
        assert_eq!(streams.closed(end(2, 9), true), Some(end(1, 7)));

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut outside, _) = listener.accept().unwrap();
        let to = Member::Endpoint(listener.local_addr().unwrap(), Transport::Tcp);
        made(
            &streams,
            Ends {
                to,
                ..ends(1, 8, 2)
            },
            None,
            &socket,
        );
        drop(socket);
        assert_eq!(streams.closed(end(1, 8), true), None);
        let error = outside.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn what_is_withdrawn_breaks_and_nothing_else() {
        let streams = Arc::new(Streams::default());
        let (a, mut b) = pair(Transport::Tcp).map(|(a, b)| (a, blocking(b))).unwrap();
        let (c, mut d) = pair(Transport::Tcp).map(|(a, b)| (a, blocking(b))).unwrap();
        made(&streams, ends(1, 1, 2), Some(end(2, 2)), &a);
        made(&streams, ends(3, 3, 4), None, &c);
        let (number, reset) = streams.break_where(|ends| ends.has(id(2)));
        assert_eq!((number, reset), (1, vec![end(1, 1), end(2, 2)]));
        assert_eq!(b.read(&mut [0]).unwrap(), 0);
        assert!(b.write(b"x").is_err());
        assert_eq!(streams.len(), 1);
        d.write_all(b"x").unwrap();
        drop((a, c));
    }

    #[test]
    fn a_stream_that_is_broken_while_it_is_made_is_not_missed() {
        let streams = Arc::new(Streams::default());
        let (a, _b) = pair(Transport::Tcp).unwrap();
        let reserved = streams.reserve(ends(1, 1, 2), 4).unwrap();
        reserved.duplicate(&a).unwrap();
        streams.end_all(id(1));
        assert!(!reserved.arrived(end(2, 2)));
        assert!(!reserved.made());
    }

    #[test]
    fn streams_are_bounded_for_both_ends_and_while_they_are_made() {
        let streams = Arc::new(Streams::default());
        let reserve = |ends| streams.reserve(ends, 2);
        let first = reserve(ends(1, 1, 2)).unwrap();
        let _second = reserve(ends(1, 2, 3)).unwrap();
        assert_eq!(reserve(ends(1, 3, 4)).err(), Some(Full::Bound));
        assert_eq!(reserve(ends(4, 1, 1)).err(), Some(Full::Bound));
        drop(first);
        assert_eq!(reserve(ends(1, 2, 4)).err(), Some(Full::Name));
        assert!(reserve(ends(1, 1, 4)).is_ok());
        assert_eq!(streams.count(id(1)), 1);
    }
}
