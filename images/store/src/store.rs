//! A store, open; reading from it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use unicell_service::encoding::Encoding;
use unicell_service::spec::{Metadata, Service, ServiceId};
use unicell_service::tree::Source;
use unicell_service::wire::{Form, Limits, Message};

use crate::disk::Disk;
use crate::error::{Result, StoreError, at};
use crate::image::Copies;
use crate::index::{Index, Record};

/// A store. Clones are the same store.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) disk: Disk,
    pub(crate) index: Index,
    /// Held by whoever adds or removes files: the index alone would not keep a
    /// file from being removed between being found and being named.
    writing: Mutex<()>,
    /// Held by whoever builds a box image.
    pub(crate) building: Mutex<()>,
    /// Box images that one owner has.
    pub(crate) copies: Mutex<Copies>,
    /// How often each service is held.
    held: Mutex<HashMap<ServiceId, u64>>,
}

/// The index, all of which is as it was written.
fn sound_index(root: &Path, path: &Path) -> Result<Index> {
    let index = Index::open(root, path)?;
    if index.is_sound()? {
        Ok(index)
    } else {
        Err(StoreError::BadIndex(root.to_owned()))
    }
}

impl Store {
    /// Opens the store in a directory, and makes it if there is none. All of
    /// its index is compared with its checksums. What an earlier process left
    /// half done is swept away.
    pub fn open(root: &Path) -> Result<Self> {
        Self::with(root, sound_index)
    }

    /// As [`Store::open`], of a store whose index [`Store::examine`] has just
    /// found whole: it is compared with its seal, and not again with its
    /// checksums.
    pub fn open_examined(root: &Path) -> Result<Self> {
        Self::with(root, Index::open)
    }

    fn with(root: &Path, open: fn(&Path, &Path) -> Result<Index>) -> Result<Self> {
        let disk = Disk::open(root)?;
        let fresh = !disk.index().exists();
        if fresh && !is_empty(&disk.services())? {
            return Err(StoreError::NoIndex(root.to_owned()));
        }
        // The database panics at some damage, and an index that forgot something
        // would have it swept away.
        let opened = std::panic::catch_unwind(|| open(root, &disk.index()));
        let index = opened.unwrap_or_else(|_| Err(StoreError::BadIndex(root.to_owned())))?;
        let store = Self(Arc::new(Inner {
            disk,
            index,
            writing: Mutex::new(()),
            building: Mutex::new(()),
            copies: Mutex::default(),
            held: Mutex::default(),
        }));
        store.sweep()?;
        Ok(store)
    }

    /// Looks at all of the index, if there is one, and changes nothing of the
    /// store. It may end the process, if that is built to abort at a panic:
    /// the database panics at some damage that it was not sealed against. So
    /// it is for a process of its own, before another opens the store.
    pub fn examine(root: &Path) -> Result<()> {
        let index = Disk::index_of(root);
        if index.exists() {
            sound_index(root, &index)?;
        }
        Ok(())
    }

    /// All services.
    pub fn list(&self) -> Result<BTreeMap<ServiceId, Record>> {
        self.0.index.services()
    }

    /// Whether a service is here, and what the index knows of it.
    pub fn record(&self, id: ServiceId) -> Result<Record> {
        let found = self.0.index.service(id)?;
        found.ok_or_else(|| StoreError::NotFound(id.to_string()))
    }

    /// A service. The contents of its files are read only when they are asked
    /// for, and then from the store.
    pub fn get(&self, id: ServiceId) -> Result<Service> {
        let mut service = self.specification(id, &self.record(id)?)?;
        let disk = &self.0.disk;
        service.visit_contents(&mut |source| {
            if let Some(hash) = source.known_hash().filter(|_| !source.is_empty()) {
                *source = Source::path(disk.file(&hash), source.len()).with_hash(hash);
            } else {
                *source = Source::bytes(&[]);
            }
            Ok::<(), StoreError>(())
        })?;
        Ok(service)
    }

    /// The specification as it is kept, contents as hashes.
    pub(crate) fn specification(&self, id: ServiceId, record: &Record) -> Result<Service> {
        let path = self.0.disk.service(id);
        let bytes = fs::read(&path).map_err(at(&path))?;
        if *blake3::hash(&bytes).as_bytes() != record.specification.1 {
            let what = "the specification";
            return Err(StoreError::Damaged { id, what });
        }
        Service::read(&Source::bytes(&bytes), Form::Blocks, Limits::default())
            .map_err(|source| StoreError::Specification { id, source })
    }

    /// Writes a service in an encoding, after all of it was hashed again:
    /// nothing that is damaged leaves the store.
    pub fn export(&self, id: ServiceId, encoding: &dyn Encoding, to: &mut dyn Write) -> Result<()> {
        let service = self.get(id)?;
        let found = service.id().map_err(at(&self.0.disk.root))?;
        if found != id {
            let what = "a file";
            return Err(StoreError::Damaged { id, what });
        }
        Ok(encoding.write(&service, to)?)
    }

    /// What is said of a service from outside.
    pub fn metadata(&self, id: ServiceId) -> Result<Metadata> {
        self.record(id)?;
        let Some(bytes) = self.0.index.metadata(id)? else {
            return Ok(Metadata::default());
        };
        Metadata::from_bytes(&bytes)
            .map_err(|_| StoreError::Record(format!("the metadata of {id}")))
    }

    /// Replaces what is said of a service from outside.
    pub fn set_metadata(&self, id: ServiceId, metadata: &Metadata) -> Result<()> {
        let _writing = self.writing();
        self.record(id)?;
        let bytes = metadata.to_bytes();
        self.0.index.write(|change| change.put_metadata(id, &bytes))
    }

    /// Keeps a service from being removed as long as the result lives.
    pub fn hold(&self, id: ServiceId) -> Result<Hold> {
        let _writing = self.writing();
        self.record(id)?;
        *self.held().entry(id).or_default() += 1;
        Ok(Hold {
            store: self.clone(),
            id,
        })
    }

    pub(crate) fn writing(&self) -> MutexGuard<'_, ()> {
        // It guards no data: who panicked under it left what a crash leaves.
        self.0
            .writing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, HashMap<ServiceId, u64>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn held_services(&self) -> BTreeSet<ServiceId> {
        self.held().keys().copied().collect()
    }

    /// Removes what the index does not know.
    fn sweep(&self) -> Result<()> {
        let disk = &self.0.disk;
        let services = self.list()?;
        let files = self.0.index.files()?;
        remove_unless(&disk.staging(), &|_| false)?;
        remove_unless(&disk.services(), &|name| {
            name.parse().is_ok_and(|id| services.contains_key(&id))
        })?;
        remove_unless(&disk.boxes(), &|name| {
            let record = name.parse().ok().and_then(|id| services.get(&id));
            record.is_some_and(|record| record.image.is_some())
        })?;
        for first in 0..=u8::MAX {
            let first = format!("{first:02x}");
            remove_unless(&disk.files().join(&first), &|rest| {
                let hash = blake3::Hash::from_hex(format!("{first}{rest}"));
                hash.is_ok_and(|hash| files.contains_key(&hash))
            })?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({})", self.0.disk.root.display())
    }
}

/// Keeps a service from being removed: see [`Store::hold`].
#[derive(Debug)]
pub struct Hold {
    store: Store,
    id: ServiceId,
}

impl Hold {
    /// Which.
    pub fn id(&self) -> ServiceId {
        self.id
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = self.store.held();
        if let Some(count) = held.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.id);
            }
        }
    }
}

fn is_empty(directory: &Path) -> Result<bool> {
    let mut entries = fs::read_dir(directory).map_err(at(directory))?;
    Ok(entries.next().is_none())
}

/// Removes the files of a directory but those that `keep` says, by name.
fn remove_unless(directory: &Path, keep: &dyn Fn(&str) -> bool) -> Result<()> {
    for entry in fs::read_dir(directory).map_err(at(directory))? {
        let entry = entry.map_err(at(directory))?;
        if !entry.file_name().to_str().is_some_and(keep) {
            let path = entry.path();
            fs::remove_file(&path).map_err(at(&path))?;
        }
    }
    Ok(())
}
