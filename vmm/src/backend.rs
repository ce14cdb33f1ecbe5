//! What the gateway device is connected to.

use std::sync::Arc;

use rustix::event::PollFlags;
use rustix::fd::OwnedFd;
use unicell_guest_abi::message::{Reply, Request, Stream, channel};

pub use crate::device::{Data, Room};
use crate::reproducible::Recorded;

/// Where a console text goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// The program's standard output.
    Stdout,
    /// The program's standard error.
    Stderr,
    /// The kernel's log.
    Log,
    /// The trace of system calls.
    Trace,
}

impl Channel {
    /// Every channel.
    pub const ALL: [Self; 4] = [Self::Stdout, Self::Stderr, Self::Log, Self::Trace];

    /// The channel with this number in the guest ABI.
    #[must_use]
    pub const fn from_abi(number: u32) -> Option<Self> {
        Some(match number {
            channel::STDOUT => Self::Stdout,
            channel::STDERR => Self::Stderr,
            channel::LOG => Self::Log,
            channel::TRACE => Self::Trace,
            _ => return None,
        })
    }
}

/// What became of a text that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// So many bytes of it were taken, at least one.
    Bytes(usize),
    /// None now; [`Backend::ready`] will say when to try again.
    Blocked,
    /// None ever, for this reason (an errno of Linux).
    Failed(u32),
}

/// A driver said something that breaks the protocol of the messages. The text says what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonsense(pub &'static str);

/// Something to wait for.
#[derive(Clone, Debug)]
pub struct Watch {
    /// Of what.
    pub fd: Arc<OwnedFd>,
    /// For what; hang-ups and errors are always waited for.
    pub events: PollFlags,
}

/// In a reproducible run, the guest's asking for input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// System calls that the guest has made, as it says.
    pub call: u64,
    /// It goes on only when there is some.
    pub waits: bool,
}

/// What the gateway device is connected to. Called by one thread at a time.
///
/// Nothing here may block: while one of these runs, the instance can neither be stopped nor timed
/// out. What the guest says is handed on as it is: headers and payloads are hostile.
pub trait Backend: Send {
    /// Writes text of the console.
    fn write(&mut self, channel: Channel, text: &[u8]) -> Written;

    /// Serves a request of the control queue. `payload` has `request.len` bytes.
    ///
    /// # Errors
    ///
    /// The request is none that a sound driver makes; the instance will be ended.
    fn control(&mut self, request: &Request, payload: &[u8]) -> Result<Reply, Nonsense>;

    /// Takes a stream message of the guest, with `message.len` bytes of data.
    ///
    /// # Errors
    ///
    /// The message is none that a sound driver sends; the instance will be ended.
    fn send(&mut self, message: &Stream, data: &Data<'_>) -> Result<(), Nonsense>;

    /// The next stream message for the guest, if there is one: its data is put at the beginning of
    /// `room`, `Stream::len` bytes of it.
    fn receive(&mut self, room: &Room<'_>) -> Option<Stream>;

    /// Adds what [`Backend::ready`] should be told of. `room` says whether the guest has buffers
    /// for stream messages.
    fn watch(&self, room: bool, watched: &mut Vec<Watch>);

    /// In a reproducible run, the guest asks for input: what was not there at the last look may be
    /// there now.
    ///
    /// # Errors
    ///
    /// It should not have asked; the instance will be ended.
    fn ask(&mut self, _ask: Ask) -> Result<(), Nonsense> {
        Ok(())
    }

    /// Whether nothing was brought since the guest has asked.
    fn is_asked(&self) -> bool {
        false
    }

    /// The guest has given up asking.
    fn asked(&mut self) {}

    /// What a recorded run has come to, after so many system calls. Asked once, after the end.
    fn recorded(&mut self, _calls: u64) -> Option<Recorded> {
        None
    }

    /// The time, monotonic ns, told before each look at the device. Returns when it is to be told
    /// again at the latest.
    fn tick(&mut self, _now: u64) -> Option<u64> {
        None
    }

    /// Whether all that the guest has sent is on its way, so that it may end.
    fn is_flushed(&self) -> bool {
        true
    }

    /// The instance has ended; nothing else is asked after this.
    fn ended(&mut self) {}

    /// Something happened: what, for each [`Watch`] that was added last, in the same order.
    fn ready(&mut self, events: &[PollFlags]);
}
