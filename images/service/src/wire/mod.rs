//! The proto3 wire format, as far as a specification needs it, in one
//! canonical spelling.
//!
//! Written is always the canonical form: fields in ascending order, map
//! entries sorted by key with key and value both present, scalars of their
//! default value left out, repeated numbers packed. That is what the reference
//! implementations of protocol buffers write when asked to be deterministic.
//!
//! Read is any order of fields and of map entries; anything that would make
//! two readers disagree is refused: unknown fields, groups, a field given
//! twice, a map's key given twice, numbers that do not fit, text that is not
//! UTF-8. Contents of files are never read here: they stay where they lie, as
//! a [`Source`](crate::tree::Source).
//!
//! The encoding is that of the protocol buffers documentation, "Encoding".

mod fault;
mod field;
mod message;
mod reader;
mod writer;

pub use fault::{WireError, WireFault};
pub(crate) use field::{Field, is_default, take_entry};
pub use message::Message;
pub(crate) use message::{message, private::Codec};
pub use reader::Limits;
pub(crate) use reader::Reader;
pub use writer::Form;
pub(crate) use writer::Writer;

/// How the value of a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireType {
    /// A number.
    Varint,
    /// A length and as many bytes.
    Bytes,
}

/// Bytes of a number as a varint.
pub(crate) fn varint_len(value: u64) -> u64 {
    u64::from((64 - (value | 1).leading_zeros()).div_ceil(7))
}

/// Bytes of a field's tag.
pub(crate) fn tag_len(number: u32) -> u64 {
    varint_len(u64::from(number) << 3)
}

/// Bytes of a field of `len` bytes, with tag and length.
pub(crate) fn bytes_len(number: u32, len: u64) -> u64 {
    tag_len(number) + varint_len(len) + len
}
