//! The directories of a store, and how files get into them.

use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use unicell_service::spec::ServiceId;

use crate::error::{Result, at};

/// The directories.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) root: PathBuf,
    next: AtomicU64,
}

impl Disk {
    /// Makes the directories that are not there.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        let disk = Self {
            root: root.to_owned(),
            next: AtomicU64::new(0),
        };
        let mut make = fs::DirBuilder::new();
        make.recursive(true).mode(0o700);
        for path in [disk.files(), disk.services(), disk.boxes(), disk.staging()] {
            make.create(&path).map_err(at(&path))?;
        }
        for first in 0..=u8::MAX {
            let path = disk.files().join(format!("{first:02x}"));
            make.create(&path).map_err(at(&path))?;
        }
        Ok(disk)
    }

    pub(crate) fn index(&self) -> PathBuf {
        Self::index_of(&self.root)
    }

    pub(crate) fn index_of(root: &Path) -> PathBuf {
        root.join("index.redb")
    }

    pub(crate) fn files(&self) -> PathBuf {
        self.root.join("files")
    }

    /// Specifications, with hashes in place of contents.
    pub(crate) fn services(&self) -> PathBuf {
        self.root.join("services")
    }

    pub(crate) fn boxes(&self) -> PathBuf {
        self.root.join("boxes")
    }

    /// What is not whole yet. Nothing here outlives an opening.
    pub(crate) fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    /// Contents by their BLAKE3.
    pub(crate) fn file(&self, hash: &blake3::Hash) -> PathBuf {
        let hex = hash.to_hex();
        self.files().join(&hex[..2]).join(&hex[2..])
    }

    pub(crate) fn service(&self, id: ServiceId) -> PathBuf {
        self.services().join(id.to_string())
    }

    pub(crate) fn box_image(&self, id: ServiceId) -> PathBuf {
        self.boxes().join(id.to_string())
    }

    /// Makes sure that all that was written to the store's filesystem is on
    /// the disk: one call instead of one for each of many files.
    pub(crate) fn sync(&self) -> Result<()> {
        let root = File::open(&self.root).map_err(at(&self.root))?;
        rustix::fs::syncfs(&root).map_err(|error| at(&self.root)(error.into()))
    }

    /// Begins a batch of new files.
    pub(crate) fn batch(&self) -> Batch<'_> {
        Batch {
            disk: self,
            moves: Vec::new(),
        }
    }

    /// A new file that only its owner may read.
    pub(crate) fn create(path: &Path) -> std::io::Result<File> {
        File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
    }

    /// A path in the staging directory that nothing has.
    pub(crate) fn staged(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.staging().join(number.to_string())
    }
}

/// Files that come into the store together. Dropped before it is published, it
/// leaves nothing.
pub(crate) struct Batch<'a> {
    disk: &'a Disk,
    /// Where each is, and where it belongs.
    moves: Vec<(PathBuf, PathBuf)>,
}

impl Batch<'_> {
    /// A new file that will lie at `target`.
    pub(crate) fn create(&mut self, target: PathBuf) -> Result<File> {
        let path = self.disk.staged();
        let file = Disk::create(&path).map_err(at(&path))?;
        self.moves.push((path, target));
        Ok(file)
    }

    /// Moves all files to their places: when this returns, their bytes and
    /// their names are on the disk.
    pub(crate) fn publish(mut self) -> Result<()> {
        self.disk.sync()?;
        for (path, target) in self.moves.drain(..) {
            fs::rename(&path, &target).map_err(at(&target))?;
        }
        self.disk.sync()
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        for (path, _) in &self.moves {
            // What stays is swept at the next opening.
            let _ = fs::remove_file(path);
        }
    }
}
