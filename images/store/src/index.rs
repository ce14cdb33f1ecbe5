//! The index: what the store knows. A thin layer over the database, with the
//! tables' names and the forms of their rows in one place.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};

use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    WriteTransaction,
};
use serde::{Deserialize, Serialize};
use unicell_database::Meaning;
use unicell_service::spec::ServiceId;

use crate::error::{Result, StoreError};
use crate::seal::{Seal, Sealed};

type Key = &'static [u8; 32];

/// Services: id to record.
const SERVICES: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("services");
/// Contents of files: BLAKE3 to length.
const FILES: TableDefinition<'_, Key, u64> = TableDefinition::new("files");
/// Tags: name to id.
const TAGS: TableDefinition<'_, &str, Key> = TableDefinition::new("tags");
/// Metadata: id to message in proto3.
const METADATA: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("metadata");

/// What the index knows of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Bytes of its canonical form.
    pub canonical_len: u64,
    /// The SHA3-256 of that.
    pub sha3_256: [u8; 32],
    /// Bytes and BLAKE3 of the specification as it is kept.
    pub specification: (u64, [u8; 32]),
    /// Bytes and BLAKE3 of the box image, once it has been built.
    pub image: Option<(u64, [u8; 32])>,
    /// When it was put, seconds since 1970.
    pub since: u64,
}

/// The database, and its seal.
pub(crate) struct Index {
    /// Read to use it, written to check it.
    database: RwLock<Database>,
    /// After the database, which writes when it is dropped.
    sealing: Sealing,
}

/// Held by whoever changes the file. Dropped, it seals what has been closed.
struct Sealing(Mutex<Seal>);

impl Sealing {
    /// Does what changes the file, with the seal off.
    fn without<T>(&self, change: impl FnOnce() -> Result<T>) -> Result<T> {
        let seal = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seal.take_off()?;
        let result = change();
        seal.put_on()?;
        result
    }
}

impl Drop for Sealing {
    fn drop(&mut self) {
        let seal = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Without one, the next opening looks more closely.
        let _ = seal.put_on();
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        let seal = self.sealing.0.get_mut();
        // That it stays would be found out, and told as damage.
        let _ = seal.unwrap_or_else(PoisonError::into_inner).take_off();
    }
}

impl Index {
    /// Opens the database, and makes it if `fresh`.
    pub(crate) fn open(root: &Path, path: &Path) -> Result<Self> {
        let seal = Seal::of(path);
        let broken = seal.check()? == Sealed::Broken;
        // Held by another process, it changes while we look.
        let is_free = File::open(path).is_ok_and(|file| file.try_lock().is_ok());
        if is_free {
            if broken {
                return Err(StoreError::BadIndex(root.to_owned()));
            }
            // Opening it writes, too.
            seal.take_off()?;
        }
        let database = Database::create(path).map_err(|error| match Meaning::of(&error) {
            Meaning::Busy => StoreError::Busy(root.to_owned()),
            Meaning::Damaged => StoreError::BadIndex(root.to_owned()),
            Meaning::Other => error.into(),
        })?;
        let index = Self {
            database: RwLock::new(database),
            sealing: Sealing(Mutex::new(seal)),
        };
        // The tables exist from the beginning, so that reading finds them.
        index.write(|write| {
            write.open_table(SERVICES)?;
            write.open_table(FILES)?;
            write.open_table(TAGS)?;
            write.open_table(METADATA)?;
            Ok(())
        })?;
        Ok(index)
    }

    fn database(&self) -> RwLockReadGuard<'_, Database> {
        // The database does not depend on who panicked: its transactions do.
        self.database.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the index: all of it or nothing, on the disk when it returns.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&Change<'_>) -> Result<T>) -> Result<T> {
        self.sealing.without(|| {
            let transaction = self.database().begin_write()?;
            let result = change(&Change(&transaction))?;
            transaction.commit()?;
            Ok(result)
        })
    }

    /// Whether the database's own checksums hold.
    pub(crate) fn is_sound(&self) -> Result<bool> {
        let mut database = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        self.sealing
            .without(|| Ok(unicell_database::is_whole(&mut database)?))
    }

    pub(crate) fn service(&self, id: ServiceId) -> Result<Option<Record>> {
        let table = self.database().begin_read()?.open_table(SERVICES)?;
        let found = table.get(id.as_bytes())?;
        found.map(|row| record(id, row.value())).transpose()
    }

    pub(crate) fn services(&self) -> Result<BTreeMap<ServiceId, Record>> {
        let table = self.database().begin_read()?.open_table(SERVICES)?;
        let mut services = BTreeMap::new();
        for row in table.iter()? {
            let (key, value) = row?;
            let id = ServiceId::from_bytes(*key.value());
            services.insert(id, record(id, value.value())?);
        }
        Ok(services)
    }

    /// The ids that begin with some hexadecimal digits.
    pub(crate) fn beginning(&self, digits: &str) -> Result<Vec<ServiceId>> {
        let table = self.database().begin_read()?.open_table(SERVICES)?;
        let mut found = Vec::new();
        for row in table.iter()? {
            let id = ServiceId::from_bytes(*row?.0.value());
            if id.to_string().starts_with(digits) {
                found.push(id);
            }
        }
        Ok(found)
    }

    pub(crate) fn has_file(&self, hash: &blake3::Hash) -> Result<bool> {
        let table = self.database().begin_read()?.open_table(FILES)?;
        Ok(table.get(hash.as_bytes())?.is_some())
    }

    pub(crate) fn files(&self) -> Result<HashMap<blake3::Hash, u64>> {
        let table = self.database().begin_read()?.open_table(FILES)?;
        let mut files = HashMap::with_capacity(table.len()? as usize);
        for row in table.iter()? {
            let (key, len) = row?;
            files.insert(blake3::Hash::from_bytes(*key.value()), len.value());
        }
        Ok(files)
    }

    pub(crate) fn tags(&self) -> Result<BTreeMap<String, ServiceId>> {
        let table = self.database().begin_read()?.open_table(TAGS)?;
        let mut tags = BTreeMap::new();
        for row in table.iter()? {
            let (tag, id) = row?;
            tags.insert(tag.value().to_owned(), ServiceId::from_bytes(*id.value()));
        }
        Ok(tags)
    }

    pub(crate) fn tag(&self, tag: &str) -> Result<Option<ServiceId>> {
        let table = self.database().begin_read()?.open_table(TAGS)?;
        let id = table.get(tag)?;
        Ok(id.map(|id| ServiceId::from_bytes(*id.value())))
    }

    pub(crate) fn metadata(&self, id: ServiceId) -> Result<Option<Vec<u8>>> {
        let table = self.database().begin_read()?.open_table(METADATA)?;
        let found = table.get(id.as_bytes())?;
        Ok(found.map(|row| row.value().to_vec()))
    }
}

fn record(id: ServiceId, row: &[u8]) -> Result<Record> {
    postcard::from_bytes(row).map_err(|_| StoreError::Record(id.to_string()))
}

/// A change of the index under way.
pub(crate) struct Change<'a>(&'a WriteTransaction);

impl<'a> Change<'a> {
    fn open_table<K: redb::Key + 'static, V: redb::Value + 'static>(
        &self,
        table: TableDefinition<'static, K, V>,
    ) -> Result<redb::Table<'a, K, V>> {
        Ok(self.0.open_table(table)?)
    }

    pub(crate) fn put_service(&self, id: ServiceId, record: &Record) -> Result<()> {
        let row = postcard::to_allocvec(record).map_err(|_| StoreError::Record(id.to_string()))?;
        self.open_table(SERVICES)?.insert(id.as_bytes(), &row[..])?;
        Ok(())
    }

    /// Removes services, their metadata and their tags.
    pub(crate) fn remove_services(&self, ids: &BTreeSet<ServiceId>) -> Result<()> {
        let mut services = self.open_table(SERVICES)?;
        let mut metadata = self.open_table(METADATA)?;
        for id in ids {
            services.remove(id.as_bytes())?;
            metadata.remove(id.as_bytes())?;
        }
        let mut tags = self.open_table(TAGS)?;
        tags.retain(|_, id| !ids.contains(&ServiceId::from_bytes(*id)))?;
        Ok(())
    }

    pub(crate) fn put_files(
        &self,
        files: impl IntoIterator<Item = (blake3::Hash, u64)>,
    ) -> Result<()> {
        let mut table = self.open_table(FILES)?;
        for (hash, len) in files {
            table.insert(hash.as_bytes(), len)?;
        }
        Ok(())
    }

    pub(crate) fn remove_files(&self, hashes: &[blake3::Hash]) -> Result<()> {
        let mut table = self.open_table(FILES)?;
        for hash in hashes {
            table.remove(hash.as_bytes())?;
        }
        Ok(())
    }

    pub(crate) fn put_tag(&self, tag: &str, id: ServiceId) -> Result<()> {
        self.open_table(TAGS)?.insert(tag, id.as_bytes())?;
        Ok(())
    }

    pub(crate) fn remove_tag(&self, tag: &str) -> Result<bool> {
        Ok(self.open_table(TAGS)?.remove(tag)?.is_some())
    }

    pub(crate) fn put_metadata(&self, id: ServiceId, metadata: &[u8]) -> Result<()> {
        self.open_table(METADATA)?.insert(id.as_bytes(), metadata)?;
        Ok(())
    }
}
