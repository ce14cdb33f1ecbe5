//! A target, by the name of the binary.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: {
        // As Rust's own `main` does: writing to whom has gone is an error, not the end.
        // SAFETY: no handler of ours runs.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    },
    |bytes: &[u8]| unicell_fuzz::run(env!("CARGO_BIN_NAME"), bytes)
);
