//! Runs every test of the workspace on every host and counts: the command
//! behind `./test`. See `docs/testing.md`.
//!
//! Its last line is `N passed, N failed`, over all phases and hosts; its exit
//! status is 0 only when nothing failed and something passed.

mod build;
mod count;
mod phases;

use std::process::ExitCode;

use clap::Parser;
use count::{Count, Summary};

/// Which phases to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Phase {
    /// cargo fmt --check, and clippy with warnings as errors.
    Lint,
    /// Tests that need no KVM, documentation tests among them.
    Unit,
    /// VM tests on this machine's /dev/kvm.
    Local,
    /// VM tests in the emulated SVM host.
    Svm,
}

/// Runs the tests of the workspace: lints, unit tests, and the VM tests on
/// this machine's /dev/kvm and in an emulated machine with AMD's SVM.
#[derive(Debug, Parser)]
#[command(name = "./test")]
pub(crate) struct Options {
    /// Run this phase only; may be repeated. All of them by default.
    #[arg(long = "only", value_name = "PHASE")]
    only: Vec<Phase>,
    /// Run the tests whose names contain one of these only.
    filters: Vec<String>,
}

impl Options {
    fn wants(&self, phase: Phase) -> bool {
        self.only.is_empty() || self.only.contains(&phase)
    }
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut summary = Summary::default();

    if options.wants(Phase::Lint) {
        phases::lint(&mut summary);
    }
    match build::build() {
        Ok(tests) => run(&options, &tests, &mut summary),
        Err(error) => {
            println!("{error}");
            summary.add("build", Count::failure());
        }
    }
    summary.print();
    if summary.total().failed == 0 && summary.total().passed > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn run(options: &Options, tests: &build::Tests, summary: &mut Summary) {
    if options.wants(Phase::Unit) {
        phases::unit(tests, &options.filters, summary);
    }
    if !(options.wants(Phase::Local) || options.wants(Phase::Svm)) {
        return;
    }
    if let Err(error) = build::boxes(tests) {
        println!("{error}");
        summary.add("boxes", Count::failure());
        return;
    }
    if options.wants(Phase::Local) {
        phases::local(tests, &options.filters, summary);
    }
    if options.wants(Phase::Svm) {
        phases::svm(tests, &options.filters, summary);
    }
}
