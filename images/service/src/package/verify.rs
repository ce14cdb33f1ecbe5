//! Making sure of a package: its parts are what was packed, and they agree.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::header::Header;
use super::open::{OpenError, Package, Part, hash_range};
use super::write::box_tree;
use crate::erofs;
use crate::manifest::Manifest;
use crate::spec::Service;
use crate::tree::{Limits, Source};
use crate::wire::{Form, Message};

impl Package {
    /// Checks all that [`Package::open`] does not: specification, padding and
    /// image are whole, the image is the specification's, the manifest too, and
    /// the id is the specification's.
    pub fn verify(&self) -> Result<(), OpenError> {
        self.check_padding()?;
        let mut service = self.service()?;
        self.check_image_hash()?;
        let manifest = Manifest::of(&service).map_err(|_| self.contradiction("manifest"))?;
        if manifest != *self.manifest() {
            return Err(self.contradiction("manifest"));
        }
        self.check_image(&mut service)?;
        let id = service.id().map_err(|source| self.unreadable(source))?;
        if id != self.id() {
            return Err(self.contradiction("id"));
        }
        Ok(())
    }

    /// The specification. Contents of files stay in the image and are read from
    /// there; only after [`Package::verify`] they are surely those of the id.
    pub fn service(&self) -> Result<Service, OpenError> {
        let header = self.header();
        let mut bytes = vec![0; header.specification_len as usize];
        self.file()
            .read_exact_at(&mut bytes, header.specification_offset())
            .map_err(|source| self.unreadable(source))?;
        if blake3::hash(&bytes) != header.specification_hash {
            return Err(self.damaged(Part::Specification));
        }
        let mut service = Service::read(
            &Source::bytes(&bytes),
            Form::Blocks,
            crate::wire::Limits::default(),
        )
        .map_err(|source| OpenError::Specification {
            path: self.path().display().to_string(),
            source,
        })?;
        self.place_contents(&mut service)?;
        Ok(service)
    }

    /// Where the image has which contents follows from the specification.
    fn place_contents(&self, service: &mut Service) -> Result<(), OpenError> {
        let wrong = |_| self.contradiction("image");
        let tree = box_tree(service, Limits::default()).map_err(wrong)?;
        let extents = erofs::place(&tree).ok_or_else(|| self.contradiction("image"))?;
        let places: HashMap<_, _> = extents
            .values()
            .map(|extent| (extent.hash, extent.offset()))
            .collect();
        let file = self
            .file()
            .try_clone()
            .map_err(|source| self.unreadable(source))?;
        let file = Arc::new(file);
        service.visit_contents(&mut |source| {
            let len = source.len();
            let hash = source
                .known_hash()
                .ok_or_else(|| self.contradiction("image"))?;
            *source = match places.get(&hash) {
                Some(offset) if len <= self.image_len().saturating_sub(*offset) => {
                    Source::slice(Arc::clone(&file), self.image_offset() + offset, len)
                        .with_hash(hash)
                }
                None if len == 0 && hash == blake3::hash(b"") => Source::bytes(b""),
                _ => return Err(self.contradiction("image")),
            };
            Ok(())
        })
    }

    fn check_padding(&self) -> Result<(), OpenError> {
        let header = self.header();
        let len = header.image_offset() - header.specification_end();
        let mut padding = vec![0; len as usize];
        self.file()
            .read_exact_at(&mut padding, header.specification_end())
            .map_err(|source| self.unreadable(source))?;
        if padding.iter().any(|byte| *byte != 0) {
            return Err(self.damaged(Part::Padding));
        }
        Ok(())
    }

    fn check_image_hash(&self) -> Result<(), OpenError> {
        let header: &Header = self.header();
        let mut hasher = blake3::Hasher::new();
        hash_range(
            self.file(),
            self.image_offset(),
            self.image_len(),
            &mut hasher,
            &mut |_| {},
        )
        .map_err(|source| self.unreadable(source))?;
        if hasher.finalize() == header.image_hash {
            Ok(())
        } else {
            Err(self.damaged(Part::Image))
        }
    }

    /// Writes the image again and compares, with its own contents: a hostile
    /// package could otherwise show one tree and run another.
    fn check_image(&self, service: &mut Service) -> Result<(), OpenError> {
        let wrong = || self.contradiction("image");
        let tree = box_tree(service, Limits::default()).map_err(|_| wrong())?;
        let mut compare = Compare {
            file: self.file(),
            base: self.image_offset(),
            len: self.image_len(),
            at: 0,
            buffer: Vec::new(),
        };
        let again = erofs::write(&tree, &mut compare, &mut |_, _| {}).map_err(|_| wrong())?;
        if again.len == self.image_len() {
            Ok(())
        } else {
            Err(wrong())
        }
    }
}

/// An output that only takes what a part of a file has already.
struct Compare<'a> {
    file: &'a File,
    base: u64,
    len: u64,
    at: u64,
    buffer: Vec<u8>,
}

impl Write for Compare<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.len.saturating_sub(self.at) {
            return Err(io::Error::other("it is longer"));
        }
        self.buffer.resize(bytes.len(), 0);
        self.file
            .read_exact_at(&mut self.buffer, self.base + self.at)?;
        if self.buffer != bytes {
            return Err(io::Error::other("it differs"));
        }
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Compare<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}
