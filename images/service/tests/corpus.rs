//! Documents kept in `tests/corpus`, whole and damaged from fixed seeds: no
//! reader panics, and what is held stays within what a document explains. The
//! fuzz targets in `fuzz/` do the same for those who have a nightly toolchain.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests, their helpers too"
)]

use std::path::PathBuf;

use unicell_service::encoding::{Encoding, Json, JsonZip, Proto3, Spool, recognise};
use unicell_service::manifest::{File, Manifest, Overrides};
use unicell_service::spec::{Filesystem, Service};
use unicell_service::tree::{Limits, Source};
use unicell_service::wire::Message;

/// Everything that reads a document.
fn read_all(bytes: &[u8]) {
    let input = Source::bytes(bytes);
    let _ = recognise(&input).unwrap();
    let encodings: [&dyn Encoding; 3] = [&Proto3, &Json, &JsonZip];
    for encoding in encodings {
        let mut spool = Spool::new(&std::env::temp_dir(), 1 << 20).unwrap();
        let Ok(service) = encoding.read(&input, &mut spool) else {
            continue;
        };
        let canonical = service.to_bytes();
        let again = Service::from_bytes(&canonical).unwrap();
        assert_eq!(again.to_bytes(), canonical);
        let _ = Manifest::of(&service);
        if let Some(files) = service.filesystem() {
            let _ = files.to_tree(Limits::default());
        }
    }
    if let Ok(file) = File::parse("service.toml", bytes)
        && let Ok(manifest) = Manifest::new(&file, &Overrides::default())
    {
        let service = manifest.specify(file, Filesystem::default());
        assert_eq!(Manifest::of(&service).unwrap(), manifest);
    }
}

#[test]
fn no_document_of_the_corpus_does_harm() {
    let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut documents = 0;
    for entry in std::fs::read_dir(corpus).unwrap() {
        let whole = std::fs::read(entry.unwrap().path()).unwrap();
        documents += 1;
        read_all(&whole);
        // Damage by a small generator (xorshift64*), the same every time.
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = |n: usize| {
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n.max(1)
        };
        for _ in 0..60 {
            let mut bytes = whole.clone();
            for _ in 0..=random(4) {
                let at = random(bytes.len() + 1);
                match random(4) {
                    0 => bytes.truncate(at),
                    1 => bytes.insert(at, random(256) as u8),
                    _ if at < bytes.len() => bytes[at] = random(256) as u8,
                    _ => {}
                }
            }
            read_all(&bytes);
        }
    }
    assert!(
        documents > 20,
        "{documents} documents: where is the corpus?"
    );
}
