//! Any bytes as a frame of the link, at either end.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| unicell_vmm::fuzz::link(bytes));
