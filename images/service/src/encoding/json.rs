//! JSON: one document, contents of files as base64.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{BufReader, BufWriter, Write};

use super::{DecodeError, EncodeError, Encoding, Spool};
use crate::spec::Service;
use crate::tree::Source;

/// Most bytes of a document: the base64 of one file is held in memory.
pub(super) const MAX_LEN: u64 = 8 << 30;

/// One JSON document.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl Encoding for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn media_type(&self) -> &'static str {
        "application/json"
    }

    /// A brace is no tag of proto3 that a service could begin with.
    fn recognises(&self, start: &[u8]) -> bool {
        start.trim_ascii_start().starts_with(b"{")
    }

    fn write(&self, service: &Service, out: &mut dyn Write) -> Result<(), EncodeError> {
        write(service, JsonForm::Inline, out)
    }

    fn read(&self, input: &Source, spool: &mut Spool) -> Result<Service, DecodeError> {
        read(input, HashMap::new(), spool)
    }
}

/// Where the contents of files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonForm {
    /// In the document, as base64.
    Inline,
    /// Beside the document; it has their sizes.
    Beside,
}

/// What reading or writing a document needs to know beside it: serde passes
/// nothing on to the values in it, so it is kept here, for this thread, while
/// one document is read or written.
pub(super) struct Context {
    /// How the contents of the next file tree are written. Trees further in
    /// are always inline.
    pub(super) form: JsonForm,
    /// Files beside the document, by path.
    pub(super) files: HashMap<String, Source>,
    /// Where contents go that are decoded.
    pub(super) spool: Option<Spool>,
    /// Entries of file trees still allowed.
    pub(super) entries: u64,
}

thread_local! {
    pub(super) static CONTEXT: RefCell<Option<Context>> = const { RefCell::new(None) };
}

/// Writes the document.
pub(super) fn write(
    service: &Service,
    form: JsonForm,
    out: &mut dyn Write,
) -> Result<(), EncodeError> {
    CONTEXT.set(Some(Context {
        form,
        files: HashMap::new(),
        spool: None,
        entries: 0,
    }));
    let mut out = BufWriter::with_capacity(64 << 10, out);
    let result = serde_json::to_writer_pretty(&mut out, service);
    CONTEXT.set(None);
    result.map_err(|error| match error.is_io() {
        true => EncodeError::Io(error.into()),
        false => EncodeError::Json(error),
    })?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// Reads the document.
pub(super) fn read(
    input: &Source,
    files: HashMap<String, Source>,
    spool: &mut Spool,
) -> Result<Service, DecodeError> {
    if input.len() > MAX_LEN {
        let (what, limit) = ("bytes of JSON", MAX_LEN);
        return Err(DecodeError::TooMuch { what, limit });
    }
    CONTEXT.set(Some(Context {
        form: JsonForm::Inline,
        files,
        spool: Some(spool.share()),
        entries: u64::from(crate::tree::Limits::default().entries),
    }));
    let reader = BufReader::with_capacity(64 << 10, input.open()?);
    let result = serde_json::from_reader(reader);
    if let Some(Context {
        spool: Some(used), ..
    }) = CONTEXT.take()
    {
        *spool = used;
    }
    result.map_err(|error| match error.is_io() {
        true => DecodeError::Io(error.into()),
        false => DecodeError::Json(error),
    })
}
