//! Why bytes are no message.

use std::io;

/// What is wrong at one place.
#[derive(Debug, thiserror::Error)]
pub enum WireFault {
    /// The bytes cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[from] io::Error),
    /// A length leads beyond the end of what it lies in.
    #[error("it ends before its data do")]
    Truncated,
    /// A varint of more than ten bytes or 64 bits.
    #[error("a number in it has more than 64 bits")]
    LongNumber,
    /// A wire type that proto3 does not write for this field.
    #[error("it is not encoded as its type is")]
    WrongType,
    /// Unknown to this version: it could not be kept, and the id would change.
    #[error("field {0} is unknown")]
    UnknownField(u32),
    /// A field that may be there once.
    #[error("it is given twice")]
    Twice,
    /// A number beyond its type.
    #[error("{0} is out of range")]
    OutOfRange(u64),
    /// A text that is none.
    #[error("it is not UTF-8")]
    NotUtf8,
    /// More of something than is taken.
    #[error("more than {limit} {what}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// A file or directory of the box is at fault.
    #[error("{0}")]
    Entry(#[from] crate::tree::EntryFault),
}

impl WireFault {
    /// The fault, with the name of the field that it is in.
    pub(crate) fn within(self, field: &str) -> WireError {
        WireError::from(self).within(field)
    }
}

/// A fault, and where it is.
#[derive(Debug)]
pub struct WireError {
    /// Names of fields from the message down, joined by dots.
    path: String,
    fault: WireFault,
}

impl WireError {
    /// Where: field names from the outermost message down.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What.
    pub fn fault(&self) -> &WireFault {
        &self.fault
    }

    /// The error as seen from the message that has it in `field`.
    pub(crate) fn within(mut self, field: &str) -> Self {
        // A path that a hostile depth made long helps nobody.
        if self.path.len() < 1024 {
            let dot = if self.path.is_empty() || self.path.starts_with('/') {
                ""
            } else {
                "."
            };
            self.path = format!("{field}{dot}{}", self.path);
        }
        self
    }
}

impl std::fmt::Display for WireError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.path.is_empty() {
            write!(f, "{}", self.fault)
        } else {
            write!(f, "{}: {}", self.path, self.fault)
        }
    }
}

impl std::error::Error for WireError {}

impl<F: Into<WireFault>> From<F> for WireError {
    fn from(fault: F) -> Self {
        Self {
            path: String::new(),
            fault: fault.into(),
        }
    }
}
