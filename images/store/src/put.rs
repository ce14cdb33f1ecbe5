//! Putting services in.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::time::SystemTime;

use unicell_service::encoding::{self, DecodeError, Spool};
use unicell_service::spec::{Ids, Service, ServiceId};
use unicell_service::tree::{self, Source};
use unicell_service::wire::Message;

use crate::disk::Batch;
use crate::error::{Result, StoreError, at};
use crate::index::Record;
use crate::store::Store;

/// What came of putting a service in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put {
    /// Its hashes, computed here.
    pub ids: Ids,
    /// Whether it was there before.
    pub known: bool,
}

/// Most bytes that one service may bring along in any encoding.
const MAX_INPUT: u64 = 128 << 30;

impl Store {
    /// Puts a service in that comes in any encoding, or as a package. It is
    /// hashed first; if `expected` is given and is something else, nothing of
    /// it is kept.
    pub fn put(&self, from: &mut dyn Read, expected: Option<ServiceId>) -> Result<Put> {
        let staging = self.0.disk.staging();
        let mut spool = Spool::new(&staging, MAX_INPUT).map_err(at(&staging))?;
        let input = spool.add(from).map_err(DecodeError::Io)?;
        // What is decoded goes elsewhere: a package is read from a whole file.
        let mut decoded = Spool::new(&staging, MAX_INPUT).map_err(at(&staging))?;
        let service = encoding::read_any(&input, Path::new("the package"), &mut decoded)?;
        self.put_service(service, expected)
    }

    /// Puts a service in whose contents can be read. As [`Store::put`].
    pub fn put_service(&self, service: Service, expected: Option<ServiceId>) -> Result<Put> {
        let mut service = service;
        let ids = service.ids().map_err(at(&self.0.disk.staging()))?;
        if let Some(expected) = expected.filter(|expected| *expected != ids.id) {
            let found = ids.id;
            return Err(StoreError::WrongId { expected, found });
        }
        // A box that cannot be built is found now and not when it is started.
        if let Some(files) = service.filesystem() {
            files.to_tree(tree::Limits::default())?;
        }
        let _writing = self.writing();
        if self.0.index.service(ids.id)?.is_some() {
            return Ok(Put { ids, known: true });
        }
        let mut batch = self.0.disk.batch();
        let files = self.add_files(&mut service, &mut batch)?;
        let specification = self.add_specification(ids.id, &service, &mut batch)?;
        batch.publish()?;
        let record = Record {
            canonical_len: ids.len,
            sha3_256: ids.sha3_256,
            specification,
            image: None,
            since: now(),
        };
        self.0.index.write(|change| {
            change.put_files(files)?;
            change.put_service(ids.id, &record)
        })?;
        Ok(Put { ids, known: false })
    }

    /// Adds the contents that are not there yet, and says which they are. Then
    /// the service knows all hashes.
    fn add_files(
        &self,
        service: &mut Service,
        batch: &mut Batch<'_>,
    ) -> Result<HashMap<blake3::Hash, u64>> {
        let disk = &self.0.disk;
        let mut added = HashMap::new();
        service.visit_contents(&mut |source| {
            let hash = source.hash().map_err(at(&disk.staging()))?;
            let len = source.len();
            let is_there = len == 0 || added.contains_key(&hash) || self.0.index.has_file(&hash)?;
            if !is_there {
                let target = disk.file(&hash);
                let mut file = batch.create(target.clone())?;
                copy(source, hash, &mut file).map_err(at(&target))?;
                added.insert(hash, len);
            }
            *source = Source::absent(hash, len);
            Ok::<(), StoreError>(())
        })?;
        Ok(added)
    }

    /// Adds the specification with hashes in place of contents, and says how
    /// long it is and its hash.
    fn add_specification(
        &self,
        id: ServiceId,
        service: &Service,
        batch: &mut Batch<'_>,
    ) -> Result<(u64, [u8; 32])> {
        let target = self.0.disk.service(id);
        let mut bytes = Vec::new();
        service.write_blocks(&mut bytes).map_err(at(&target))?;
        let mut file = batch.create(target.clone())?;
        file.write_all(&bytes).map_err(at(&target))?;
        Ok((bytes.len() as u64, blake3::hash(&bytes).into()))
    }
}

/// Copies contents, which must be those that were hashed.
fn copy(source: &Source, hash: blake3::Hash, to: &mut File) -> std::io::Result<()> {
    let mut hasher = blake3::Hasher::new();
    source.copy_to(&mut |bytes| {
        hasher.update(bytes);
        to.write_all(bytes)
    })?;
    if hasher.finalize() == hash {
        Ok(())
    } else {
        Err(std::io::Error::other(
            "it changed while it was being copied",
        ))
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
