//! A place for contents that are decoded before they find their own.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use crate::tree::Source;

/// A file without a name, to which contents are added. What was added stays
/// readable as long as its [`Source`] lives.
#[derive(Debug)]
pub struct Spool {
    file: Arc<File>,
    len: u64,
    limit: u64,
}

impl Spool {
    /// A spool in a directory, for at most `limit` bytes.
    pub fn new(directory: &Path, limit: u64) -> io::Result<Self> {
        Ok(Self {
            file: Arc::new(tempfile::tempfile_in(directory)?),
            len: 0,
            limit,
        })
    }

    /// The same spool. Of two that are the same only one may be added to.
    pub(super) fn share(&self) -> Self {
        Self {
            file: Arc::clone(&self.file),
            ..*self
        }
    }

    /// Adds all that a reader gives.
    pub fn add(&mut self, from: &mut dyn Read) -> io::Result<Source> {
        let start = self.len;
        io::copy(from, self)?;
        Ok(Source::slice(
            Arc::clone(&self.file),
            start,
            self.len - start,
        ))
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.len + bytes.len() as u64 > self.limit {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("its contents have more than {} bytes", self.limit),
            ));
        }
        self.file.write_all_at(bytes, self.len)?;
        self.len += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
