//! The process's end.

use std::fs::File;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendFlags, recv, recvmsg,
    send,
};

use super::wire::{DESCRIPTORS, StartFrame};
use super::{FRAME_MAX, LinkError, Message, Start, Wish};
use crate::memory::BoxImage;
use crate::window::Window;

/// Bytes of the longest wish; of a longer frame the rest is lost, and the frame makes no sense.
const WISH_MAX: usize = 16;

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
        let cut = ReturnFlags::TRUNC | ReturnFlags::CTRUNC;
        if received.flags.intersects(cut) {
            return Err(LinkError::Nonsense(
                "it is too long or has too many descriptors",
            ));
        }
        let mut descriptors = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
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

    /// What the node wishes next, if it wishes something. One that has shut its side of the link, or
    /// talks nonsense, wishes a stop.
    #[must_use]
    pub fn wish(&self) -> Option<Wish> {
        let mut frame = [0; WISH_MAX];
        match recv(&*self.0, &mut frame[..], RecvFlags::DONTWAIT) {
            Err(Errno::AGAIN | Errno::INTR) => None,
            Ok((_, len)) => Some(Window::decode(&frame[..len]).map_or(Wish::Stop, Wish::Resize)),
            Err(_) => Some(Wish::Stop),
        }
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
    if count != 5 + usize::from(image.is_some()) {
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
