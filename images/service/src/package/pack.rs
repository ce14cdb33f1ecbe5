//! Making a package.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::write::{Progress, Sizes, WritePackageError, write};
use crate::check::{self, Warning};
use crate::encoding::Spool;
use crate::manifest::{self, FileError, MAX_FILE_LEN, Manifest, ManifestError, Overrides};
use crate::spec::{Filesystem, ServiceId};
use crate::tree::image::{self, ImageError, ImageTree};
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

/// A finished package.
#[derive(Clone, Debug)]
pub struct Packed {
    /// Its name.
    pub id: ServiceId,
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
    /// The image of a container is at fault.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The input cannot be opened.
    #[error("it cannot be opened: {0}")]
    Open(#[source] io::Error),
    /// There is no place for what is unpacked.
    #[error("there is no place for unpacked layers: {0}")]
    Spool(#[source] io::Error),
    /// The manifest's file is at fault.
    #[error(transparent)]
    ManifestFile(#[from] FileError),
    /// The manifest is at fault.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// `service.toml` cannot be read.
    #[error("{MANIFEST_NAME} cannot be read: {0}")]
    ReadManifest(#[source] io::Error),
    /// The package cannot be written.
    #[error(transparent)]
    Write(#[from] WritePackageError),
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

/// Packs whatever lies at `path`: an OCI image layout or a directory, a
/// docker-archive or an OCI layout in a tar, or a root filesystem tar. Layers
/// that are compressed are unpacked into a file without a name in `spool`.
/// Otherwise as [`pack_directory`].
pub fn pack_path(
    path: &Path,
    options: &PackOptions,
    spool: &Path,
    out: &mut File,
    progress: &mut dyn FnMut(Progress),
) -> Result<Packed, PackError> {
    // Of a box's contents and half as much again in headers.
    let limit = options.limits.bytes.saturating_mul(3) / 2;
    let spool = || Spool::new(spool, limit).map_err(PackError::Spool);
    if image::is_layout(path) {
        let found = image::read_layout(path, options.limits, &mut spool()?)?;
        return pack_image(found, options, out, progress);
    }
    if path.is_dir() {
        return pack_directory(path, options, out, progress);
    }
    let file = Arc::new(File::open(path).map_err(PackError::Open)?);
    if let Some(found) = image::read_archive(&file, options.limits, &mut spool()?)? {
        return pack_image(found, options, out, progress);
    }
    let file = file.try_clone().map_err(PackError::Open)?;
    pack_tar(file, options, out, progress)
}

/// Packs the tree of a container's image. What its configuration says is what
/// counts where nothing else is said.
fn pack_image(
    image: ImageTree,
    options: &PackOptions,
    out: &mut File,
    progress: &mut dyn FnMut(Progress),
) -> Result<Packed, PackError> {
    let mut tree = image.tree;
    let mut file = manifest_file(&mut tree, &options.manifest)?;
    let start = &image.start;
    let mut env = start.variables();
    let path = env
        .get("PATH")
        .map_or(DEFAULT_PATH, String::as_str)
        .to_owned();
    env.append(&mut file.env);
    file.env = env;
    let mut command = start.command().into_iter();
    if let (None, Some(program)) = (&file.entrypoint, command.next()) {
        file.entrypoint = Some(find(&tree, &program, &path));
        file.args = command.collect();
    }
    let workdir = start
        .working_dir
        .clone()
        .filter(|workdir| !workdir.is_empty());
    let workdir = workdir.map(|workdir| match workdir.trim_end_matches('/') {
        "" => "/".to_owned(),
        plain => plain.to_owned(),
    });
    file.workdir = file.workdir.or(workdir);
    if let Some(user) = start.user.as_ref().filter(|user| !user.is_empty()) {
        let container = file.service.container.get_or_insert_default();
        container.init.get_or_insert_default().set_user(user);
    }
    pack_with(&tree, file, options, out, progress)
}

/// Where a container looks for a program if its image does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The program's path in the box: a name without a slash is looked for.
fn find(tree: &Tree, program: &str, path: &str) -> String {
    if program.contains('/') {
        return program.to_owned();
    }
    let candidates = path
        .split(':')
        .map(|dir| format!("{}/{program}", dir.trim_end_matches('/')));
    let found = candidates
        .into_iter()
        .find(|path| tree.resolve(path.as_bytes()).is_ok());
    found.unwrap_or_else(|| format!("/{program}"))
}

fn pack_tree(
    mut tree: Tree,
    options: &PackOptions,
    out: &mut File,
    progress: &mut dyn FnMut(Progress),
) -> Result<Packed, PackError> {
    let file = manifest_file(&mut tree, &options.manifest)?;
    pack_with(&tree, file, options, out, progress)
}

fn pack_with(
    tree: &Tree,
    file: manifest::File,
    options: &PackOptions,
    out: &mut File,
    progress: &mut dyn FnMut(Progress),
) -> Result<Packed, PackError> {
    let manifest = Manifest::new(&file, &options.overrides)?;
    let warnings = check::check(tree, &manifest);
    let service = manifest.specify(file, Filesystem::from_tree(tree)?);
    let written = write(service, options.limits, out, progress)?;
    Ok(Packed {
        id: written.id,
        warnings,
        sizes: written.sizes,
        manifest: written.manifest,
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
