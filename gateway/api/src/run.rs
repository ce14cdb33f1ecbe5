//! Somewhere to run an instance. The gateway decides, this does.
//!
//! One primitive: **a stream is a number in the guest and a descriptor in the
//! instance's process.** The gateway makes the descriptor and keeps a duplicate,
//! the process moves bytes between it and the guest.
//!
//! What the gateway relies on:
//!
//! - A descriptor may be of any stream or datagram socket: a TCP or UDP socket,
//!   or one end of a socket pair (`SOCK_STREAM` for TCP, `SOCK_SEQPACKET` for
//!   UDP: one message for each datagram).
//! - For each descriptor that was given there is one [`Event::Closed`], unless
//!   the instance ends before.
//! - The last event is [`Event::Ended`]. If the channel closes without it, the
//!   instance is taken as failed.
//! - After [`Event::Ended`] or the end of the channel there is no process, no
//!   control group and no file left of it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
pub use rustix::io::Errno;
use tokio::sync::mpsc;

use crate::event::Amount;
use crate::id::{InstanceId, ServiceId};
use crate::instance::{Cpu, Determinism, Jail, Limits, Outcome, Transport, Usage};
use crate::problem::Problem;
use crate::services::BoxImage;

/// A file that is written over the box before the program starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestFile {
    /// Absolute path. Directories on the way are made.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// What is run in the box.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Absolute path in the box.
    pub entry: String,
    /// Arguments, without the name.
    pub args: Vec<String>,
    /// `NAME=value`: all of the environment.
    pub env: Vec<String>,
    /// Absolute path of the directory it starts in.
    pub workdir: String,
}

/// Where the output goes: write ends of pipes, or files.
#[derive(Debug)]
pub struct Output {
    /// The program's standard output.
    pub stdout: OwnedFd,
    /// The program's standard error.
    pub stderr: OwnedFd,
    /// What the guest kernel prints.
    pub log: OwnedFd,
}

/// All that is needed to start an instance. It has a gateway, and its guest
/// the addresses of [`crate::address`].
#[derive(Debug)]
pub struct Launch {
    /// Its id: what is made on the host for it is named by it, so that it can
    /// be found after the node was killed.
    pub id: InstanceId,
    /// The guest's host name.
    pub hostname: String,
    /// The service that it is of.
    pub service: ServiceId,
    /// Its box.
    pub image: BoxImage,
    /// What is run in it.
    pub program: Program,
    /// What is written over the box.
    pub files: Vec<GuestFile>,
    /// Its bounds.
    pub limits: Limits,
    /// The most that these may become while it runs ([`Instance::limits`]).
    pub most: Limits,
    /// Where the output goes. The input is empty.
    pub output: Output,
    /// It is stopped after this time.
    pub timeout: Option<Duration>,
    /// How far its run is to be repeatable. One that is keeps what came from
    /// outside, up to as many bytes as it may write over its box.
    pub determinism: Determinism,
    /// The processor that its program finds, if that was said.
    pub cpu: Option<Cpu>,
}

/// Bytes of the send buffers (SO_SNDBUF) that a stream between two instances of a node has, while they
/// have few: whoever sends goes on while the other end waits for a processor. The host's kernel takes
/// up to twice as much memory for them.
pub const LOCAL_BUFFER: usize = 2 << 20;

/// Names a stream of one instance: given by the instance for those that it
/// opens, by the runner for those that come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u32);

/// Bytes that went through a stream, as the process of one end counts them at its descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// From the guest: what the descriptor has taken.
    pub sent: u64,
    /// To the guest: what was read from the descriptor.
    pub received: u64,
}

/// What an instance tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The program runs.
    Started {
        /// How far its run can be repeated.
        determinism: Determinism,
    },
    /// The guest wants a stream. It waits for [`Instance::answer`].
    Open {
        /// To be repeated in the answer. Not in use by another.
        stream: StreamId,
        /// Which kind.
        transport: Transport,
        /// Where to.
        to: SocketAddr,
    },
    /// The guest has refused streams by itself, to where nothing can be.
    Refused {
        /// Which kind, the last of them.
        transport: Transport,
        /// Where to, the last of them.
        to: SocketAddr,
        /// How many there were since the last such event; at least 1.
        times: u32,
    },
    /// A stream is over: no byte of it will come or go any more.
    Closed {
        /// Which.
        stream: StreamId,
        /// If it was broken off, rather than ended by both sides: by what. The
        /// other end is to find it broken too.
        broken: Option<Errno>,
        /// What went through it.
        carried: Carried,
    },
    /// What its process says about its usage is not what the host measures.
    Misreported {
        /// Of what.
        amount: Amount,
        /// What it says.
        claimed: u64,
        /// What the host has measured.
        measured: u64,
    },
    /// It is over.
    Ended {
        /// How.
        outcome: Outcome,
        /// What it used in all.
        usage: Usage,
    },
}

/// What an instance left on the host while it runs, for cleaning up after a
/// node that was killed.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Traces {
    /// Its process.
    pub pid: Option<u32>,
    /// When that was started (field 22 of `/proc/PID/stat`): a process with
    /// another time is another process.
    pub pid_start: Option<u64>,
    /// Control groups, deepest first.
    pub cgroups: Vec<PathBuf>,
    /// Sockets and other files.
    pub files: Vec<PathBuf>,
}

/// An instance cannot be talked to any more; [`Event::Ended`] says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the instance is gone")]
pub struct Gone;

/// Why an instance was not started.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The host failed.
    #[error("the host cannot start it: {0}")]
    Host(#[from] io::Error),
    /// What was to be run is not possible: one sentence.
    #[error("{0}")]
    Refused(String),
}

/// An instance that was started.
pub struct Running {
    /// To talk to it.
    pub instance: Arc<dyn Instance>,
    /// What it tells. Nobody reading makes it wait, not the node grow: the
    /// channel has a bound.
    pub events: mpsc::Receiver<Event>,
    /// What it left on the host.
    pub traces: Traces,
    /// What keeps it apart from the host.
    pub jail: Jail,
    /// What its run can be proven by, if it can be repeated.
    pub evidence: Option<Arc<dyn Evidence>>,
}

/// What a run can be proven by that can be repeated. Asked when it has ended;
/// kept for as long as anybody remembers the instance, and there is room for it
/// ([`Kept`]). Calls may block.
pub trait Evidence: Send + Sync + 'static {
    /// What was run, with what input and what output: a JSON document that the
    /// node has signed, with what the caller gives to know it by.
    ///
    /// # Errors
    ///
    /// Nothing can be vouched for: why.
    fn receipt(&self, nonce: Option<String>) -> Result<String, Problem>;

    /// What the receipt names as the transcript.
    ///
    /// # Errors
    ///
    /// As of [`Evidence::receipt`].
    fn transcript(&self) -> Result<std::fs::File, Problem>;
}

/// How much evidence there is of instances that have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Bytes of transcripts.
    pub bytes: u64,
    /// How many these may be. The oldest are dropped for the newest.
    pub bound: u64,
    /// Transcripts that were dropped.
    pub dropped: u64,
}

/// Somewhere to run instances.
#[async_trait]
pub trait Runner: Send + Sync + 'static {
    /// Starts one. On an error nothing is left of it. The call is never
    /// cancelled.
    async fn start(&self, launch: Launch) -> Result<Running, RunError>;

    /// How much evidence it keeps.
    fn kept(&self) -> Kept;
}

/// The gateway's handle on an instance. Methods may be called at any time from
/// any task. Only [`Instance::incoming`] waits for the guest.
#[async_trait]
pub trait Instance: Send + Sync + 'static {
    /// Answers [`Event::Open`]: with a connected descriptor, or with what
    /// `connect(2)` fails with in the guest.
    async fn answer(&self, stream: StreamId, answer: Result<OwnedFd, Errno>) -> Result<(), Gone>;

    /// Brings a stream to a port of the guest, and says when it has it. The
    /// caller bounds the time; a call that is dropped brings nothing later.
    ///
    /// # Errors
    ///
    /// The guest did not take it: ECONNREFUSED if nobody listens there. There
    /// is no [`Event::Closed`] for it then.
    async fn incoming(
        &self,
        port: u16,
        transport: Transport,
        from: SocketAddr,
        socket: OwnedFd,
    ) -> Result<StreamId, Errno>;

    /// Breaks a stream off: the guest's program finds ECONNRESET. One that is
    /// over already is no error. It is told when this is first polled, if it
    /// can be told without waiting.
    async fn reset(&self, stream: StreamId);

    /// Changes its bounds, to no more than [`Launch::most`]. What may be written over the box stays
    /// as it was at the start.
    async fn limits(&self, limits: Limits) -> Result<(), Gone>;

    /// What it has used until now.
    async fn usage(&self) -> Result<Usage, Gone>;

    /// Ends it, whatever it is doing. [`Event::Ended`] follows. To stop what
    /// has ended already is nothing.
    async fn stop(&self);
}
