//! The process's end.

use std::fs::File;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, RecvMsg, ReturnFlags, SendFlags, recvmsg,
    send,
};

use super::wire::{CommandFrame, DESCRIPTORS, LogFrame, PLAN_DESCRIPTORS, PlanFrame, StartFrame};
use super::{FRAME_MAX, Limits, LinkError, Message, Start, Transport};
use crate::jail::Plan;
use crate::memory::BoxImage;
use crate::reproducible::{Log, Reproduction};
use crate::window::Window;

/// An instance's end of the link to its node.
#[derive(Clone, Debug)]
pub struct InstanceEnd(Arc<OwnedFd>);

impl InstanceEnd {
    /// The end that this process has inherited as its standard input.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn inherited() -> Result<Self, LinkError> {
        // Above the standard descriptors, so that none of them is taken by accident later.
        let link = rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), 3)?;
        Ok(Self::new(link))
    }

    /// An end made by [`super::NodeEnd::pair`].
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        Self(Arc::new(socket))
    }

    pub(crate) fn fd(&self) -> &Arc<OwnedFd> {
        &self.0
    }

    /// Waits for the jail that is to be entered.
    ///
    /// # Errors
    ///
    /// The link failed or closed, or what came makes no sense.
    pub fn plan(&self) -> Result<Plan, LinkError> {
        let mut frame = [0; COMMAND_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PLAN_DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut frame)];
        let received = recvmsg(&*self.0, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        if received.bytes == 0 {
            return Err(LinkError::Closed);
        }
        let mut descriptors = descriptors(&received, &mut control)?.into_iter();
        let frame = PlanFrame::decode(&frame[..received.bytes])?;
        let network = if frame.network {
            descriptors.next()
        } else {
            None
        };
        let cgroups: Vec<_> = descriptors.collect();
        if frame.network != network.is_some() || cgroups.len() != usize::from(frame.cgroups) {
            return Err(LinkError::Nonsense(
                "it has another number of descriptors than it should",
            ));
        }
        Ok(Plan {
            layers: frame.layers,
            user: frame.user,
            network,
            cgroups,
            file_size: frame.file_size,
        })
    }

    /// Waits for what the instance is started with.
    ///
    /// # Errors
    ///
    /// The link failed or closed, or what came makes no sense.
    pub fn start(&self) -> Result<Start, LinkError> {
        let mut frame = vec![0; FRAME_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut frame)];
        let received = recvmsg(&*self.0, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC)?;
        if received.bytes == 0 {
            return Err(LinkError::Closed);
        }
        let descriptors = descriptors(&received, &mut control)?;
        assemble(&StartFrame::decode(&frame[..received.bytes])?, descriptors)
    }

    /// Tells the node something.
    ///
    /// # Errors
    ///
    /// The link failed.
    pub fn send(&self, message: &Message) -> Result<(), LinkError> {
        match send(&*self.0, &message.encode()?, SendFlags::NOSIGNAL) {
            Ok(_) => Ok(()),
            Err(Errno::PIPE | Errno::CONNRESET) => Err(LinkError::Closed),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Tells the node something, if it keeps up; else [`LinkError::Full`].
    pub(crate) fn try_send(&self, message: &Message) -> Result<(), LinkError> {
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match send(&*self.0, &message.encode()?, flags) {
            Ok(_) => Ok(()),
            Err(Errno::AGAIN) => Err(LinkError::Full),
            Err(Errno::PIPE | Errno::CONNRESET) => Err(LinkError::Closed),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The next command, if there is one.
    pub(crate) fn order(&self) -> Result<Option<Order>, LinkError> {
        let mut frame = [0; COMMAND_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut frame)];
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received = match recvmsg(&*self.0, &mut parts, &mut control, flags) {
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            Err(Errno::CONNRESET) => return Err(LinkError::Closed),
            received => received?,
        };
        if received.bytes == 0 {
            return Err(LinkError::Closed);
        }
        let descriptors = descriptors(&received, &mut control)?;
        let frame = CommandFrame::decode(&frame[..received.bytes])?;
        let wanted = usize::from(frame.has_descriptor());
        if descriptors.len() != wanted {
            return Err(LinkError::Nonsense(
                "it has another number of descriptors than it should",
            ));
        }
        Order::of(frame, descriptors.into_iter().next()).map(Some)
    }
}

/// The descriptors that came with a frame, if all of them and all of it did.
fn descriptors(
    received: &RecvMsg,
    control: &mut RecvAncillaryBuffer<'_>,
) -> Result<Vec<OwnedFd>, LinkError> {
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    let cut = ReturnFlags::TRUNC | ReturnFlags::CTRUNC;
    if received.flags.intersects(cut) {
        return Err(LinkError::Nonsense(
            "it is too long or has too many descriptors",
        ));
    }
    Ok(descriptors)
}

/// The longest frame of a command, in bytes.
const COMMAND_MAX: usize = 256;

/// A [`super::Command`] as the process gets it.
#[derive(Debug)]
pub(crate) enum Order {
    Resize(Window),
    Opened {
        stream: u32,
        socket: OwnedFd,
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
        socket: OwnedFd,
    },
    Reset {
        stream: u32,
    },
    Usage,
    Limits(Limits),
}

impl Order {
    fn of(frame: CommandFrame, socket: Option<OwnedFd>) -> Result<Self, LinkError> {
        let missing = LinkError::Nonsense("a descriptor is missing");
        Ok(match frame {
            CommandFrame::Resize(window) => Self::Resize(window),
            CommandFrame::Opened { stream } => Self::Opened {
                stream,
                socket: socket.ok_or(missing)?,
            },
            CommandFrame::Refused { stream, errno } => Self::Refused { stream, errno },
            CommandFrame::Incoming {
                stream,
                transport,
                from,
                port,
            } => Self::Incoming {
                stream,
                transport,
                from,
                port,
                socket: socket.ok_or(missing)?,
            },
            CommandFrame::Reset { stream } => Self::Reset { stream },
            CommandFrame::Usage => Self::Usage,
            CommandFrame::Limits(limits) => Self::Limits(limits),
        })
    }
}

fn assemble(frame: &StartFrame, descriptors: Vec<OwnedFd>) -> Result<Start, LinkError> {
    let count = descriptors.len();
    let mut descriptors = descriptors.into_iter();
    let mut next = || {
        let missing = LinkError::Nonsense("a descriptor is missing");
        descriptors.next().ok_or(missing)
    };
    let (stdin, stdout, stderr, log) = (next()?, next()?, next()?, next()?);
    let init = read(&next()?, frame.init_len)?;
    let image = match frame.image {
        None => None,
        Some((offset, len)) => {
            let file = File::from(next()?);
            Some(BoxImage { file, offset, len })
        }
    };
    let transcript = match frame.log {
        None => None,
        Some(LogFrame::Record) => Some(Log::Record(next()?)),
        Some(LogFrame::Replay) => Some(Log::Replay(next()?)),
    };
    if count != 5 + usize::from(image.is_some()) + usize::from(transcript.is_some()) {
        return Err(LinkError::Nonsense("it has descriptors of no use"));
    }
    Ok(Start {
        ram: frame.ram,
        flags: frame.flags,
        timeout_ns: frame.timeout_ns,
        since_ns: frame.since_ns,
        seed: frame.seed,
        window: frame.window,
        init,
        image,
        stdin,
        stdout,
        stderr,
        log,
        limits: frame.limits,
        reproduction: Reproduction {
            level: frame.level,
            spin: frame.spin,
            cpu: frame.cpu,
            log: transcript,
        },
    })
}

/// The first `len` bytes of a file, which were found to be not too many.
fn read(file: &OwnedFd, len: u64) -> Result<Vec<u8>, LinkError> {
    let mut bytes = vec![0; len as usize];
    let mut done = 0;
    while done < bytes.len() {
        match rustix::io::pread(file, &mut bytes[done..], done as u64)? {
            0 => return Err(LinkError::Nonsense("its init block is cut off")),
            count => done += count,
        }
    }
    Ok(bytes)
}
