//! What a fuzzer, or a test with a seed, drives: each function takes any bytes, and must neither
//! panic nor hold more than they explain. The fuzzing of the workspace (`tests/fuzz`) calls them.
#![allow(
    clippy::expect_used,
    reason = "what the host refuses is no finding, and is to be seen"
)]

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use unicell_guest_abi::device::{
    AVAIL_OFFSET, CONSOLE, CONTROL, QUEUE_SIZE, QUEUES, RX, TX, ring_gpa,
};
use unicell_guest_abi::layout::RAM_MIN;
use unicell_guest_abi::message::{FIRST_INCOMING, kind, transport};

use crate::backend::Backend;
use crate::device::{Device, Doorbells};
use crate::governor::{Governor, Hold};
use crate::link::{Command, InstanceEnd, Message, NodeEnd, Transport};
use crate::linked::Linked;
use crate::memory::Memory;
use crate::monitor::Monitor;
use crate::stdio::Stdio;

/// Where the buffers of a queue lie: well above what the VMM puts into RAM.
const BUFFERS: u64 = 4 << 20;
/// Bytes of a buffer, and how many there are of a queue.
const BUFFER: u64 = 8 << 10;
const SLOTS: u16 = 32;

/// A device with real streams behind it, its driver, and the node: all that a guest can reach
/// without a virtual machine.
pub(crate) struct Rig {
    pub(crate) memory: Arc<Memory>,
    pub(crate) device: Device,
    pub(crate) linked: Linked,
    node: NodeEnd,
    /// The far ends of connections.
    pub(crate) far: BTreeMap<u32, OwnedFd>,
    offered: [u16; QUEUES],
}

impl Rig {
    pub(crate) fn new() -> Self {
        let memory = Memory::new(RAM_MIN, None, None).expect("there is memory");
        let memory = Arc::new(memory);
        let hold = Hold {
            governor: Arc::new(Governor::new()),
            memory: Arc::clone(&memory),
            monitor: Arc::new(Monitor::new().expect("there is a descriptor")),
        };
        let (node, theirs) = NodeEnd::pair().expect("there are descriptors");
        let null = || crate::link::null().expect("there is /dev/null");
        let stdio = Stdio::new(null(), null(), null(), null());
        let linked = Linked::new(stdio, InstanceEnd::new(theirs), hold);
        Self {
            memory,
            device: Device::new(),
            linked: linked.expect("there is a descriptor"),
            node,
            far: BTreeMap::new(),
            offered: [0; QUEUES],
        }
    }

    /// Offers a message, and room for an answer, as a chain of two descriptors.
    pub(crate) fn offer(&mut self, queue: usize, message: &[u8], room: u32) {
        let slot = self.offered[queue] % SLOTS;
        let message = &message[..message.len().min(BUFFER as usize / 2)];
        let buffer = BUFFERS + (queue as u64 * u64::from(SLOTS) + u64::from(slot)) * BUFFER;
        self.put(buffer, message);
        let (first, second) = (2 * slot, 2 * slot + 1);
        let (next, write) = (1_u16, 2_u16);
        let both = !message.is_empty() && room > 0;
        if message.is_empty() {
            self.descriptor(queue, first, buffer, room, write, 0);
        } else {
            let flags = if both { next } else { 0 };
            self.descriptor(queue, first, buffer, message.len() as u32, flags, second);
            self.descriptor(queue, second, buffer + BUFFER / 2, room, write, 0);
        }
        let avail = ring_gpa(queue) + AVAIL_OFFSET;
        let index = u64::from(self.offered[queue] % QUEUE_SIZE);
        self.put(avail + 4 + 2 * index, &first.to_le_bytes());
        self.offered[queue] = self.offered[queue].wrapping_add(1);
        self.put(avail + 2, &self.offered[queue].to_le_bytes());
    }

    fn descriptor(&self, queue: usize, at: u16, gpa: u64, len: u32, flags: u16, next: u16) {
        let mut bytes = gpa.to_le_bytes().to_vec();
        bytes.extend(len.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(next.to_le_bytes());
        self.put(ring_gpa(queue) + 16 * u64::from(at), &bytes);
    }

    /// Writes guest memory; what lies outside of it is not there.
    fn put(&self, gpa: u64, bytes: &[u8]) {
        let _ = self.memory.write_bytes(gpa, bytes);
    }

    /// Sends a stream message.
    pub(crate) fn send(&mut self, words: [u32; 4], data: &[u8]) {
        let message: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        self.offer(TX, &[&message, data].concat(), 0);
    }

    /// Asks for a connection.
    pub(crate) fn open(&mut self, stream: u32, transport: u32) {
        let mut endpoint = transport.to_le_bytes().to_vec();
        endpoint.extend([80, 0, 0, 0]);
        endpoint.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 1, 0, 1]);
        self.send([stream, kind::OPEN, 24, 1 << 16], &endpoint);
        self.send([0, kind::REFUSED, 24, stream], &endpoint);
    }

    /// Serves the device as the I/O thread does, and follows what sockets and node say.
    pub(crate) fn serve(&mut self) -> Result<(), crate::device::Violation> {
        use rustix::event::PollFlags;
        loop {
            let pass = self
                .device
                .serve(&self.memory, &mut self.linked, Doorbells::Wanted)?;
            let news = [
                PollFlags::IN,
                PollFlags::IN,
                PollFlags::IN,
                PollFlags::empty(),
            ];
            self.linked.ready(&news);
            if !pass.more {
                return Ok(());
            }
        }
    }

    /// The node's turn: it grants two connections of three, and reads nothing of them.
    pub(crate) fn answer(&mut self) {
        while let Ok(Some(message)) = self.node.try_receive() {
            match message {
                Message::Open(open) if open.stream % 3 == 2 => {
                    let (stream, errno) = (open.stream, Errno::CONNREFUSED);
                    let errno = errno.raw_os_error() as u16;
                    let _ = self.node.send(&Command::Refused { stream, errno });
                }
                Message::Open(open) => {
                    let (ours, theirs) = pair(open.transport);
                    let (stream, socket) = (open.stream, theirs.as_fd());
                    if self.node.send(&Command::Opened { stream, socket }).is_ok() {
                        self.far.insert(stream, ours);
                    }
                }
                Message::Closed(closed) => drop(self.far.remove(&closed.stream)),
                _ => {}
            }
        }
    }

    /// The node brings a connection.
    fn bring(&mut self) {
        let (ours, theirs) = pair(Transport::Tcp);
        let stream = self.node.new_stream();
        let command = Command::Incoming {
            stream,
            transport: Transport::Tcp,
            from: ([10, 0, 0, 3], 4000).into(),
            port: 80,
            socket: theirs.as_fd(),
        };
        if self.node.send(&command).is_ok() {
            self.far.insert(stream, ours);
        }
    }
}

fn pair(transport: Transport) -> (OwnedFd, OwnedFd) {
    let kind = match transport {
        Transport::Tcp => SocketType::STREAM,
        Transport::Udp => SocketType::SEQPACKET,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socketpair(AddressFamily::UNIX, kind, flags, None).expect("there are descriptors")
}

/// Reads numbers off the front of bytes, zero when there are none left.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (front, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        front
    }

    fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or(0)
    }

    fn word(&mut self) -> u32 {
        let mut word = [0; 4];
        let bytes = self.bytes(4);
        word[..bytes.len()].copy_from_slice(bytes);
        u32::from_le_bytes(word)
    }
}

/// The device's registers and queues, and the streams behind them: `bytes` is what a driver does,
/// step by step.
pub fn device(bytes: &[u8]) {
    let mut rig = Rig::new();
    let mut script = Script(bytes);
    while !script.0.is_empty() {
        let step = script.byte();
        // Few streams, so that steps meet.
        let stream =
            |byte: u8| u32::from(byte % 8) + if byte & 0x80 == 0 { 1 } else { FIRST_INCOMING };
        match step % 12 {
            0 => {
                let (offset, value) = (script.byte(), script.word());
                let value = value.to_le_bytes();
                let len = if step < 0xf0 {
                    4
                } else {
                    usize::from(step & 3)
                };
                if rig
                    .device
                    .write(offset.into(), &value[..len], &rig.memory)
                    .is_err()
                {
                    return;
                }
            }
            1 => {
                let mut data = [0; 4];
                let offset = u64::from(script.byte()) | u64::from(step & 0xf0) << 4;
                let _ = rig.device.read(offset, &mut data);
            }
            // Anything anywhere in the rings.
            2 => {
                let at = u64::from(script.word()) % (QUEUES as u64 * 0x800);
                let len = usize::from(script.byte() % 17);
                rig.put(ring_gpa(0) + at, script.bytes(len));
            }
            3 => {
                let kind = if step & 0x80 == 0 {
                    transport::TCP
                } else {
                    transport::UDP
                };
                rig.open(stream(script.byte()), kind);
            }
            4 => {
                let (id, kind, value) = (stream(script.byte()), script.byte() % 9, script.word());
                rig.send([id, kind.into(), 0, value % 100_000], &[]);
            }
            5 => {
                let (id, len) = (stream(script.byte()), script.word() % 4000);
                rig.send([id, kind::DATA, len, 0], &vec![step; len as usize]);
            }
            6 => rig.offer(RX, &[], script.word() % 9000),
            7 => {
                let len = usize::from(script.byte());
                let message = script.bytes(len).to_vec();
                rig.offer(usize::from(step >> 4) % QUEUES, &message, 8);
            }
            8 => {
                let channel = [script.byte() % 6, 0, 0, 0, 3, 0, 0, 0, b'a', b'b', b'c'];
                rig.offer(CONSOLE, &channel, 4);
            }
            9 => {
                let request = [
                    script.byte() % 4,
                    0,
                    0,
                    0,
                    9,
                    0,
                    0,
                    0,
                    9,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                ];
                rig.offer(CONTROL, &request, 8);
            }
            10 => rig.bring(),
            _ => {
                rig.answer();
                if rig.serve().is_err() {
                    return;
                }
            }
        }
    }
    let _ = rig.serve();
    assert!(rig.linked.streams().is_bounded());
}

/// The frames of the link, as each side reads them.
pub fn link(bytes: &[u8]) {
    crate::link::read_any(bytes);
}

#[cfg(test)]
mod tests {
    use unicell_guest_abi::device::USED_OFFSET;
    use unicell_guest_abi::message::STREAMS_MAX;

    use super::*;

    impl Rig {
        /// How many chains of a queue the device has used.
        fn used(&self, queue: usize) -> u16 {
            let words: unicell_guest_abi::message::Console = self
                .memory
                .read(ring_gpa(queue) + USED_OFFSET)
                .expect("rings lie in memory");
            (words.channel >> 16) as u16
        }

        /// What a buffer of a queue holds, in words.
        fn buffer(&self, queue: usize, slot: u16) -> [u32; 4] {
            let buffer = BUFFERS + (queue as u64 * u64::from(SLOTS) + u64::from(slot)) * BUFFER;
            let header: unicell_guest_abi::message::Stream =
                self.memory.read(buffer).expect("buffers lie in memory");
            [header.stream, header.kind, header.len, header.value]
        }
    }

    /// A connection whose far end is read to its end after each message.
    fn connected(transport: u32) -> Rig {
        let mut rig = Rig::new();
        rig.open(1, transport);
        rig.serve().unwrap();
        rig.answer();
        rig.serve().unwrap();
        rig
    }

    fn drain(rig: &Rig, stream: u32) {
        let mut bytes = [0; 1 << 16];
        let far = &rig.far[&stream];
        while rustix::io::read(far, &mut bytes).is_ok_and(|count| count > 0) {}
    }

    #[test]
    fn credit_that_is_not_taken_is_summed_up() {
        let mut rig = connected(transport::TCP);
        for _ in 0..1000 {
            rig.send([1, kind::DATA, 4000, 0], &[7; 4000]);
            rig.serve().unwrap();
            drain(&rig, 1);
        }
        assert!(rig.linked.streams().is_bounded());
        for _ in 0..4 {
            rig.offer(RX, &[], 4096);
        }
        rig.serve().unwrap();
        assert_eq!(rig.used(RX), 1, "one message for all");
        let [stream, what, len, credit] = rig.buffer(RX, 0);
        assert_eq!((stream, what, len), (1, kind::CREDIT, 0));
        assert!((5_500_000..6_100_000).contains(&credit), "{credit}");
    }

    #[test]
    fn numbers_that_are_used_again_leave_nothing_behind() {
        let mut rig = Rig::new();
        for _ in 0..500 {
            rig.open(1, transport::TCP);
            rig.serve().unwrap();
            rig.answer();
            rig.serve().unwrap();
            // There is something to be read, and told, when it is given up.
            rustix::io::write(&rig.far[&1], b"unread").unwrap();
            rig.serve().unwrap();
            rig.send([1, kind::RESET, 0, 0], &[]);
            rig.serve().unwrap();
            rig.answer();
        }
        assert!(rig.linked.streams().is_bounded());
        assert!(rig.far.is_empty());
    }

    #[test]
    fn new_streams_without_an_end_end_the_guest() {
        let mut rig = Rig::new();
        let ended = (1..3 * STREAMS_MAX as u32).find_map(|stream| {
            rig.open(stream, transport::TCP);
            rig.serve().err().map(|violation| (stream, violation))
        });
        let (stream, violation) = ended.unwrap();
        assert_eq!(stream as usize, 2 * STREAMS_MAX + 1);
        assert!(violation.to_string().contains("no answer taken"));
        assert!(rig.linked.streams().is_bounded());
    }

    #[test]
    fn datagrams_and_single_bytes_that_nobody_reads_are_bounded() {
        for transport in [transport::TCP, transport::UDP] {
            let mut rig = connected(transport);
            // The socket is full soon, and then the window.
            for len in [4000_u32, 1, 0] {
                for _ in 0..3000 {
                    rig.send([1, kind::DATA, len, 0], &vec![7; len as usize]);
                    if rig.serve().is_err() {
                        break;
                    }
                }
            }
            assert!(rig.linked.streams().is_bounded());
        }
    }

    #[test]
    fn a_slow_reader_gets_every_byte_of_what_was_kept() {
        let mut rig = connected(transport::TCP);
        let mut sent = 0_u32;
        let mut seen: Vec<u8> = Vec::new();
        let mut bytes = [0; 1000];
        while sent < 2_000_000 {
            let data: Vec<u8> = (sent..sent + 3000).map(|at| (at % 251) as u8).collect();
            rig.send([1, kind::DATA, 3000, 0], &data);
            rig.serve().unwrap();
            sent += 3000;
            // A third of it at a time, until much is kept; then all.
            let some = (1..250_000).contains(&(sent % 300_000)) && sent < 2_000_000;
            let mut reads = if some { 1 } else { 10_000 };
            while reads > 0
                && let Ok(count) = rustix::io::read(&rig.far[&1], &mut bytes)
            {
                seen.extend(&bytes[..count]);
                reads -= 1;
                rig.serve().unwrap();
            }
        }
        let right = seen
            .iter()
            .enumerate()
            .all(|(at, byte)| *byte == (at % 251) as u8);
        assert!(
            right && seen.len() == sent as usize,
            "{} of {sent}",
            seen.len()
        );
    }

    #[test]
    fn texts_that_wait_are_no_more_than_descriptors() {
        let mut rig = Rig::new();
        let (_reader, writer) = std::io::pipe().unwrap();
        let null = || crate::link::null().unwrap();
        let (_node, theirs) = NodeEnd::pair().unwrap();
        let hold = Hold {
            governor: Arc::new(Governor::new()),
            memory: Arc::clone(&rig.memory),
            monitor: Arc::new(Monitor::new().unwrap()),
        };
        let stdio = Stdio::new(null(), writer.into(), null(), null());
        rig.linked = Linked::new(stdio, InstanceEnd::new(theirs), hold).unwrap();
        let mut text = [1_u32, 4000].map(u32::to_le_bytes).concat();
        text.resize(4008, b'x');
        let ended = (0..1000).find_map(|count| {
            rig.offer(CONSOLE, &text, 4);
            rig.serve().err().map(|violation| (count, violation))
        });
        let (count, violation) = ended.unwrap();
        assert!(
            violation.to_string().contains("not got back"),
            "{violation}"
        );
        // What the pipe took, and as many as there are descriptors.
        assert!(count < 16 + 2 + i32::from(QUEUE_SIZE), "{count}");
    }
}
