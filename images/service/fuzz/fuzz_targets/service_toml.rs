//! Any bytes as a `service.toml`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unicell_service::manifest::{File, Manifest, Overrides};
use unicell_service::spec::Filesystem;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = File::parse("service.toml", bytes)
        && let Ok(manifest) = Manifest::new(&file, &Overrides::default())
    {
        let service = manifest.specify(file, Filesystem::default());
        assert_eq!(Manifest::of(&service).expect("what was specified"), manifest);
    }
});
