//! Any bytes as a service in proto3: what is read has a canonical form that is
//! read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unicell_service::spec::Service;
use unicell_service::wire::Message;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(service) = Service::from_bytes(bytes) {
        let canonical = service.to_bytes();
        let again = Service::from_bytes(&canonical).expect("the canonical form is read");
        assert_eq!(again.to_bytes(), canonical);
    }
});
