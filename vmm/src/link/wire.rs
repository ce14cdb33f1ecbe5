//! What the frames look like: postcard, version first.

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use serde::{Deserialize, Serialize};
use unicell_guest_abi::init;
use unicell_guest_abi::message::FIRST_INCOMING;

use super::{Command, FRAME_MAX, Limits, LinkError, Message, Transport};
use crate::jail::{Layer, Plan};
use crate::reproducible::{Baseline, Level, Log, Spin};
use crate::window::Window;

/// The first number of every frame. Node and process come from one build; a mismatch is an old
/// process that lies around.
const VERSION: u32 = 5;

/// Descriptors that come with a start: standard input, output, error, the log, the init block, and
/// the box image if there is one, and the transcript if there is one.
pub(super) const DESCRIPTORS: usize = 7;

/// Control groups that a process can be in at once: one for each bound, at most.
const GROUPS_MAX: u8 = 4;
/// Descriptors that come with a plan, at most: its groups, and its network.
pub(super) const PLAN_DESCRIPTORS: usize = GROUPS_MAX as usize + 1;

/// [`Plan`] without its descriptors.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PlanFrame {
    version: u32,
    pub(super) layers: Vec<Layer>,
    pub(super) user: Option<u32>,
    pub(super) file_size: Option<u64>,
    /// Whether a network comes with it.
    pub(super) network: bool,
    /// How many control groups come with it, after the network.
    pub(super) cgroups: u8,
}

impl PlanFrame {
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            version: VERSION,
            layers: plan.layers.clone(),
            user: plan.user,
            file_size: plan.file_size,
            network: plan.network.is_some(),
            cgroups: u8::try_from(plan.cgroups.len()).unwrap_or(u8::MAX),
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, LinkError> {
        encode(self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, LinkError> {
        let frame: Self = decode(bytes)?;
        of_our_version(frame.version)?;
        Ok(frame)
    }
}

/// [`super::Start`] without its descriptors.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StartFrame {
    version: u32,
    pub(super) ram: u64,
    pub(super) flags: u32,
    pub(super) timeout_ns: Option<u64>,
    pub(super) since_ns: u64,
    pub(super) seed: Option<[u8; 32]>,
    pub(super) window: Option<Window>,
    pub(super) init_len: u64,
    /// Offset and length of the box image in its file.
    pub(super) image: Option<(u64, u64)>,
    pub(super) limits: Limits,
    pub(super) level: Level,
    pub(super) spin: Spin,
    pub(super) cpu: Option<Baseline>,
    pub(super) log: Option<LogFrame>,
}

/// [`Log`] without its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum LogFrame {
    Record,
    Replay,
}

impl StartFrame {
    pub(super) fn of(start: &super::Start) -> Self {
        Self {
            version: VERSION,
            ram: start.ram,
            flags: start.flags,
            timeout_ns: start.timeout_ns,
            since_ns: start.since_ns,
            seed: start.seed,
            window: start.window,
            init_len: start.init.len() as u64,
            image: start.image.as_ref().map(|image| (image.offset, image.len)),
            limits: start.limits,
            level: start.reproduction.level,
            spin: start.reproduction.spin,
            cpu: start.reproduction.cpu,
            log: start.reproduction.log.as_ref().map(|log| match log {
                Log::Record(_) => LogFrame::Record,
                Log::Replay(_) => LogFrame::Replay,
            }),
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, LinkError> {
        encode(self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, LinkError> {
        let frame: Self = decode(bytes)?;
        of_our_version(frame.version)?;
        if frame.init_len > init::MAX {
            return Err(LinkError::Nonsense("its init block is too long"));
        }
        frame.limits.check()?;
        Ok(frame)
    }
}

/// [`Command`] without its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum CommandFrame {
    Resize(Window),
    Opened {
        stream: u32,
    },
    Refused {
        stream: u32,
        errno: u16,
    },
    Incoming {
        stream: u32,
        transport: Transport,
        from: SocketAddr,
        port: u16,
    },
    Reset {
        stream: u32,
    },
    Usage,
    Limits(Limits),
}

/// One past the largest errno of Linux.
const ERRNO_END: u16 = 4096;

impl CommandFrame {
    /// The frame, and the descriptor that goes with it.
    pub(super) fn of<'a>(command: &Command<'a>) -> (Self, Option<BorrowedFd<'a>>) {
        match *command {
            Command::Resize(window) => (Self::Resize(window), None),
            Command::Opened { stream, socket } => (Self::Opened { stream }, Some(socket)),
            Command::Refused { stream, errno } => (Self::Refused { stream, errno }, None),
            Command::Incoming {
                stream,
                transport,
                from,
                port,
                socket,
            } => {
                let frame = Self::Incoming {
                    stream,
                    transport,
                    from,
                    port,
                };
                (frame, Some(socket))
            }
            Command::Reset { stream } => (Self::Reset { stream }, None),
            Command::Usage => (Self::Usage, None),
            Command::Limits(limits) => (Self::Limits(limits), None),
        }
    }

    /// Whether a descriptor goes with it.
    pub(super) fn has_descriptor(&self) -> bool {
        matches!(self, Self::Opened { .. } | Self::Incoming { .. })
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, LinkError> {
        self.check()?;
        encode(self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, LinkError> {
        let frame: Self = decode(bytes)?;
        frame.check()?;
        Ok(frame)
    }

    fn check(&self) -> Result<(), LinkError> {
        match self {
            Self::Refused { errno, .. } if !(1..ERRNO_END).contains(errno) => {
                Err(LinkError::Nonsense("it refuses for no reason"))
            }
            Self::Incoming { stream, .. } if *stream < FIRST_INCOMING => Err(LinkError::Nonsense(
                "its stream has a number of the guest's",
            )),
            Self::Limits(limits) => limits.check(),
            _ => Ok(()),
        }
    }
}

impl Limits {
    fn check(&self) -> Result<(), LinkError> {
        const PERIOD: std::ops::RangeInclusive<u64> = 1_000_000..=1_000_000_000;
        match self.cpu {
            Some(cpu) if !PERIOD.contains(&cpu.period_ns) || cpu.quota_ns == 0 => {
                Err(LinkError::Nonsense("its processor quota is out of range"))
            }
            _ => Ok(()),
        }
    }
}

impl Message {
    pub(super) fn encode(&self) -> Result<Vec<u8>, LinkError> {
        encode(self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, LinkError> {
        let mut message = decode(bytes)?;
        match &mut message {
            Self::Ended(outcome) => outcome.make_printable(),
            Self::Ready(report) => report.make_printable(),
            Self::Unfit(reason) => *reason = crate::outcome::printable(reason),
            Self::Open(open) if open.stream >= FIRST_INCOMING => {
                return Err(LinkError::Nonsense("its stream has a number of the node's"));
            }
            Self::Open(open) => open.to = unmapped(open.to),
            Self::Refused(refused) => refused.to = unmapped(refused.to),
            Self::Closed(closed) if closed.errno >= ERRNO_END => {
                return Err(LinkError::Nonsense("its errno is none"));
            }
            _ => {}
        }
        Ok(message)
    }
}

/// An IPv4 address in IPv6 clothes is one all the same, for whoever decides about addresses.
pub(crate) fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Refuses a frame of a node or an instance that was built from other sources.
fn of_our_version(version: u32) -> Result<(), LinkError> {
    match version {
        VERSION => Ok(()),
        _ => Err(LinkError::Nonsense("it is of another version")),
    }
}

fn encode(frame: &impl Serialize) -> Result<Vec<u8>, LinkError> {
    match postcard::to_allocvec(frame) {
        Ok(bytes) if bytes.len() <= FRAME_MAX => Ok(bytes),
        _ => Err(LinkError::Nonsense("it is too long to be sent")),
    }
}

fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, LinkError> {
    match postcard::take_from_bytes(bytes) {
        Ok((frame, [])) => Ok(frame),
        _ => Err(LinkError::Nonsense("it cannot be decoded")),
    }
}
