//! Any bytes as a document in any encoding.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unicell_service::encoding::{Spool, recognise};
use unicell_service::tree::{Limits, Source};

fuzz_target!(|bytes: &[u8]| {
    let input = Source::bytes(bytes);
    let mut spool = Spool::new(&std::env::temp_dir(), 1 << 24).expect("a place for contents");
    let encoding = recognise(&input).expect("memory can be read");
    if let Ok(service) = encoding.read(&input, &mut spool)
        && let Some(files) = service.filesystem()
    {
        let _ = files.to_tree(Limits::default());
    }
});
