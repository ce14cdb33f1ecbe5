//! What the tests share: random trees, and a plain description of a tree
//! against which every reader of an image is held.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses a part of it"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Command;

pub mod services;

use proptest::prelude::*;
use unicell_service::erofs;
use unicell_service::tree::{
    Content, DeviceNumber, Inode, InodeId, Limits, Metadata, Source, Tree, Xattrs,
};

/// What anyone can see of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub kind: Kind,
    pub permissions: u32,
    pub uid: u32,
    pub gid: u32,
    pub nlink: u32,
    pub mtime_ns: i64,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Directory,
    File(Vec<u8>),
    Symlink(Vec<u8>),
    Char(u32, u32),
    Block(u32, u32),
    Fifo,
}

pub type Listing = BTreeMap<Vec<u8>, Seen>;

/// What should be seen of `tree`, by its own words.
pub fn listing(tree: &Tree) -> Listing {
    let mut names: BTreeMap<InodeId, u32> = BTreeMap::new();
    for (_, id) in tree.walk() {
        *names.entry(id).or_default() += 1;
    }
    let is_dir = |id: &InodeId| tree.inode(*id).entries().is_some();
    tree.walk()
        .map(|(path, id)| {
            let inode = tree.inode(id);
            let kind = match &inode.content {
                Content::Directory(_) => Kind::Directory,
                Content::File(source) => Kind::File(source.read_to_vec(u64::MAX).unwrap()),
                Content::Symlink(target) => Kind::Symlink(target.to_vec()),
                Content::CharDevice(d) => Kind::Char(d.major, d.minor),
                Content::BlockDevice(d) => Kind::Block(d.major, d.minor),
                Content::Fifo => Kind::Fifo,
            };
            let nlink = match inode.entries() {
                Some(entries) => 2 + entries.values().filter(|id| is_dir(id)).count() as u32,
                None => names[&id],
            };
            let meta = inode.metadata;
            let xattrs = inode
                .xattrs
                .iter()
                .map(|(k, v)| (k.to_vec(), v.to_vec()))
                .collect();
            let seen = Seen {
                kind,
                permissions: meta.permissions.into(),
                uid: meta.uid,
                gid: meta.gid,
                nlink,
                mtime_ns: meta.mtime_ns,
                xattrs,
            };
            (path, seen)
        })
        .collect()
}

/// What `erofs-rs` sees in an image.
pub fn read_image(image: &[u8]) -> Listing {
    use erofs_rs::backend::SliceImage;
    let fs = erofs_rs::EroFS::new(SliceImage::new(image)).unwrap();
    let mut listing = Listing::new();
    let root = fs.get_inode(fs.super_block().root_inode_id()).unwrap();
    listing.insert(b"/".to_vec(), seen(&fs, root));
    for entry in fs.walk_dir("/").unwrap() {
        let entry = entry.unwrap();
        let path = entry.dir_entry.path();
        let path = path.as_bytes().to_vec();
        let seen = seen(&fs, entry.inode);
        listing.insert(path, seen);
    }
    listing
}

fn seen(
    fs: &erofs_rs::EroFS<erofs_rs::backend::SliceImage<'_>>,
    inode: erofs_rs::types::Inode,
) -> Seen {
    use rustix::fs::FileType;
    let device = || inode.device().unwrap();
    let kind = match inode.file_type() {
        FileType::Directory => Kind::Directory,
        FileType::RegularFile => {
            let file = fs.open_inode_file(inode).unwrap();
            let mut bytes = vec![0; inode.data_size() as usize];
            let mut at = 0;
            while at < bytes.len() {
                let read = file.read_at(&mut bytes[at..], at as u64).unwrap();
                assert_ne!(read, 0, "short file");
                at += read;
            }
            Kind::File(bytes)
        }
        FileType::Symlink => Kind::Symlink(fs.read_link_inode(inode).unwrap().as_bytes().to_vec()),
        FileType::CharacterDevice => Kind::Char(device().0, device().1),
        FileType::BlockDevice => Kind::Block(device().0, device().1),
        FileType::Fifo => Kind::Fifo,
        other => panic!("{other:?}"),
    };
    let (seconds, nanos) = inode.modified_unix();
    Seen {
        kind,
        permissions: inode.permissions().into(),
        uid: inode.uid(),
        gid: inode.gid(),
        nlink: inode.nlink(),
        mtime_ns: seconds * 1_000_000_000 + i64::from(nanos),
        xattrs: fs.xattrs_inode(inode).unwrap(),
    }
}

/// What the host's kernel shows under a directory.
pub fn read_host(root: &Path) -> Listing {
    let mut listing = Listing::new();
    let mut todo = vec![(root.to_owned(), b"/".to_vec())];
    while let Some((host, path)) = todo.pop() {
        let seen = host_seen(&host);
        if seen.kind == Kind::Directory {
            for entry in std::fs::read_dir(&host).unwrap() {
                use std::os::unix::ffi::OsStrExt;
                let name = entry.unwrap().file_name();
                let base = if path == b"/" { &b""[..] } else { &path };
                todo.push((host.join(&name), [base, b"/", name.as_bytes()].concat()));
            }
        }
        listing.insert(path, seen);
    }
    listing
}

fn host_seen(host: &Path) -> Seen {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let meta = std::fs::symlink_metadata(host).unwrap();
    let kind = meta.file_type();
    let device = (
        rustix::fs::major(meta.rdev()),
        rustix::fs::minor(meta.rdev()),
    );
    let kind = if kind.is_dir() {
        Kind::Directory
    } else if kind.is_file() {
        Kind::File(std::fs::read(host).unwrap())
    } else if kind.is_symlink() {
        Kind::Symlink(
            std::fs::read_link(host)
                .unwrap()
                .as_os_str()
                .as_bytes()
                .to_vec(),
        )
    } else if kind.is_char_device() {
        Kind::Char(device.0, device.1)
    } else if kind.is_block_device() {
        Kind::Block(device.0, device.1)
    } else {
        assert!(kind.is_fifo());
        Kind::Fifo
    };
    let mut names = vec![0; 64 << 10];
    let len = rustix::fs::llistxattr(host, &mut names).unwrap();
    let xattrs = names[..len]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| {
            let mut value = vec![0; 64 << 10];
            let len = rustix::fs::lgetxattr(host, name, &mut value).unwrap();
            (name.to_vec(), value[..len].to_vec())
        })
        .collect();
    Seen {
        kind,
        permissions: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        nlink: meta.nlink() as u32,
        mtime_ns: meta.mtime() * 1_000_000_000 + meta.mtime_nsec(),
        xattrs,
    }
}

/// The image of a tree.
pub fn image_of(tree: &Tree) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    let summary = erofs::write(tree, &mut out, &mut |_, _| {}).unwrap();
    let image = out.into_inner();
    assert_eq!(image.len() as u64, summary.len);
    image
}

/// Has `fsck.erofs` read every inode and every byte of the image.
pub fn fsck(image: &Path) {
    run_fsck(&["--extract"], image);
}

/// Has `fsck.erofs` read every inode, but no contents.
pub fn fsck_metadata(image: &Path) {
    run_fsck(&[], image);
}

fn run_fsck(options: &[&str], image: &Path) {
    let output = Command::new("fsck.erofs")
        .args(options)
        .arg(image)
        .output()
        .expect("fsck.erofs does not run: install the package erofs-utils");
    let text = [output.stdout, output.stderr].map(|s| String::from_utf8_lossy(&s).into_owned());
    assert!(output.status.success(), "fsck.erofs: {text:?}");
    assert!(!text.concat().contains("rror"), "fsck.erofs: {text:?}");
}

/// An image mounted by the host's kernel; unmounted when dropped.
pub struct Mount(tempfile::TempDir);

impl Mount {
    pub fn new(image: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let output = Command::new("mount")
            .args(["-t", "erofs", "-o", "loop,ro"])
            .args([image, dir.path()])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "the image cannot be mounted (root and a kernel with EROFS are needed): {error}"
        );
        Self(dir)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let status = Command::new("umount").arg(self.0.path()).status();
        assert!(status.is_ok_and(|status| status.success()), "umount failed");
    }
}

pub fn read_file(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

pub fn meta() -> Metadata {
    Metadata {
        permissions: 0o755,
        ..Metadata::default()
    }
}

pub fn file(bytes: &[u8]) -> Inode {
    Inode::new(meta(), Content::File(Source::bytes(bytes)))
}

pub fn symlink(target: &[u8]) -> Inode {
    Inode::new(
        Metadata {
            permissions: 0o777,
            ..meta()
        },
        Content::Symlink(target.into()),
    )
}

/// One step in the making of a random tree. Numbers choose among what is
/// there already, so that any list of steps makes a tree.
#[derive(Clone, Debug)]
pub struct Step {
    parent: usize,
    name: Vec<u8>,
    metadata: Metadata,
    xattrs: Xattrs,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Directory,
    File(u8, usize),
    Symlink(Vec<u8>),
    Char(u32, u32),
    Block(u32, u32),
    Fifo,
    Link(usize),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => b'a'..=b'c', 2 => Just(b'.'), 1 => 1_u8..=255]
        .prop_filter("a slash", |byte| *byte != b'/');
    let long = prop_oneof![9 => 1_usize..6, 1 => 200_usize..=255];
    long.prop_flat_map(move |len| prop::collection::vec(byte.clone(), len))
        .prop_filter("dots", |name| name != b"." && name != b"..")
}

fn metadata() -> impl Strategy<Value = Metadata> {
    let id = prop_oneof![3 => Just(0), 1 => 0_u32..70_000, 1 => Just(u32::MAX - 1)];
    let time = prop_oneof![4 => Just(0_i64), 1 => any::<i64>()];
    (0_u16..0o10000, id.clone(), id, time).prop_map(|(permissions, uid, gid, mtime_ns)| Metadata {
        permissions,
        uid,
        gid,
        mtime_ns,
    })
}

fn xattrs() -> impl Strategy<Value = Xattrs> {
    let value = prop::collection::vec(any::<u8>(), 0..300);
    let attr = ("user\\.[a-z]{1,20}", value)
        .prop_map(|(name, value)| (name.into_bytes().into(), value.into()));
    let some = prop::collection::vec(attr, 1..4).prop_map(|list| list.into_iter().collect());
    prop_oneof![4 => Just(Xattrs::new()), 1 => some]
}

fn what() -> impl Strategy<Value = What> {
    let len = prop_oneof![
        Just(0),
        1_usize..100,
        4000_usize..4200,
        8192_usize..8193,
        0_usize..20_000
    ];
    let target = prop_oneof![3 => 1_usize..60, 1 => 4000_usize..=4095]
        .prop_flat_map(|len| prop::collection::vec(1_u8..=255, len));
    let device = (0_u32..4096, 0_u32..1 << 20);
    prop_oneof![
        4 => Just(What::Directory),
        5 => (0_u8..3, len).prop_map(|(fill, len)| What::File(fill, len)),
        2 => target.prop_map(What::Symlink),
        1 => device.clone().prop_map(|(a, b)| What::Char(a, b)),
        1 => device.prop_map(|(a, b)| What::Block(a, b)),
        1 => Just(What::Fifo),
        1 => any::<usize>().prop_map(What::Link),
    ]
}

impl Step {
    /// Makes the step one whose tree a specification can hold: all text.
    pub fn make_text(&mut self) {
        let text = |bytes: &mut Vec<u8>| {
            for byte in bytes {
                *byte &= 0x7f;
                if matches!(*byte, 0 | b'/') {
                    *byte = b'_';
                }
            }
        };
        text(&mut self.name);
        if self.name == b"." || self.name == b".." {
            self.name = b"dots".to_vec();
        }
        if let What::Symlink(target) = &mut self.what {
            text(target);
        }
    }
}

/// Random trees, as lists of steps.
pub fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (any::<usize>(), name(), metadata(), xattrs(), what()).prop_map(
        |(parent, name, metadata, xattrs, what)| Step {
            parent,
            name,
            metadata,
            xattrs,
            what,
        },
    );
    prop::collection::vec(step, 0..most)
}

/// The tree that the steps make.
pub fn build(steps: &[Step]) -> Tree {
    let mut tree = Tree::new(meta(), Limits::default());
    let mut directories = vec![Tree::ROOT];
    let mut others = Vec::new();
    for step in steps {
        let parent = directories[step.parent % directories.len()];
        if tree.child(parent, &step.name).is_some() {
            continue;
        }
        let content = match &step.what {
            What::Link(_) if others.is_empty() => continue,
            What::Link(n) => {
                tree.link(parent, &step.name, others[n % others.len()])
                    .unwrap();
                continue;
            }
            What::Directory => Content::Directory(BTreeMap::new()),
            What::File(fill, len) => Content::File(Source::bytes(&vec![*fill; *len])),
            What::Symlink(target) => Content::Symlink(target.clone().into()),
            What::Char(major, minor) => Content::CharDevice(DeviceNumber {
                major: *major,
                minor: *minor,
            }),
            What::Block(major, minor) => Content::BlockDevice(DeviceNumber {
                major: *major,
                minor: *minor,
            }),
            What::Fifo => Content::Fifo,
        };
        let directory = matches!(content, Content::Directory(_));
        // Linux shows `user.*` of files and directories only.
        let shown = matches!(content, Content::Directory(_) | Content::File(_));
        let xattrs = if shown {
            step.xattrs.clone()
        } else {
            Xattrs::new()
        };
        let inode = Inode {
            metadata: step.metadata,
            xattrs,
            content,
        };
        let id = tree.add(parent, &step.name, inode).unwrap();
        if directory {
            directories.push(id);
        } else {
            others.push(id);
        }
    }
    tree
}
