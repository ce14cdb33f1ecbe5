//! The seal of the index: a hash of all its bytes, in a file beside it.
//!
//! The database may panic at damage that it does not expect, and a node that is
//! built to abort at a panic would go down with it. So the index is compared
//! with its seal before the database sees a byte of it. The seal is taken off
//! before the index changes and put on again after that: one that is there and
//! does not fit is damage and nothing else. Without a seal, a process was killed
//! in the middle of a change, and the database's own checks have to do.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use unicell_service::tree::Source;

use crate::error::{Result, at};

/// What a seal says of its index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sealed {
    /// Nothing: there is none.
    Off,
    /// It is what was written.
    Sound,
    /// It is not.
    Broken,
}

/// The seal of one index.
#[derive(Debug)]
pub(crate) struct Seal {
    index: PathBuf,
    path: PathBuf,
}

impl Seal {
    pub(crate) fn of(index: &Path) -> Self {
        Self {
            index: index.to_owned(),
            path: index.with_extension("seal"),
        }
    }

    fn hash(&self) -> Result<String> {
        let len = self.index.metadata().map_err(at(&self.index))?.len();
        let hash = Source::path(self.index.clone(), len).hash();
        Ok(hash.map_err(at(&self.index))?.to_hex().to_string())
    }

    /// Compares it with the index.
    pub(crate) fn check(&self) -> Result<Sealed> {
        let said = match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Sealed::Off),
            said => said.map_err(at(&self.path))?,
        };
        // A machine that lost its power may have left it empty.
        if said.len() != 2 * blake3::OUT_LEN || !self.index.exists() {
            return Ok(Sealed::Off);
        }
        let sound = said == self.hash()?.as_bytes();
        Ok(if sound { Sealed::Sound } else { Sealed::Broken })
    }

    /// Takes it off: on the disk when this returns, so that none comes back that
    /// is older than what it seals.
    pub(crate) fn take_off(&self) -> Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => removed.map_err(at(&self.path))?,
        }
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(at(directory))
    }

    /// Puts it on.
    pub(crate) fn put_on(&self) -> Result<()> {
        let fresh = self.path.with_extension("seal-new");
        let write = |hash: String| File::create(&fresh)?.write_all(hash.as_bytes());
        write(self.hash()?).map_err(at(&fresh))?;
        fs::rename(&fresh, &self.path).map_err(at(&self.path))
    }
}
