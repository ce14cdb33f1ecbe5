//! Box images: built from the files when first asked for, and then shared.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::sync::PoisonError;

use unicell_service::erofs;
use unicell_service::spec::ServiceId;
use unicell_service::tree::{self, Source};

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

impl Store {
    /// The box image of a service. Hold the service while it is used: see
    /// [`Store::hold`].
    pub fn box_image(&self, id: ServiceId) -> Result<BoxImage> {
        if let Some((len, _)) = self.record(id)?.image {
            return self.open_image(id, len);
        }
        // One at a time, and only once.
        let _building = self
            .0
            .building
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let record = self.record(id)?;
        let len = match record.image {
            Some((len, _)) => len,
            None => self.build_image(id, &record)?,
        };
        self.open_image(id, len)
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
