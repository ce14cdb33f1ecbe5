//! A package as people and programs may want to see it: what it runs, how
//! large it is, and every entry of its tree, read back from the image.
#![allow(unsafe_code)]

use std::collections::HashSet;
use std::io;

use erofs_rs::EroFS;
use erofs_rs::backend::SliceImage;
use erofs_rs::types::Inode;
use memmap2::{Mmap, MmapOptions};
use rustix::fs::FileType;
use serde::Serialize;

use crate::manifest::Manifest;
use crate::package::{Package, PackageId};
use crate::tree::{Limits, MAX_PATH_LEN, display};

/// A package, told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Its name.
    pub id: PackageId,
    /// What it runs.
    pub manifest: Manifest,
    /// Bytes of the file.
    pub package_bytes: u64,
    /// Bytes of the image in it.
    pub image_bytes: u64,
    /// What the tree holds.
    pub counts: Counts,
    /// Every entry, directories before what is in them, in order of names.
    pub entries: Vec<Entry>,
}

/// Totals over a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Names of regular files.
    pub files: u64,
    /// Directories, the root too.
    pub directories: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Devices and pipes.
    pub others: u64,
    /// Bytes of contents of regular files, one with several names counted once.
    pub content_bytes: u64,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A socket, which other writers of images may have stored.
    Socket,
}

/// One name in the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Path from the root; what is not printable is escaped.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Permissions with set-id and sticky bits.
    pub permissions: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of its contents.
    pub size: u64,
    /// How many names it has.
    pub links: u32,
    /// A symbolic link's target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// A device's major and minor number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<(u32, u32)>,
}

/// A package cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The host refused.
    #[error("the image cannot be read: {0}")]
    Read(#[from] io::Error),
    /// The image makes no sense, or is too large to be listed.
    #[error("the image cannot be listed: {0}")]
    Image(String),
}

impl From<erofs_rs::Error> for InspectError {
    fn from(error: erofs_rs::Error) -> Self {
        Self::Image(error.to_string())
    }
}

/// Tells all of a package. The image is taken as it is: whoever wants to know
/// that it is whole opens the package with [`Package::open_verified`].
pub fn inspect(package: &Package) -> Result<Summary, InspectError> {
    let image = map(package)?;
    let entries = entries(&image)?;
    Ok(Summary {
        id: package.id(),
        manifest: package.manifest().clone(),
        package_bytes: package.image_offset() + package.image_len(),
        image_bytes: package.image_len(),
        counts: entries.1,
        entries: entries.0,
    })
}

fn map(package: &Package) -> io::Result<Mmap> {
    let len = usize::try_from(package.image_len()).map_err(io::Error::other)?;
    let mut options = MmapOptions::new();
    options.offset(package.image_offset()).len(len);
    // SAFETY: the mapping is private and read-only. Packages are immutable by
    // contract (docs/package.md); who breaks it while this runs changes or
    // ends a listing, since nothing read from the mapping is believed.
    unsafe { options.map(package.file()) }
}

/// Lists an image.
fn entries(image: &[u8]) -> Result<(Vec<Entry>, Counts), InspectError> {
    let fs = EroFS::new(SliceImage::new(image))?;
    let root = fs.get_inode(fs.super_block().root_inode_id())?;
    let mut listing = Listing {
        fs: &fs,
        entries: Vec::new(),
        counts: Counts::default(),
        seen: HashSet::new(),
    };
    listing.add(b"/", root)?;
    for entry in fs.walk_dir("/")? {
        let entry = entry?;
        listing.add(entry.dir_entry.path().as_bytes(), entry.inode)?;
    }
    // The walk leaves a directory's entries among those of its children.
    listing
        .entries
        .sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
    Ok((listing.entries, listing.counts))
}

struct Listing<'a> {
    fs: &'a EroFS<SliceImage<'a>>,
    entries: Vec<Entry>,
    counts: Counts,
    /// Inodes that were met.
    seen: HashSet<u64>,
}

impl Listing<'_> {
    fn add(&mut self, path: &[u8], inode: Inode) -> Result<(), InspectError> {
        let first = self.seen.insert(inode.id());
        let limit = Limits::default().entries as usize;
        if self.entries.len() >= limit || path.len() > MAX_PATH_LEN {
            return Err(InspectError::Image(format!(
                "it has more than {limit} entries, or a path of more than {MAX_PATH_LEN} bytes"
            )));
        }
        if inode.is_dir() && !first {
            return Err(InspectError::Image(format!(
                "{} is listed twice",
                display(path)
            )));
        }
        let kind = self.count(&inode, first);
        self.entries.push(Entry {
            path: display(path),
            kind,
            permissions: Permissions::bits(inode.permissions()),
            uid: inode.uid(),
            gid: inode.gid(),
            size: inode.data_size(),
            links: inode.nlink(),
            target: if kind == Kind::Symlink {
                Some(self.target(inode)?)
            } else {
                None
            },
            device: inode.device(),
        });
        Ok(())
    }

    fn count(&mut self, inode: &Inode, first: bool) -> Kind {
        let (kind, count) = match inode.file_type() {
            FileType::Directory => (Kind::Directory, &mut self.counts.directories),
            FileType::RegularFile => (Kind::File, &mut self.counts.files),
            FileType::Symlink => (Kind::Symlink, &mut self.counts.symlinks),
            FileType::CharacterDevice => (Kind::CharDevice, &mut self.counts.others),
            FileType::BlockDevice => (Kind::BlockDevice, &mut self.counts.others),
            FileType::Fifo => (Kind::Fifo, &mut self.counts.others),
            FileType::Socket | FileType::Unknown => (Kind::Socket, &mut self.counts.others),
        };
        *count += 1;
        if kind == Kind::File && first {
            self.counts.content_bytes = self.counts.content_bytes.saturating_add(inode.data_size());
        }
        kind
    }

    fn target(&self, inode: Inode) -> Result<String, InspectError> {
        if inode.data_size() > MAX_PATH_LEN as u64 {
            return Err(InspectError::Image(
                "it has a link of more than 4095 bytes".to_owned(),
            ));
        }
        Ok(display(self.fs.read_link_inode(inode)?.as_bytes()))
    }
}

/// The twelve low bits of a mode. `erofs-rs` tells them as one type or the
/// other depending on its `std` feature, which any crate of a build may ask for.
trait Permissions {
    fn bits(self) -> u16;
}

impl Permissions for u16 {
    fn bits(self) -> u16 {
        self
    }
}

impl Permissions for std::fs::Permissions {
    fn bits(self) -> u16 {
        (std::os::unix::fs::PermissionsExt::mode(&self) & 0o7777) as u16
    }
}
