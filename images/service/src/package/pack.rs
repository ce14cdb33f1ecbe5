//! Making a package.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use super::header::{Header, PAGE, PackageId};
use super::open::hash_range;
use crate::check::{self, Warning};
use crate::erofs::{self, WriteError};
use crate::manifest::{self, FileError, MAX_FILE_LEN, Manifest, ManifestError, Overrides};
use crate::tree::{Content, Limits, Ownership, Tree, TreeError, read_directory, read_tar};

/// The manifest's name in the root of what is packed. It says how to run the
/// box and is not put into it.
pub const MANIFEST_NAME: &str = "service.toml";

/// Where the manifest comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ManifestSource {
    /// [`MANIFEST_NAME`] in the root of what is packed, if it is there.
    #[default]
    InTree,
    /// The text of a file, and its name for errors.
    Text {
        /// What errors call it.
        name: String,
        /// Its contents.
        bytes: Vec<u8>,
    },
}

/// How to pack.
#[derive(Clone, Debug, Default)]
pub struct PackOptions {
    /// Where the manifest comes from.
    pub manifest: ManifestSource,
    /// What the caller says instead.
    pub overrides: Overrides,
    /// Whose the files are; a tar always keeps its own.
    pub ownership: Ownership,
    /// Bounds of the tree.
    pub limits: Limits,
}

/// A step of packing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// File contents are copied into the image.
    Copy,
    /// The image is hashed.
    Hash,
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
    /// Contents of all files, each counted once.
    pub contents: u64,
    /// How much of them is stored under another file's blocks.
    pub shared: u64,
    /// Inodes, a number.
    pub inodes: u64,
}

/// A finished package.
#[derive(Clone, Debug)]
pub struct Packed {
    /// Its name.
    pub id: PackageId,
    /// What will probably not work, or not as meant.
    pub warnings: Vec<Warning>,
    /// How large it came out.
    pub sizes: Sizes,
    /// What it runs.
    pub manifest: Manifest,
}

/// A package could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The input is at fault.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The manifest's file is at fault.
    #[error(transparent)]
    ManifestFile(#[from] FileError),
    /// The manifest is at fault.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// `service.toml` cannot be read.
    #[error("{MANIFEST_NAME} cannot be read: {0}")]
    ReadManifest(#[source] io::Error),
    /// The image cannot be written.
    #[error(transparent)]
    Image(#[from] WriteError),
    /// The output refused.
    #[error("the package cannot be written: {0}")]
    Output(#[source] io::Error),
}

/// Packs the directory `dir` into `out`, an empty file open for reading and
/// writing. After an error `out` holds no valid package: its header is
/// written last. The output itself, if it lies in `dir`, is left out.
pub fn pack_directory(
    dir: &Path,
    options: &PackOptions,
    out: &mut File,
    progress: &mut dyn FnMut(Progress),
) -> Result<Packed, PackError> {
    let output = out.metadata().map_err(PackError::Output)?;
    let except = Some((output.dev(), output.ino()));
    let found = read_directory(dir, options.ownership, options.limits, except)?;
    let sockets = found.sockets.iter().map(|path| Warning::socket(path));
    let mut packed = pack_tree(found.tree, options, out, progress)?;
    packed.warnings.splice(0..0, sockets);
    Ok(packed)
}

/// Packs the tree in a root filesystem tar; otherwise as [`pack_directory`].
pub fn pack_tar(
    tar: File,
    options: &PackOptions,
    out: &mut File,
    progress: &mut dyn FnMut(Progress),
) -> Result<Packed, PackError> {
    pack_tree(read_tar(tar, options.limits)?, options, out, progress)
}

fn pack_tree(
    mut tree: Tree,
    options: &PackOptions,
    out: &mut File,
    progress: &mut dyn FnMut(Progress),
) -> Result<Packed, PackError> {
    let file = manifest_file(&mut tree, &options.manifest)?;
    let manifest = Manifest::new(file, &options.overrides)?;
    let warnings = check::check(&tree, &manifest);
    let (id, sizes) = write(&tree, &manifest, out, progress)?;
    Ok(Packed {
        id,
        warnings,
        sizes,
        manifest,
    })
}

/// Takes the manifest's file out of the tree, and reads the one that counts.
fn manifest_file(tree: &mut Tree, source: &ManifestSource) -> Result<manifest::File, PackError> {
    let in_tree = tree.remove(Tree::ROOT, MANIFEST_NAME.as_bytes());
    match (source, in_tree) {
        (ManifestSource::Text { name, bytes }, _) => Ok(manifest::File::parse(name, bytes)?),
        (ManifestSource::InTree, None) => Ok(manifest::File::default()),
        (ManifestSource::InTree, Some(id)) => {
            let Content::File(source) = &tree.inode(id).content else {
                return Err(PackError::ReadManifest(io::Error::other(
                    "it is not a regular file",
                )));
            };
            let bytes = source
                .read_to_vec(MAX_FILE_LEN as u64)
                .map_err(PackError::ReadManifest)?;
            Ok(manifest::File::parse(MANIFEST_NAME, &bytes)?)
        }
    }
}

fn write(
    tree: &Tree,
    manifest: &Manifest,
    out: &mut File,
    progress: &mut dyn FnMut(Progress),
) -> Result<(PackageId, Sizes), PackError> {
    let json = manifest.to_json();
    let mut header = Header {
        manifest_len: json.len() as u64,
        image_len: 0,
        manifest_hash: blake3::hash(&json),
        image_hash: blake3::Hash::from_bytes([0; 32]),
    };
    out.set_len(0).map_err(PackError::Output)?;
    out.seek(SeekFrom::Start(Header::MANIFEST_OFFSET))
        .map_err(PackError::Output)?;
    out.write_all(&json).map_err(PackError::Output)?;
    let offset = header.image_offset();
    out.seek(SeekFrom::Start(offset))
        .map_err(PackError::Output)?;
    let image = erofs::write(tree, out, &mut |done, total| {
        progress(Progress {
            phase: Phase::Copy,
            done,
            total,
        });
    })?;

    let mut hasher = blake3::Hasher::new();
    hash_range(out, offset, image.len, &mut hasher, &mut |done| {
        progress(Progress {
            phase: Phase::Hash,
            done,
            total: image.len,
        });
    })
    .map_err(PackError::Output)?;
    header.image_len = image.len;
    header.image_hash = hasher.finalize();
    let (page, id) = header.encode();
    debug_assert_eq!(page.len() as u64, PAGE);
    out.write_all_at(&page, 0).map_err(PackError::Output)?;
    let sizes = Sizes {
        package: header.file_len(),
        image: image.len,
        contents: image.content_bytes,
        shared: image.shared_bytes,
        inodes: image.inodes,
    };
    Ok((id, sizes))
}
