//! The frames between an instance's process and its node.
//!
//! A SOCK_SEQPACKET socket pair joins the two; the process inherits its end as descriptor 0. The
//! node sends one [`Plan`](crate::jail::Plan), which the process answers by [`Message::Ready`] when it
//! is in its jail, then one [`Start`] with descriptors, then [`Command`]s; the process sends
//! [`Message`]s, first [`Message::Started`] and last [`Message::Ended`]. If the node shuts or closes its end, the
//! instance stops.
//!
//! Each side treats the other as hostile: frames are bounded by [`FRAME_MAX`], decoded into typed
//! values or refused, and descriptors that were not asked for are closed by the kernel. Descriptors
//! go from node to process only.
//!
//! # Connections
//!
//! A connection of the guest to the outside is a number here and a socket that the *node* makes.
//! The process moves bytes between that socket and the guest; it opens no socket itself. The node
//! keeps a duplicate, by which it can shut the connection down.
//!
//! ```text
//! guest connects     -> Message::Open { stream, .. }
//!                    <- Command::Opened { stream, socket }   or Command::Refused { stream, errno }
//! guest is reached   <- Command::Incoming { stream, socket, .. }
//!                    -> Message::Accepted { stream }         or Message::Closed with an errno
//! either             -> Message::Closed { stream, .. }       once, last, for each socket given
//! to break it        <- Command::Reset { stream }            then shutdown(2) of the duplicate
//! ```
//!
//! For TCP the socket is a connected TCP socket or one end of a `SOCK_STREAM` socket pair, for UDP
//! one that keeps messages apart (a connected UDP socket, or one end of a `SOCK_DGRAM` or
//! `SOCK_SEQPACKET` pair). The process makes it non-blocking. What each side of a connection does
//! is told by the socket itself: the end of one direction is `shutdown(SHUT_WR)`. A connection that
//! was broken off, rather than ended, is [`Message::Closed`] with an errno; its other end is to be
//! told so by [`Command::Reset`] (another instance) or `SO_LINGER` of 0 (a TCP socket).
//!
//! Numbers below `FIRST_INCOMING` are the process's, those from there on the node's
//! ([`NodeEnd::new_stream`]).
//!
//! # Driving the node's end
//!
//! [`NodeEnd::receive`] waits; [`NodeEnd::try_receive`] does not, and [`NodeEnd::send`] never does:
//! poll the descriptor (`AsFd`; in tokio an `AsyncFd`) for reading, and after
//! [`LinkError::Full`] for writing.
//!
//! ```no_run
//! # use unicell_vmm::link::{Command, LinkError, Message, NodeEnd};
//! # use std::os::fd::AsFd;
//! # fn serve(node: NodeEnd) -> Result<(), LinkError> {
//! loop {
//!     match node.receive()? {
//!         Message::Open(open) if open.to.port() == 80 => {
//!             let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
//!             let socket = theirs.as_fd();
//!             node.send(&Command::Opened { stream: open.stream, socket })?;
//!             // `ours` is served; `theirs` is kept to be shut down, until Message::Closed.
//! #           drop((ours, theirs));
//!         }
//!         Message::Open(open) => {
//!             let errno = rustix::io::Errno::NETUNREACH.raw_os_error() as u16;
//!             node.send(&Command::Refused { stream: open.stream, errno })?;
//!         }
//!         Message::Ended(outcome) => break println!("{outcome}"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod instance;
mod node;
#[cfg(test)]
mod tests;
mod wire;

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};

pub use instance::InstanceEnd;
pub(crate) use instance::Order;
pub use node::NodeEnd;

use serde::{Deserialize, Serialize};

use crate::jail::Report;
use crate::memory::BoxImage;
use crate::outcome::Outcome;
use crate::reproducible::Reproduction;
use crate::window::Window;

/// The longest frame, in bytes.
pub const FRAME_MAX: usize = 64 << 10;

/// What an instance is started with.
#[derive(Debug)]
pub struct Start {
    /// RAM in bytes.
    pub ram: u64,
    /// Bits of `unicell_guest_abi::boot::flags`.
    pub flags: u32,
    /// How long the instance may take, in nanoseconds.
    pub timeout_ns: Option<u64>,
    /// Where the timeline begins, nanoseconds of the monotonic clock.
    pub since_ns: u64,
    /// The guest's randomness, in a reproducible run.
    pub seed: Option<[u8; 32]>,
    /// The size of the terminal that standard input and output are, if they are one.
    pub window: Option<Window>,
    /// The init block, at most `unicell_guest_abi::init::MAX` bytes.
    pub init: Vec<u8>,
    /// The box image.
    pub image: Option<BoxImage>,
    /// The program's standard input.
    pub stdin: OwnedFd,
    /// The program's standard output.
    pub stdout: OwnedFd,
    /// The program's standard error.
    pub stderr: OwnedFd,
    /// Where the kernel's log and the trace of system calls go.
    pub log: OwnedFd,
    /// What the instance may use.
    pub limits: Limits,
    /// What is promised of the run, and where its transcript is.
    pub reproduction: Reproduction,
}

/// What an instance's process says.
#[derive(Debug, Serialize, Deserialize)]
pub enum Message {
    /// The process is in its jail and waits for a start.
    Ready(Report),
    /// The process could not enter its jail, and ends: why.
    Unfit(String),
    /// The virtual machine is made and about to run.
    Started,
    /// The instance has ended, or could not begin.
    Ended(Box<Outcome>),
    /// The guest wants to connect.
    Open(Open),
    /// The guest has taken an incoming connection.
    Accepted {
        /// Which.
        stream: u32,
    },
    /// A connection is over: no byte of it will come or go any more.
    Closed(Closed),
    /// What the instance has used so far, as was asked for; and, before [`Message::Ended`], in all.
    Usage(Usage),
    /// Whether others may go before the instance from now on: it computes without a pause, and does
    /// not starve.
    GivesWay(bool),
    /// The guest has refused by itself to connect.
    Refused(Refused),
}

/// A wish of the guest to connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The number of the connection.
    pub stream: u32,
    /// How.
    pub transport: Transport,
    /// Where to. An IPv4 address is one, never mapped.
    pub to: SocketAddr,
    /// The guest's own port.
    pub from_port: u16,
}

/// Connections that the guest has refused by itself, to where nothing can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// How, the last of them.
    pub transport: Transport,
    /// Where to, the last of them. An IPv4 address is one, never mapped.
    pub to: SocketAddr,
    /// How many there were since the node was told last.
    pub times: u32,
}

/// The end of a connection. Also the answer to [`Command::Incoming`] if the guest does not take it
/// (ECONNREFUSED if nobody listens there).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Which.
    pub stream: u32,
    /// 0 if both directions were ended in order, or an idle flow of UDP was given up; else the errno
    /// with which the connection was broken off.
    pub errno: u16,
    /// Bytes of the guest that the socket has taken.
    pub sent: u64,
    /// Bytes that were read from the socket for the guest.
    pub received: u64,
}

/// How a connection carries bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Transport {
    /// In order.
    Tcp,
    /// As datagrams.
    Udp,
}

/// What the node says after the start.
#[derive(Clone, Copy, Debug)]
pub enum Command<'a> {
    /// The terminal has another size.
    Resize(Window),
    /// A connection that was asked for is there.
    Opened {
        /// Which.
        stream: u32,
        /// Its near end.
        socket: BorrowedFd<'a>,
    },
    /// A connection that was asked for cannot be had.
    Refused {
        /// Which.
        stream: u32,
        /// Why, as the guest's program is told (1 to 4095).
        errno: u16,
    },
    /// Somebody connects to the guest.
    Incoming {
        /// The number of the connection: [`NodeEnd::new_stream`].
        stream: u32,
        /// How.
        transport: Transport,
        /// Who, as the guest is to see it.
        from: SocketAddr,
        /// The guest's port.
        port: u16,
        /// Its near end.
        socket: BorrowedFd<'a>,
    },
    /// A connection is to be broken off: the guest's program finds ECONNRESET.
    Reset {
        /// Which. One that is gone already is no error.
        stream: u32,
    },
    /// Asks for [`Message::Usage`].
    Usage,
    /// Changes what the instance may use.
    Limits(Limits),
}

/// What an instance may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processor time; none for as much as there is.
    pub cpu: Option<CpuQuota>,
    /// Bytes of RAM that may be resident, at most: an instance that needs more is ended. None for
    /// all that it was started with.
    pub memory: Option<u64>,
}

/// A share of a processor's time, as in cgroups: so much of each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuQuota {
    /// Nanoseconds of each period that the vCPU may run.
    pub quota_ns: u64,
    /// Nanoseconds of a period, 1 ms to 1 s.
    pub period_ns: u64,
}

/// What an instance has used so far. The guest has no part in these figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Processor time of the vCPU, in nanoseconds.
    pub cpu_ns: u64,
    /// Processor time of the thread that serves it, in nanoseconds.
    pub io_ns: u64,
    /// Bytes of RAM that are resident.
    pub memory: u64,
    /// The most that was found.
    pub memory_peak: u64,
    /// Bytes of the guest that sockets have taken, of all connections.
    pub sent: u64,
    /// Bytes that were read from sockets for the guest, of all connections.
    pub received: u64,
    /// Exits of the vCPU to the process.
    pub exits: u64,
}

/// Why the other side cannot be understood, or not reached.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The socket failed.
    #[error("the link between node and instance failed: {0}")]
    Io(#[from] rustix::io::Errno),
    /// The process could not be started.
    #[error("the instance's process cannot be started: {0}")]
    Spawn(std::io::Error),
    /// The process is in no jail.
    #[error("{0}")]
    Unfit(String),
    /// The other side is gone.
    #[error("the other end of the link is gone")]
    Closed,
    /// The other side does not keep up: nothing was sent.
    #[error("the other end of the link does not keep up")]
    Full,
    /// The frame is none of ours.
    #[error("a frame on the link makes no sense: {0}")]
    Nonsense(&'static str),
}

/// Reads bytes as every kind of frame; what is taken can be sent again, as the same.
pub(crate) fn read_any(bytes: &[u8]) {
    use wire::{CommandFrame, StartFrame};
    let again = |encoded: Result<Vec<u8>, LinkError>| {
        // What was longer than need be was short enough all the same.
        debug_assert!(encoded.is_ok());
    };
    if let Ok(frame) = StartFrame::decode(bytes) {
        again(frame.encode());
    }
    if let Ok(frame) = CommandFrame::decode(bytes) {
        again(frame.encode());
    }
    if let Ok(message) = Message::decode(bytes) {
        again(message.encode());
    }
}

/// A file that can be passed in place of standard input, output or error: it is empty, and what is
/// written to it is lost.
///
/// # Errors
///
/// The host has no `/dev/null`.
pub fn null() -> std::io::Result<OwnedFd> {
    let file = File::options().read(true).write(true).open("/dev/null")?;
    Ok(file.into())
}
