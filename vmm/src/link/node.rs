//! The node's end.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command};

use rustix::fs::MemfdFlags;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, Shutdown,
    SocketFlags, SocketType, recv, send, sendmsg, shutdown, socketpair,
};

use super::wire::{DESCRIPTORS, StartFrame};
use super::{FRAME_MAX, LinkError, Message, Start};
use crate::window::Window;

/// The node's end of the link to one instance.
#[derive(Debug)]
pub struct NodeEnd(OwnedFd);

impl NodeEnd {
    /// Starts the process of an instance, which waits for [`NodeEnd::start`]: the sooner it is
    /// spawned, the more it has done by then. `command` names the program and its environment; its
    /// standard input becomes the link.
    ///
    /// # Errors
    ///
    /// The process cannot be started.
    pub fn spawn(mut command: Command) -> Result<(Self, Child), LinkError> {
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
        Ok((Self(node), instance))
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
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(LinkError::Nonsense("it has too many descriptors"));
        }
        let flags = SendFlags::NOSIGNAL;
        sendmsg(&self.0, &[IoSlice::new(&frame)], &mut control, flags)?;
        Ok(())
    }

    /// Asks the instance to stop: nothing more will be said. That it is gone already is no error.
    ///
    /// # Errors
    ///
    /// The link failed.
    pub fn stop(&self) -> Result<(), LinkError> {
        match shutdown(&self.0, Shutdown::Write) {
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
        let frame = window.encode()?;
        match send(&self.0, &frame, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(_) | Err(Errno::PIPE | Errno::CONNRESET | Errno::AGAIN) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Waits for the next message (or, on a descriptor made non-blocking, fails with
    /// `EAGAIN`). Descriptors that a process sends along are closed unseen.
    ///
    /// # Errors
    ///
    /// The link failed or closed, or the message makes no sense.
    pub fn receive(&self) -> Result<Message, LinkError> {
        let mut frame = vec![0; FRAME_MAX];
        // With this flag the length is that of the frame, whether it fits or not.
        let (_, len) = loop {
            match recv(&self.0, &mut frame[..], RecvFlags::TRUNC) {
                Err(Errno::INTR) => {}
                Err(Errno::CONNRESET) => return Err(LinkError::Closed),
                result => break result?,
            }
        };
        match frame.get(..len) {
            Some([]) => Err(LinkError::Closed),
            Some(frame) => Message::decode(frame),
            None => Err(LinkError::Nonsense("it is too long")),
        }
    }
}

impl AsFd for NodeEnd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
