//! What a store keeps, gives back, removes, and finds damaged.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests, their helpers too"
)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use support::service;
use unicell_service::encoding;
use unicell_service::erofs;
use unicell_service::spec::*;
use unicell_service::tree::Limits;
use unicell_service::wire::Message;
use unicell_store::{Damage, Store, StoreError};

fn put(store: &Store, service: &Service) -> ServiceId {
    store.put_service(service.clone(), None).unwrap().ids.id
}

fn contents(store: &Store, id: ServiceId, name: &str) -> Vec<u8> {
    let service = store.get(id).unwrap();
    match &service.filesystem().unwrap().branches[name].item {
        Item::File(source) => source.read_to_vec(1 << 20).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_service_comes_back_in_every_encoding_it_came_in() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let large = vec![7; 300_000];
    let original = service("large", &[("a", b"a"), ("b", &large), ("empty", b"")]);
    let id = original.id().unwrap();
    for (at, first) in encoding::ALL.into_iter().enumerate() {
        let mut document = Vec::new();
        first.write(&original, &mut document).unwrap();
        let put = store.put(&mut &document[..], Some(id)).unwrap();
        assert_eq!((put.ids.id, put.known), (id, at > 0));
        assert_eq!(put.ids, original.ids().unwrap());
        for second in encoding::ALL {
            let (mut expected, mut found) = (Vec::new(), Vec::new());
            second.write(&original, &mut expected).unwrap();
            store.export(id, second, &mut found).unwrap();
            assert_eq!(found, expected, "{} to {}", first.name(), second.name());
        }
    }
    assert_eq!(contents(&store, id, "b"), large);
}

#[test]
fn what_is_not_what_was_asked_for_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let other = ServiceId::from_bytes([9; 32]);
    let bytes = service("x", &[("a", b"contents")]).to_bytes();
    let error = store.put(&mut &bytes[..], Some(other)).unwrap_err();
    assert!(matches!(error, StoreError::WrongId { .. }), "{error}");
    let error = store.put(&mut &bytes[..bytes.len() - 1], None).unwrap_err();
    assert!(matches!(error, StoreError::Decode(_)), "{error}");
    let mut unusable = service("y", &[("a", b"contents")]);
    let files = &mut unusable.container.as_mut().unwrap().filesystem.branches;
    files.get_mut("a").unwrap().attributes.mode = Some(0o040_755);
    let error = store.put_service(unusable, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the files of the service cannot be a box: /a: its attribute `mode` is not valid"
    );
    assert_eq!(store.list().unwrap().len(), 0);
    assert_eq!(store.usage().unwrap(), unicell_store::Usage::default());
    assert_eq!(files_below(dir.path()).len(), 2, "the index and its seal");
}

#[test]
fn files_are_shared_and_box_images_built_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let one = service("one", &[("libc", &[1; 10_000]), ("one", b"1")]);
    let two = service("two", &[("libc", &[1; 10_000]), ("two", b"2")]);
    let (a, b) = (put(&store, &one), put(&store, &two));
    let usage = store.usage().unwrap();
    assert_eq!(
        (usage.services, usage.files, usage.file_bytes),
        (2, 3, 10_002)
    );
    assert!(usage.canonical_bytes > 20_002);
    assert_eq!(usage.image_bytes, 0);

    let image = store.box_image(a).unwrap();
    let mut expected = std::io::Cursor::new(Vec::new());
    let tree = one
        .filesystem()
        .unwrap()
        .to_tree(Limits::default())
        .unwrap();
    erofs::write(&tree, &mut expected, &mut |_, _| {}).unwrap();
    let mut found = Vec::new();
    (&image.file).read_to_end(&mut found).unwrap();
    assert_eq!(found.len() as u64, image.len);
    assert_eq!(found[..expected.get_ref().len()], expected.get_ref()[..]);
    // The same file for everybody, also for those that ask at once.
    let inode = |image: &unicell_store::BoxImage| {
        use std::os::unix::fs::MetadataExt;
        image.file.metadata().unwrap().ino()
    };
    assert_eq!(inode(&store.box_image(a).unwrap()), inode(&image));
    let inodes: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| inode(&store.box_image(b).unwrap())))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    assert!(inodes.iter().all(|inode| *inode == inodes[0]), "{inodes:?}");
    assert!(store.check().unwrap().is_sound());
}

#[test]
fn an_owner_may_have_an_image_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let id = put(&store, &service("a", &[("x", b"contents")]));
    store.tag(id, "a").unwrap();
    let read = |image: &unicell_store::BoxImage| {
        let mut bytes = vec![0; image.len as usize];
        image.file.read_exact_at(&mut bytes, 0).unwrap();
        assert!(
            image.file.write_at(b"x", 0).is_err(),
            "it can be written to"
        );
        bytes
    };
    let inode = |image: &unicell_store::BoxImage| image.file.metadata().unwrap().ino();
    let shared = store.box_image(id).unwrap();
    let [alice, bob] = ["alice", "bob"].map(|owner| store.own_box_image(id, owner).unwrap());
    let inodes = BTreeSet::from([inode(&shared), inode(&alice), inode(&bob)]);
    assert_eq!(inodes.len(), 3);
    assert_eq!(read(&alice), read(&shared));
    assert_eq!(read(&bob), read(&shared));
    let again = store.own_box_image(id, "alice").unwrap();
    assert_eq!(inode(&again), inode(&alice));
    // Nothing of it is in the way of others, and what runs keeps what it has.
    assert_eq!(
        std::fs::read_dir(folder.path().join("staging"))
            .unwrap()
            .count(),
        0
    );
    store.gc(&[]).unwrap();
    assert_eq!(read(&alice), read(&shared));
    let again = store.own_box_image(id, "alice").unwrap();
    assert_ne!(inode(&again), inode(&alice));
    store.rm(id).unwrap();
    assert!(store.own_box_image(id, "alice").is_err());
}

#[test]
fn tags_and_beginnings_of_ids_name_services() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (a, b) = (
        put(&store, &service("a", &[])),
        put(&store, &service("b", &[])),
    );
    store.tag(a, "hello:1.0").unwrap();
    store.tag(b, "other").unwrap();
    store.tag(b, "hello:1.0").unwrap();
    assert_eq!(store.resolve("hello:1.0").unwrap(), b);
    assert_eq!(store.resolve(&a.to_string()).unwrap(), a);
    assert_eq!(store.resolve(&a.to_string()[..8]).unwrap(), a);
    for reference in [
        "",
        "hello",
        "zzzzzzzz",
        &a.to_string()[..5],
        &"0".repeat(64),
    ] {
        let error = store.resolve(reference).unwrap_err();
        assert!(
            matches!(error, StoreError::NotFound(_)),
            "{reference}: {error}"
        );
    }
    for tag in ["", "1", "a b", "ü", &a.to_string(), &"a".repeat(129)] {
        let error = store.tag(a, tag).unwrap_err();
        assert!(matches!(error, StoreError::BadTag(_)), "{tag}: {error}");
    }
    store.untag("other").unwrap();
    store.untag("other").unwrap_err();
    let hash = a.into();
    let metadata = Metadata {
        hashtag: Some(HashTag {
            hash: vec![hash],
            ..HashTag::default()
        }),
        ..Metadata::default()
    };
    store.set_metadata(a, &metadata).unwrap();
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.tags().unwrap(), [("hello:1.0".to_owned(), b)].into());
    assert_eq!(store.metadata(a).unwrap(), metadata);
    assert_eq!(store.metadata(b).unwrap(), Metadata::default());
}

#[test]
fn gc_keeps_what_is_tagged_held_asked_for_or_needed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let child = put(&store, &service("child", &[("c", b"c"), ("shared", b"s")]));
    let mut parent = service("parent", &[("p", b"p"), ("shared", b"s")]);
    let init = parent.container.as_mut().unwrap().init.as_mut().unwrap();
    init.add_dependency("child", child).unwrap();
    let parent = put(&store, &parent);
    let held = put(&store, &service("held", &[("h", b"h")]));
    let asked = put(&store, &service("asked", &[("a", b"a")]));
    let loose = put(
        &store,
        &service("loose", &[("l", b"loose"), ("shared", b"s")]),
    );
    store.box_image(loose).unwrap();
    store.tag(parent, "parent").unwrap();
    let hold = store.hold(held).unwrap();
    // A reader keeps what it has open.
    let open = store.box_image(loose).unwrap();

    let collected = store.gc(&[asked]).unwrap();
    assert_eq!((collected.services, collected.files), (1, 1));
    assert!(collected.bytes > open.len);
    let mut expected = vec![child, parent, held, asked];
    expected.sort();
    assert_eq!(
        store.list().unwrap().into_keys().collect::<Vec<_>>(),
        expected
    );
    assert_eq!(contents(&store, child, "shared"), b"s");
    let mut superblock = [0; 4];
    open.file.read_exact_at(&mut superblock, 1024).unwrap();
    assert_eq!(superblock, 0xE0F5_E1E2_u32.to_le_bytes());
    assert!(store.check().unwrap().is_sound());

    let error = store.rm(held).unwrap_err();
    assert!(
        matches!(error, StoreError::InUse(id) if id == held),
        "{error}"
    );
    drop(hold);
    store.rm(held).unwrap();
    store.rm(parent).unwrap();
    assert_eq!(store.tags().unwrap().len(), 0);
    store.gc(&[]).unwrap();
    assert_eq!(store.usage().unwrap(), unicell_store::Usage::default());
    assert!(store.check().unwrap().is_sound());
}

#[test]
fn one_process_at_a_time_and_nothing_unknown_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let id = put(&store, &service("x", &[("a", b"contents")]));
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Busy(_)), "{error}");
    let other = "f".repeat(64);
    for name in [
        "staging/7".into(),
        format!("services/{other}"),
        format!("boxes/{other}"),
    ] {
        fs::write(dir.path().join(&name), "left over").unwrap();
    }
    fs::write(dir.path().join("files/ff").join(&other[2..]), "left over").unwrap();
    let report = store.check().unwrap();
    assert_eq!(report.findings.len(), 3, "{report:?}");
    assert!(
        report
            .findings
            .iter()
            .all(|finding| finding.damage == Damage::Unknown)
    );
    drop(store);
    let store = Store::open(dir.path()).unwrap();
    assert!(store.check().unwrap().is_sound());
    assert_eq!(contents(&store, id, "a"), b"contents");
    assert_eq!(files_below(dir.path()).len(), 4);
    drop(store);
    fs::remove_file(dir.path().join("index.redb")).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::NoIndex(_)), "{error}");
}

/// Every file below a directory.
fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                todo.push(entry.path());
            } else {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    files
}

/// Each byte of each file, but for the index, of which see the next test.
#[test]
fn any_changed_byte_of_any_file_is_found_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let id = put(
        &store,
        &service("x", &[("a", b"contents of a"), ("b", &[3; 200])]),
    );
    store.box_image(id).unwrap();
    let files: Vec<_> = files_below(dir.path())
        .into_iter()
        .filter(|path| path.file_stem().is_none_or(|name| name != "index"))
        .collect();
    assert_eq!(files.len(), 4);
    for path in &files {
        let whole = fs::read(path).unwrap();
        let file = fs::File::options().write(true).open(path).unwrap();
        // All bytes of small files, a sample of the image's, which is hashed
        // as the others are.
        let step = whole.len().div_ceil(250);
        for at in (0..whole.len()).step_by(step) {
            file.write_all_at(&[whole[at] ^ 1 << (at % 8)], at as u64)
                .unwrap();
            let report = store.check().unwrap();
            let [finding] = &report.findings[..] else {
                panic!("{}, byte {at}: {report:?}", path.display());
            };
            assert_eq!((&finding.path, &finding.damage), (path, &Damage::Changed));
            assert_eq!(finding.services, [id].into());
            file.write_all_at(&whole[at..=at], at as u64).unwrap();
        }
        assert!(store.check().unwrap().is_sound());
        fs::rename(path, dir.path().join("aside")).unwrap();
        let report = store.check().unwrap();
        let named = report
            .findings
            .iter()
            .find(|finding| finding.path == *path)
            .unwrap();
        assert_eq!(named.damage, Damage::Missing);
        fs::rename(dir.path().join("aside"), path).unwrap();
    }
}

#[test]
fn damage_does_not_leave_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let id = put(&store, &service("x", &[("a", b"contents of a")]));
    let hash = blake3::hash(b"contents of a").to_hex();
    let path = dir.path().join("files").join(&hash[..2]).join(&hash[2..]);
    fs::write(&path, b"contents of b").unwrap();
    for encoding in encoding::ALL {
        let mut out = Vec::new();
        let error = store.export(id, encoding, &mut out).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert_eq!(out, b"");
    }
    let error = store.box_image(id).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("its contents are not what they were"),
        "{error}"
    );
}

/// Damage to the index is named before the database sees it: whatever it would
/// do then, it does not.
#[test]
fn damage_of_the_index_is_named_and_the_database_never_sees_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index.redb");
    let store = Store::open(dir.path()).unwrap();
    for number in 0..20_u8 {
        let name = format!("file-{number}");
        let id = put(&store, &service(&name, &[(&name, &[number; 100])]));
        store.tag(id, &name).unwrap();
    }
    drop(store);
    let whole = fs::read(&path).unwrap();
    let refused = |damaged: &[u8], what: &str| {
        fs::write(&path, damaged).unwrap();
        let error = Store::open(dir.path()).unwrap_err();
        assert!(matches!(error, StoreError::BadIndex(_)), "{what}: {error}");
        assert!(
            error.to_string().contains("put back a copy"),
            "{what}: {error}"
        );
    };
    for page in (0..whole.len()).step_by(4096) {
        let at = page + (page / 4096 * 577) % 4096.min(whole.len() - page);
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        refused(&damaged, &format!("byte {at}"));
        refused(&whole[..page], &format!("cut at {page}"));
    }
    refused(
        &[whole.clone(), vec![0; 4096]].concat(),
        "more than there was",
    );
    fs::write(&path, &whole).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.tags().unwrap().len(), 20);
    assert!(store.check().unwrap().is_sound());
    // What was checked, changed and closed can be opened again.
    store.untag("file-3").unwrap();
    drop(store);
    assert_eq!(Store::open(dir.path()).unwrap().tags().unwrap().len(), 19);
}

/// Where a process was killed in the middle of a change there is no seal: a
/// changed byte is refused by the database, or lies where it has nothing.
/// Never is something wrong given back, or lost.
#[test]
fn a_changed_byte_of_the_index_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let index = dir.path().join("index.redb");
    let store = Store::open(dir.path()).unwrap();
    let original = service("x", &[("a", b"contents of a")]);
    let id = put(&store, &original);
    store.tag(id, "x").unwrap();
    drop(store);
    let whole = fs::read(&index).unwrap();
    let written: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    let step = written.len().div_ceil(16);
    let mut refused = 0;
    for at in written.into_iter().step_by(step) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        fs::write(&index, damaged).unwrap();
        let _ = fs::remove_file(dir.path().join("index.seal"));
        match Store::open(dir.path()) {
            Err(_) => refused += 1,
            Ok(store) => {
                let tags = store.tags().unwrap();
                assert_eq!(tags, [("x".to_owned(), id)].into(), "byte {at}");
                assert_eq!(store.get(id).unwrap().to_bytes(), original.to_bytes());
            }
        }
        fs::write(&index, &whole).unwrap();
    }
    let _ = fs::remove_file(dir.path().join("index.seal"));
    assert!(refused > 0, "no damage was found at all");
    let store = Store::open(dir.path()).unwrap();
    assert!(store.check().unwrap().is_sound());
    assert_eq!(store.get(id).unwrap().to_bytes(), original.to_bytes());
}
