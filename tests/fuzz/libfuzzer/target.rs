//! A target, by the name of the binary.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| unicell_fuzz::run(env!("CARGO_BIN_NAME"), bytes));
