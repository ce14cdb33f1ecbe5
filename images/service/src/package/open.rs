//! Opening a package.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::header::{Header, HeaderFault, PAGE};
use crate::manifest::{Manifest, ManifestError};
use crate::spec::ServiceId;
use crate::verified;
use crate::wire::WireError;

/// A part of the file, for errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Page 0.
    Header,
    /// The manifest.
    Manifest,
    /// The specification.
    Specification,
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
            Self::Specification => "specification",
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
    #[error("{path} is a package of version {version}; this program knows version 2")]
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
    /// Its specification is whole, but this program cannot take it.
    #[error("the specification of {path} cannot be used: {source}")]
    Specification {
        /// The file.
        path: String,
        /// Why.
        source: WireError,
    },
    /// Its parts are whole and do not belong together.
    #[error("{path} contradicts itself: its {part} is not that of its specification")]
    Contradiction {
        /// The file.
        path: String,
        /// Which part.
        part: &'static str,
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

/// An open package whose header and manifest are whole. The rest has been
/// checked only after [`Package::verify`] or by [`Package::open_verified`].
#[derive(Debug)]
pub struct Package {
    path: PathBuf,
    file: File,
    header: Header,
    manifest: Manifest,
    seal: [u8; 32],
}

impl Package {
    /// Opens a package and checks its header and its manifest.
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
        let (header, seal) = decode_header(path, &start, len)?;
        let end = header.specification_offset();
        if start.len() < end as usize {
            let read = start.len();
            start.resize(end as usize, 0);
            file.read_exact_at(&mut start[read..], read as u64)
                .map_err(fail)?;
        }
        let json = &start[Header::MANIFEST_OFFSET as usize..end as usize];
        if blake3::hash(json) != header.manifest_hash {
            let part = Part::Manifest;
            return Err(OpenError::Damaged { path: name(), part });
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
            seal,
        })
    }

    /// Opens a package and makes sure of all of it: by a record in
    /// `records` that this very file was verified before, else by hashing it,
    /// which then leaves such a record. See [`crate::verified`].
    pub fn open_verified(path: &Path, records: Option<&Path>) -> Result<Self, OpenError> {
        let package = Self::open(path)?;
        verified::ensure(&package, records)?;
        Ok(package)
    }

    /// The service's id, as the header has it.
    pub fn id(&self) -> ServiceId {
        self.header.id
    }

    /// The hash of the header, which names this very package: it covers the
    /// hashes of all its parts.
    pub(crate) fn seal(&self) -> &[u8; 32] {
        &self.seal
    }

    pub(super) fn header(&self) -> &Header {
        &self.header
    }

    pub(super) fn unreadable(&self, source: io::Error) -> OpenError {
        let path = self.path.display().to_string();
        OpenError::Read { path, source }
    }

    pub(super) fn damaged(&self, part: Part) -> OpenError {
        let path = self.path.display().to_string();
        OpenError::Damaged { path, part }
    }

    pub(super) fn contradiction(&self, part: &'static str) -> OpenError {
        let path = self.path.display().to_string();
        OpenError::Contradiction { path, part }
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

fn decode_header(path: &Path, start: &[u8], len: u64) -> Result<(Header, [u8; 32]), OpenError> {
    let path = || path.display().to_string();
    let mut page = [0; PAGE as usize];
    let read = start.len().min(page.len());
    page[..read].copy_from_slice(&start[..read]);
    let (header, seal) = Header::decode(&page).map_err(|fault| match fault {
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
    Ok((header, seal))
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
