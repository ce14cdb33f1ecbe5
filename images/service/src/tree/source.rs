//! Where the bytes of a file come from.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::OFlags;

/// The bytes of one regular file, not yet read. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Source {
    place: Place,
    len: u64,
    hash: Option<blake3::Hash>,
}

#[derive(Clone, Debug)]
enum Place {
    Memory(Arc<[u8]>),
    Path(PathBuf),
    Slice { file: Arc<File>, offset: u64 },
    Absent,
}

impl Source {
    /// Bytes in memory.
    pub fn bytes(bytes: &[u8]) -> Self {
        Self {
            len: bytes.len() as u64,
            place: Place::Memory(bytes.into()),
            hash: None,
        }
    }

    /// A file of the host that was seen to have `len` bytes.
    pub fn path(path: PathBuf, len: u64) -> Self {
        Self {
            len,
            place: Place::Path(path),
            hash: None,
        }
    }

    /// `len` bytes of an open file.
    pub fn slice(file: Arc<File>, offset: u64, len: u64) -> Self {
        Self {
            len,
            place: Place::Slice { file, offset },
            hash: None,
        }
    }

    /// `len` bytes with this BLAKE3, to be had somewhere else: they cannot be
    /// opened here.
    pub fn absent(hash: blake3::Hash, len: u64) -> Self {
        Self {
            len,
            place: Place::Absent,
            hash: Some(hash),
        }
    }

    /// The same bytes, whose BLAKE3 the caller knows. It is not checked.
    #[must_use]
    pub fn with_hash(mut self, hash: blake3::Hash) -> Self {
        self.hash = Some(hash);
        self
    }

    /// A file that has these bytes and no others, if they lie in one.
    pub(crate) fn whole_file(&self) -> io::Result<Option<File>> {
        let Place::Slice { file, offset: 0 } = &self.place else {
            return Ok(None);
        };
        let is_whole = file.metadata()?.len() == self.len;
        is_whole.then(|| file.try_clone()).transpose()
    }

    /// The file in which the bytes lie, where, and how many they are.
    pub(super) fn file_part(&self) -> io::Result<(Arc<File>, u64, u64)> {
        let reader = self.open()?;
        match reader.bytes {
            Bytes::File(file) => Ok((file, reader.offset, self.len)),
            Bytes::Memory(_) => Err(io::Error::other("it does not lie in a file")),
        }
    }

    /// `len` of the bytes, from `offset`. Both lie within them.
    pub(crate) fn part(&self, offset: u64, len: u64) -> Self {
        debug_assert!(offset + len <= self.len);
        let place = match &self.place {
            Place::Memory(bytes) => {
                let part = &bytes[offset as usize..][..len as usize];
                return Self::bytes(part);
            }
            Place::Slice { file, offset: base } => Place::Slice {
                file: Arc::clone(file),
                offset: base + offset,
            },
            other => other.clone(),
        };
        Self {
            place,
            len,
            hash: None,
        }
    }

    /// The BLAKE3 of the bytes, where it is known.
    pub fn known_hash(&self) -> Option<blake3::Hash> {
        self.hash
    }

    /// The BLAKE3 of the bytes: as it is known, else they are read.
    pub fn hash(&self) -> io::Result<blake3::Hash> {
        if let Some(hash) = self.hash {
            return Ok(hash);
        }
        let mut hasher = blake3::Hasher::new();
        self.copy_to(&mut |bytes| {
            hasher.update(bytes);
            Ok(())
        })?;
        Ok(hasher.finalize())
    }

    /// Passes all bytes on, in parts. Fewer than there should be are an error.
    pub fn copy_to(&self, to: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let mut reader = self.open()?;
        let mut buffer = vec![0; self.len.min(256 << 10) as usize];
        let mut left = self.len;
        while left > 0 {
            let part = &mut buffer[..left.min(256 << 10) as usize];
            reader.read_exact(part)?;
            to(part)?;
            left -= part.len() as u64;
        }
        Ok(())
    }

    /// How many bytes there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Opens the bytes. A host file that has become something else or has
    /// another size by now is refused, a link in its place not followed.
    pub fn open(&self) -> io::Result<SourceReader> {
        let (bytes, offset) = match &self.place {
            Place::Memory(bytes) => (Bytes::Memory(Arc::clone(bytes)), 0),
            Place::Slice { file, offset } => (Bytes::File(Arc::clone(file)), *offset),
            Place::Absent => {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    "its contents are not here",
                ));
            }
            Place::Path(path) => {
                let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
                let file = OpenOptions::new()
                    .read(true)
                    .custom_flags(flags.bits().cast_signed())
                    .open(path)?;
                let found = file.metadata()?;
                if !found.is_file() || found.len() != self.len {
                    return Err(io::Error::other("it changed while it was being packed"));
                }
                (Bytes::File(Arc::new(file)), 0)
            }
        };
        Ok(SourceReader {
            bytes,
            offset,
            len: self.len,
            at: 0,
        })
    }

    /// All bytes, if they are no more than `limit`.
    pub fn read_to_vec(&self, limit: u64) -> io::Result<Vec<u8>> {
        if self.len > limit {
            return Err(io::Error::other(format!("it is larger than {limit} bytes")));
        }
        let mut bytes = vec![0; self.len as usize];
        self.open()?.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

#[derive(Debug)]
enum Bytes {
    Memory(Arc<[u8]>),
    File(Arc<File>),
}

/// Reads a [`Source`], from its start to its length.
#[derive(Debug)]
pub struct SourceReader {
    bytes: Bytes,
    offset: u64,
    len: u64,
    at: u64,
}

impl Read for SourceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.len.saturating_sub(self.at);
        let want = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let from = self.offset + self.at;
        let read = match &self.bytes {
            Bytes::Memory(bytes) => {
                let rest = bytes.get(from as usize..).unwrap_or_default();
                let read = want.min(rest.len());
                buffer[..read].copy_from_slice(&rest[..read]);
                read
            }
            Bytes::File(file) => file.read_at(&mut buffer[..want], from)?,
        };
        self.at += read as u64;
        Ok(read)
    }
}

impl Seek for SourceReader {
    fn seek(&mut self, position: SeekFrom) -> io::Result<u64> {
        let to = match position {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(delta) => self.len.checked_add_signed(delta),
            SeekFrom::Current(delta) => self.at.checked_add_signed(delta),
        };
        self.at = to.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
