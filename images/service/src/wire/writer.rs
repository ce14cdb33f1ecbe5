//! Writing.

use std::io::{self, Write};

use super::WireType;

/// How contents of files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In place: the canonical form, of which the id is the hash.
    Inline,
    /// As hash and length of a block that is kept elsewhere.
    Blocks,
}

/// Writes fields to an output.
#[allow(unreachable_pub, reason = "in the signatures of a sealed trait")]
pub struct Writer<'a> {
    out: &'a mut dyn Write,
    form: Form,
}

impl<'a> Writer<'a> {
    pub(crate) fn new(out: &'a mut dyn Write, form: Form) -> Self {
        Self { out, form }
    }

    pub(crate) fn form(&self) -> Form {
        self.form
    }

    pub(crate) fn out(&mut self) -> &mut dyn Write {
        self.out
    }

    pub(crate) fn varint(&mut self, mut value: u64) -> io::Result<()> {
        let mut bytes = [0; 10];
        let mut len = 0;
        loop {
            bytes[len] = (value as u8) | 0x80;
            len += 1;
            value >>= 7;
            if value == 0 {
                break;
            }
        }
        bytes[len - 1] &= 0x7f;
        self.out.write_all(&bytes[..len])
    }

    pub(crate) fn tag(&mut self, number: u32, wire: WireType) -> io::Result<()> {
        let wire = match wire {
            WireType::Varint => 0,
            WireType::Bytes => 2,
        };
        self.varint(u64::from(number) << 3 | wire)
    }

    /// A tag and the length of what the caller writes next.
    pub(crate) fn head(&mut self, number: u32, len: u64) -> io::Result<()> {
        self.tag(number, WireType::Bytes)?;
        self.varint(len)
    }

    pub(crate) fn bytes(&mut self, number: u32, bytes: &[u8]) -> io::Result<()> {
        self.head(number, bytes.len() as u64)?;
        self.out.write_all(bytes)
    }
}
