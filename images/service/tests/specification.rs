//! The specification: its canonical form, its identity, its encodings.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests, their helpers too"
)]

mod support;

use std::io::Write as _;

use proptest::prelude::*;
use support::services::{filesystem, service};
use unicell_service::encoding::{self, Encoding, Spool};
use unicell_service::spec::*;
use unicell_service::tree::{Limits, Source};
use unicell_service::wire::Message;

fn spool() -> Spool {
    Spool::new(&std::env::temp_dir(), 1 << 30).unwrap()
}

fn encode(encoding: &dyn Encoding, service: &Service) -> Source {
    let mut bytes = Vec::new();
    encoding.write(service, &mut bytes).unwrap();
    Source::bytes(&bytes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    /// Any path of two steps between encodings, which is any path.
    #[test]
    fn every_encoding_keeps_the_service_and_its_id(service in service()) {
        let canonical = service.to_bytes();
        let id = service.id().unwrap();
        prop_assert_eq!(*id.as_bytes(), *blake3::hash(&canonical).as_bytes());
        for first in encoding::ALL {
            let document = encode(first, &service);
            prop_assert_eq!(encoding::recognise(&document).unwrap().name(), first.name());
            let mut spool = spool();
            let decoded = first.read(&document, &mut spool).unwrap();
            prop_assert_eq!(decoded.to_bytes(), canonical.clone(), "by {}", first.name());
            for second in encoding::ALL {
                let document = encode(second, &decoded);
                let again = second.read(&document, &mut spool).unwrap();
                prop_assert_eq!(again.id().unwrap(), id, "{}, {}", first.name(), second.name());
            }
        }
    }

    #[test]
    fn files_survive_as_a_tree(files in filesystem()) {
        let tree = files.to_tree(Limits::default()).unwrap();
        let again = Filesystem::from_tree(&tree).unwrap();
        let bytes = |files: Filesystem| {
            let container = Container { filesystem: files, ..Container::default() };
            container.to_bytes()
        };
        prop_assert_eq!(bytes(again), bytes(files));
    }

    /// Cut anywhere and changed anywhere: read or refused, and what is read
    /// has a canonical form that is read as the same.
    #[test]
    fn damaged_bytes_are_refused_or_mean_something(
        service in service(),
        cut in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = service.to_bytes();
        bytes.push(0);
        bytes.truncate(cut.index(bytes.len()));
        for (at, value) in flips {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
        }
        if let Ok(read) = Service::from_bytes(&bytes) {
            let canonical = read.to_bytes();
            prop_assert_eq!(Service::from_bytes(&canonical).unwrap().to_bytes(), canonical);
        }
    }
}

/// The form is the one that the protocol buffers documentation gives, byte by
/// byte, written down by hand.
#[test]
fn canonical_form_is_what_the_schema_says() {
    let mut directory = Filesystem::default();
    let attributes = Attributes {
        mode: Some(0o100_755),
        uid: Some(0),
        other: [("x".to_owned(), Bytes::default())].into_iter().collect(),
        ..Attributes::default()
    };
    let program = Branch {
        item: Item::File(Source::bytes(b"hi")),
        attributes,
    };
    directory.branches.insert("p".to_owned(), program);
    let link = Branch {
        item: Item::Link("p".to_owned()),
        attributes: Attributes::default(),
    };
    directory.branches.insert("l".to_owned(), link);
    let service = Service {
        prose: "s".to_owned(),
        container: Some(Container {
            filesystem: directory,
            resources: Some(Resources {
                at_init: Some(Sysresources {
                    mem_limit: Some(0),
                    ..Sysresources::default()
                }),
                at_most: None,
            }),
            ..Container::default()
        }),
        network: vec![Network::default()],
        ..Service::default()
    };
    let l = b"\x0a\x01l\x1a\x07\x0a\x01p\x12\x02/l";
    let mode = b"\x2a\x0d\x0a\x04mode\x12\x0533261";
    let uid = b"\x2a\x08\x0a\x03uid\x12\x010";
    let x = b"\x2a\x05\x0a\x01x\x12\x00";
    let p = [&b"\x0a\x01p\x12\x02hi"[..], mode, uid, x].concat();
    let field = |tag: u8, bytes: &[u8]| [&[tag, bytes.len() as u8], bytes].concat();
    let files = [field(0x0a, l), field(0x0a, &p)].concat();
    let resources = b"\x22\x04\x0a\x02\x20\x00";
    let container = [field(0x12, &files), resources.to_vec()].concat();
    let expected = [field(0x0a, b"s"), field(0x12, &container), field(0x22, b"")].concat();
    assert_eq!(
        service.to_bytes().escape_ascii().to_string(),
        expected.escape_ascii().to_string()
    );
    let ids = service.ids().unwrap();
    assert_eq!(ids.id.as_bytes(), blake3::hash(&expected).as_bytes());
    assert_eq!(ids.sha3_256, HashKind::Sha3_256.hash(&expected));
    assert_eq!(ids.len, expected.len() as u64);
}

#[test]
fn hash_functions_are_named_by_their_hash_of_nothing() {
    let names = HashKind::ALL.map(|kind| {
        blake3::Hash::from_bytes(kind.type_name())
            .to_hex()
            .to_string()
    });
    assert_eq!(
        names,
        [
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
            "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a",
        ]
    );
}

/// Other orders of fields, of map entries and of branches are the same
/// service; what could be read in two ways is refused, with its place.
#[test]
fn other_spellings_are_one_service_and_ambiguous_ones_are_refused() {
    let read = |bytes: &[u8]| Service::from_bytes(bytes).map(|service| service.to_bytes());
    let fails = |bytes: &[u8]| read(bytes).unwrap_err().to_string();
    assert_eq!(read(b"\x22\x00\x0a\x01s").unwrap(), b"\x0a\x01s\x22\x00");
    let files = |files: &[u8]| {
        let container = [&[0x12, files.len() as u8], files].concat();
        [&[0x12, container.len() as u8], &container[..]].concat()
    };
    let (a, b) = (b"\x0a\x05\x12\x00\x0a\x01a", b"\x0a\x05\x0a\x01b\x12\x00");
    let sorted = files(b"\x0a\x05\x0a\x01a\x12\x00\x0a\x05\x0a\x01b\x12\x00");
    assert_eq!(read(&files(&[&b[..], a].concat())).unwrap(), sorted);

    assert_eq!(fails(b"\x0a\x01s\x0a\x01s"), "prose: it is given twice");
    assert_eq!(fails(b"\x32\x00"), "field 6 is unknown");
    assert_eq!(fails(b"\x0a\x02s"), "prose: it ends before its data do");
    assert_eq!(
        fails(b"\x08\x00"),
        "prose: it is not encoded as its type is"
    );
    assert_eq!(fails(b"\x0b"), "it is not encoded as its type is");
    assert_eq!(fails(b"\x0a\x01\xff"), "prose: it is not UTF-8");
    assert_eq!(
        fails(b"\x1a\x06\x0a\x04\x08\x80\x80\x04"),
        "api.slots.port: 65536 is out of range"
    );
    let twice = files(&[&a[..], a].concat());
    assert_eq!(
        fails(&twice),
        "container.filesystem/a: another entry has the same name"
    );
    for name in ["", ".", "..", "a/b", "a\0"] {
        let len = name.len() as u8;
        let branch = [&[0x0a, len], name.as_bytes(), b"\x12\x00"].concat();
        let error = fails(&files(&[&[0x0a, len + 4], &branch[..]].concat()));
        assert!(
            error.contains("a name in a box may not be empty"),
            "{name:?}: {error}"
        );
    }
    let link = b"\x0a\x0c\x0a\x01l\x1a\x07\x0a\x01p\x12\x02/x";
    assert_eq!(
        fails(&files(link)),
        "container.filesystem/l: it says that it lies at `/x`"
    );
    let mode = b"\x0a\x14\x0a\x01a\x12\x00\x2a\x0d\x0a\x04mode\x12\x0503755";
    assert_eq!(
        fails(&files(mode)),
        "container.filesystem/a: its attribute `mode` is not valid"
    );
    assert_eq!(
        fails(&files(b"\x0a\x03\x0a\x01a")),
        "container.filesystem/a: it is neither a file nor a link nor a directory"
    );
}

#[test]
fn deep_nesting_is_refused_where_it_could_do_harm() {
    let mut files = Vec::new();
    for _ in 0..2000 {
        let mut branch = b"\x0a\x01d\x22".to_vec();
        let length = |mut len: usize, out: &mut Vec<u8>| {
            while len >= 0x80 {
                out.push(len as u8 | 0x80);
                len >>= 7;
            }
            out.push(len as u8);
        };
        length(files.len(), &mut branch);
        branch.extend_from_slice(&files);
        files = vec![0x0a];
        length(branch.len(), &mut files);
        files.extend_from_slice(&branch);
    }
    let mut container = vec![0x12];
    container.extend_from_slice(&[0x80 | files.len() as u8, 0x80 | (files.len() >> 7) as u8]);
    container.push((files.len() >> 14) as u8);
    container.extend_from_slice(&files);
    let error = Container::from_bytes(&container).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("more than 272 messages within each other"),
        "{error}"
    );
}

#[test]
fn json_is_refused_where_it_is_ambiguous() {
    let read = |text: &str| {
        let source = Source::bytes(text.as_bytes());
        encoding::Json
            .read(&source, &mut spool())
            .map(|service| service.to_bytes())
    };
    let fails = |text: &str| read(text).unwrap_err().to_string();
    assert_eq!(read("{}").unwrap(), b"");
    assert_eq!(
        read(r#" {"prose":"s","network":[{}]}"#).unwrap(),
        b"\x0a\x01s\x22\x00"
    );
    let file = r#"{"path":"/a","file":"aGk="}"#;
    let container = |files: &str| format!(r#"{{"container":{{"filesystem":[{files}]}}}}"#);
    assert!(read(&container(file)).is_ok());
    for (files, what) in [
        (
            format!("{file},{file}"),
            "/a: another entry has the same name",
        ),
        (
            r#"{"path":"/a/b"}"#.to_owned(),
            "/a/b: the entry that should hold it",
        ),
        (
            r#"{"path":"a"}"#.to_owned(),
            "a: a name in a box may not be empty",
        ),
        (
            r#"{"path":"/../a"}"#.to_owned(),
            "/../a: the path contains `..`",
        ),
        (r#"{"path":"/a","file":"x"}"#.to_owned(), "/a: Invalid"),
        (
            r#"{"path":"/a","size":3}"#.to_owned(),
            "/a: there is no file of this size beside",
        ),
        (
            r#"{"path":"/a","file":"","link":"x"}"#.to_owned(),
            "/a: it is more than one of",
        ),
        (
            r#"{"path":"/a","xattrs":{"mode":""}}"#.to_owned(),
            "`mode` is not among the xattrs",
        ),
        (
            r#"{"path":"/a","xattrs":{"k":"","k":""}}"#.to_owned(),
            "the key `k` stands twice",
        ),
    ] {
        let error = fails(&container(&files));
        assert!(error.contains(what), "{files}: {error}");
    }
    assert!(fails(r#"{"prose":"a","prose":"b"}"#).contains("duplicate field `prose`"));
    assert!(fails(r#"{"prosa":"a"}"#).contains("unknown field `prosa`"));
    let deep = "[".repeat(100_000);
    assert!(fails(&format!("{{\"network\":{deep}")).contains("JSON"));
}

#[test]
fn zips_with_other_things_in_them_are_refused() {
    let archive = |entries: &[(&str, &str)]| {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, text) in entries {
            zip.start_file(*name, zip::write::SimpleFileOptions::default())
                .unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        Source::bytes(&zip.finish().unwrap().into_inner())
    };
    let read = |entries: &[(&str, &str)]| {
        encoding::JsonZip
            .read(&archive(entries), &mut spool())
            .map(|service| service.to_bytes())
            .map_err(|error| error.to_string())
    };
    let document = r#"{"container":{"filesystem":[{"path":"/a","size":2}]}}"#;
    assert!(read(&[("service.json", document), ("files/a", "hi")]).is_ok());
    let error = read(&[("service.json", document), ("files/a", "h")]).unwrap_err();
    assert!(
        error.contains("/a: there is no file of this size beside"),
        "{error}"
    );
    let error = read(&[("files/a", "hi")]).unwrap_err();
    assert!(error.ends_with("service.json: it is not there"), "{error}");
    let error = read(&[("service.json", "{}"), ("other", "")]).unwrap_err();
    assert!(
        error.ends_with("other: it is neither the document nor a file"),
        "{error}"
    );
    let error = read(&[("service.json", "{}"), ("files/../a", "")]).unwrap_err();
    assert!(error.ends_with("this is no path in a box"), "{error}");
}
