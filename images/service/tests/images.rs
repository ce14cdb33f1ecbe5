//! Images of containers: layers, whiteouts, and how they are started.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests, their helpers too"
)]

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use sha2::Digest as _;
use tar::{Builder, EntryType, Header};
use unicell_service::package::{PackOptions, Package, Packed, pack_path};
use unicell_service::spec::{Item, Service};

const PROGRAM: &[u8] = b"#!/bin/app\n";

fn entry(tar: &mut Builder<Vec<u8>>, kind: EntryType, name: &str, content: &[u8]) {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    if kind == EntryType::Link {
        let target = str::from_utf8(content).unwrap();
        tar.append_link(&mut header, name, target).unwrap();
    } else {
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content).unwrap();
    }
}

/// Two layers: the upper one removes, replaces, adds, and hides a directory.
fn layers() -> [Vec<u8>; 2] {
    let (file, link) = (EntryType::Regular, EntryType::Link);
    let mut base = Builder::new(Vec::new());
    for (kind, name, content) in [
        (file, "bin/app", PROGRAM),
        (link, "bin/again", b"bin/app"),
        (file, "etc/a", b"a"),
        (file, "etc/b", b"old"),
        (file, "opt/x/1", b"1"),
        (file, "opt/x/2", b"2"),
    ] {
        entry(&mut base, kind, name, content);
    }
    let mut upper = Builder::new(Vec::new());
    for (name, content) in [
        ("opt/x/3", b"3".as_slice()),
        ("etc/.wh.a", b""),
        ("etc/b", b"new"),
        // After what it must not hide.
        ("opt/x/.wh..wh..opq", b""),
    ] {
        entry(&mut upper, file, name, content);
    }
    [base, upper].map(|tar| tar.into_inner().unwrap())
}

const CONFIG: &str = r#"{"architecture":"amd64","os":"linux","config":{"Entrypoint":["app"],
"Cmd":["-x","y"],"Env":["PATH=/usr/bin:/bin","A=1"],"WorkingDir":"/etc/","User":"app"}}"#;

fn blob(layout: &Path, bytes: &[u8]) -> String {
    let hex: String = sha2::Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    fs::write(layout.join("blobs/sha256").join(&hex), bytes).unwrap();
    format!(r#""digest":"sha256:{hex}","size":{}"#, bytes.len())
}

/// An OCI layout with an index in its index, one layer under gzip and one
/// under zstd.
fn layout(path: &Path) {
    fs::create_dir_all(path.join("blobs/sha256")).unwrap();
    fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let [base, upper] = layers();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&base).unwrap();
    let zstd =
        ruzstd::encoding::compress_to_vec(&upper[..], ruzstd::encoding::CompressionLevel::Fastest);
    let layers = [gzip.finish().unwrap(), zstd].map(|layer| format!("{{{}}}", blob(path, &layer)));
    let config = blob(path, CONFIG.as_bytes());
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{{config}}},"layers":[{}]}}"#,
        layers.join(",")
    );
    let manifest = blob(path, manifest.as_bytes());
    let other = blob(path, b"{}");
    let inner = format!(
        r#"{{"manifests":[{{{other},"platform":{{"architecture":"arm64","os":"linux"}}}},
        {{{manifest},"platform":{{"architecture":"amd64","os":"linux"}}}}]}}"#
    );
    let index = format!(r#"{{"manifests":[{{{}}}]}}"#, blob(path, inner.as_bytes()));
    fs::write(path.join("index.json"), index).unwrap();
}

/// The same image as `docker save` has it.
fn docker_archive() -> Vec<u8> {
    let [base, upper] = layers();
    let manifest =
        r#"[{"Config":"c.json","RepoTags":null,"Layers":["1/layer.tar","2/layer.tar"]}]"#;
    let mut tar = Builder::new(Vec::new());
    for (name, content) in [
        ("manifest.json", manifest.as_bytes()),
        ("c.json", CONFIG.as_bytes()),
        ("1/layer.tar", &base),
        ("2/layer.tar", &upper),
    ] {
        entry(&mut tar, EntryType::Regular, name, content);
    }
    tar.into_inner().unwrap()
}

fn pack(path: &Path) -> Result<(Packed, Service), String> {
    let cell = path.with_extension("cell");
    let mut out = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&cell)
        .unwrap();
    let options = PackOptions::default();
    let packed = pack_path(path, &options, &std::env::temp_dir(), &mut out, &mut |_| {})
        .map_err(|error| error.to_string())?;
    let package = Package::open_verified(&cell, None).unwrap();
    Ok((packed, package.service().unwrap()))
}

#[test]
fn layers_become_one_tree_and_the_configuration_says_how_it_starts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("layout");
    layout(&path);
    let (packed, service) = pack(&path).unwrap();
    let mut found = Vec::new();
    service
        .filesystem()
        .unwrap()
        .walk(&mut |path, branch| {
            if let Item::File(source) = &branch.item {
                let content = String::from_utf8(source.read_to_vec(100).unwrap()).unwrap();
                found.push((path.to_owned(), content));
            }
            Ok::<(), ()>(())
        })
        .unwrap();
    let program = str::from_utf8(PROGRAM).unwrap();
    let expected = [
        ("/bin/again", program),
        ("/bin/app", program),
        ("/etc/b", "new"),
        ("/opt/x/3", "3"),
    ];
    assert_eq!(
        found,
        expected.map(|(path, text)| (path.to_owned(), text.to_owned()))
    );
    let manifest = &packed.manifest;
    assert_eq!(manifest.entrypoint(), "/bin/app");
    assert_eq!(manifest.args(), ["-x", "y"]);
    assert_eq!(manifest.workdir(), "/etc");
    assert_eq!(manifest.env()["A"], "1");
    let init = service.container.unwrap().init.unwrap();
    assert_eq!(&*init.xattrs["user"], b"app");
}

#[test]
fn an_image_has_one_id_in_every_form() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("layout");
    layout(&path);
    let (packed, _) = pack(&path).unwrap();
    let archive = dir.path().join("oci.tar");
    let mut tar = Builder::new(File::create(&archive).unwrap());
    tar.append_dir_all(".", &path).unwrap();
    tar.finish().unwrap();
    assert_eq!(pack(&archive).unwrap().0.id, packed.id);
    let archive = dir.path().join("docker.tar");
    fs::write(&archive, docker_archive()).unwrap();
    assert_eq!(pack(&archive).unwrap().0.id, packed.id);
}

#[test]
fn images_that_lack_something_or_are_damaged_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("layout");
    layout(&path);
    for blob in fs::read_dir(path.join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap().path();
        let whole = fs::read(&blob).unwrap();
        if whole == b"{}" {
            // Another machine's, which is never read.
            continue;
        }
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 1;
        fs::write(&blob, damaged).unwrap();
        let error = pack(&path).unwrap_err();
        assert!(error.ends_with("it has another digest"), "{error}");
        fs::remove_file(&blob).unwrap();
        let error = pack(&path).unwrap_err();
        assert!(
            error.starts_with("the image has no blobs/sha256/"),
            "{error}"
        );
        fs::write(&blob, whole).unwrap();
    }
    pack(&path).unwrap();
    for (index, expected) in [
        (
            r#"{"manifests":[]}"#,
            "the image has nothing for linux/amd64",
        ),
        (
            r#"{"manifests":[{"digest":"sha256:../../x"}]}"#,
            "is not a digest",
        ),
        (r#"{"manifests":[{"digest":"md5:0"}]}"#, "is not a digest"),
        ("[]", "index.json of the image is not as it should be"),
    ] {
        fs::write(path.join("index.json"), index).unwrap();
        let error = pack(&path).unwrap_err();
        assert!(error.contains(expected), "{index}: {error}");
    }
}
