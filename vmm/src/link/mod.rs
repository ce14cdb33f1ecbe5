//! The frames between an instance's process and its node.
//!
//! A SOCK_SEQPACKET socket pair joins the two; the process inherits its end as descriptor 0. The
//! node sends one [`Start`] with descriptors, later perhaps [`Wish`]es; the process answers
//! [`Message::Started`] and [`Message::Ended`]. If the node's end closes, the instance stops.
//!
//! Each side treats the other as hostile: frames are bounded by [`FRAME_MAX`], decoded into typed
//! values or refused, and descriptors that were not asked for are closed by the kernel.

mod instance;
mod node;
#[cfg(test)]
mod tests;
mod wire;

use std::fs::File;
use std::os::fd::OwnedFd;

pub use instance::InstanceEnd;
pub use node::NodeEnd;

use serde::{Deserialize, Serialize};

use crate::memory::BoxImage;
use crate::outcome::Outcome;
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
}

/// What a node wants after the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The instance is to stop.
    Stop,
    /// The terminal has another size.
    Resize(Window),
}

/// What an instance's process says.
#[derive(Debug, Serialize, Deserialize)]
pub enum Message {
    /// The virtual machine is made and about to run.
    Started,
    /// The instance has ended, or could not begin.
    Ended(Box<Outcome>),
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
    /// The other side is gone.
    #[error("the other end of the link is gone")]
    Closed,
    /// The frame is none of ours.
    #[error("a frame on the link makes no sense: {0}")]
    Nonsense(&'static str),
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
