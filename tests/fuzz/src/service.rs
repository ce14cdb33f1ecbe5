//! What authors write, and what whoever sends a service sends: documents, trees, packages.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{MemfdFlags, memfd_create};
use unicell_service::check::check;
use unicell_service::encoding::{ALL, Spool, recognise};
use unicell_service::inspect::inspect;
use unicell_service::manifest::{self, Manifest, Overrides};
use unicell_service::package::{self, Package};
use unicell_service::spec::{Filesystem, Metadata, Service};
use unicell_service::tree::{self, Content, Inode, Limits, Source, Tree, image};
use unicell_service::wire::Message;

/// Bounds that an input reaches soon.
const LIMITS: Limits = Limits {
    entries: 10_000,
    bytes: 1 << 24,
};

fn memory() -> File {
    let file = memfd_create("fuzz", MemfdFlags::CLOEXEC).expect("there is memory");
    file.into()
}

fn file(bytes: &[u8]) -> File {
    let mut file = memory();
    file.write_all(bytes).expect("there is memory");
    file
}

fn spool() -> Spool {
    Spool::new(&std::env::temp_dir(), LIMITS.bytes).expect("there is a place for contents")
}

/// A document in any encoding: whatever reads it reads the same from every other encoding.
pub(crate) fn encodings(bytes: &[u8]) {
    let input = Source::bytes(bytes);
    let recognised = recognise(&input).expect("memory can be read");
    assert!(ALL.iter().any(|known| known.name() == recognised.name()));
    for encoding in ALL {
        let Ok(service) = encoding.read(&input, &mut spool()) else {
            continue;
        };
        let canonical = service.to_bytes();
        let again = Service::from_bytes(&canonical).expect("the canonical form is read");
        assert_eq!(again.to_bytes(), canonical);
        for other in ALL {
            let mut document = Vec::new();
            let written = other.write(&service, &mut document);
            written.expect("what was read can be written");
            let document = Source::bytes(&document);
            let again = other.read(&document, &mut spool());
            let again = again.unwrap_or_else(|error| panic!("{}: {error}", other.name()));
            assert!(again.to_bytes() == canonical, "{}", other.name());
        }
        let _ = Manifest::of(&service);
        if let Some(files) = service.filesystem() {
            let _ = files.to_tree(LIMITS);
        }
    }
}

/// The manifest of a package: only one spelling is taken.
pub(crate) fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::from_json(bytes) {
        assert_eq!(manifest.to_json(), bytes);
    }
}

/// A `service.toml`: what is taken becomes a service that says the same.
pub(crate) fn service_toml(bytes: &[u8]) {
    if let Ok(file) = manifest::File::parse("service.toml", bytes)
        && let Ok(manifest) = Manifest::new(&file, &Overrides::default())
    {
        let again = Manifest::from_json(&manifest.to_json());
        assert_eq!(again.expect("what was written is read"), manifest);
        let service = manifest.specify(file, Filesystem::default());
        assert_eq!(
            Manifest::of(&service).expect("what was specified"),
            manifest
        );
    }
}

/// A root filesystem tar, as it is and with the checksums of its headers made right, so that more
/// of it is read.
pub(crate) fn tar(bytes: &[u8]) {
    one_tar(bytes);
    let mut sound = bytes.to_vec();
    for block in sound.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    if sound != bytes {
        one_tar(&sound);
    }
}

fn one_tar(bytes: &[u8]) {
    if let Ok(tree) = tree::read_tar(file(bytes), LIMITS) {
        pack(&tree);
    }
}

/// The image of a container, in a tar.
pub(crate) fn image(bytes: &[u8]) {
    let file = Arc::new(file(bytes));
    if let Ok(Some(found)) = image::read_archive(&file, LIMITS, &mut spool()) {
        let _ = (found.start.command(), found.start.variables());
        pack(&found.tree);
    }
}

/// Makes a package of a tree, if it can be one: it is whole then.
fn pack(tree: &Tree) {
    let manifest = started();
    let _ = check(tree, &manifest);
    let Ok(files) = Filesystem::from_tree(tree) else {
        return;
    };
    let mut out = memory();
    let service = manifest.specify(manifest::File::default(), files);
    if package::write(service, LIMITS, &mut out, &mut |_| {}).is_ok() {
        let package = Package::from_file(out, Path::new("packed"));
        let package = package.expect("what was packed is opened");
        package.verify().expect("what was packed is whole");
    }
}

fn started() -> Manifest {
    let overrides = Overrides {
        entrypoint: Some("/bin/true".to_owned()),
        ..Overrides::default()
    };
    Manifest::new(&manifest::File::default(), &overrides).expect("this is a manifest")
}

/// The program of a box, which is looked over when it is packed.
pub(crate) fn elf(bytes: &[u8]) {
    let metadata = tree::Metadata {
        permissions: 0o755,
        uid: 0,
        gid: 0,
        mtime_ns: 0,
    };
    let mut tree = Tree::new(metadata, LIMITS);
    let bin = Inode::new(metadata, Content::Directory(BTreeMap::new()));
    let bin = tree.add(Tree::ROOT, b"bin", bin).expect("there is room");
    let program = Inode::new(metadata, Content::File(Source::bytes(bytes)));
    tree.add(bin, b"true", program).expect("there is room");
    let _ = check(&tree, &started());
}

/// A package, as it is and with its hashes made right, as who means harm would make them. One that
/// is taken as whole is, byte by byte, what would be packed of the service in it.
pub(crate) fn package(bytes: &[u8]) {
    one_package(bytes);
    if let Some(sealed) = seal(bytes) {
        one_package(&sealed);
    }
}

fn one_package(bytes: &[u8]) {
    let Ok(package) = Package::from_file(file(bytes), Path::new("package")) else {
        return;
    };
    let service = package.service();
    if let Ok(service) = &service {
        let _ = inspect(service, &Metadata::default(), None);
    }
    if package.verify().is_ok() {
        let service = service.expect("a whole package has a service");
        let mut again = memory();
        let written = package::write(service, LIMITS, &mut again, &mut |_| {});
        let written = written.expect("a service that was packed can be packed");
        assert_eq!(written.id, package.id());
        let again = Source::slice(Arc::new(again), 0, written.sizes.package);
        assert!(again.read_to_vec(1 << 30).expect("it is in memory") == bytes);
    }
}

/// The hashes in a package's header as they should be, if its parts are there (docs/package.md).
fn seal(bytes: &[u8]) -> Option<Vec<u8>> {
    let number = |at: usize| {
        let number = u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?);
        usize::try_from(number).ok()
    };
    let part = |at: usize| {
        let start = number(at)?;
        bytes.get(start..start.checked_add(number(at + 8)?)?)
    };
    let mut sealed = bytes.to_vec();
    for (hash, at) in [(64, 16), (96, 32), (128, 48)] {
        let right = blake3::hash(part(at)?);
        sealed
            .get_mut(hash..hash + 32)?
            .copy_from_slice(right.as_bytes());
    }
    let head = blake3::hash(sealed.get(..192)?);
    sealed.get_mut(192..224)?.copy_from_slice(head.as_bytes());
    Some(sealed)
}
