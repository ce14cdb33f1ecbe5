//! A service as another implementation writes it: by an independent library
//! for protocol buffers, from the field numbers alone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests, their helpers too"
)]

use protobuf::CodedOutputStream;
use unicell_service::encoding::{Encoding, Proto3, Spool};
use unicell_service::manifest::Manifest;
use unicell_service::spec::{Level, ServiceId};
use unicell_service::tree::{Content, Limits, Source};

/// A message of which `fields` writes the fields.
fn message(fields: impl FnOnce(&mut CodedOutputStream<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut out = CodedOutputStream::vec(&mut bytes);
    fields(&mut out);
    out.flush().unwrap();
    drop(out);
    bytes
}

/// An entry of a map from text to bytes.
fn pair(name: &str, value: &str) -> Vec<u8> {
    message(|out| {
        out.write_string(1, name).unwrap();
        out.write_bytes(2, value.as_bytes()).unwrap();
    })
}

fn service() -> Vec<u8> {
    let program = message(|branch| {
        branch.write_string(1, "hello").unwrap();
        branch.write_bytes(2, b"#!/bin/hello\n").unwrap();
        for (name, value) in [
            ("gid", "0"),
            ("mode", "33261"),
            ("shared", "1"),
            ("uid", "0"),
        ] {
            branch.write_bytes(5, &pair(name, value)).unwrap();
        }
    });
    let link = message(|branch| {
        branch.write_string(1, "hi").unwrap();
        let link = message(|link| {
            link.write_string(1, "hello").unwrap();
            link.write_string(2, "/bin/hi").unwrap();
        });
        branch.write_bytes(3, &link).unwrap();
    });
    let directory = message(|out| {
        out.write_bytes(1, &program).unwrap();
        out.write_bytes(1, &link).unwrap();
    });
    let bin = message(|branch| {
        branch.write_string(1, "bin").unwrap();
        branch.write_bytes(4, &directory).unwrap();
    });
    let tag = |tag: &str| message(|out| out.write_string(1, tag).unwrap());
    let init = message(|init| {
        init.write_string(1, "bin").unwrap();
        init.write_string(1, "hello").unwrap();
    });
    let amounts = message(|amounts| {
        amounts.write_uint64(4, 50_000_000).unwrap();
        amounts.write_uint64(5, 0).unwrap();
    });
    let resources = message(|resources| {
        resources.write_bytes(2, &amounts).unwrap();
    });
    let container = message(|container| {
        container.write_bytes(1, &tag("linux/amd64")).unwrap();
        let filesystem = message(|out| out.write_bytes(1, &bin).unwrap());
        container.write_bytes(2, &filesystem).unwrap();
        container.write_bytes(3, &init).unwrap();
        container.write_bytes(4, &resources).unwrap();
    });
    let slot = message(|slot| {
        slot.write_int32(1, 8080).unwrap();
        slot.write_bytes(2, &tag("tcp")).unwrap();
        slot.write_bytes(3, &tag("http")).unwrap();
    });
    message(|service| {
        service.write_string(1, "from elsewhere").unwrap();
        service.write_bytes(2, &container).unwrap();
        service
            .write_bytes(3, &message(|api| api.write_bytes(1, &slot).unwrap()))
            .unwrap();
        service.write_bytes(4, &tag("bitcoin-mainnet")).unwrap();
    })
}

#[test]
fn a_foreign_service_is_understood_and_written_as_the_same_bytes() {
    let bytes = service();
    let mut spool = Spool::new(&std::env::temp_dir(), 1 << 20).unwrap();
    let service = Proto3.read(&Source::bytes(&bytes), &mut spool).unwrap();
    let mut written = Vec::new();
    Proto3.write(&service, &mut written).unwrap();
    assert_eq!(written, bytes);
    let id = ServiceId::from_bytes(*blake3::hash(&bytes).as_bytes());
    assert_eq!(service.id().unwrap(), id);

    let manifest = Manifest::of(&service).unwrap();
    assert_eq!(manifest.entrypoint(), "/bin/hello");
    assert_eq!(manifest.memory(), 48 << 20);
    let container = service.container.as_ref().unwrap();
    let architecture = container.architecture.as_ref().unwrap();
    assert_eq!(Level::of(architecture), Some(Level::V1));
    assert_eq!(service.slots()[0].port, 8080);
    assert!(service.network[0].is_called("bitcoin-mainnet"));

    let tree = container.filesystem.to_tree(Limits::default()).unwrap();
    let program = tree.inode(tree.resolve(b"/bin/hi").unwrap());
    assert_eq!(program.metadata.permissions, 0o755);
    assert!(matches!(&program.content, Content::File(source) if source.len() == 13));
}
