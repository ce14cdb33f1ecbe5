//! The header page.

use std::fmt;
use std::str::FromStr;

use crate::manifest::MAX_JSON_LEN;

/// The header, and what parts are aligned to: one page.
pub(super) const PAGE: u64 = 4096;

const MAGIC: [u8; 8] = *b"UNICELL\0";
const VERSION: u32 = 1;

/// Bytes that mean something; the rest of the page is zero.
const USED: usize = 144;
/// Bytes under the header's hash, which follows them.
const HASHED: usize = 112;

/// Names a package. For now it is the BLAKE3 of the header, which holds the
/// hashes of everything else; once a service has its canonical specification,
/// that defines the id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageId([u8; 32]);

impl PackageId {
    /// The hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An id is 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a package's id is 64 hexadecimal digits")]
pub struct BadPackageId;

impl FromStr for PackageId {
    type Err = BadPackageId;

    fn from_str(text: &str) -> Result<Self, BadPackageId> {
        blake3::Hash::from_hex(text)
            .map(|hash| Self(hash.into()))
            .map_err(|_| BadPackageId)
    }
}

impl serde::Serialize for PackageId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What the header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) manifest_len: u64,
    pub(super) image_len: u64,
    pub(super) manifest_hash: blake3::Hash,
    pub(super) image_hash: blake3::Hash,
}

/// Why a header is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderFault {
    /// No magic: something else altogether.
    NotAPackage,
    /// Written by a later program.
    Version(u32),
    /// The bytes are not those that were written.
    Damaged,
}

impl Header {
    /// Where the manifest begins.
    pub(super) const MANIFEST_OFFSET: u64 = PAGE;

    /// Where the image begins.
    pub(super) fn image_offset(&self) -> u64 {
        (Self::MANIFEST_OFFSET + self.manifest_len).next_multiple_of(PAGE)
    }

    /// Where the file ends.
    pub(super) fn file_len(&self) -> u64 {
        self.image_offset() + self.image_len
    }

    /// The page, and the id.
    pub(super) fn encode(&self) -> ([u8; PAGE as usize], PackageId) {
        let mut page = [0; PAGE as usize];
        page[0..8].copy_from_slice(&MAGIC);
        page[8..12].copy_from_slice(&VERSION.to_le_bytes());
        page[12..16].copy_from_slice(&(PAGE as u32).to_le_bytes());
        page[16..24].copy_from_slice(&Self::MANIFEST_OFFSET.to_le_bytes());
        page[24..32].copy_from_slice(&self.manifest_len.to_le_bytes());
        page[32..40].copy_from_slice(&self.image_offset().to_le_bytes());
        page[40..48].copy_from_slice(&self.image_len.to_le_bytes());
        page[48..80].copy_from_slice(self.manifest_hash.as_bytes());
        page[80..112].copy_from_slice(self.image_hash.as_bytes());
        let hash = blake3::hash(&page[..HASHED]);
        page[HASHED..USED].copy_from_slice(hash.as_bytes());
        (page, PackageId(hash.into()))
    }

    /// Reads a page. What comes back would be written as the same page.
    pub(super) fn decode(page: &[u8; PAGE as usize]) -> Result<(Self, PackageId), HeaderFault> {
        if page[0..8] != MAGIC {
            return Err(HeaderFault::NotAPackage);
        }
        let hash = |at: usize| {
            let mut bytes = [0; 32];
            bytes.copy_from_slice(&page[at..at + 32]);
            blake3::Hash::from_bytes(bytes)
        };
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&page[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        let version = number(8) as u32;
        if hash(HASHED) != blake3::hash(&page[..HASHED]) {
            return Err(HeaderFault::Damaged);
        }
        if version != VERSION {
            return Err(HeaderFault::Version(version));
        }
        let header = Self {
            manifest_len: number(24),
            image_len: number(40),
            manifest_hash: hash(48),
            image_hash: hash(80),
        };
        let plausible = header.manifest_len <= MAX_JSON_LEN as u64
            && header.image_len >= PAGE
            && header.image_len.is_multiple_of(PAGE)
            && header.image_len <= PAGE << 32;
        if !plausible {
            return Err(HeaderFault::Damaged);
        }
        let (expected, id) = header.encode();
        if expected == *page {
            Ok((header, id))
        } else {
            Err(HeaderFault::Damaged)
        }
    }
}
