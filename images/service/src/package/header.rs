//! The header page.

use crate::manifest::MAX_JSON_LEN;
use crate::spec::ServiceId;

/// The header, and what parts are aligned to: one page.
pub(super) const PAGE: u64 = 4096;

/// What every package begins with.
pub(crate) const MAGIC: [u8; 8] = *b"UNICELL\0";
const VERSION: u32 = 2;

/// Bytes that mean something; the rest of the page is zero.
const USED: usize = 224;
/// Bytes under the header's hash, which follows them.
const HASHED: usize = 192;

/// Most bytes of a specification, contents aside.
const MAX_SPECIFICATION: u64 = 1 << 30;

/// What the header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) manifest_len: u64,
    pub(super) specification_len: u64,
    pub(super) image_len: u64,
    pub(super) manifest_hash: blake3::Hash,
    pub(super) specification_hash: blake3::Hash,
    pub(super) image_hash: blake3::Hash,
    pub(super) id: ServiceId,
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

    /// Where the specification begins.
    pub(super) fn specification_offset(&self) -> u64 {
        Self::MANIFEST_OFFSET + self.manifest_len
    }

    /// Where the specification ends.
    pub(super) fn specification_end(&self) -> u64 {
        self.specification_offset() + self.specification_len
    }

    /// Where the image begins.
    pub(super) fn image_offset(&self) -> u64 {
        self.specification_end().next_multiple_of(PAGE)
    }

    /// Where the file ends.
    pub(super) fn file_len(&self) -> u64 {
        self.image_offset() + self.image_len
    }

    /// The page, and its hash.
    pub(super) fn encode(&self) -> ([u8; PAGE as usize], [u8; 32]) {
        let mut page = [0; PAGE as usize];
        page[0..8].copy_from_slice(&MAGIC);
        page[8..12].copy_from_slice(&VERSION.to_le_bytes());
        page[12..16].copy_from_slice(&(PAGE as u32).to_le_bytes());
        let numbers = [
            Self::MANIFEST_OFFSET,
            self.manifest_len,
            self.specification_offset(),
            self.specification_len,
            self.image_offset(),
            self.image_len,
        ];
        for (field, number) in page[16..64].chunks_exact_mut(8).zip(numbers) {
            field.copy_from_slice(&number.to_le_bytes());
        }
        let hashes = [
            self.manifest_hash.as_bytes(),
            self.specification_hash.as_bytes(),
            self.image_hash.as_bytes(),
            self.id.as_bytes(),
        ];
        for (field, hash) in page[64..HASHED].chunks_exact_mut(32).zip(hashes) {
            field.copy_from_slice(hash);
        }
        let hash = blake3::hash(&page[..HASHED]);
        page[HASHED..USED].copy_from_slice(hash.as_bytes());
        (page, hash.into())
    }

    /// Reads a page. What comes back would be written as the same page.
    pub(super) fn decode(page: &[u8; PAGE as usize]) -> Result<(Self, [u8; 32]), HeaderFault> {
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
            specification_len: number(40),
            image_len: number(56),
            manifest_hash: hash(64),
            specification_hash: hash(96),
            image_hash: hash(128),
            id: ServiceId::from_bytes(hash(160).into()),
        };
        let plausible = header.manifest_len <= MAX_JSON_LEN as u64
            && header.specification_len <= MAX_SPECIFICATION
            && header.image_len >= PAGE
            && header.image_len.is_multiple_of(PAGE)
            && header.image_len <= PAGE << 32;
        if !plausible {
            return Err(HeaderFault::Damaged);
        }
        let (expected, seal) = header.encode();
        if expected == *page {
            Ok((header, seal))
        } else {
            Err(HeaderFault::Damaged)
        }
    }
}
