//! A tree from the image of a container: an OCI image layout, as a directory or
//! a tar, or a docker-archive (OCI image specification 1.1; `docker save`).
//!
//! The image is hostile: blobs are found by names that are digests or lie in
//! the archive, digests are compared, documents are small, layers are unpacked
//! within a bound into a file without a name, and never onto the host.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::Digest as _;

use super::tarball::{each_entry, read_layers};
use super::{Limits, Source, Tree, TreeError, display};
use crate::encoding::Spool;

/// Most bytes of an index, a manifest or a configuration.
const MAX_DOCUMENT: u64 = 4 << 20;
/// Most indexes within each other, and layers.
const MAX_INDEXES: usize = 4;
const MAX_LAYERS: usize = 512;

/// A tree, and how its image says that it is started.
#[derive(Debug)]
pub struct ImageTree {
    /// The files.
    pub tree: Tree,
    /// How it is started.
    pub start: ImageStart,
}

/// How an image is started, as its configuration has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageStart {
    /// The program, and its first arguments.
    pub entrypoint: Option<Vec<String>>,
    /// Further arguments; the program too, if there is no entrypoint.
    pub cmd: Option<Vec<String>>,
    /// `NAME=value`.
    pub env: Option<Vec<String>>,
    /// The directory it is started in.
    pub working_dir: Option<String>,
    /// Whom it is started as.
    pub user: Option<String>,
}

impl ImageStart {
    /// Program and arguments.
    pub fn command(&self) -> Vec<String> {
        let parts = [&self.entrypoint, &self.cmd];
        parts.into_iter().flatten().flatten().cloned().collect()
    }

    /// The variables.
    pub fn variables(&self) -> BTreeMap<String, String> {
        let list = self.env.iter().flatten();
        let pairs = list.filter_map(|variable| variable.split_once('='));
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

/// An image cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Something of it is not there.
    #[error("the image has no {0}")]
    Missing(String),
    /// Something of it cannot be read.
    #[error("{name} of the image cannot be read: {source}")]
    Read {
        /// What.
        name: String,
        /// Why not.
        source: io::Error,
    },
    /// A document of it is none.
    #[error("{name} of the image is not as it should be: {source}")]
    Json {
        /// Which.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A name that is no digest under SHA-256.
    #[error("`{0}` in the image is not a digest under SHA-256")]
    BadDigest(String),
    /// Bytes that are not those of their digest.
    #[error("{0} of the image is damaged: it has another digest")]
    Damaged(String),
    /// None of its parts is for this machine.
    #[error("the image has nothing for linux/amd64")]
    NoPlatform,
    /// More of something than is taken.
    #[error("the image has more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// A layer is at fault.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

type Result<T> = std::result::Result<T, ImageError>;

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

/// A manifest, or an index of further ones.
#[derive(Deserialize)]
struct Manifest {
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
struct Configuration {
    #[serde(default)]
    config: Option<ImageStart>,
}

/// An entry of a docker-archive's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    layers: Vec<String>,
}

/// Where the parts of an image are.
enum Parts {
    Directory(PathBuf),
    Archive(HashMap<String, Source>),
}

impl Parts {
    fn get(&self, name: &str) -> Result<Source> {
        let missing = || ImageError::Missing(display(name.as_bytes()));
        match self {
            Self::Archive(parts) => parts.get(name).cloned().ok_or_else(missing),
            Self::Directory(directory) => {
                let path = directory.join(name);
                let found = path.symlink_metadata().map_err(|_| missing())?;
                Ok(Source::path(path, found.len()))
            }
        }
    }

    fn document<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        parse(name, &self.get(name)?)
    }

    /// A blob by its digest, which is compared.
    fn blob(&self, digest: &str) -> Result<Source> {
        let bad = || ImageError::BadDigest(display(digest.as_bytes()));
        let hex = digest.strip_prefix("sha256:").ok_or_else(bad)?;
        // 32 bytes in hexadecimal, as BLAKE3's are.
        blake3::Hash::from_hex(hex).map_err(|_| bad())?;
        let source = self.get(&format!("blobs/sha256/{hex}"))?;
        let mut hasher = sha2::Sha256::new();
        source
            .copy_to(&mut |bytes| {
                hasher.update(bytes);
                Ok(())
            })
            .map_err(|source| unreadable(digest, source))?;
        let found: [u8; 32] = hasher.finalize().into();
        if blake3::Hash::from_bytes(found).to_hex().as_str() == hex.to_ascii_lowercase() {
            Ok(source)
        } else {
            Err(ImageError::Damaged(digest.to_owned()))
        }
    }
}

fn unreadable(name: &str, source: io::Error) -> ImageError {
    let name = display(name.as_bytes());
    ImageError::Read { name, source }
}

fn parse<T: DeserializeOwned>(name: &str, source: &Source) -> Result<T> {
    let bytes = source
        .read_to_vec(MAX_DOCUMENT)
        .map_err(|source| unreadable(name, source))?;
    serde_json::from_slice(&bytes).map_err(|source| ImageError::Json {
        name: display(name.as_bytes()),
        source,
    })
}

/// Whether a directory is an OCI image layout.
pub fn is_layout(directory: &Path) -> bool {
    directory.join("oci-layout").is_file() && directory.join("index.json").is_file()
}

/// Reads an OCI image layout. Layers that are compressed go to `spool`.
pub fn read_layout(directory: &Path, limits: Limits, spool: &mut Spool) -> Result<ImageTree> {
    read_oci(&Parts::Directory(directory.to_owned()), limits, spool)
}

/// Reads an image in a tar, an OCI layout or a docker-archive; nothing if the
/// tar is neither.
pub fn read_archive(
    file: &Arc<File>,
    limits: Limits,
    spool: &mut Spool,
) -> Result<Option<ImageTree>> {
    let Some(parts) = archive(file)? else {
        return Ok(None);
    };
    let (is_oci, is_docker) = (
        parts.contains_key("index.json"),
        parts.contains_key("manifest.json"),
    );
    let parts = Parts::Archive(parts);
    if is_oci {
        return read_oci(&parts, limits, spool).map(Some);
    }
    if !is_docker {
        return Ok(None);
    }
    let name = "manifest.json";
    let manifests: Vec<DockerManifest> = parts.document(name)?;
    let manifest = manifests
        .first()
        .ok_or_else(|| ImageError::Missing(name.to_owned()))?;
    let configuration: Configuration = parts.document(&manifest.config)?;
    let layers = manifest
        .layers
        .iter()
        .map(|name| Ok((name.as_str(), parts.get(name)?)));
    let layers: Vec<_> = layers.collect::<Result<_>>()?;
    Ok(Some(ImageTree {
        tree: stack(&layers, limits, spool)?,
        start: configuration.config.unwrap_or_default(),
    }))
}

/// The regular files of a tar that may be an image; nothing if it has neither
/// mark of one in its root.
fn archive(file: &Arc<File>) -> Result<Option<HashMap<String, Source>>> {
    let len = file
        .metadata()
        .map_err(|source| unreadable("the archive", source))?
        .len();
    let mut parts = HashMap::new();
    let mut links = Vec::new();
    let mut entries = 0_u32;
    let listed = each_entry(file, 0, len, &mut |name, entry| {
        entries += 1;
        let Ok(name) = str::from_utf8(name) else {
            return Ok(());
        };
        let name = name.trim_start_matches("./").to_owned();
        let (offset, size) = (entry.raw_file_position(), entry.size());
        let kind = entry.header().entry_type();
        if kind.is_file() && offset.checked_add(size).is_some_and(|end| end <= len) {
            parts.insert(name, Source::slice(Arc::clone(file), offset, size));
        } else if kind.is_symlink() {
            // Old archives of docker have a layer once, and links to it.
            let target = entry.link_name_bytes().unwrap_or_default().into_owned();
            links.push((name, target));
        }
        Ok(())
    });
    // A tar that cannot be read is a matter for whoever reads it as a tree.
    if listed.is_err() || !(parts.contains_key("oci-layout") || parts.contains_key("manifest.json"))
    {
        return Ok(None);
    }
    for (name, target) in links {
        let target = String::from_utf8_lossy(&target).into_owned();
        let target = target.trim_start_matches("../");
        if let Some(source) = parts.get(target).cloned() {
            parts.insert(name, source);
        }
    }
    Ok(Some(parts))
}

fn read_oci(parts: &Parts, limits: Limits, spool: &mut Spool) -> Result<ImageTree> {
    let index: Index = parts.document("index.json")?;
    let mut manifests = index.manifests;
    for _ in 0..MAX_INDEXES {
        let digest = choose(&manifests)?.digest.clone();
        let manifest: Manifest = parse(&digest, &parts.blob(&digest)?)?;
        if let Some(further) = manifest.manifests {
            manifests = further;
            continue;
        }
        let missing = |what: &str| ImageError::Missing(what.to_owned());
        let config = manifest.config.ok_or_else(|| missing("configuration"))?;
        let configuration: Configuration = parse(&config.digest, &parts.blob(&config.digest)?)?;
        let layers = manifest.layers.ok_or_else(|| missing("layers"))?;
        let layers = layers.iter().map(|layer| {
            let source = parts.blob(&layer.digest)?;
            Ok((layer.digest.as_str(), source))
        });
        let layers: Vec<_> = layers.collect::<Result<_>>()?;
        return Ok(ImageTree {
            tree: stack(&layers, limits, spool)?,
            start: configuration.config.unwrap_or_default(),
        });
    }
    let (what, limit) = ("indexes within each other", MAX_INDEXES);
    Err(ImageError::TooMany { what, limit })
}

/// The one for this machine, else the only one.
fn choose(manifests: &[Descriptor]) -> Result<&Descriptor> {
    let fits = |platform: &Platform| platform.os == "linux" && platform.architecture == "amd64";
    let ours = manifests
        .iter()
        .find(|manifest| manifest.platform.as_ref().is_some_and(fits));
    match (ours, manifests) {
        (Some(ours), _) => Ok(ours),
        (None, [only]) => Ok(only),
        _ => Err(ImageError::NoPlatform),
    }
}

/// The tree of layers, the lowest first.
fn stack(layers: &[(&str, Source)], limits: Limits, spool: &mut Spool) -> Result<Tree> {
    if layers.len() > MAX_LAYERS {
        let (what, limit) = ("layers", MAX_LAYERS);
        return Err(ImageError::TooMany { what, limit });
    }
    let mut plain = Vec::new();
    for (name, source) in layers {
        let source = decompress(source, spool).map_err(|source| unreadable(name, source))?;
        let part = source
            .file_part()
            .map_err(|source| unreadable(name, source))?;
        plain.push(part);
    }
    Ok(read_layers(&plain, limits)?)
}

/// A layer as a plain tar.
fn decompress(source: &Source, spool: &mut Spool) -> io::Result<Source> {
    let mut start = Vec::new();
    source.open()?.take(4).read_to_end(&mut start)?;
    if start.starts_with(b"\x1f\x8b") {
        return spool.add(&mut flate2::read::MultiGzDecoder::new(source.open()?));
    }
    if start == b"\x28\xb5\x2f\xfd" {
        let mut reader = source.open()?;
        let decoder = ruzstd::decoding::StreamingDecoder::new(&mut reader);
        let mut decoder = decoder.map_err(io::Error::other)?;
        return spool.add(&mut decoder);
    }
    Ok(source.clone())
}
