//! Packages from directories and tars: deterministic, damage found, bounds
//! kept, starts cheap.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests, their helpers too"
)]

mod support;

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink as host_symlink};
use std::path::{Path, PathBuf};

use support::*;
use unicell_service::check::Warning;
use unicell_service::inspect::{Kind as Seen, PackageSizes, inspect};
use unicell_service::manifest::Overrides;
use unicell_service::package::{
    ManifestSource, OpenError, PackOptions, Package, Packed, Part, Phase, pack_directory, pack_tar,
};
use unicell_service::spec::Metadata;

struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn output(&self, name: &str) -> (PathBuf, File) {
        let path = self.path(name);
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .unwrap();
        (path, file)
    }

    /// Packs a directory that has a `service.toml`, or is told what to run.
    fn pack(&self, tree: &Path, name: &str) -> (PathBuf, Packed) {
        let (path, mut out) = self.output(name);
        let packed = pack_directory(tree, &PackOptions::default(), &mut out, &mut |_| {}).unwrap();
        (path, packed)
    }
}

/// A small box: a static program, data, links.
fn small_box(root: &Path) {
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::copy(std::env::current_exe().unwrap(), root.join("bin/hello")).unwrap();
    fs::write(root.join("etc/data"), "data").unwrap();
    host_symlink("hello", root.join("bin/hi")).unwrap();
    fs::write(
        root.join("service.toml"),
        "entrypoint = \"/bin/hello\"\nargs = [\"a\"]\nmemory = \"64M\"\nenv = { K = \"v\" }\n",
    )
    .unwrap();
}

#[test]
fn directory_is_packed_and_told() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    small_box(&tree);
    let (path, packed) = bench.pack(&tree, "a.cell");
    assert_eq!(packed.warnings, []);
    let package = Package::open(&path).unwrap();
    assert_eq!(package.id(), packed.id);
    package.verify().unwrap();
    assert_eq!(package.manifest(), &packed.manifest);
    assert_eq!(package.manifest().entrypoint(), "/bin/hello");
    assert_eq!(package.manifest().memory(), 64 << 20);
    let offset = package.image_offset() as usize;
    assert_eq!(offset % 4096, 0);
    assert_eq!(
        package.image_offset() + package.image_len(),
        fs::metadata(&path).unwrap().len()
    );

    let service = package.service().unwrap();
    let sizes = PackageSizes::of(&package);
    let summary = inspect(&service, &Metadata::default(), Some(sizes)).unwrap();
    let paths: Vec<_> = summary
        .entries
        .iter()
        .map(|e| (e.path.as_str(), e.kind))
        .collect();
    assert_eq!(
        paths,
        [
            ("/", Seen::Directory),
            ("/bin", Seen::Directory),
            ("/bin/hello", Seen::File),
            ("/bin/hi", Seen::Symlink),
            ("/etc", Seen::Directory),
            ("/etc/data", Seen::File),
        ]
    );
    assert_eq!(summary.entries[3].target.as_deref(), Some("hello"));
    assert_eq!(summary.counts.files, 2);
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(json["id"], packed.id.to_string());
    assert_eq!(json["manifest"]["env"]["K"], "v");

    // The image stands by itself: other tools read it where it lies.
    let image = bench.path("image");
    fs::write(&image, &read_file(&path)[offset..]).unwrap();
    fsck(&image);
}

#[test]
fn package_depends_on_the_tree_alone() {
    let bench = Bench::new();
    let one = bench.path("one");
    small_box(&one);
    fs::write(one.join("bin/zz"), "1").unwrap();
    // The same tree elsewhere, made in another order, at another time.
    let two = bench.path("deep/er/two");
    fs::create_dir_all(two.join("etc")).unwrap();
    fs::create_dir_all(two.join("bin")).unwrap();
    fs::write(two.join("bin/zz"), "1").unwrap();
    small_box_again(&one, &two);
    let (a, first) = bench.pack(&one, "a.cell");
    let (b, second) = bench.pack(&two, "b.cell");
    assert_eq!(first.id, second.id);
    assert_eq!(read_file(&a), read_file(&b));

    fs::set_permissions(two.join("etc/data"), fs::Permissions::from_mode(0o600)).unwrap();
    let (_, third) = bench.pack(&two, "c.cell");
    assert_ne!(first.id, third.id);
}

fn small_box_again(one: &Path, two: &Path) {
    for name in ["service.toml", "etc/data", "bin/hello"] {
        fs::copy(one.join(name), two.join(name)).unwrap();
    }
    host_symlink("hello", two.join("bin/hi")).unwrap();
    let old = fs::FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH);
    File::open(two.join("etc/data"))
        .unwrap()
        .set_times(old)
        .unwrap();
}

#[test]
fn output_within_the_tree_is_left_out() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    small_box(&tree);
    let (_, outside) = bench.pack(&tree, "a.cell");
    let (_, inside) = bench.pack(&tree, "tree/a.cell");
    assert_eq!(outside.id, inside.id);
}

#[test]
fn hard_links_devices_pipes_and_attributes_are_kept() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    small_box(&tree);
    fs::hard_link(tree.join("etc/data"), tree.join("bin/data")).unwrap();
    let mode = rustix::fs::Mode::from_raw_mode(0o644);
    let make = |name: &str, kind, device| {
        rustix::fs::mknodat(rustix::fs::CWD, tree.join(name), kind, mode, device).unwrap();
    };
    make("etc/pipe", rustix::fs::FileType::Fifo, 0);
    make(
        "etc/null",
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::makedev(1, 3),
    );
    make("etc/socket", rustix::fs::FileType::Socket, 0);
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(tree.join("etc/data"), "user.note", b"kept", flags).unwrap();
    let (path, packed) = bench.pack(&tree, "a.cell");
    let texts: Vec<_> = packed.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "/etc/socket is a socket and was left out",
            "/etc/null is a device node; a box has the devices of its own /dev only",
        ]
    );
    let offset = Package::open(&path).unwrap().image_offset();
    let image = read_file(&path).split_off(offset as usize);
    let listing = read_image(&image);
    let data = &listing[&b"/etc/data"[..]];
    assert_eq!(data.nlink, 2);
    assert_eq!(data, &listing[&b"/bin/data"[..]]);
    assert_eq!(data.xattrs[&b"user.note"[..]], b"kept");
    assert_eq!(listing[&b"/etc/null"[..]].kind, Kind::Char(1, 3));
    assert_eq!(listing[&b"/etc/pipe"[..]].kind, Kind::Fifo);
    assert!(!listing.contains_key(&b"/etc/socket"[..]));
}

/// Opens and verifies, as a start without a record does.
fn check(path: &Path) -> Result<(), OpenError> {
    Package::open_verified(path, None).map(drop)
}

#[test]
fn every_changed_byte_is_found_and_named() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    small_box(&tree);
    // A small program, so that every byte can be tried.
    fs::write(tree.join("bin/hello"), "#!/bin/sh\n").unwrap();
    let (path, _) = bench.pack(&tree, "a.cell");
    let whole = read_file(&path);
    let package = Package::open(&path).unwrap();
    let manifest_end = 4096 + package.manifest().to_json().len();
    let length = u64::from_le_bytes(whole[40..48].try_into().unwrap());
    let (end, image) = (
        manifest_end + length as usize,
        package.image_offset() as usize,
    );
    let damaged = bench.path("damaged.cell");
    fs::write(&damaged, &whole).unwrap();
    check(&damaged).unwrap();
    let file = File::options().write(true).open(&damaged).unwrap();
    // All bytes before the image, and every fifth of it.
    for at in (0..image).chain((image..whole.len()).step_by(5)) {
        use std::os::unix::fs::FileExt;
        file.write_all_at(&[whole[at] ^ (1 << (at % 8))], at as u64)
            .unwrap();
        let error = check(&damaged).unwrap_err();
        let expected = match at {
            0..8 => None,
            8..4096 => Some(Part::Header),
            _ if at < manifest_end => Some(Part::Manifest),
            _ if at < end => Some(Part::Specification),
            _ if at < image => Some(Part::Padding),
            _ => Some(Part::Image),
        };
        match (&error, expected) {
            (OpenError::NotAPackage { .. }, None) => {}
            (OpenError::Damaged { part, .. }, Some(expected)) if *part == expected => {}
            _ => panic!("byte {at}: {error}"),
        }
        file.write_all_at(&whole[at..=at], at as u64).unwrap();
    }
    check(&damaged).unwrap();
}

#[test]
fn shortened_and_lengthened_packages_are_refused() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    small_box(&tree);
    fs::write(tree.join("bin/hello"), "#!/bin/sh\n").unwrap();
    let (path, _) = bench.pack(&tree, "a.cell");
    let whole = read_file(&path);
    let damaged = bench.path("damaged.cell");
    for len in [
        0,
        1,
        7,
        8,
        143,
        144,
        4095,
        4096,
        4097,
        8191,
        8192,
        whole.len() - 1,
    ] {
        fs::write(&damaged, &whole[..len]).unwrap();
        check(&damaged).unwrap_err();
    }
    let mut longer = whole.clone();
    longer.push(0);
    fs::write(&damaged, longer).unwrap();
    let error = check(&damaged).unwrap_err().to_string();
    assert!(error.ends_with(&format!(
        "is damaged: it has {} bytes where {} were packed",
        whole.len() + 1,
        whole.len()
    )));
    let error = Package::open(&bench.path("tree")).unwrap_err().to_string();
    assert!(
        error.ends_with("cannot be read: it is not a regular file"),
        "{error}"
    );
    fs::write(&damaged, "something else").unwrap();
    assert!(
        check(&damaged)
            .unwrap_err()
            .to_string()
            .ends_with("is not a package")
    );
}

/// Whether the image was hashed again is seen by a damaged file with a forged
/// record: it is taken as long as the record stands, and no longer.
#[test]
fn record_of_a_verified_file_stands_until_the_file_changes() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    small_box(&tree);
    let (path, _) = bench.pack(&tree, "a.cell");
    let records = bench.path("records");
    fs::create_dir(&records).unwrap();
    fs::set_permissions(&records, fs::Permissions::from_mode(0o700)).unwrap();
    let count = || fs::read_dir(&records).unwrap().count();

    wait_until_settled(&path);
    Package::open_verified(&path, Some(&records)).unwrap();
    assert_eq!(count(), 1);
    let damaged = bench.path("damaged.cell");
    let mut bytes = read_file(&path);
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&damaged, &bytes).unwrap();
    wait_until_settled(&damaged);
    Package::open_verified(&damaged, Some(&records)).unwrap_err();
    assert_eq!(count(), 1);
    let forged = forge(&records, &path, &damaged);
    Package::open_verified(&damaged, Some(&records)).unwrap();

    // Any change of the file ends it: here the change time alone.
    fs::set_permissions(&damaged, fs::Permissions::from_mode(0o640)).unwrap();
    Package::open_verified(&damaged, Some(&records)).unwrap_err();

    // So does a directory that others may write to.
    forge(&records, &path, &damaged);
    fs::set_permissions(&records, fs::Permissions::from_mode(0o770)).unwrap();
    Package::open_verified(&damaged, Some(&records)).unwrap_err();
    fs::set_permissions(&records, fs::Permissions::from_mode(0o700)).unwrap();
    Package::open_verified(&damaged, Some(&records)).unwrap();

    // A record that is cut short or garbled is none.
    fs::write(&forged, "verified").unwrap();
    Package::open_verified(&damaged, Some(&records)).unwrap_err();
    Package::open_verified(&path, Some(&bench.path("nowhere"))).unwrap();
}

/// Waits until the file's last change is older than what a record needs: a
/// condition on the clock that the rule itself is about.
fn wait_until_settled(path: &Path) {
    let meta = fs::metadata(path).unwrap();
    let changed = std::time::Duration::new(meta.ctime() as u64, meta.ctime_nsec() as u32);
    let settled = std::time::SystemTime::UNIX_EPOCH + changed + unicell_service::verified::SETTLED;
    while std::time::SystemTime::now() <= settled {
        std::thread::yield_now();
    }
}

/// Writes the record that `as_if` would have, from that of `from`.
fn forge(records: &Path, from: &Path, as_if: &Path) -> PathBuf {
    let name = |path: &Path| {
        let meta = fs::metadata(path).unwrap();
        records.join(format!("{:x}-{:x}", meta.dev(), meta.ino()))
    };
    let mut record = read_file(&name(from));
    let meta = fs::metadata(as_if).unwrap();
    let fields = [
        meta.ino() as i64,
        meta.size() as i64,
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec(),
    ];
    for (at, field) in (16..).step_by(8).zip(fields) {
        record[at..at + 8].copy_from_slice(&field.to_le_bytes());
    }
    fs::write(name(as_if), record).unwrap();
    name(as_if)
}

#[test]
fn caller_overrides_the_manifest() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    small_box(&tree);
    let options = PackOptions {
        manifest: ManifestSource::Text {
            name: "other.toml".to_owned(),
            bytes: b"entrypoint = \"/bin/hi\"\nargs = [\"x\"]\nenv = { A = \"1\", B = \"2\" }"
                .to_vec(),
        },
        overrides: Overrides {
            args: Some(vec![]),
            env: [("B".to_owned(), "3".to_owned())].into(),
            memory: Some(1 << 20),
            ..Overrides::default()
        },
        ..PackOptions::default()
    };
    let (path, mut out) = bench.output("a.cell");
    let packed = pack_directory(&tree, &options, &mut out, &mut |_| {}).unwrap();
    let package = Package::open(&path).unwrap();
    assert_eq!(
        String::from_utf8(package.manifest().to_json()).unwrap(),
        r#"{"entrypoint":"/bin/hi","args":[],"env":{"A":"1","B":"3"},"workdir":"/","memory":1048576}"#
    );
    assert_eq!(packed.warnings, []);
    let entries = inspect(&package.service().unwrap(), &Metadata::default(), None)
        .unwrap()
        .entries;
    assert!(entries.iter().all(|entry| entry.path != "/service.toml"));
}

#[test]
fn missing_and_wrong_manifests_are_told() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    small_box(&tree);
    let (_, mut out) = bench.output("a.cell");
    let mut pack = |toml: &str| {
        fs::write(tree.join("service.toml"), toml).unwrap();
        pack_directory(&tree, &PackOptions::default(), &mut out, &mut |_| {})
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        pack(""),
        "nothing says what to run: set `entrypoint` in service.toml, or name it when packing"
    );
    assert!(pack("\nentrypoint = 3").starts_with("service.toml:2:14: "));
    fs::remove_file(tree.join("service.toml")).unwrap();
    let error = pack_directory(
        &tree.join("nowhere"),
        &PackOptions::default(),
        &mut out,
        &mut |_| {},
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("nowhere cannot be read: No such file"),
        "{error}"
    );
}

#[test]
fn warnings_name_what_will_not_work() {
    let bench = Bench::new();
    let tree = bench.path("tree");
    small_box(&tree);
    fs::create_dir(tree.join("usr")).unwrap();
    // A dynamic program of the host, without anything that it needs.
    fs::copy("/bin/ls", tree.join("bin/ls")).unwrap();
    fs::write(tree.join("bin/arm"), {
        let mut elf = read_file(Path::new("/bin/ls"));
        elf[18] = 183;
        elf
    })
    .unwrap();
    fs::write(tree.join("bin/cut"), &read_file(Path::new("/bin/ls"))[..64]).unwrap();
    for name in ["arm", "cut"] {
        fs::set_permissions(
            tree.join("bin").join(name),
            fs::Permissions::from_mode(0o755),
        )
        .unwrap();
    }
    fs::set_permissions(tree.join("bin/ls"), fs::Permissions::from_mode(0o4755)).unwrap();
    host_symlink("/home/author/lib.so", tree.join("usr/out")).unwrap();
    host_symlink("/proc/mounts", tree.join("usr/fine")).unwrap();
    host_symlink("/bin/hello", tree.join("usr/fine-too")).unwrap();
    fs::write(
        tree.join("service.toml"),
        "entrypoint = \"/etc/data\"\nworkdir = \"/srv\"",
    )
    .unwrap();
    let (_, packed) = bench.pack(&tree, "a.cell");
    let texts: Vec<_> = packed.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "the entrypoint /etc/data has no execute permission",
            "the entrypoint /etc/data is neither an ELF program nor a `#!` script",
            "the working directory /srv is not in the box",
            "/bin/arm is for 64-bit ARM, not for x86-64",
            "/bin/cut is a damaged ELF file",
            "/bin/ls is set-user-id or set-group-id, which means nothing in a box",
            "/bin/ls needs the dynamic linker /lib64/ld-linux-x86-64.so.2, which is not in the box",
            "/bin/ls needs libselinux.so.1, which is not where it will be looked for",
            "/bin/ls needs libc.so.6, which is not where it will be looked for",
            "/usr/out is a link to /home/author/lib.so, which is not in the box",
        ]
    );

    // With its linker and libraries there is nothing to say; without the one
    // that only a library needs, that is said.
    fs::write(tree.join("service.toml"), "entrypoint = \"/bin/ls\"").unwrap();
    for name in ["arm", "cut"] {
        fs::remove_file(tree.join("bin").join(name)).unwrap();
    }
    fs::remove_file(tree.join("usr/out")).unwrap();
    fs::set_permissions(tree.join("bin/ls"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(tree.join("lib64")).unwrap();
    fs::create_dir_all(tree.join("lib/x86_64-linux-gnu")).unwrap();
    fs::copy(
        "/lib64/ld-linux-x86-64.so.2",
        tree.join("lib64/ld-linux-x86-64.so.2"),
    )
    .unwrap();
    for name in ["libselinux.so.1", "libc.so.6", "libpcre2-8.so.0"] {
        let path = Path::new("lib/x86_64-linux-gnu").join(name);
        fs::copy(Path::new("/").join(&path), tree.join(&path)).unwrap();
    }
    // libc needs the linker by name as a library, too.
    let (_, packed) = bench.pack(&tree, "b.cell");
    assert_eq!(packed.warnings, []);
    fs::remove_file(tree.join("lib/x86_64-linux-gnu/libpcre2-8.so.0")).unwrap();
    let (_, packed) = bench.pack(&tree, "c.cell");
    assert_eq!(
        packed.warnings,
        [Warning::LibraryMissing {
            path: "/bin/ls".to_owned(),
            library: "libpcre2-8.so.0".to_owned(),
            needed_by: "/lib/x86_64-linux-gnu/libselinux.so.1".to_owned(),
        }]
    );
}

#[test]
fn fifty_thousand_files_are_packed_with_progress() {
    let bench = Bench::new();
    let tar = bench.path("many.tar");
    let mut builder = tar::Builder::new(std::io::BufWriter::new(File::create(&tar).unwrap()));
    for n in 0..50_000_u32 {
        let mut header = tar::Header::new_gnu();
        let bytes = (n % 40_000).to_le_bytes().repeat(25);
        header.set_size(100);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        builder
            .append_data(&mut header, format!("d{}/f{n}", n % 100), &bytes[..])
            .unwrap();
    }
    builder.into_inner().unwrap().into_inner().unwrap();
    let options = PackOptions {
        overrides: Overrides {
            entrypoint: Some("/d1/f1".to_owned()),
            ..Overrides::default()
        },
        ..PackOptions::default()
    };
    let (path, mut out) = bench.output("a.cell");
    let mut last = Vec::new();
    let packed = pack_tar(
        File::open(&tar).unwrap(),
        &options,
        &mut out,
        &mut |progress| {
            if progress.done == progress.total {
                last.push(progress.phase);
            }
        },
    )
    .unwrap();
    last.dedup();
    assert_eq!(last, [Phase::Copy, Phase::Hash, Phase::Identify]);
    assert_eq!(packed.sizes.inodes, 50_101);
    assert_eq!(packed.sizes.contents, 5_000_000);
    assert_eq!(packed.sizes.shared, 1_000_000);
    let package = Package::open_verified(&path, None).unwrap();
    assert_eq!(
        inspect(&package.service().unwrap(), &Metadata::default(), None)
            .unwrap()
            .counts
            .files,
        50_000
    );
}
