//! Fuzzing: every part that reads what a guest, a peer, a client or a stranger's file says, as a
//! function of any bytes.
//!
//! # For
//!
//! - [`TARGETS`]: the functions, with what each is bounded by;
//! - [`mutate`]: inputs made of inputs;
//! - `corpus/NAME`: the inputs that a target begins with (`corpus/README.md` tells where they are
//!   from);
//! - `tests/corpus.rs`: the harness for a stable toolchain, which is part of the tests;
//! - `libfuzzer/`: the same functions for cargo-fuzz.
//!
//! # Not for
//!
//! What a part answers to which input: its own tests say that. Here it neither panics nor holds
//! more than its input explains, and what it takes means the same when it is written again.
//!
//! # Invariants
//!
//! - A target depends on its input alone, so that an input is all it takes to see a failure again.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "what does not hold is a finding, and has to be seen"
)]

mod gateway;
mod guest;
mod mutate;
mod receipts;
mod service;

pub use mutate::mutate;

/// A part that reads bytes from outside.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Reads any bytes; panics on what must not be.
    pub run: fn(&[u8]),
    /// How many mutated inputs the tests give it.
    pub inputs: u32,
    /// The most bytes that it may hold at a time, whatever the input.
    pub memory: usize,
}

const fn target(name: &'static str, run: fn(&[u8]), inputs: u32, memory: usize) -> Target {
    Target {
        name,
        run,
        inputs,
        memory,
    }
}

/// All of them. Memory is bounded by buffers of a fixed size and documents of a bounded one, except
/// where the input itself is small.
pub const TARGETS: [Target; 16] = [
    // What authors, and whoever sends a service, write.
    target("encodings", service::encodings, 2000, 24 << 20),
    target("manifest", service::manifest, 4000, 1 << 20),
    target("service_toml", service::service_toml, 4000, 2 << 20),
    target("tar", service::tar, 600, 8 << 20),
    target("image", service::image, 300, 24 << 20),
    target("elf", service::elf, 1000, 4 << 20),
    target("package", service::package, 300, 16 << 20),
    // What a guest does, and what its kernel reads.
    target("device", unicell_vmm::fuzz::device, 1500, 8 << 20),
    target("link", unicell_vmm::fuzz::link, 20_000, 1 << 20),
    target("erofs", guest::erofs, 300, 8 << 20),
    // What guests and clients ask of a node.
    target("token", gateway::token, 20_000, 64 << 10),
    target("dns", unicell_gateway::fuzz::dns, 20_000, 256 << 10),
    target("http", gateway::http, 150, 16 << 20),
    // What a node claims to have run.
    target("receipt", receipts::receipt, 4000, 1 << 20),
    target("transcript", receipts::transcript, 4000, 4 << 20),
    target("configuration", receipts::configuration, 10_000, 1 << 20),
];

/// Gives an input to the target of this name.
///
/// # Panics
///
/// When there is none, or when it has found something.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.expect("this is a target").run)(input);
}
