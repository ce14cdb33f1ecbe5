//! Images held against three readers that we did not write: `fsck.erofs`, the
//! host's kernel, and `erofs-rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests, their helpers too"
)]

mod support;

use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use proptest::prelude::*;
use support::*;
use unicell_service::tree::{Inode, Limits, Metadata, Ownership, Source, Tree, read_directory};

/// A failure is to be turned into a test of its own, not kept in a seed file.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn random_trees_are_read_back_by_erofs_rs(steps in steps(60)) {
        let tree = build(&steps);
        prop_assert_eq!(read_image(&image_of(&tree)), listing(&tree));
    }
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn random_trees_are_read_back_by_fsck_and_the_kernel(steps in steps(120)) {
        let tree = build(&steps);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), image_of(&tree)).unwrap();
        fsck(file.path());
        let mount = Mount::new(file.path());
        prop_assert_eq!(read_host(mount.path()), listing(&tree));
    }
}

/// Checks a tree with all three readers.
fn judged(tree: &Tree) -> Vec<u8> {
    let image = image_of(tree);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &image).unwrap();
    fsck(file.path());
    let expected = listing(tree);
    assert!(read_image(&image) == expected, "erofs-rs sees another tree");
    let mount = Mount::new(file.path());
    assert!(
        read_host(mount.path()) == expected,
        "the kernel sees another tree"
    );
    image
}

#[test]
fn empty_tree_is_one_block() {
    assert_eq!(judged(&Tree::new(meta(), Limits::default())).len(), 4096);
}

#[test]
fn directory_of_many_blocks_keeps_every_name_findable() {
    let mut tree = Tree::new(meta(), Limits::default());
    let dir = tree
        .add(Tree::ROOT, b"many", Inode::directory(meta()))
        .unwrap();
    for n in 0..20_000 {
        tree.add(dir, format!("entry-{n}").as_bytes(), file(b""))
            .unwrap();
    }
    // Names that sort before `.`, between `.` and `..`, and after.
    for name in [&b"-"[..], b"!", b".-", b".\x01", b"...", b".a", b"\xff\xfe"] {
        tree.add(dir, name, file(name)).unwrap();
    }
    judged(&tree);
}

#[test]
fn sizes_around_a_block_are_kept() {
    let mut tree = Tree::new(meta(), Limits::default());
    for len in [0, 1, 4095, 4096, 4097, 8191, 8192, 8193, 3 << 20] {
        let bytes: Vec<u8> = (0..len).map(|n: u32| (n % 251) as u8).collect();
        tree.add(Tree::ROOT, format!("f{len}").as_bytes(), file(&bytes))
            .unwrap();
    }
    for len in [1, 4000, 4063, 4064, 4065, 4095] {
        tree.add(
            Tree::ROOT,
            format!("l{len}").as_bytes(),
            symlink(&vec![b'x'; len]),
        )
        .unwrap();
    }
    // Directories whose size is a little below, at, and above what fits.
    for last in 200..=255 {
        let name = format!("d{last}");
        let dir = tree
            .add(Tree::ROOT, name.as_bytes(), Inode::directory(meta()))
            .unwrap();
        for n in 0..15_u8 {
            let name = [vec![b'a' + n; 254], vec![b'z'; usize::from(n == 0)]].concat();
            tree.add(
                dir,
                &name[..if n == 14 { last - 200 + 1 } else { name.len() }],
                file(b""),
            )
            .unwrap();
        }
    }
    judged(&tree);
}

#[test]
fn large_attributes_are_kept() {
    let mut tree = Tree::new(meta(), Limits::default());
    for len in [0, 1, 3000, 4000, 5000, 50_000] {
        let mut inode = symlink(b"target");
        if len % 2 == 0 {
            inode = file(b"contents");
        }
        inode
            .xattrs
            .insert(b"user.large"[..].into(), vec![7; len].into());
        inode
            .xattrs
            .insert(b"security.capability"[..].into(), capability().into());
        tree.add(Tree::ROOT, format!("x{len}").as_bytes(), inode)
            .unwrap();
    }
    let image = image_of(&tree);
    assert_eq!(read_image(&image), listing(&tree));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &image).unwrap();
    fsck(file.path());
}

/// A `vfs_cap_data` of revision 2 with CAP_NET_BIND_SERVICE.
fn capability() -> Vec<u8> {
    let words = [0x0200_0001_u32, 1 << 10, 0, 0, 0];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn equal_contents_share_blocks_and_start_on_pages() {
    let mut tree = Tree::new(meta(), Limits::default());
    let bytes = vec![1; 1 << 20];
    tree.add(Tree::ROOT, b"a", file(&bytes)).unwrap();
    tree.add(Tree::ROOT, b"b", file(&bytes)).unwrap();
    let large = vec![2; 3 << 20];
    tree.add(Tree::ROOT, b"c", file(&large)).unwrap();
    tree.add(Tree::ROOT, b"d", file(&large)).unwrap();
    tree.add(Tree::ROOT, b"e", file(&vec![3; 3 << 20])).unwrap();
    let image = judged(&tree);
    assert_eq!(image.len(), 4096 + (1 << 20) + (3 << 20) + (3 << 20));
    assert_eq!(image[4096..4096 + (1 << 20)], bytes);
}

#[test]
fn image_depends_on_the_tree_alone() {
    let names = ["usr", "bin", "etc", "a", "b", ".hidden"];
    let make = |order: &mut dyn Iterator<Item = &&str>| {
        let mut tree = Tree::new(meta(), Limits::default());
        for name in order {
            // A first version of each entry, replaced: it leaves no trace.
            tree.add(Tree::ROOT, name.as_bytes(), Inode::directory(meta()))
                .unwrap();
            tree.add(Tree::ROOT, name.as_bytes(), file(name.as_bytes()))
                .unwrap();
        }
        image_of(&tree)
    };
    assert_eq!(make(&mut names.iter()), make(&mut names.iter().rev()));
}

/// Writes to a file, but leaves holes where there are only zeros.
struct Holes(std::fs::File);

impl Write for Holes {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // A comparison of memory, which is quick in a debug build too.
        static ZEROS: [u8; 1 << 20] = [0; 1 << 20];
        if ZEROS.starts_with(bytes) {
            self.0.seek(SeekFrom::Current(bytes.len() as i64))?;
            return Ok(bytes.len());
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

impl Seek for Holes {
    fn seek(&mut self, position: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(position)
    }
}

#[test]
fn files_beyond_four_gigabytes_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    std::fs::create_dir(&source).unwrap();
    let len = (4 << 30) + 5000;
    let large = std::fs::File::create(source.join("large")).unwrap();
    large.write_all_at(b"end", len - 3).unwrap();
    std::fs::write(source.join("next"), "behind it").unwrap();
    let limits = Limits::default();
    let tree = read_directory(&source, Ownership::Root, limits, None)
        .unwrap()
        .tree;

    let path = dir.path().join("image");
    let mut out = Holes(std::fs::File::create(&path).unwrap());
    let summary = unicell_service::erofs::write(&tree, &mut out, &mut |_, _| {}).unwrap();
    out.0.set_len(summary.len).unwrap();
    fsck_metadata(&path);
    let mount = Mount::new(&path);
    let read = std::fs::File::open(mount.path().join("large")).unwrap();
    assert_eq!(read.metadata().unwrap().len(), len);
    let mut end = [1; 5];
    read.read_exact_at(&mut end, len - 5).unwrap();
    assert_eq!(end, *b"\0\0end");
    assert_eq!(read_file(&mount.path().join("next")), b"behind it");
}

#[test]
fn device_number_out_of_range_is_refused_by_name() {
    use unicell_service::tree::{Content, DeviceNumber};
    let mut tree = Tree::new(meta(), Limits::default());
    let device = DeviceNumber {
        major: 4096,
        minor: 0,
    };
    tree.add(
        Tree::ROOT,
        b"dev",
        Inode::new(meta(), Content::CharDevice(device)),
    )
    .unwrap();
    let mut out = std::io::Cursor::new(Vec::new());
    let error = unicell_service::erofs::write(&tree, &mut out, &mut |_, _| {}).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/dev: a device number beyond 12 bits of major and 20 of minor cannot be stored in an EROFS image"
    );
}

#[test]
fn progress_counts_every_byte() {
    let mut tree = Tree::new(Metadata::default(), Limits::default());
    for name in [b"a", b"b", b"c"] {
        let source = Source::bytes(&vec![9; 2 << 20]);
        let inode = Inode::new(meta(), unicell_service::tree::Content::File(source));
        tree.add(Tree::ROOT, name, inode).unwrap();
    }
    let mut steps = Vec::new();
    let mut out = std::io::Cursor::new(Vec::new());
    unicell_service::erofs::write(&tree, &mut out, &mut |done, all| steps.push((done, all)))
        .unwrap();
    assert!(steps.is_sorted());
    assert_eq!(steps.last(), Some(&(6 << 20, 6 << 20)));
}
