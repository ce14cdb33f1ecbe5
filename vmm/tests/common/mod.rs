//! A guest that does what a script says, and what it takes to run it.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    missing_docs,
    unsafe_code,
    clippy::unwrap_used,
    reason = "each test uses its part"
)]

pub mod guest;
pub mod script;

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use unicell_vmm::{Builder, Outcome, Stdio, Vm, monotonic_ns};

pub use script::{LOW, SCRATCH, Script, va};

use unicell_guest_abi::exit::ExitKind;
use unicell_vmm::End;

/// How long an instance may take before its test has failed: never reached by a sound one.
const LIMIT_NS: u64 = 20_000_000_000;

/// A machine that will run the script.
pub fn vm(script: &Script) -> Vm {
    let builder = Builder::new(guest::kernel()).init(script.block());
    let mut vm = builder.build().unwrap();
    vm.set_deadline(monotonic_ns() + LIMIT_NS);
    vm
}

/// A backend with nothing to read, and what it writes.
pub fn stdio() -> (Stdio, File) {
    let (reader, writer) = std::io::pipe().unwrap();
    let null: OwnedFd = File::open("/dev/null").unwrap().into();
    let writer: OwnedFd = writer.into();
    let stderr = writer.try_clone().unwrap();
    let log = writer.try_clone().unwrap();
    (
        Stdio::new(null, writer, stderr, log),
        File::from(OwnedFd::from(reader)),
    )
}

/// Runs the script. Returns how it ended and what it printed on any channel.
pub fn run(script: &Script) -> (Outcome, String) {
    let (backend, mut reader) = stdio();
    let outcome = vm(script).run(Box::new(backend)).outcome;
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    (outcome, text)
}

/// The end of a guest that exits by itself.
pub fn exited(status: u32) -> End {
    End::Guest {
        kind: ExitKind::Exited,
        status,
    }
}

/// What an outcome says, with registers, for a test that fails.
pub fn told(outcome: &Outcome) -> String {
    let report = outcome.report.as_ref().map(ToString::to_string);
    format!("{outcome}\n{}", report.unwrap_or_default())
}

/// Runs a script that must exit with status 0.
pub fn succeeds(script: &Script) -> String {
    let (outcome, text) = run(script);
    assert_eq!(outcome.end, exited(0), "{}", told(&outcome));
    text
}
