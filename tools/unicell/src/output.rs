//! A file that a command writes: beside its target, and renamed when it is
//! whole, so that a target is never half written.

use std::fmt::Display;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};

/// The file. Dropped before it is finished, it is gone.
pub(crate) struct Output {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
}

impl Output {
    /// Begins a file that will lie at `target`.
    pub(crate) fn create(target: &Path) -> Result<Self> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}", std::process::id()));
        let temporary = target.with_file_name(name);
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&temporary)
            .map_err(|error| Failure::failed(format!("{}: {error}", target.display())))?;
        Ok(Self {
            file,
            temporary,
            target: target.to_owned(),
        })
    }

    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// A failure about the target.
    pub(crate) fn explain(&self, error: &dyn Display) -> Failure {
        Failure::failed(format!("{}: {error}", self.target.display()))
    }

    /// Puts the file where it belongs.
    pub(crate) fn finish(self) -> Result<()> {
        std::fs::rename(&self.temporary, &self.target).map_err(|error| self.explain(&error))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // Nothing is there any more if it was finished.
        let _ = std::fs::remove_file(&self.temporary);
    }
}
