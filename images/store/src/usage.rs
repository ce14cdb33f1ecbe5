//! How large a store is.

use unicell_service::spec::ServiceId;

use crate::error::Result;
use crate::store::Store;

/// Sizes in bytes, where nothing else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Services, a number.
    pub services: u64,
    /// Contents of files that are kept, a number.
    pub files: u64,
    /// Those contents, each once.
    pub file_bytes: u64,
    /// Specifications.
    pub specification_bytes: u64,
    /// Box images.
    pub image_bytes: u64,
    /// What all services would take if each had its files for itself.
    pub canonical_bytes: u64,
}

impl Usage {
    /// All that is kept.
    pub fn bytes(&self) -> u64 {
        self.file_bytes + self.specification_bytes + self.image_bytes
    }
}

impl Store {
    /// How large it is, as the index has it.
    pub fn usage(&self) -> Result<Usage> {
        let files = self.0.index.files()?;
        let mut usage = Usage {
            files: files.len() as u64,
            file_bytes: files.into_values().sum(),
            ..Usage::default()
        };
        for record in self.list()?.into_values() {
            usage.services += 1;
            usage.specification_bytes += record.specification.0;
            usage.image_bytes += record.image.map_or(0, |(len, _)| len);
            usage.canonical_bytes += record.canonical_len;
        }
        Ok(usage)
    }

    /// Bytes on the disk that one service has for itself or shares with
    /// others: specification, box image, contents of its files each once.
    pub fn service_bytes(&self, id: ServiceId) -> Result<u64> {
        let record = self.record(id)?;
        let mut seen = std::collections::HashSet::new();
        let mut bytes = record.specification.0 + record.image.map_or(0, |(len, _)| len);
        self.specification(id, &record)?
            .visit_contents(&mut |source| {
                if source.known_hash().is_some_and(|hash| seen.insert(hash)) {
                    bytes += source.len();
                }
                Ok::<(), crate::StoreError>(())
            })?;
        Ok(bytes)
    }
}
