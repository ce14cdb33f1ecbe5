//! Reading: bounded in depth, in what is kept, and in how many messages there
//! are, whatever the bytes claim.

use std::io::{self, Read, Seek, SeekFrom};

use super::{Form, WireError, WireFault, WireType};
use crate::tree::{Source, SourceReader};

/// Bounds of what is read.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most messages, entries of maps and entries of the file tree together.
    pub messages: u64,
    /// Most bytes of texts and values that are kept in memory.
    pub bytes: u64,
    /// Most entries of file trees.
    pub entries: u64,
    /// Most bytes of file contents.
    pub contents: u64,
    /// Deepest nesting of messages; each directory counts two.
    pub depth: u32,
}

/// Messages nested deeper than this are refused: a directory counts two, which
/// leaves some for what they lie in.
const MAX_DEPTH: u32 = 2 * crate::spec::MAX_DIRECTORIES + 16;

impl Default for Limits {
    /// A million entries, 64 GiB of contents, 256 MiB of all else.
    fn default() -> Self {
        let tree = crate::tree::Limits::default();
        Self {
            messages: 16 << 20,
            bytes: 256 << 20,
            entries: u64::from(tree.entries),
            contents: tree.bytes,
            depth: MAX_DEPTH,
        }
    }
}

/// Bytes read at a time.
const WINDOW: usize = 64 << 10;

/// Reads fields from a source.
#[allow(unreachable_pub, reason = "in the signatures of a sealed trait")]
pub struct Reader<'a> {
    source: &'a Source,
    input: SourceReader,
    form: Form,
    /// What was read ahead: `window[used..]` comes next.
    window: Vec<u8>,
    used: usize,
    /// Place in the source of the next byte, and where the message ends.
    at: u64,
    end: u64,
    limits: Limits,
}

type Result<T> = std::result::Result<T, WireError>;

impl<'a> Reader<'a> {
    pub(crate) fn new(source: &'a Source, form: Form, limits: Limits) -> io::Result<Self> {
        Ok(Self {
            source,
            input: source.open()?,
            form,
            window: Vec::new(),
            used: 0,
            at: 0,
            end: source.len(),
            limits,
        })
    }

    pub(crate) fn form(&self) -> Form {
        self.form
    }

    fn spend(budget: &mut u64, amount: u64, what: &'static str, limit: u64) -> Result<()> {
        *budget = budget
            .checked_sub(amount)
            .ok_or(WireFault::TooMuch { what, limit })?;
        Ok(())
    }

    /// Counts a message or an entry of a map.
    pub(crate) fn count_message(&mut self) -> Result<()> {
        let limit = Limits::default().messages;
        Self::spend(&mut self.limits.messages, 1, "messages", limit)
    }

    /// Counts an entry of a file tree.
    pub(crate) fn count_entry(&mut self) -> Result<()> {
        let limit = Limits::default().entries;
        Self::spend(&mut self.limits.entries, 1, "files and directories", limit)
    }

    /// Counts contents of a file.
    pub(crate) fn count_contents(&mut self, len: u64) -> Result<()> {
        let limit = Limits::default().contents;
        Self::spend(
            &mut self.limits.contents,
            len,
            "bytes of file contents",
            limit,
        )
    }

    /// Whether the message ends here.
    pub(crate) fn at_end(&self) -> bool {
        self.at == self.end
    }

    fn fill(&mut self) -> Result<()> {
        // Beyond the message's end too: `at` and `end` decide what is taken.
        let left = (self.source.len() - self.at).min(WINDOW as u64) as usize;
        self.window.resize(left, 0);
        self.used = 0;
        self.input.read_exact(&mut self.window)?;
        Ok(())
    }

    fn byte(&mut self) -> Result<u8> {
        if self.at == self.end {
            return Err(WireFault::Truncated.into());
        }
        if self.used == self.window.len() {
            self.fill()?;
        }
        let byte = self.window[self.used];
        self.used += 1;
        self.at += 1;
        Ok(byte)
    }

    pub(crate) fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(WireFault::LongNumber.into())
    }

    /// The next field of the message, or nothing at its end.
    pub(crate) fn tag(&mut self) -> Result<Option<(u32, WireType)>> {
        if self.at == self.end {
            return Ok(None);
        }
        let tag = self.varint()?;
        let wire = match tag & 7 {
            0 => WireType::Varint,
            2 => WireType::Bytes,
            _ => return Err(WireFault::WrongType.into()),
        };
        let number = u32::try_from(tag >> 3).map_err(|_| WireFault::OutOfRange(tag))?;
        Ok(Some((number, wire)))
    }

    /// The length of a value, which lies within the message.
    fn length(&mut self) -> Result<u64> {
        let len = self.varint()?;
        if len > self.end - self.at {
            return Err(WireFault::Truncated.into());
        }
        Ok(len)
    }

    /// A value of bytes, kept in memory.
    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>> {
        let len = self.length()?;
        let limit = Limits::default().bytes;
        Self::spend(&mut self.limits.bytes, len, "bytes outside of files", limit)?;
        let mut bytes = Vec::with_capacity(len as usize);
        while (bytes.len() as u64) < len {
            if self.used == self.window.len() {
                self.fill()?;
            }
            let left = len as usize - bytes.len();
            let part = &self.window[self.used..];
            let part = &part[..part.len().min(left)];
            bytes.extend_from_slice(part);
            self.used += part.len();
            self.at += part.len() as u64;
        }
        Ok(bytes)
    }

    /// A value of text.
    pub(crate) fn string(&mut self) -> Result<String> {
        String::from_utf8(self.bytes()?).map_err(|_| WireFault::NotUtf8.into())
    }

    /// A value of bytes, left where it lies.
    pub(crate) fn contents(&mut self) -> Result<Source> {
        let len = self.length()?;
        self.count_contents(len)?;
        let source = self.source.part(self.at, len);
        self.at += len;
        let ahead = (self.window.len() - self.used) as u64;
        if len <= ahead {
            self.used += len as usize;
        } else {
            self.window.clear();
            self.used = 0;
            self.input.seek(SeekFrom::Start(self.at))?;
        }
        Ok(source)
    }

    /// A value that is a message: `read` reads to its end.
    pub(crate) fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let len = self.length()?;
        self.limits.depth = self.limits.depth.checked_sub(1).ok_or(WireFault::TooMuch {
            what: "messages within each other",
            limit: u64::from(MAX_DEPTH),
        })?;
        let outer = std::mem::replace(&mut self.end, self.at + len);
        let value = read(self)?;
        debug_assert_eq!(self.at, self.end);
        self.end = outer;
        self.limits.depth += 1;
        Ok(value)
    }
}
