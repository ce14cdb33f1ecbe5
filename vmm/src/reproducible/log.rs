//! The backend of a reproducible run: lets input through when the guest asks for it, and keeps
//! account of what came and what went.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Read};

use blake3::Hasher;
use rustix::event::PollFlags;
use unicell_guest_abi::message::{Reply, Request, Stream};

use super::transcript::{self, BLOCK, Input, Length, Output, Transcript, TranscriptError};
use super::{Log, Recorded};
use crate::backend::{Ask, Backend, Channel, Data, Nonsense, Room, Watch, Written};

/// Why a transcript cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("the transcript cannot be read: {0}")]
    Read(#[from] io::Error),
    #[error(transparent)]
    Transcript(#[from] TranscriptError),
    #[error("the transcript is too long to be read")]
    TooLong,
}

/// The digests of one output.
#[derive(Default)]
struct Digests {
    whole: Hasher,
    block: Hasher,
    blocks: Vec<[u8; 32]>,
}

impl Digests {
    fn update(&mut self, mut bytes: &[u8]) {
        self.whole.update(bytes);
        while !bytes.is_empty() {
            let room = BLOCK - self.block.count() as usize;
            let (part, rest) = bytes.split_at(room.min(bytes.len()));
            self.block.update(part);
            if part.len() == room {
                self.end_block();
            }
            bytes = rest;
        }
    }

    fn end_block(&mut self) {
        if self.block.count() > 0 {
            self.blocks.push(*self.block.finalize().as_bytes());
            self.block = Hasher::new();
        }
    }
}

/// Where input comes from, and where it is noted.
enum Mode {
    /// From outside, and forgotten.
    Live,
    /// From outside, noted here.
    Record(BufWriter<File>),
    /// From a transcript.
    Replay(Box<Replay>),
}

struct Replay {
    inputs: VecDeque<Input>,
    rest: Transcript,
}

/// A backend that brings input only when it is asked for.
pub(crate) struct Logged<B> {
    inner: B,
    kernel: &'static [u8],
    mode: Mode,
    /// The guest has asked, and nothing was brought yet.
    open: Option<Ask>,
    asks: u64,
    digests: [Digests; 3],
    difference: Option<String>,
    failure: Option<String>,
}

impl<B: Backend> Logged<B> {
    /// The backend of a reproducible run of this kernel, over an ordinary one.
    pub(crate) fn new(inner: B, kernel: &'static [u8], log: Option<Log>) -> Result<Self, LogError> {
        let mode = match log {
            None => Mode::Live,
            Some(Log::Record(file)) => Mode::Record(BufWriter::new(file.into())),
            Some(Log::Replay(file)) => Mode::Replay(Box::new(Replay::read(&file.into())?)),
        };
        Ok(Self {
            inner,
            kernel,
            mode,
            open: None,
            asks: 0,
            digests: Default::default(),
            difference: None,
            failure: None,
        })
    }

    fn note(&mut self, output: Output, bytes: &[u8]) {
        if !matches!(self.mode, Mode::Live) {
            self.digests[output as usize].update(bytes);
        }
    }

    /// Notes a message that was brought.
    fn record(&mut self, ask: Ask, message: &Stream, room: &Room<'_>) {
        let Mode::Record(file) = &mut self.mode else {
            return;
        };
        let input = Input {
            ask: self.asks - 1,
            call: ask.call,
            stream: message.stream,
            kind: message.kind,
            value: message.value,
            data: room.copy(message.len as usize),
        };
        if let Err(error) = transcript::input(input, file) {
            let why = || format!("the transcript cannot be written: {error}");
            self.failure.get_or_insert_with(why);
        }
    }

    /// The message that came at this asking, if one did.
    fn replayed(&mut self, ask: Ask, room: &Room<'_>) -> Option<Stream> {
        let Mode::Replay(replay) = &mut self.mode else {
            return None;
        };
        let now = self.asks - 1;
        if replay.inputs.front().is_none_or(|input| input.ask != now) {
            return None;
        }
        let input = replay.inputs.pop_front()?;
        if input.call != ask.call || input.data.len() > room.len() {
            self.differs(format!(
                "input came at system call {} and was asked for at {}",
                input.call, ask.call
            ));
        }
        room.put(&input.data);
        Some(Stream {
            stream: input.stream,
            kind: input.kind,
            len: input.data.len() as u32,
            value: input.value,
        })
    }

    fn differs(&mut self, how: String) {
        self.difference.get_or_insert(how);
    }

    /// Compares a replay that has ended with its transcript.
    fn compare(&mut self, length: Length) {
        let Mode::Replay(replay) = &self.mode else {
            return;
        };
        let mut found = Vec::new();
        let outputs = self.digests.iter().zip(&replay.rest.outputs);
        for (output, (ours, theirs)) in Output::ALL.into_iter().zip(outputs) {
            let same = ours.blocks.iter().zip(theirs).take_while(|(a, b)| a == b);
            let same = same.count();
            if same < ours.blocks.len().max(theirs.len()) {
                let (from, to) = (same * BLOCK, (same + 1) * BLOCK);
                found.push(format!(
                    "{} differs between byte {from} and byte {to}",
                    output.name()
                ));
            }
        }
        if let Some(input) = replay.inputs.front() {
            found.push(format!(
                "the input of system call {} was never asked for",
                input.call
            ));
        }
        if length != replay.rest.length {
            found.push(format!(
                "{} system calls were made, and {} in the transcript",
                length.calls, replay.rest.length.calls
            ));
        }
        if !found.is_empty() {
            self.differs(found.join("; "));
        }
    }
}

impl Replay {
    fn read(file: &File) -> Result<Self, LogError> {
        let mut bytes = Vec::new();
        file.take(transcript::MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > transcript::MAX {
            return Err(LogError::TooLong);
        }
        let mut rest = transcript::parse(&bytes)?;
        let inputs = std::mem::take(&mut rest.inputs).into();
        Ok(Self { inputs, rest })
    }
}

impl<B: Backend> Backend for Logged<B> {
    fn write(&mut self, channel: Channel, text: &[u8]) -> Written {
        let output = match channel {
            Channel::Stdout => Output::Stdout,
            Channel::Stderr => Output::Stderr,
            Channel::Log | Channel::Trace => return self.inner.write(channel, text),
        };
        let taken = match self.inner.write(channel, text) {
            Written::Bytes(taken) => taken,
            Written::Blocked => return Written::Blocked,
            // That nobody reads any more is no input: the program goes on as if somebody did.
            Written::Failed(_) => text.len(),
        };
        self.note(output, &text[..taken.min(text.len())]);
        Written::Bytes(taken)
    }

    fn control(&mut self, request: &Request, payload: &[u8]) -> Result<Reply, Nonsense> {
        self.inner.control(request, payload)
    }

    fn send(&mut self, message: &Stream, data: &Data<'_>) -> Result<(), Nonsense> {
        let header = [message.stream, message.kind, message.len, message.value];
        for word in header {
            self.note(Output::Streams, &word.to_le_bytes());
        }
        if !matches!(self.mode, Mode::Live) {
            let bytes = data.copy(0);
            self.note(Output::Streams, &bytes);
        }
        match self.mode {
            // Nobody is there.
            Mode::Replay(_) => Ok(()),
            _ => self.inner.send(message, data),
        }
    }

    fn ask(&mut self, ask: Ask) -> Result<(), Nonsense> {
        self.asks += 1;
        self.open = Some(ask);
        let Mode::Replay(replay) = &self.mode else {
            return self.inner.ask(ask);
        };
        let now = self.asks - 1;
        if replay.inputs.front().is_some_and(|input| input.ask == now) {
            return Ok(());
        }
        // Nothing came then, so there is nothing to wait for now.
        self.open = None;
        if ask.waits {
            self.differs(format!(
                "input was asked for at system call {}, and none came in the transcript",
                ask.call
            ));
            return Err(Nonsense("the run differs from its transcript"));
        }
        Ok(())
    }

    fn is_asked(&self) -> bool {
        self.open.is_some()
    }

    fn asked(&mut self) {
        self.open = None;
    }

    fn receive(&mut self, room: &Room<'_>) -> Option<Stream> {
        let ask = self.open?;
        let message = match self.mode {
            Mode::Replay(_) => self.replayed(ask, room)?,
            _ => self.inner.receive(room)?,
        };
        self.open = None;
        self.record(ask, &message, room);
        Some(message)
    }

    fn watch(&self, room: bool, watched: &mut Vec<Watch>) {
        let live = !matches!(self.mode, Mode::Replay(_));
        self.inner
            .watch(room && live && self.open.is_some(), watched);
    }

    fn tick(&mut self, now: u64) -> Option<u64> {
        self.inner.tick(now)
    }

    fn is_flushed(&self) -> bool {
        self.inner.is_flushed()
    }

    fn ended(&mut self) {
        self.inner.ended();
    }

    fn ready(&mut self, events: &[PollFlags]) {
        self.inner.ready(events);
    }

    fn recorded(&mut self, calls: u64) -> Option<Recorded> {
        if matches!(self.mode, Mode::Live) {
            return None;
        }
        let length = Length {
            asks: self.asks,
            calls,
        };
        self.digests.iter_mut().for_each(Digests::end_block);
        self.compare(length);
        if let Mode::Record(file) = &mut self.mode {
            let blocks = self
                .digests
                .each_ref()
                .map(|digests| digests.blocks.clone());
            if let Err(error) = transcript::end(&blocks, length, file) {
                let why = || format!("the transcript cannot be written: {error}");
                self.failure.get_or_insert_with(why);
            }
        }
        let [stdout, stderr, streams] = self
            .digests
            .each_ref()
            .map(|digests| *digests.whole.finalize().as_bytes());
        Some(Recorded {
            kernel: *blake3::hash(self.kernel).as_bytes(),
            stdout,
            stderr,
            streams,
            difference: self.difference.take(),
            failure: self.failure.take(),
        })
    }
}
