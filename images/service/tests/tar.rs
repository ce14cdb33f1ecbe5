//! Root filesystem tars, honest and not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests, their helpers too"
)]

mod support;

use std::io::{Seek, SeekFrom, Write};

use support::*;
use tar::{Builder, EntryType, Header};
use unicell_service::tree::{Limits, Tree, TreeError, read_tar};

/// A header with a name that the tar crate would refuse to write.
fn header(name: &[u8], kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(1000);
    header.set_gid(1000);
    header.set_cksum();
    header
}

fn entry(out: &mut Builder<Vec<u8>>, name: &str, kind: EntryType, data: &[u8]) {
    out.append(&header(name.as_bytes(), kind, data.len() as u64), data)
        .unwrap();
}

fn link(out: &mut Builder<Vec<u8>>, name: &str, kind: EntryType, target: &str) {
    let mut header = header(name.as_bytes(), kind, 0);
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_cksum();
    out.append(&header, &[][..]).unwrap();
}

fn read(bytes: &[u8], limits: Limits) -> Result<Tree, TreeError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    read_tar(file, limits)
}

fn built(make: impl FnOnce(&mut Builder<Vec<u8>>)) -> Vec<u8> {
    let mut out = Builder::new(Vec::new());
    make(&mut out);
    out.into_inner().unwrap()
}

fn tree(make: impl FnOnce(&mut Builder<Vec<u8>>)) -> Tree {
    read(&built(make), Limits::default()).unwrap()
}

fn error(make: impl FnOnce(&mut Builder<Vec<u8>>)) -> String {
    read(&built(make), Limits::default())
        .unwrap_err()
        .to_string()
}

#[test]
fn tar_is_read_back_from_its_image() {
    let tree = tree(|out| {
        entry(out, "./", EntryType::Directory, b"");
        entry(out, "./usr/bin/tool", EntryType::Regular, b"tool");
        link(out, "./usr/bin/same", EntryType::Link, "./usr/bin/tool");
        link(out, "./bin", EntryType::Symlink, "usr/bin");
        entry(out, "/etc/absolute", EntryType::Regular, b"a");
        entry(out, "old/", EntryType::Regular, b"");
        entry(out, "pipe", EntryType::Fifo, b"");
        let mut device = header(b"null", EntryType::Char, 0);
        device.set_device_major(1).unwrap();
        device.set_device_minor(3).unwrap();
        device.set_cksum();
        out.append(&device, &[][..]).unwrap();
        let long = format!("long/{}/{}", "d".repeat(200), "f".repeat(200));
        let mut header = header(b"", EntryType::Regular, 4);
        out.append_data(&mut header, long, &b"long"[..]).unwrap();
    });
    let seen = read_image(&image_of(&tree));
    assert_eq!(seen, listing(&tree));
    let tool = &seen[&b"/usr/bin/tool"[..]];
    assert_eq!(
        (&tool.kind, tool.nlink, tool.uid),
        (&Kind::File(b"tool".to_vec()), 2, 1000)
    );
    assert_eq!(tool, &seen[&b"/usr/bin/same"[..]]);
    assert_eq!(seen[&b"/bin"[..]].kind, Kind::Symlink(b"usr/bin".to_vec()));
    assert_eq!(
        seen[&b"/usr"[..]].permissions,
        0o755,
        "a directory that was only implied"
    );
    assert_eq!(
        seen[&b"/"[..]].permissions,
        0o644,
        "the root as the tar has it"
    );
    assert_eq!(seen[&b"/old"[..]].kind, Kind::Directory);
    assert_eq!(seen[&b"/null"[..]].kind, Kind::Char(1, 3));
    assert_eq!(seen.len(), 14);
}

#[test]
fn last_of_several_entries_counts() {
    let tree = tree(|out| {
        entry(out, "a", EntryType::Regular, b"first");
        link(out, "kept", EntryType::Link, "a");
        entry(out, "a", EntryType::Regular, b"second");
        entry(out, "d/x", EntryType::Regular, b"x");
        entry(out, "d", EntryType::Directory, b"");
        entry(out, "gone/x", EntryType::Regular, b"x");
        entry(out, "gone", EntryType::Regular, b"file");
        entry(out, "now", EntryType::Regular, b"file");
        entry(out, "now", EntryType::Directory, b"");
    });
    let seen = read_image(&image_of(&tree));
    assert_eq!(seen[&b"/a"[..]].kind, Kind::File(b"second".to_vec()));
    assert_eq!(seen[&b"/kept"[..]].kind, Kind::File(b"first".to_vec()));
    assert_eq!((seen[&b"/kept"[..]].nlink, seen[&b"/a"[..]].nlink), (1, 1));
    assert_eq!(seen[&b"/d/x"[..]].kind, Kind::File(b"x".to_vec()));
    assert_eq!(seen[&b"/d"[..]].permissions, 0o644);
    assert_eq!(seen[&b"/gone"[..]].kind, Kind::File(b"file".to_vec()));
    assert_eq!(seen[&b"/now"[..]].kind, Kind::Directory);
}

#[test]
fn hostile_entries_are_refused_by_name() {
    let file = |name: &'static str| error(move |out| entry(out, name, EntryType::Regular, b"x"));
    assert_eq!(
        file("a/../../etc/passwd"),
        "a/../../etc/passwd: the path contains `..`, which a box's entry may not"
    );
    assert_eq!(file("."), ".: the root of a box must be a directory");
    assert_eq!(
        error(|out| {
            link(out, "etc", EntryType::Symlink, "/etc");
            entry(out, "etc/passwd", EntryType::Regular, b"x");
        }),
        "etc/passwd: the entry that should hold it is not a directory"
    );
    assert_eq!(
        error(|out| link(out, "l", EntryType::Link, "../../etc/shadow")),
        "l: the path contains `..`, which a box's entry may not"
    );
    assert_eq!(
        error(|out| link(out, "l", EntryType::Link, "later")),
        "l: it is a hard link to `later`, which does not come before it"
    );
    assert_eq!(
        error(|out| {
            entry(out, "d", EntryType::Directory, b"");
            link(out, "d/l", EntryType::Link, "d");
        }),
        "d/l: it is a hard link to a directory"
    );
    assert_eq!(
        error(|out| link(out, "s", EntryType::Symlink, "")),
        "s: the link's target must have 1 to 4095 bytes and no NUL byte"
    );
    assert_eq!(
        error(|out| entry(out, "v", EntryType::new(b'V'), b"")),
        "v: entries of type `V` cannot be packed"
    );
    assert_eq!(
        error(|out| entry(out, "\x1b[2J/..", EntryType::Regular, b"")),
        "\\x1b[2J/..: the path contains `..`, which a box's entry may not"
    );
}

#[test]
fn claimed_sizes_are_held_against_the_file() {
    for size in [513, 1 << 40, u64::MAX >> 1] {
        let mut bytes = header(b"huge", EntryType::Regular, size)
            .as_bytes()
            .to_vec();
        bytes.extend_from_slice(&[0; 512]);
        let error = read(&bytes, Limits::default()).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("huge: the tar ends before its {size} bytes of data do")
        );
    }
    let bytes = header(b"huge", EntryType::Regular, u64::MAX)
        .as_bytes()
        .to_vec();
    let error = read(&bytes, Limits::default()).unwrap_err().to_string();
    assert_eq!(error, "the tar is damaged after entry ``: size overflow");
    // A long name of a gigabyte, which the tar does have, as a hole.
    let mut file = tempfile::tempfile().unwrap();
    let header = header(b"././@LongLink", EntryType::GNULongName, 1 << 30);
    file.write_all(header.as_bytes()).unwrap();
    file.set_len(2 << 30).unwrap();
    let error = read_tar(file, Limits::default()).unwrap_err().to_string();
    assert!(
        error.contains("an entry's headers are larger than 1048576 bytes"),
        "{error}"
    );
}

#[test]
fn bounds_of_the_tree_are_kept() {
    let bytes = built(|out| {
        for n in 0..10 {
            entry(out, &format!("f{n}"), EntryType::Regular, &[0; 100]);
        }
    });
    let limited = |entries, bytes_limit| {
        read(
            &bytes,
            Limits {
                entries,
                bytes: bytes_limit,
            },
        )
        .map(drop)
        .map_err(|e| e.to_string())
    };
    assert_eq!(limited(11, 1000), Ok(()));
    assert_eq!(
        limited(10, 1000),
        Err("f9: the tree has more than 10 entries".to_owned())
    );
    assert_eq!(
        limited(11, 999),
        Err("f9: the tree's files hold more than 999 bytes".to_owned())
    );
}

#[test]
fn sparse_and_compressed_tars_are_refused_with_advice() {
    assert_eq!(
        error(|out| {
            let records = [("GNU.sparse.major", &b"1"[..]), ("GNU.sparse.minor", b"0")];
            out.append_pax_extensions(records).unwrap();
            entry(out, "sparse", EntryType::Regular, b"x");
        }),
        "sparse: it is stored as a sparse file; create the tar without --sparse"
    );
    let error = read(b"\x1f\x8b\x08\0\0\0\0\0", Limits::default())
        .unwrap_err()
        .to_string();
    assert_eq!(error, "the tar is compressed (gzip); decompress it first");
    for no_tar in [&[b'x'; 1024][..], b"PK\x03\x04", b""] {
        let error = read(no_tar, Limits::default()).unwrap_err();
        assert_eq!(error.to_string(), "it is no tar");
    }
    assert!(read(&[0; 1024], Limits::default()).is_ok(), "an empty one");
}

#[test]
fn attributes_in_pax_records_are_kept() {
    let tree = tree(|out| {
        let records = [
            ("SCHILY.xattr.user.note", &b"kept"[..]),
            ("SCHILY.xattr.security.selinux", b"no"),
        ];
        out.append_pax_extensions(records).unwrap();
        entry(out, "f", EntryType::Regular, b"x");
    });
    let seen = read_image(&image_of(&tree));
    assert_eq!(
        seen[&b"/f"[..]].xattrs,
        [(b"user.note".to_vec(), b"kept".to_vec())].into()
    );
}
