//! Identity: the hash of the canonical form.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use sha3::Digest as _;

use super::{Bytes, Service};
use crate::wire::{Message, message};

/// Names a service: the BLAKE3 of its canonical form.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceId([u8; 32]);

impl ServiceId {
    /// The id that is this hash.
    pub const fn from_bytes(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// The hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for ServiceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is 64 hexadecimal digits")]
pub struct BadId;

impl FromStr for ServiceId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        blake3::Hash::from_hex(text)
            .map(|hash| Self(hash.into()))
            .map_err(|_| BadId)
    }
}

impl serde::Serialize for ServiceId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for ServiceId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

message! {
    /// A hash and its function.
    #[derive(PartialEq, Eq)]
    pub struct Hash {
        /// The function, named by its hash of the empty string.
        1 kind: Bytes,
        /// The hash.
        2 value: Bytes,
    }
}

/// The functions that are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashKind {
    /// BLAKE3, 32 bytes.
    Blake3,
    /// SHA3-256.
    Sha3_256,
}

impl HashKind {
    /// All.
    pub const ALL: [Self; 2] = [Self::Blake3, Self::Sha3_256];

    /// The hash of `bytes`.
    pub fn hash(self, bytes: &[u8]) -> [u8; 32] {
        match self {
            Self::Blake3 => blake3::hash(bytes).into(),
            Self::Sha3_256 => sha3::Sha3_256::digest(bytes).into(),
        }
    }

    /// What names the function: its hash of the empty string.
    pub fn type_name(self) -> [u8; 32] {
        self.hash(b"")
    }
}

impl Hash {
    /// A hash under a known function.
    pub fn new(kind: HashKind, value: [u8; 32]) -> Self {
        Self {
            kind: kind.type_name().to_vec().into(),
            value: value.to_vec().into(),
        }
    }

    /// The function, if it is known.
    pub fn known_kind(&self) -> Option<HashKind> {
        HashKind::ALL
            .into_iter()
            .find(|kind| kind.type_name()[..] == *self.kind)
    }

    /// The service that the hash names, if it is a BLAKE3.
    pub fn service_id(&self) -> Option<ServiceId> {
        if self.known_kind() != Some(HashKind::Blake3) {
            return None;
        }
        <[u8; 32]>::try_from(&self.value[..]).ok().map(ServiceId)
    }
}

impl From<ServiceId> for Hash {
    fn from(id: ServiceId) -> Self {
        Self::new(HashKind::Blake3, id.0)
    }
}

/// The hashes of a service's canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Ids {
    /// The BLAKE3, which is the id.
    pub id: ServiceId,
    /// The SHA3-256, by which other nodes know it.
    #[serde(with = "hex")]
    pub sha3_256: [u8; 32],
    /// Bytes of the canonical form.
    pub len: u64,
}

/// A hash as hexadecimal digits.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(hash: &[u8; 32], s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&blake3::Hash::from_bytes(*hash).to_hex())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<[u8; 32], D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        let hash = blake3::Hash::from_hex(&*text).map_err(serde::de::Error::custom)?;
        Ok(hash.into())
    }
}

impl Ids {
    /// All hashes of this service.
    pub fn hashes(&self) -> [Hash; 2] {
        [self.id.into(), Hash::new(HashKind::Sha3_256, self.sha3_256)]
    }
}

impl Service {
    /// The id: contents of files are read and pass through the hash.
    pub fn id(&self) -> io::Result<ServiceId> {
        let mut hasher = blake3::Hasher::new();
        self.write_canonical(&mut hasher)?;
        Ok(ServiceId(hasher.finalize().into()))
    }

    /// The id and the other hashes, in one pass.
    pub fn ids(&self) -> io::Result<Ids> {
        let mut both = Both {
            blake3: blake3::Hasher::new(),
            sha3: sha3::Sha3_256::new(),
        };
        self.write_canonical(&mut both)?;
        Ok(Ids {
            len: both.blake3.count(),
            id: ServiceId(both.blake3.finalize().into()),
            sha3_256: both.sha3.finalize().into(),
        })
    }
}

struct Both {
    blake3: blake3::Hasher,
    sha3: sha3::Sha3_256,
}

impl Write for Both {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.blake3.update(bytes);
        self.sha3.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
