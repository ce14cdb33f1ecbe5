//! What the frames look like: postcard, version first.

use serde::{Deserialize, Serialize};
use unicell_guest_abi::init;

use super::{FRAME_MAX, LinkError, Message};
use crate::window::Window;

/// The first number of every frame. Node and process come from one build; a mismatch is an old
/// process that lies around.
const VERSION: u32 = 2;

/// Descriptors that come with a start: standard input, output, error, the log, the init block, and
/// the box image if there is one.
pub(super) const DESCRIPTORS: usize = 6;

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
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, LinkError> {
        encode(self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, LinkError> {
        let frame: Self = decode(bytes)?;
        if frame.version != VERSION {
            return Err(LinkError::Nonsense("it is of another version"));
        }
        if frame.init_len > init::MAX {
            return Err(LinkError::Nonsense("its init block is too long"));
        }
        Ok(frame)
    }
}

impl Window {
    pub(super) fn encode(self) -> Result<Vec<u8>, LinkError> {
        encode(&self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, LinkError> {
        decode(bytes)
    }
}

impl Message {
    pub(super) fn encode(&self) -> Result<Vec<u8>, LinkError> {
        encode(self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, LinkError> {
        let mut message = decode(bytes)?;
        if let Self::Ended(outcome) = &mut message {
            outcome.make_printable();
        }
        Ok(message)
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
