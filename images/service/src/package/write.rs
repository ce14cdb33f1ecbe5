//! Writing a package of a service.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use super::header::{Header, PAGE};
use super::open::hash_range;
use crate::erofs::{self, Extent, WriteError};
use crate::manifest::{Manifest, ManifestError};
use crate::spec::{Filesystem, Item, Service, ServiceId};
use crate::tree::{InodeId, Limits, Source, Tree, TreeError};
use crate::wire::{Codec, Form, Message};

/// A step of packing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// File contents are copied into the image.
    Copy,
    /// The image is hashed.
    Hash,
    /// The canonical form is hashed.
    Identify,
}

/// How far packing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The step.
    pub phase: Phase,
    /// Bytes done in it.
    pub done: u64,
    /// Bytes it has in all.
    pub total: u64,
}

/// Sizes of a package, in bytes where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The whole file.
    pub package: u64,
    /// The image in it.
    pub image: u64,
    /// The specification in it.
    pub specification: u64,
    /// Contents of all files, each counted once.
    pub contents: u64,
    /// How much of them is stored under another file's blocks.
    pub shared: u64,
    /// Inodes, a number.
    pub inodes: u64,
}

/// A package that was written.
#[derive(Clone, Debug)]
pub struct Written {
    /// The service's id.
    pub id: ServiceId,
    /// How large it came out.
    pub sizes: Sizes,
    /// What it runs.
    pub manifest: Manifest,
}

/// A package could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WritePackageError {
    /// The service's files are at fault.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// What it runs is at fault.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The image cannot be written.
    #[error(transparent)]
    Image(#[from] WriteError),
    /// A package has one box.
    #[error("a dependency comes with files of its own, which a package cannot hold")]
    NestedFiles,
    /// The output refused.
    #[error("the package cannot be written: {0}")]
    Output(#[source] io::Error),
}

/// Writes the package of a service into `out`, an empty file open for reading
/// and writing. After an error `out` holds no valid package: its header is
/// written last.
pub fn write(
    service: Service,
    limits: Limits,
    out: &mut File,
    progress: &mut dyn FnMut(Progress),
) -> Result<Written, WritePackageError> {
    use WritePackageError::Output;
    let mut service = service;
    let manifest = Manifest::of(&service)?;
    let tree = box_tree(&mut service, limits)?;
    let json = manifest.to_json();
    let mut header = Header {
        manifest_len: json.len() as u64,
        // Known before the hashes are: they have one length.
        specification_len: service.encoded_len(Form::Blocks),
        image_len: 0,
        manifest_hash: blake3::hash(&json),
        specification_hash: blake3::Hash::from_bytes([0; 32]),
        image_hash: blake3::Hash::from_bytes([0; 32]),
        id: ServiceId::from_bytes([0; 32]),
    };
    out.set_len(0).map_err(Output)?;
    let offset = header.image_offset();
    out.seek(SeekFrom::Start(offset)).map_err(Output)?;
    let image = erofs::write(&tree, out, &mut |done, total| {
        let phase = Phase::Copy;
        progress(Progress { phase, done, total });
    })?;
    let file = Arc::new(out.try_clone().map_err(Output)?);
    place_contents(&mut service, &tree, &image.extents, &file, offset);

    let mut specification = Vec::new();
    service.write_blocks(&mut specification).map_err(Output)?;
    header.specification_hash = blake3::hash(&specification);
    let start = [&json[..], &specification].concat();
    out.write_all_at(&start, Header::MANIFEST_OFFSET)
        .map_err(Output)?;

    let mut hasher = blake3::Hasher::new();
    hash_range(out, offset, image.len, &mut hasher, &mut |done| {
        let (phase, total) = (Phase::Hash, image.len);
        progress(Progress { phase, done, total });
    })
    .map_err(Output)?;
    header.image_len = image.len;
    header.image_hash = hasher.finalize();
    header.id = identify(&service, progress).map_err(Output)?;
    let (page, _) = header.encode();
    debug_assert_eq!(page.len() as u64, PAGE);
    out.write_all_at(&page, 0).map_err(Output)?;
    Ok(Written {
        id: header.id,
        manifest,
        sizes: Sizes {
            package: header.file_len(),
            image: image.len,
            specification: header.specification_len,
            contents: image.content_bytes,
            shared: image.shared_bytes,
            inodes: image.inodes,
        },
    })
}

/// The tree of a service's box, the only files that a package holds.
pub(super) fn box_tree(service: &mut Service, limits: Limits) -> Result<Tree, WritePackageError> {
    let own = match &mut service.container {
        Some(container) => std::mem::take(&mut container.filesystem),
        None => Filesystem::default(),
    };
    let tree = own.to_tree(limits);
    let nested = service.visit_contents(&mut |_| Err(WritePackageError::NestedFiles));
    if let Some(container) = &mut service.container {
        container.filesystem = own;
    }
    nested?;
    Ok(tree?)
}

/// Makes the contents of all files those in the image, with their hashes.
fn place_contents(
    service: &mut Service,
    tree: &Tree,
    extents: &HashMap<InodeId, Extent>,
    file: &Arc<File>,
    offset: u64,
) {
    let Some(container) = &mut service.container else {
        return;
    };
    let mut todo = vec![(&mut container.filesystem, Tree::ROOT)];
    while let Some((directory, id)) = todo.pop() {
        for (name, branch) in &mut directory.branches {
            let Some(child) = tree.child(id, name.as_bytes()) else {
                continue;
            };
            match &mut branch.item {
                Item::File(source) => {
                    if let Some(extent) = extents.get(&child) {
                        let at = offset + extent.offset();
                        *source = Source::slice(Arc::clone(file), at, source.len())
                            .with_hash(extent.hash);
                    }
                }
                Item::Directory(inner) => todo.push((inner, child)),
                Item::Link(_) => {}
            }
        }
    }
}

/// The id, with a word on how far it is.
fn identify(service: &Service, progress: &mut dyn FnMut(Progress)) -> io::Result<ServiceId> {
    struct Hasher<'a> {
        hasher: blake3::Hasher,
        total: u64,
        progress: &'a mut dyn FnMut(Progress),
    }

    impl Write for Hasher<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.hasher.update(bytes);
            (self.progress)(Progress {
                phase: Phase::Identify,
                done: self.hasher.count(),
                total: self.total,
            });
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let total = service.encoded_len(Form::Inline);
    let hasher = Hasher {
        hasher: blake3::Hasher::new(),
        total,
        progress,
    };
    // Most writes are of a few bytes; the hash and the bar want more.
    let mut out = io::BufWriter::with_capacity(256 << 10, hasher);
    service.write_canonical(&mut out)?;
    let hasher = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    Ok(ServiceId::from_bytes(hasher.hasher.finalize().into()))
}
