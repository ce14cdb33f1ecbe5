//! Removing: one service, or all that nothing refers to.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::Path;

use unicell_service::spec::ServiceId;

use crate::error::{Result, StoreError, at};
use crate::store::Store;

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Services.
    pub services: u64,
    /// Contents of files.
    pub files: u64,
    /// Bytes on the disk.
    pub bytes: u64,
}

impl Store {
    /// Removes a service and its names; its files go with the next
    /// [`Store::gc`]. One that is held stays, and is an error.
    pub fn rm(&self, id: ServiceId) -> Result<()> {
        let _writing = self.writing();
        self.record(id)?;
        if self.held_services().contains(&id) {
            return Err(StoreError::InUse(id));
        }
        self.drop_copies(|of| of == id);
        self.remove_services(&[id].into())?;
        Ok(())
    }

    /// Removes the services that have no tag, are not held, are not in `keep`
    /// and are no dependency of one that stays; all files that no service has
    /// any more; and the copies of images that owners have for themselves.
    pub fn gc(&self, keep: &[ServiceId]) -> Result<Collected> {
        let _writing = self.writing();
        let services = self.list()?;
        let mut kept = BTreeSet::new();
        let mut used = HashSet::new();
        let mut todo: Vec<ServiceId> = keep.to_vec();
        todo.extend(self.tags()?.into_values());
        todo.extend(self.held_services());
        while let Some(id) = todo.pop() {
            let Some(record) = services.get(&id) else {
                continue;
            };
            if !kept.insert(id) {
                continue;
            }
            let mut service = self.specification(id, record)?;
            // Attributes that cannot be read name nothing.
            todo.extend(service.dependencies().unwrap_or_default().into_values());
            service.visit_contents(&mut |source| {
                used.extend(source.known_hash());
                Ok::<(), StoreError>(())
            })?;
        }
        let gone: BTreeSet<ServiceId> = services
            .into_keys()
            .filter(|id| !kept.contains(id))
            .collect();
        let bytes = self.remove_services(&gone)?;
        // Of owners that may be gone. Those that run keep what they have.
        self.drop_copies(|_| true);
        let files = self.remove_files(&used)?;
        Ok(Collected {
            services: gone.len() as u64,
            files: files.0,
            bytes: bytes + files.1,
        })
    }

    /// Forgets services, then removes what they had for themselves. Says how
    /// many bytes that were.
    fn remove_services(&self, ids: &BTreeSet<ServiceId>) -> Result<u64> {
        if ids.is_empty() {
            return Ok(0);
        }
        self.0.index.write(|change| change.remove_services(ids))?;
        let disk = &self.0.disk;
        let mut bytes = 0;
        for id in ids {
            bytes += remove(&disk.service(*id))? + remove(&disk.box_image(*id))?;
        }
        Ok(bytes)
    }

    /// Forgets files that are not used, then removes them. Says how many, and
    /// how many bytes.
    fn remove_files(&self, used: &HashSet<blake3::Hash>) -> Result<(u64, u64)> {
        let files = self.0.index.files()?;
        let gone = files.into_keys().filter(|hash| !used.contains(hash));
        let gone: Vec<_> = gone.collect();
        if gone.is_empty() {
            return Ok((0, 0));
        }
        self.0.index.write(|change| change.remove_files(&gone))?;
        let mut bytes = 0;
        for hash in &gone {
            bytes += remove(&self.0.disk.file(hash))?;
        }
        Ok((gone.len() as u64, bytes))
    }
}

/// Removes a file that may not be there, and says how long it was.
fn remove(path: &Path) -> Result<u64> {
    let Ok(found) = path.symlink_metadata() else {
        return Ok(0);
    };
    fs::remove_file(path).map_err(at(path))?;
    Ok(found.len())
}
