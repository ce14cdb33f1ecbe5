//! The image reader against images that `mkfs.erofs` writes. Damaged ones are a target of
//! `tests/fuzz`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests, their helpers too"
)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use unicell_kernel::fs::Kind;
use unicell_kernel::fs::erofs::{Image, Inode, Run};

/// What a tree contains: path, mode, links, and content, target or nothing.
type Listing = BTreeMap<PathBuf, (u32, u32, Vec<u8>)>;

/// A directory with what an image can have in it.
fn source() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    fs::create_dir(root.join("many")).unwrap();
    for number in 0..1500 {
        fs::write(root.join(format!("many/file-with-a-name-{number}")), []).unwrap();
    }
    for len in [0, 1, 4000, 4095, 4096, 4097, 20_000, 70_000] {
        let bytes: Vec<u8> = (0..len).map(|at: u32| (at / 7 % 251) as u8).collect();
        fs::write(root.join(format!("a/{len}")), bytes).unwrap();
    }
    let mut sparse = vec![0; 100_000];
    sparse[50_000] = 1;
    fs::write(root.join("a/b/sparse"), sparse).unwrap();
    symlink("../4096", root.join("a/b/link")).unwrap();
    symlink("x".repeat(2000), root.join("long-link")).unwrap();
    fs::hard_link(root.join("a/4097"), root.join("another-name")).unwrap();
    dir
}

/// The image of a directory, for as long as the test runs.
fn image_of(dir: &Path, options: &[&str]) -> &'static [u8] {
    let file = tempfile::NamedTempFile::new().unwrap();
    let made = Command::new("mkfs.erofs")
        .args(options)
        .arg(file.path())
        .arg(dir)
        .output();
    let made = made.expect("mkfs.erofs (package erofs-utils) is needed");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    fs::read(file.path()).unwrap().leak()
}

fn of_directory(root: &Path, at: &Path, into: &mut Listing) {
    for entry in fs::read_dir(root.join(at)).unwrap() {
        let entry = entry.unwrap();
        let path = at.join(entry.file_name());
        let meta = entry.metadata().unwrap();
        let content = if meta.is_symlink() {
            fs::read_link(entry.path())
                .unwrap()
                .into_os_string()
                .into_encoded_bytes()
        } else if meta.is_dir() {
            of_directory(root, &path, into);
            Vec::new()
        } else {
            fs::read(entry.path()).unwrap()
        };
        into.insert(path, (meta.mode(), meta.nlink() as u32, content));
    }
}

/// All of a file.
fn content(image: &Image, inode: &Inode) -> Vec<u8> {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < inode.size {
        match image.data(inode, bytes.len() as u64).unwrap() {
            Run::Bytes(_, run) => bytes.extend_from_slice(run),
            Run::Zeros(len) => bytes.resize(bytes.len() + len as usize, 0),
        }
    }
    bytes
}

fn of_image(image: &Image, directory: &Inode, at: &Path, into: &mut Listing) {
    let mut cursor = 0;
    while let Some((entry, next)) = image.next_entry(directory, cursor).unwrap() {
        cursor = next;
        let name = std::str::from_utf8(entry.name).unwrap();
        let inode = image.inode(entry.nid).unwrap();
        assert_eq!(inode.kind(), entry.kind);
        assert_eq!(image.lookup(directory, entry.name).unwrap(), Some(entry));
        let bytes = if entry.kind == Kind::Directory {
            of_image(image, &inode, &at.join(name), into);
            Vec::new()
        } else {
            content(image, &inode)
        };
        into.insert(at.join(name), (inode.mode, inode.nlink, bytes));
    }
}

fn is_read_back(options: &[&str]) {
    let dir = source();
    let image = Image::new(image_of(dir.path(), options)).unwrap();
    let (mut expected, mut found) = (Listing::new(), Listing::new());
    of_directory(dir.path(), Path::new(""), &mut expected);
    of_image(
        &image,
        &image.inode(image.root()).unwrap(),
        Path::new(""),
        &mut found,
    );
    assert!(expected.keys().eq(found.keys()), "other names");
    for (path, expected) in expected {
        assert!(found[&path] == expected, "{} differs", path.display());
    }
}

#[test]
fn tails_behind_inodes_are_read_back() {
    is_read_back(&[]);
}

#[test]
fn plain_blocks_are_read_back() {
    is_read_back(&["-Enoinline_data"]);
}

#[test]
fn extended_inodes_are_read_back() {
    is_read_back(&["-Eforce-inode-extended"]);
}

#[test]
fn chunks_and_holes_are_read_back() {
    is_read_back(&["--chunksize=4096"]);
    is_read_back(&["--chunksize=16384", "-Eforce-chunk-indexes"]);
}

#[test]
fn names_that_are_not_there_are_not_found() {
    let dir = source();
    let image = Image::new(image_of(dir.path(), &[])).unwrap();
    let root = image.inode(image.root()).unwrap();
    let many = image
        .inode(image.lookup(&root, b"many").unwrap().unwrap().nid)
        .unwrap();
    for name in [
        &b"!"[..],
        b"file",
        b"file-with-a-name-0 ",
        b"file-with-a-name-77x",
        b"zzz",
        b"",
    ] {
        assert_eq!(image.lookup(&many, name).unwrap(), None);
    }
    assert_eq!(
        image.lookup(&many, b"..").unwrap().unwrap().nid,
        image.root()
    );
}

#[test]
fn compressed_images_and_other_files_are_refused() {
    let dir = source();
    assert!(Image::new(image_of(dir.path(), &["-zlz4"])).is_err_and(|errno| errno.name() == "EIO"));
    assert!(Image::new(b"").is_err());
    assert!(Image::new(vec![0; 1 << 16].leak()).is_err());
}
