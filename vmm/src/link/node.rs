//! The node's end.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{self, Child};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::MemfdFlags;
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_passcred;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketFlags, SocketType, recv, recvmsg, sendmsg,
    shutdown, socketpair,
};
use unicell_guest_abi::message::FIRST_INCOMING;

use super::wire::{CommandFrame, DESCRIPTORS, PLAN_DESCRIPTORS, PlanFrame, StartFrame};
use super::{Command, FRAME_MAX, LinkError, Message, Start};
use crate::jail::{Plan, Report};
use crate::reproducible::Log;
use crate::window::Window;

/// The node's end of the link to one instance.
#[derive(Debug)]
pub struct NodeEnd {
    socket: OwnedFd,
    /// Numbers given to incoming connections so far.
    streams: AtomicU32,
}

impl NodeEnd {
    /// Starts the process of an instance, which waits for [`NodeEnd::plan`] ([`crate::jail::spawn`]
    /// sends it). `command` names the program and its environment; its standard input becomes the
    /// link.
    ///
    /// # Errors
    ///
    /// The process cannot be started.
    pub fn spawn(mut command: process::Command) -> Result<(Self, Child), LinkError> {
        let (node, instance) = Self::pair()?;
        let child = command.stdin(instance).spawn().map_err(LinkError::Spawn)?;
        Ok((node, child))
    }

    /// Two ends: the node's, and what the process is to inherit as its standard input.
    ///
    /// # Errors
    ///
    /// The host has no descriptors left.
    pub fn pair() -> Result<(Self, OwnedFd), LinkError> {
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let (node, instance) = socketpair(family, kind, SocketFlags::CLOEXEC, None)?;
        let node = Self {
            socket: node,
            streams: AtomicU32::new(0),
        };
        Ok((node, instance))
    }

    /// Sends the jail that the process is to enter.
    ///
    /// # Errors
    ///
    /// The link failed.
    pub fn plan(&self, plan: &Plan) -> Result<(), LinkError> {
        let frame = PlanFrame::of(plan).encode()?;
        // Who answers is told by the kernel.
        set_socket_passcred(&self.socket, true)?;
        let descriptors = plan.network.iter().chain(&plan.cgroups);
        let descriptors: Vec<_> = descriptors.map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PLAN_DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(LinkError::Nonsense("it has too many descriptors"));
        }
        let flags = SendFlags::NOSIGNAL;
        sendmsg(&self.socket, &[IoSlice::new(&frame)], &mut control, flags)?;
        Ok(())
    }

    /// Waits for the answer to [`NodeEnd::plan`]: the layers that hold, and the number of the process
    /// that is in them, as the kernel says. It may be a child of the one that was started.
    ///
    /// # Errors
    ///
    /// The link failed or closed, or a layer failed.
    pub fn ready(&self) -> Result<(Report, u32), LinkError> {
        let mut frame = vec![0; FRAME_MAX];
        // With room for nothing else: descriptors are closed unseen.
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmCredentials(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut frame)];
        let received = loop {
            match recvmsg(
                &self.socket,
                &mut parts,
                &mut control,
                RecvFlags::CMSG_CLOEXEC,
            ) {
                Err(errno) if is_passing(errno) => {}
                received => break received?,
            }
        };
        if received.bytes == 0 {
            return Err(LinkError::Closed);
        }
        let pid = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmCredentials(sender) => Some(sender.pid),
            _ => None,
        });
        let pid = pid.and_then(|pid| u32::try_from(pid.as_raw_nonzero().get()).ok());
        match (Message::decode(&frame[..received.bytes])?, pid) {
            (Message::Ready(report), Some(pid)) => Ok((report, pid)),
            (Message::Unfit(reason), _) => Err(LinkError::Unfit(reason)),
            _ => Err(LinkError::Nonsense("it is no answer to a plan")),
        }
    }

    /// Sends what the instance is started with.
    ///
    /// # Errors
    ///
    /// The link failed.
    pub fn start(&self, start: &Start) -> Result<(), LinkError> {
        let frame = StartFrame::of(start).encode()?;
        let init = rustix::fs::memfd_create("init", MemfdFlags::CLOEXEC)?;
        let mut rest = &start.init[..];
        while !rest.is_empty() {
            rest = &rest[rustix::io::write(&init, rest)?..];
        }
        let mut descriptors = vec![
            start.stdin.as_fd(),
            start.stdout.as_fd(),
            start.stderr.as_fd(),
            start.log.as_fd(),
            init.as_fd(),
        ];
        descriptors.extend(start.image.as_ref().map(|image| image.file.as_fd()));
        descriptors.extend(start.reproduction.log.as_ref().map(|log| match log {
            Log::Record(file) | Log::Replay(file) => file.as_fd(),
        }));
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(LinkError::Nonsense("it has too many descriptors"));
        }
        let flags = SendFlags::NOSIGNAL;
        sendmsg(&self.socket, &[IoSlice::new(&frame)], &mut control, flags)?;
        Ok(())
    }

    /// Asks the instance to stop: nothing more will be said. That it is gone already is no error.
    ///
    /// # Errors
    ///
    /// The link failed.
    pub fn stop(&self) -> Result<(), LinkError> {
        match shutdown(&self.socket, Shutdown::Write) {
            Ok(()) | Err(Errno::NOTCONN) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Tells the instance that its terminal has another size. That it is gone already is no error,
    /// nor that it does not read: what it has not read by then it does not want to know.
    ///
    /// # Errors
    ///
    /// The link failed.
    pub fn resize(&self, window: Window) -> Result<(), LinkError> {
        match self.send(&Command::Resize(window)) {
            Ok(()) | Err(LinkError::Closed | LinkError::Full) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sends a command, without waiting.
    ///
    /// # Errors
    ///
    /// [`LinkError::Full`]: nothing was sent, poll for writing. The link failed or closed, or the
    /// command makes no sense.
    pub fn send(&self, command: &Command<'_>) -> Result<(), LinkError> {
        let (frame, descriptor) = CommandFrame::of(command);
        let frame = frame.encode()?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<_> = descriptor.into_iter().collect();
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(LinkError::Nonsense("it has too many descriptors"));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        match sendmsg(&self.socket, &[IoSlice::new(&frame)], &mut control, flags) {
            Ok(_) => Ok(()),
            Err(Errno::PIPE | Errno::CONNRESET) => Err(LinkError::Closed),
            // Too many descriptors on their way is the same to the caller as too many frames.
            Err(Errno::AGAIN | Errno::TOOMANYREFS) => Err(LinkError::Full),
            Err(errno) => Err(errno.into()),
        }
    }

    /// A number for [`Command::Incoming`] that no other connection has.
    #[must_use]
    pub fn new_stream(&self) -> u32 {
        FIRST_INCOMING | self.streams.fetch_add(1, Ordering::Relaxed)
    }

    /// Waits for the next message. Descriptors that a process sends along are closed unseen.
    ///
    /// # Errors
    ///
    /// The link failed or closed, or the message makes no sense.
    pub fn receive(&self) -> Result<Message, LinkError> {
        match self.take(RecvFlags::empty())? {
            Some(message) => Ok(message),
            None => Err(Errno::AGAIN.into()),
        }
    }

    /// The next message, if there is one.
    ///
    /// # Errors
    ///
    /// As [`NodeEnd::receive`].
    pub fn try_receive(&self) -> Result<Option<Message>, LinkError> {
        self.take(RecvFlags::DONTWAIT)
    }

    fn take(&self, flags: RecvFlags) -> Result<Option<Message>, LinkError> {
        let mut frame = vec![0; FRAME_MAX];
        // With this flag the length is that of the frame, whether it fits or not.
        let flags = flags | RecvFlags::TRUNC;
        let (_, len) = loop {
            match recv(&self.socket, &mut frame[..], flags) {
                Err(errno) if is_passing(errno) => {}
                Err(Errno::AGAIN) => return Ok(None),
                result => break result?,
            }
        };
        match frame.get(..len) {
            Some([]) => Err(LinkError::Closed),
            Some(frame) => Message::decode(frame).map(Some),
            None => Err(LinkError::Nonsense("it is too long")),
        }
    }
}

/// Whether to read on after this. ECONNRESET is said once, before what the other end has sent: it
/// has closed, and left unread what we had sent. Its last words are still there, and then the end.
fn is_passing(errno: Errno) -> bool {
    matches!(errno, Errno::INTR | Errno::CONNRESET)
}

impl AsFd for NodeEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
