//! The transcript: a file that says with what an instance was started, what came from outside and
//! when, and what the output was.
//!
//! [`MAGIC`]; then frames, each its length (4 bytes, little-endian) and so many bytes. The first is
//! the configuration, of whose meaning this module knows nothing. Each other one is an [`Entry`] in
//! postcard's encoding: inputs in order, digests of the output, and one end, which is the last.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};
use unicell_guest_abi::message::DATA_MAX;

/// The first bytes of a transcript; the last of them is the version.
pub const MAGIC: [u8; 8] = *b"UNICELT1";
/// The longest frame: a configuration with the longest init block.
pub const FRAME_MAX: usize = 2 << 20;
/// The longest transcript that is read.
pub const MAX: u64 = 1 << 30;
/// Bytes of output that have a digest of their own.
pub const BLOCK: usize = 4096;
/// Digests in one frame.
const DIGESTS: usize = 1024;

/// A message that came from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// At which asking of the guest, counted from 0.
    pub ask: u64,
    /// At which system call that was, as the guest counts them.
    pub call: u64,
    /// `unicell_guest_abi::message::Stream`, field by field.
    pub stream: u32,
    /// What kind of message.
    pub kind: u32,
    /// What it says.
    pub value: u32,
    /// Its data.
    pub data: Vec<u8>,
}

/// What a digest is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Messages on streams.
    Streams,
}

impl Output {
    /// All of them, in the order in which a transcript has them.
    pub const ALL: [Self; 3] = [Self::Stdout, Self::Stderr, Self::Streams];

    /// What people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "standard output",
            Self::Stderr => "standard error",
            Self::Streams => "what was sent on connections",
        }
    }
}

/// What a frame holds, the first excepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Entry {
    Input(Input),
    /// BLAKE3 of the next blocks of [`BLOCK`] bytes; the last may be shorter.
    Output(Output, Vec<[u8; 32]>),
    /// How often the guest had asked for input, and how many system calls it had made.
    End {
        asks: u64,
        calls: u64,
    },
}

/// How a run ended, beside its output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Length {
    /// How often the guest asked for input.
    pub asks: u64,
    /// How many system calls it made.
    pub calls: u64,
}

/// A transcript that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    /// What the instance was started with.
    pub configuration: Vec<u8>,
    /// What came from outside, in order.
    pub inputs: Vec<Input>,
    /// Digests of the output's blocks, by [`Output`].
    pub outputs: [Vec<[u8; 32]>; 3],
    /// How long the run was.
    pub length: Length,
}

/// Why bytes are no transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TranscriptError {
    /// It does not begin like one.
    #[error("it does not begin as a transcript of this version does")]
    Magic,
    /// It is not whole.
    #[error("the transcript is cut off at byte {0}")]
    Cut(usize),
    /// A frame is longer than any.
    #[error("the transcript's frame at byte {0} is too long")]
    TooLong(usize),
    /// A frame is none.
    #[error("the transcript's frame at byte {0} makes no sense")]
    Nonsense(usize),
}

/// Begins a transcript.
///
/// # Errors
///
/// The configuration is longer than a frame, or what the writer says.
pub fn begin(configuration: &[u8], to: &mut impl Write) -> io::Result<()> {
    to.write_all(&MAGIC)?;
    frame(configuration, to)
}

fn frame(bytes: &[u8], to: &mut impl Write) -> io::Result<()> {
    if bytes.len() > FRAME_MAX {
        return Err(io::Error::other("a frame too long for a transcript"));
    }
    to.write_all(&(bytes.len() as u32).to_le_bytes())?;
    to.write_all(bytes)
}

fn entry(entry: &Entry, to: &mut impl Write) -> io::Result<()> {
    let bytes = postcard::to_allocvec(entry).map_err(io::Error::other)?;
    frame(&bytes, to)
}

/// Adds an input.
pub(super) fn input(input: Input, to: &mut impl Write) -> io::Result<()> {
    entry(&Entry::Input(input), to)
}

/// Ends a transcript.
pub(super) fn end(
    outputs: &[Vec<[u8; 32]>; 3],
    Length { asks, calls }: Length,
    to: &mut impl Write,
) -> io::Result<()> {
    for (output, digests) in Output::ALL.into_iter().zip(outputs) {
        for part in digests.chunks(DIGESTS) {
            entry(&Entry::Output(output, part.to_vec()), to)?;
        }
    }
    entry(&Entry::End { asks, calls }, to)?;
    to.flush()
}

/// Reads a transcript, whoever has written it.
///
/// # Errors
///
/// It is none, or not whole.
pub fn parse(bytes: &[u8]) -> Result<Transcript, TranscriptError> {
    let rest = bytes.strip_prefix(&MAGIC).ok_or(TranscriptError::Magic)?;
    let mut reader = Reader {
        rest,
        whole: bytes.len(),
    };
    let mut transcript = Transcript {
        configuration: reader.frame()?.to_vec(),
        ..Transcript::default()
    };
    loop {
        let at = reader.at();
        let nonsense = TranscriptError::Nonsense(at);
        let frame = reader.frame()?;
        let Ok((entry, [])) = postcard::take_from_bytes::<Entry>(frame) else {
            return Err(nonsense);
        };
        match entry {
            Entry::Input(input) => {
                let last = transcript.inputs.last().map(|last| last.ask);
                if input.data.len() > DATA_MAX || last >= Some(input.ask) {
                    return Err(nonsense);
                }
                transcript.inputs.push(input);
            }
            Entry::Output(output, digests) => {
                transcript.outputs[output as usize].extend(digests);
            }
            Entry::End { asks, calls } if reader.rest.is_empty() => {
                transcript.length = Length { asks, calls };
                return Ok(transcript);
            }
            Entry::End { .. } => return Err(nonsense),
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
    whole: usize,
}

impl<'a> Reader<'a> {
    fn at(&self) -> usize {
        self.whole - self.rest.len()
    }

    fn frame(&mut self) -> Result<&'a [u8], TranscriptError> {
        let at = self.at();
        let cut = TranscriptError::Cut(at);
        let (len, rest) = self.rest.split_first_chunk().ok_or(cut)?;
        let len = u32::from_le_bytes(*len) as usize;
        if len > FRAME_MAX {
            return Err(TranscriptError::TooLong(at));
        }
        let (frame, rest) = rest.split_at_checked(len).ok_or(cut)?;
        self.rest = rest;
        Ok(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(ask: u64, data: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        begin(b"configuration", &mut bytes).unwrap();
        let one = |ask| Input {
            ask,
            call: 7 * ask,
            stream: 1,
            kind: 1,
            value: 0,
            data: data.to_vec(),
        };
        input(one(1), &mut bytes).unwrap();
        input(one(ask), &mut bytes).unwrap();
        let outputs = [vec![[1; 32]; DIGESTS + 1], vec![], vec![[3; 32]]];
        let length = Length { asks: 9, calls: 99 };
        end(&outputs, length, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_transcript_comes_back_as_it_was_written() {
        let transcript = parse(&written(2, b"hello")).unwrap();
        assert_eq!(transcript.configuration, b"configuration");
        assert_eq!(transcript.inputs.len(), 2);
        assert_eq!(
            (transcript.inputs[1].call, &transcript.inputs[1].data[..]),
            (14, &b"hello"[..])
        );
        assert_eq!(transcript.outputs[0].len(), DIGESTS + 1);
        assert_eq!(transcript.outputs[2], [[3; 32]]);
        assert_eq!(transcript.length, Length { asks: 9, calls: 99 });
    }

    #[test]
    fn what_is_cut_off_or_goes_on_is_refused() {
        let bytes = written(2, b"hello");
        for end in 0..bytes.len() {
            assert!(parse(&bytes[..end]).is_err(), "cut at {end}");
        }
        assert!(parse(&[&bytes[..], &[0]].concat()).is_err());
    }

    #[test]
    fn inputs_out_of_order_or_too_long_are_refused() {
        assert!(parse(&written(1, b"twice at one asking")).is_err());
        assert!(parse(&written(2, &[0; DATA_MAX])).is_ok());
        assert!(parse(&written(2, &[0; DATA_MAX + 1])).is_err());
    }

    #[test]
    fn a_length_that_is_a_lie_takes_no_memory() {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(u32::MAX.to_le_bytes());
        assert_eq!(parse(&bytes), Err(TranscriptError::TooLong(8)));
    }
}
