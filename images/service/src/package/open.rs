//! Opening a package.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::header::{Header, HeaderFault, PAGE, PackageId};
use crate::manifest::{Manifest, ManifestError};
use crate::verified;

/// A part of the file, for errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Page 0.
    Header,
    /// The manifest.
    Manifest,
    /// The zeros behind it.
    Padding,
    /// The EROFS image.
    Image,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Manifest => "manifest",
            Self::Padding => "padding",
            Self::Image => "image",
        })
    }
}

/// A package could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The host refused.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It is something else.
    #[error("{path} is not a package")]
    NotAPackage {
        /// The file.
        path: String,
    },
    /// It is of a version that this program does not know.
    #[error("{path} is a package of version {version}; this program knows version 1")]
    Version {
        /// The file.
        path: String,
        /// Its version.
        version: u32,
    },
    /// Its bytes are not those that were packed.
    #[error("{path} is damaged: its {part} is not what was packed")]
    Damaged {
        /// The file.
        path: String,
        /// Where.
        part: Part,
    },
    /// It is too short or too long.
    #[error("{path} is damaged: it has {found} bytes where {expected} were packed")]
    Length {
        /// The file.
        path: String,
        /// Bytes there are.
        found: u64,
        /// Bytes there should be.
        expected: u64,
    },
    /// Its manifest is whole, but this program cannot take it.
    #[error("the manifest of {path} cannot be used: {source}")]
    Manifest {
        /// The file.
        path: String,
        /// Why.
        source: ManifestError,
    },
}

/// An open package whose header and manifest are whole. The image has been
/// checked only after [`Package::verify_image`] or by
/// [`Package::open_verified`].
#[derive(Debug)]
pub struct Package {
    path: PathBuf,
    file: File,
    header: Header,
    manifest: Manifest,
    id: PackageId,
}

impl Package {
    /// Opens a package and checks all of it but the image.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let file = open_file(path).map_err(|source| OpenError::Read {
            path: path.display().to_string(),
            source,
        })?;
        Self::from_file(file, path)
    }

    /// Takes a file that is open for reading, and checks what
    /// [`Package::open`] checks; `path` is what errors call it.
    pub fn from_file(file: File, path: &Path) -> Result<Self, OpenError> {
        let name = || path.display().to_string();
        let fail = |source| OpenError::Read {
            path: name(),
            source,
        };
        let len = regular_len(&file).map_err(fail)?;
        // One read takes in nearly every manifest.
        let mut start = vec![0; (2 * PAGE).min(len) as usize];
        file.read_exact_at(&mut start, 0).map_err(fail)?;
        let (header, id) = decode_header(path, &start, len)?;
        let offset = header.image_offset();
        if start.len() < offset as usize {
            let read = start.len();
            start.resize(offset as usize, 0);
            file.read_exact_at(&mut start[read..], read as u64)
                .map_err(fail)?;
        }
        let rest = &start[Header::MANIFEST_OFFSET as usize..offset as usize];
        let (json, padding) = rest.split_at(header.manifest_len as usize);
        let damaged = |part| OpenError::Damaged { path: name(), part };
        if blake3::hash(json) != header.manifest_hash {
            return Err(damaged(Part::Manifest));
        }
        if padding.iter().any(|byte| *byte != 0) {
            return Err(damaged(Part::Padding));
        }
        let manifest = Manifest::from_json(json).map_err(|source| OpenError::Manifest {
            path: name(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            header,
            manifest,
            id,
        })
    }

    /// Opens a package and makes sure of its image too: by a record in
    /// `records` that this very file was verified before, else by hashing it,
    /// which then leaves such a record. See [`crate::verified`].
    pub fn open_verified(path: &Path, records: Option<&Path>) -> Result<Self, OpenError> {
        let package = Self::open(path)?;
        verified::ensure(&package, records)?;
        Ok(package)
    }

    /// Hashes the whole image and compares.
    pub fn verify_image(&self) -> Result<(), OpenError> {
        let fail = |source| OpenError::Read {
            path: self.path.display().to_string(),
            source,
        };
        let mut hasher = blake3::Hasher::new();
        hash_range(
            &self.file,
            self.image_offset(),
            self.image_len(),
            &mut hasher,
            &mut |_| {},
        )
        .map_err(fail)?;
        if hasher.finalize() == self.header.image_hash {
            return Ok(());
        }
        Err(OpenError::Damaged {
            path: self.path.display().to_string(),
            part: Part::Image,
        })
    }

    /// The package's name.
    pub fn id(&self) -> PackageId {
        self.id
    }

    /// What to run.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where in the file the image begins, a multiple of 4096.
    pub fn image_offset(&self) -> u64 {
        self.header.image_offset()
    }

    /// Bytes of the image, a multiple of 4096.
    pub fn image_len(&self) -> u64 {
        self.header.image_len
    }

    /// The BLAKE3 of the image.
    pub fn image_hash(&self) -> &[u8; 32] {
        self.header.image_hash.as_bytes()
    }

    /// The open file, read-only.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Opens without waiting for a writer, should the name be a pipe's.
fn open_file(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    File::options().read(true).custom_flags(flags).open(path)
}

/// The length of a regular file; a pipe or a device is refused.
fn regular_len(file: &File) -> io::Result<u64> {
    let found = file.metadata()?;
    if found.is_file() {
        return Ok(found.len());
    }
    Err(io::Error::other("it is not a regular file"))
}

fn decode_header(path: &Path, start: &[u8], len: u64) -> Result<(Header, PackageId), OpenError> {
    let path = || path.display().to_string();
    let mut page = [0; PAGE as usize];
    let read = start.len().min(page.len());
    page[..read].copy_from_slice(&start[..read]);
    let (header, id) = Header::decode(&page).map_err(|fault| match fault {
        HeaderFault::NotAPackage => OpenError::NotAPackage { path: path() },
        HeaderFault::Version(version) => OpenError::Version {
            path: path(),
            version,
        },
        HeaderFault::Damaged => OpenError::Damaged {
            path: path(),
            part: Part::Header,
        },
    })?;
    if len != header.file_len() {
        let expected = header.file_len();
        return Err(OpenError::Length {
            path: path(),
            found: len,
            expected,
        });
    }
    Ok((header, id))
}

/// Hashes `len` bytes from `offset`. `progress` is told how many are done.
pub(super) fn hash_range(
    file: &File,
    offset: u64,
    len: u64,
    hasher: &mut blake3::Hasher,
    progress: &mut dyn FnMut(u64),
) -> io::Result<()> {
    let mut buffer = vec![0; len.min(1 << 20) as usize];
    let mut done = 0;
    while done < len {
        let bytes = (len - done).min(buffer.len() as u64) as usize;
        file.read_exact_at(&mut buffer[..bytes], offset + done)?;
        hasher.update(&buffer[..bytes]);
        done += bytes as u64;
        progress(done);
    }
    Ok(())
}
