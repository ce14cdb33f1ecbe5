//! The encodings of a specification, behind one trait.
//!
//! A service has one id, whatever it is encoded as: each encoding carries all
//! of the model, and the id is computed from the model's canonical form.
//! Contents of files pass through; what is decoded keeps them in the input or
//! in a [`Spool`].

mod json;
mod json_tree;
mod proto3;
mod spool;
mod zip;

use std::io::{self, Read, Write};
use std::path::Path;

pub use json::{Json, JsonForm};
pub use proto3::Proto3;
pub use spool::Spool;
pub use zip::JsonZip;

use crate::package::{MAGIC, OpenError, Package};
use crate::spec::Service;
use crate::tree::Source;
use crate::wire::WireError;

/// A way to write a service down.
pub trait Encoding: Sync {
    /// The name by which nodes offer it to each other.
    fn name(&self) -> &'static str;

    /// Its media type.
    fn media_type(&self) -> &'static str;

    /// Whether a document that begins with `start` is of this encoding, as far
    /// as its first bytes can tell.
    fn recognises(&self, start: &[u8]) -> bool;

    /// Writes a service.
    fn write(&self, service: &Service, out: &mut dyn Write) -> Result<(), EncodeError>;

    /// Reads a service. Contents of files stay in `input` or go to `spool`.
    fn read(&self, input: &Source, spool: &mut Spool) -> Result<Service, DecodeError>;
}

/// All encodings, the one to prefer first.
pub static ALL: [&dyn Encoding; 3] = [&Proto3, &JsonZip, &Json];

/// The encoding of this name.
pub fn by_name(name: &str) -> Result<&'static dyn Encoding, UnknownEncoding> {
    let known = ALL.into_iter().find(|encoding| encoding.name() == name);
    known.ok_or_else(|| UnknownEncoding(name.to_owned()))
}

/// The encoding of a document. Anything that is not one of the others is taken
/// for proto3, which has no mark of its own.
pub fn recognise(input: &Source) -> io::Result<&'static dyn Encoding> {
    let mut start = Vec::new();
    input.open()?.take(64).read_to_end(&mut start)?;
    let known = ALL.into_iter().find(|encoding| encoding.recognises(&start));
    Ok(known.unwrap_or(&Proto3))
}

/// Reads a service from a document in any encoding, or from a package, of which
/// all is verified. `name` is what errors call a package.
pub fn read_any(input: &Source, name: &Path, spool: &mut Spool) -> Result<Service, DecodeError> {
    let mut start = Vec::new();
    input
        .open()?
        .take(MAGIC.len() as u64)
        .read_to_end(&mut start)?;
    if start != MAGIC {
        let read = recognise(input)?.read(input, spool);
        // Proto3 has no mark: what was taken for it may never have been meant so.
        return read.map_err(|error| match error {
            DecodeError::Proto3(error) => DecodeError::NoForm(error),
            other => other,
        });
    }
    let file = input.whole_file()?.ok_or(DecodeError::PackageInPart)?;
    let package = Package::from_file(file, name)?;
    package.verify()?;
    Ok(package.service()?)
}

/// A name that no encoding has.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the encoding `{0}` is not known here; known are `proto3`, `json+zip` and `json`")]
pub struct UnknownEncoding(pub String);

/// A service cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// Contents cannot be read, or the output refused.
    #[error("the service cannot be written: {0}")]
    Io(#[from] io::Error),
    /// JSON refused.
    #[error("the service cannot be written as JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// ZIP refused.
    #[error("the service cannot be written as a zip: {0}")]
    Zip(#[source] ::zip::result::ZipError),
}

/// A document is no service.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The input cannot be read, or the spool refused.
    #[error("the service cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Nothing that a service is written as.
    #[error(
        "it is no service in any form: it does not begin as a package, as a zip (`json+zip`) or as \
         JSON (`json`), and it is not proto3 either: {0}"
    )]
    NoForm(#[source] WireError),
    /// Proto3 that does not say a service.
    #[error("it is no service in proto3: {0}")]
    Proto3(#[from] WireError),
    /// JSON that does not say a service.
    #[error("it is no service in JSON: {0}")]
    Json(#[source] serde_json::Error),
    /// Not a zip that can be read.
    #[error("it is no service in a zip: {0}")]
    Zip(#[from] ::zip::result::ZipError),
    /// A zip with something else in it.
    #[error("it is no service in a zip: {name}: {reason}")]
    ZipEntry {
        /// The entry.
        name: String,
        /// What of it.
        reason: &'static str,
    },
    /// A package that is damaged, or contradicts itself.
    #[error(transparent)]
    Package(#[from] OpenError),
    /// A package is read from a file of its own.
    #[error("a package can only be read from a file of its own")]
    PackageInPart,
    /// More than is taken.
    #[error("it has more than {limit} {what}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
}
