//! The standard backend: console and standard input on descriptors of the host.
//!
//! The descriptors are inherited and shared with others, so their mode is left alone: readiness is
//! asked for before each read or write, and what is then done is small enough not to block.

use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::FileType;
use rustix::io::{Errno, ReadWriteFlags};
use std::io::{IoSlice, IoSliceMut};
use unicell_guest_abi::message::{Reply, Request, Stream, kind, op};

use crate::backend::{Ask, Backend, Channel, Data, Nonsense, Room, Watch, Written};
use crate::window::Window;

/// What a pipe takes or gives at once when it is ready (POSIX's PIPE_BUF on Linux).
const PIPE_BUF: usize = 4096;
/// What is read of standard input at once.
const READ_MAX: usize = 16 << 10;

/// How a descriptor is kept from blocking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// By asking for it in each call.
    NoWait,
    /// By small calls after its readiness was asked for.
    Small,
    /// Not at all: a file or disk is as ready as it will ever be.
    File,
}

#[derive(Debug)]
struct Port {
    fd: Arc<OwnedFd>,
    mode: Mode,
    blocked: bool,
}

impl Port {
    fn new(fd: Arc<OwnedFd>) -> Self {
        let file = rustix::fs::fstat(&fd).map(|stat| FileType::from_raw_mode(stat.st_mode));
        let file = matches!(file, Ok(FileType::RegularFile | FileType::BlockDevice));
        Self {
            fd,
            mode: if file { Mode::File } else { Mode::NoWait },
            blocked: false,
        }
    }

    fn is_ready(&self, what: PollFlags) -> bool {
        let mut fds = [PollFd::new(&self.fd, what)];
        let now = Timespec::default();
        poll(&mut fds, Some(&now)).is_ok_and(|count| count > 0)
    }

    /// Does `now` without waiting, or `small` once the descriptor is ready.
    fn attempt(
        &mut self,
        what: PollFlags,
        now: impl FnOnce(BorrowedFd<'_>) -> Result<usize, Errno>,
        small: impl FnOnce(BorrowedFd<'_>) -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        if self.mode == Mode::NoWait {
            match now(self.fd.as_fd()) {
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.mode = Mode::Small,
                result => return result,
            }
        }
        if self.mode == Mode::Small && !self.is_ready(what) {
            return Err(Errno::AGAIN);
        }
        small(self.fd.as_fd())
    }

    fn write(&mut self, text: &[u8]) -> Result<usize, Errno> {
        let most = if self.mode == Mode::File {
            text.len()
        } else {
            PIPE_BUF
        };
        let part = &text[..text.len().min(most)];
        self.attempt(
            PollFlags::OUT,
            |fd| rustix::io::pwritev2(fd, &[IoSlice::new(text)], u64::MAX, ReadWriteFlags::NOWAIT),
            |fd| rustix::io::write(fd, part),
        )
    }

    fn read(&mut self, room: &mut [u8]) -> Result<usize, Errno> {
        let room = std::cell::RefCell::new(room);
        self.attempt(
            PollFlags::IN,
            |fd| {
                let mut room = room.borrow_mut();
                let parts = &mut [IoSliceMut::new(&mut room)];
                rustix::io::preadv2(fd, parts, u64::MAX, ReadWriteFlags::NOWAIT)
            },
            |fd| rustix::io::read(fd, &mut **room.borrow_mut()),
        )
    }
}

/// The stream from which the guest reads its standard input.
#[derive(Clone, Copy, Debug)]
struct Input {
    stream: u32,
    /// Bytes that may be sent.
    credit: u64,
    ended: bool,
}

/// Descriptors for the console's channels, and for standard input.
#[derive(Debug)]
pub struct Stdio {
    stdin: Port,
    channels: [Port; Channel::ALL.len()],
    input: Option<Input>,
    /// A new size of the terminal that the guest has not been told of.
    resized: Option<Window>,
}

impl Stdio {
    /// Takes the descriptors; the kernel's log and the trace go to `log`.
    pub fn new(stdin: OwnedFd, stdout: OwnedFd, stderr: OwnedFd, log: OwnedFd) -> Self {
        let log = Arc::new(log);
        Self {
            stdin: Port::new(Arc::new(stdin)),
            channels: [Arc::new(stdout), Arc::new(stderr), Arc::clone(&log), log].map(Port::new),
            input: None,
            resized: None,
        }
    }

    /// The terminal behind the descriptors has another size.
    pub fn resize(&mut self, window: Window) {
        self.resized = Some(window);
    }
}

impl Backend for Stdio {
    fn write(&mut self, channel: Channel, text: &[u8]) -> Written {
        let port = &mut self.channels[channel as usize];
        if port.blocked {
            return Written::Blocked;
        }
        loop {
            return match port.write(text) {
                Ok(count) => Written::Bytes(count),
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => {
                    port.blocked = true;
                    Written::Blocked
                }
                Err(errno) => Written::Failed(errno.raw_os_error().unsigned_abs()),
            };
        }
    }

    fn control(&mut self, request: &Request, payload: &[u8]) -> Result<Reply, Nonsense> {
        let reply = |errno: Option<Errno>| Reply {
            errno: errno.map_or(0, |errno| errno.raw_os_error().unsigned_abs()),
            credit: 0,
        };
        if !payload.is_empty() {
            return Err(Nonsense("a payload in a request that has none"));
        }
        match request.op {
            op::OPEN_STDIN if self.input.is_some() => Ok(reply(Some(Errno::BUSY))),
            op::OPEN_STDIN => {
                self.input = Some(Input {
                    stream: request.stream,
                    credit: request.credit.into(),
                    ended: false,
                });
                Ok(reply(None))
            }
            op::CLOSE
                if self
                    .input
                    .is_some_and(|input| input.stream == request.stream) =>
            {
                self.input = None;
                Ok(reply(None))
            }
            op::CLOSE => Ok(reply(Some(Errno::NOENT))),
            _ => Ok(reply(Some(Errno::NOSYS))),
        }
    }

    fn send(&mut self, message: &Stream, _data: &Data<'_>) -> Result<(), Nonsense> {
        let input = self
            .input
            .as_mut()
            .filter(|input| input.stream == message.stream);
        match (message.kind, input) {
            (kind::CREDIT, Some(input)) => {
                input.credit = input.credit.saturating_add(message.value.into());
                Ok(())
            }
            (kind::RESET, Some(input)) => {
                input.ended = true;
                Ok(())
            }
            // A message may cross the closing of its stream, or the end of it.
            (kind::CREDIT | kind::RESET | kind::END, _) => Ok(()),
            _ => Err(Nonsense("data on a stream that has no credit")),
        }
    }

    fn receive(&mut self, room: &Room<'_>) -> Option<Stream> {
        let input = self.input.as_mut().filter(|input| !input.ended)?;
        if let Some(window) = self.resized.take() {
            return Some(Stream {
                stream: input.stream,
                kind: kind::WINDOW,
                len: 0,
                value: window.to_abi(),
            });
        }
        let most = (room.len().min(READ_MAX) as u64).min(input.credit) as usize;
        if most == 0 || self.stdin.blocked {
            return None;
        }
        let message = |kind, len, value| Stream {
            stream: input.stream,
            kind,
            len,
            value,
        };
        let mut bytes = [0; READ_MAX];
        let read = self.stdin.read(&mut bytes[..most]);
        match read {
            Ok(0) => {
                input.ended = true;
                Some(message(kind::END, 0, 0))
            }
            Ok(count) => {
                input.credit -= count as u64;
                room.put(&bytes[..count]);
                Some(message(kind::DATA, count as u32, 0))
            }
            Err(Errno::AGAIN | Errno::INTR) => {
                self.stdin.blocked = true;
                None
            }
            Err(errno) => {
                input.ended = true;
                let errno = errno.raw_os_error().unsigned_abs();
                Some(message(kind::RESET, 0, errno))
            }
        }
    }

    fn ask(&mut self, _ask: Ask) -> Result<(), Nonsense> {
        self.stdin.blocked = false;
        Ok(())
    }

    fn watch(&self, room: bool, watched: &mut Vec<Watch>) {
        let mut watch = |port: &Port, events| {
            let fd = Arc::clone(&port.fd);
            watched.push(Watch { fd, events });
        };
        let reading = |input: &Input| !input.ended && input.credit > 0;
        if self.stdin.blocked && room && self.input.as_ref().is_some_and(reading) {
            watch(&self.stdin, PollFlags::IN);
        }
        for port in self.channels.iter().filter(|port| port.blocked) {
            watch(port, PollFlags::OUT);
        }
    }

    fn ready(&mut self, _events: &[PollFlags]) {
        // Whatever is ready will do what it can, the rest will say again that it is blocked.
        self.stdin.blocked = false;
        for port in &mut self.channels {
            port.blocked = false;
        }
    }
}
