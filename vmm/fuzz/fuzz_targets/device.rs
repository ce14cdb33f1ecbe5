//! What a driver does to the device's registers and queues.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| unicell_vmm::fuzz::device(bytes));
