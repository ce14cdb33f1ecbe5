//! A service as people and programs may want to see it: what it runs, how it
//! is spoken to, what it asks for, and every entry of its tree.

use std::collections::{BTreeMap, HashMap};
use std::io;

use serde::Serialize;

use crate::manifest::{Manifest, ManifestError};
use crate::package::Package;
use crate::spec::{
    Container, Contract, ContractRate, Descriptor, Ids, InitFault, Interface, Map, Metadata,
    Network, Resources, Scenario, Service, ServiceId, Slot,
};
use crate::tree::{Content, Inode, InodeId, Limits, Tree, TreeError, display};

/// A service, told.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Its id and its other hashes.
    #[serde(flatten)]
    pub ids: Ids,
    /// What it is, in its author's words.
    pub prose: String,
    /// What it runs, if that can be told.
    pub manifest: Option<Manifest>,
    /// Bytes of the package, if it is one, and of the image in it.
    pub package: Option<PackageSizes>,
    /// The instruction set that it needs.
    pub architecture: Option<Descriptor>,
    /// Where it is spoken to.
    pub slots: Vec<SlotSummary>,
    /// How it is paid.
    pub payments: Vec<ContractRate>,
    /// The networks that it asks for.
    pub networks: Vec<Network>,
    /// The services that it starts, by alias.
    pub dependencies: BTreeMap<String, ServiceId>,
    /// What it may start at the same time.
    pub descendants: Vec<Scenario>,
    /// What it needs to run.
    pub resources: Option<Resources>,
    /// Where its configuration file goes.
    pub config_path: Option<String>,
    /// Variables that may be set when it is started.
    pub variables: Map<Descriptor>,
    /// Protocols that it expects of the node.
    pub expected_gateway: Vec<Descriptor>,
    /// Proofs of reputation, from its metadata.
    pub reputation_proofs: Vec<Contract>,
    /// What the tree holds.
    pub counts: Counts,
    /// Every entry, directories before what is in them, in order of names.
    pub entries: Vec<Entry>,
}

/// Sizes of a package in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PackageSizes {
    /// The file.
    pub bytes: u64,
    /// The image in it.
    pub image: u64,
}

impl PackageSizes {
    /// Those of a package.
    pub fn of(package: &Package) -> Self {
        Self {
            bytes: package.image_offset() + package.image_len(),
            image: package.image_len(),
        }
    }
}

/// A slot, its methods told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SlotSummary {
    /// The slot.
    #[serde(flatten)]
    pub slot: Slot,
    /// Methods and cost function, if it says any.
    pub interface: Option<Interface>,
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

/// A service cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// Its contents cannot be read.
    #[error("the service's files cannot be read: {0}")]
    Read(#[from] io::Error),
    /// Its files make no box.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// What it says of its start cannot be read.
    #[error(transparent)]
    Init(#[from] InitFault),
}

/// Tells all of a service. Its contents are read once, for its hashes.
pub fn inspect(
    service: &Service,
    metadata: &Metadata,
    package: Option<PackageSizes>,
) -> Result<Summary, InspectError> {
    let files = service.filesystem().cloned().unwrap_or_default();
    let (entries, counts) = entries(&files.to_tree(Limits::default())?);
    let container = service.container.clone().unwrap_or_default();
    let slot = |slot: &Slot| SlotSummary {
        interface: Interface::of(slot),
        slot: slot.clone(),
    };
    Ok(Summary {
        ids: service.ids()?,
        prose: service.prose.clone(),
        manifest: match Manifest::of(service) {
            Ok(manifest) => Some(manifest),
            Err(ManifestError::Init(fault)) => return Err(fault.into()),
            Err(_) => None,
        },
        package,
        config_path: service.container.as_ref().map(Container::config_path),
        slots: service.slots().iter().map(slot).collect(),
        payments: service
            .api
            .as_ref()
            .map(|api| api.payment_contracts.clone())
            .unwrap_or_default(),
        networks: service.network.clone(),
        dependencies: service.dependencies()?,
        descendants: service.descendants.clone(),
        architecture: container.architecture,
        resources: container.resources,
        variables: container.environment,
        expected_gateway: container.expected_gateway,
        reputation_proofs: metadata.reputation_proofs.clone(),
        counts,
        entries,
    })
}

/// Lists a tree.
fn entries(tree: &Tree) -> (Vec<Entry>, Counts) {
    let mut links: HashMap<InodeId, u32> = HashMap::new();
    let mut counts = Counts::default();
    for (_, id) in tree.walk() {
        let inode = tree.inode(id);
        let seen = links.entry(id).or_default();
        *seen += 1;
        let count = match &inode.content {
            Content::Directory(_) => &mut counts.directories,
            Content::File(source) => {
                if *seen == 1 {
                    counts.content_bytes = counts.content_bytes.saturating_add(source.len());
                }
                &mut counts.files
            }
            Content::Symlink(_) => &mut counts.symlinks,
            _ => &mut counts.others,
        };
        *count += 1;
    }
    let entry = |(path, id): (Vec<u8>, InodeId)| entry(&path, tree.inode(id), links[&id]);
    (tree.walk().map(entry).collect(), counts)
}

fn entry(path: &[u8], inode: &Inode, links: u32) -> Entry {
    let (kind, size, target, device) = match &inode.content {
        Content::Directory(_) => (Kind::Directory, 0, None, None),
        Content::File(source) => (Kind::File, source.len(), None, None),
        Content::Symlink(target) => {
            let size = target.len() as u64;
            (Kind::Symlink, size, Some(display(target)), None)
        }
        Content::CharDevice(device) => (Kind::CharDevice, 0, None, Some(*device)),
        Content::BlockDevice(device) => (Kind::BlockDevice, 0, None, Some(*device)),
        Content::Fifo => (Kind::Fifo, 0, None, None),
    };
    Entry {
        path: display(path),
        kind,
        permissions: inode.metadata.permissions,
        uid: inode.metadata.uid,
        gid: inode.metadata.gid,
        size,
        links,
        target,
        device: device.map(|device| (device.major, device.minor)),
    }
}
