//! Box images: built from the files when first asked for, and then shared; or
//! copied for each owner, where owners are not to see which pages of an image
//! others have touched. A copy is a file without a name: it is gone when nobody
//! has it open, however the process ends.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom};
use std::sync::{MutexGuard, PoisonError};

use unicell_service::erofs;
use unicell_service::spec::ServiceId;
use unicell_service::tree::{self, Source};

use crate::disk::Disk;
use crate::error::{Result, StoreError, at};
use crate::index::Record;
use crate::store::Store;

/// The box image of a service.
#[derive(Debug)]
pub struct BoxImage {
    /// The file, open for reading; the image is all of it and never changes.
    pub file: File,
    /// Bytes, a multiple of 4096.
    pub len: u64,
}

/// Images that one owner has, by service and owner.
pub(crate) type Copies = BTreeMap<(ServiceId, String), File>;

impl Store {
    /// The box image of a service. Hold the service while it is used: see
    /// [`Store::hold`].
    pub fn box_image(&self, id: ServiceId) -> Result<BoxImage> {
        if let Some((len, _)) = self.record(id)?.image {
            return self.open_image(id, len);
        }
        // One at a time, and only once.
        let _building = self.building();
        let record = self.record(id)?;
        let len = match record.image {
            Some((len, _)) => len,
            None => self.build_image(id, &record)?,
        };
        self.open_image(id, len)
    }

    /// The same image in a file that nobody else has: instances of other
    /// owners have other pages of it in the host's memory, and those of `owner`
    /// the same, until [`Store::gc`] or [`Store::rm`] drops the copy.
    pub fn own_box_image(&self, id: ServiceId, owner: &str) -> Result<BoxImage> {
        let shared = self.box_image(id)?;
        let _building = self.building();
        let key = (id, owner.to_owned());
        let kept = self.copies().get(&key).map(File::try_clone);
        let path = self.0.disk.box_image(id);
        let file = match kept {
            Some(kept) => kept.map_err(at(&path))?,
            None => {
                let file = self.copy(shared.file)?;
                let clone = file.try_clone().map_err(at(&path))?;
                // The service may have been removed meanwhile.
                let _writing = self.writing();
                self.record(id)?;
                self.copies().insert(key, clone);
                file
            }
        };
        let len = shared.len;
        Ok(BoxImage { file, len })
    }

    /// A copy without a name, open for reading. Where the filesystem can, they
    /// share blocks on the disk; pages in memory belong to a file.
    fn copy(&self, mut shared: File) -> Result<File> {
        let path = self.0.disk.staged();
        let copied = Disk::create(&path).and_then(|mut file| {
            std::io::copy(&mut shared, &mut file)?;
            File::open(&path)
        });
        // If there was none, there is nothing to be removed.
        let _ = fs::remove_file(&path);
        copied.map_err(at(&path))
    }

    /// Drops the copies of services of which `gone` says so.
    pub(crate) fn drop_copies(&self, gone: impl Fn(ServiceId) -> bool) {
        self.copies().retain(|(id, _), _| !gone(*id));
    }

    fn copies(&self) -> MutexGuard<'_, Copies> {
        self.0.copies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn building(&self) -> MutexGuard<'_, ()> {
        // It guards no data.
        self.0
            .building
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn open_image(&self, id: ServiceId, len: u64) -> Result<BoxImage> {
        let path = self.0.disk.box_image(id);
        let file = File::open(&path).map_err(at(&path))?;
        if file.metadata().map_err(at(&path))?.len() != len {
            let what = "the box image";
            return Err(StoreError::Damaged { id, what });
        }
        Ok(BoxImage { file, len })
    }

    fn build_image(&self, id: ServiceId, record: &Record) -> Result<u64> {
        let service = self.get(id)?;
        let files = service.filesystem().cloned().unwrap_or_default();
        let tree = files.to_tree(tree::Limits::default())?;
        let target = self.0.disk.box_image(id);
        let mut batch = self.0.disk.batch();
        let mut file = batch.create(target.clone())?;
        // Every file is hashed as it is written and compared with its name.
        let image = erofs::write(&tree, &mut file, &mut |_, _| {})
            .map_err(|source| StoreError::Image { id, source })?;
        file.set_len(image.len).map_err(at(&target))?;
        file.seek(SeekFrom::Start(0)).map_err(at(&target))?;
        let hash = Source::slice(file.into(), 0, image.len)
            .hash()
            .map_err(at(&target))?;
        // The service may have been removed meanwhile.
        let _writing = self.writing();
        self.record(id)?;
        batch.publish()?;
        let record = Record {
            image: Some((image.len, hash.into())),
            ..record.clone()
        };
        self.0
            .index
            .write(|change| change.put_service(id, &record))?;
        Ok(image.len)
    }
}
