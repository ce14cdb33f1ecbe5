//! `judge [MODULE]...`: runs CPython's own test suite natively and in micro-VMs and prints one
//! table. The command behind `./judge`; see `docs/judge.md`.

// As the tests' own crate: what cannot be done fails it.
#![allow(clippy::expect_used)]

use std::process::ExitCode;

use clap::Parser;
use unicell_tests::boxes::repository;
use unicell_tests::judge::{Comparison, MODULES, Module, Verdict, known};

/// Percent of what passes natively that has to pass in the guest.
const REQUIRED: usize = 97;

/// Runs CPython's own test suite natively and in micro-VMs, and prints how many of the tests that
/// pass natively pass in the guest, and which do not. What each run wrote to standard error is
/// left in target/judge.
#[derive(Debug, Parser)]
#[command(name = "./judge")]
struct Options {
    /// Only these modules, by their names without `test_`; all by default.
    #[arg(value_parser = module)]
    modules: Vec<Module>,
}

fn module(name: &str) -> Result<Module, String> {
    let found = MODULES.into_iter().find(|module| module.name == name);
    found.ok_or_else(|| format!("the modules are {}", MODULES.map(|m| m.name).join(", ")))
}

fn main() -> ExitCode {
    let mut modules = Options::parse().modules;
    if modules.is_empty() {
        modules = MODULES.to_vec();
    }
    println!("| module | native | guest | |\n| --- | ---: | ---: | ---: |");
    let compared: Vec<_> = modules
        .into_iter()
        .map(|module| {
            let comparison = Comparison::of(module);
            row(module.name, comparison.native, comparison.guest());
            keep_logs(&comparison).expect("logs can be written");
            comparison
        })
        .collect();
    let native = compared.iter().map(|module| module.native).sum();
    let guest = compared.iter().map(Comparison::guest).sum();
    row("**all**", native, guest);
    println!();
    for (test, verdict) in compared.iter().flat_map(|module| &module.missing) {
        let verdict = match verdict {
            None => "does not begin",
            Some(Verdict::Hang) => "hangs or dies",
            Some(Verdict::Skip) => "is skipped",
            Some(_) => "fails",
        };
        println!(
            "- `{}` {verdict}: {}",
            test.trim_start_matches("test.test_"),
            known(test).unwrap_or("**not explained**")
        );
    }
    if native > 0 && guest * 100 >= native * REQUIRED {
        ExitCode::SUCCESS
    } else {
        println!("\nless than {REQUIRED} % of what passes natively passes in the guest");
        ExitCode::FAILURE
    }
}

fn keep_logs(comparison: &Comparison) -> std::io::Result<()> {
    let directory = repository().join("target/judge");
    std::fs::create_dir_all(&directory)?;
    for (log, side) in comparison.logs.iter().zip(["native", "guest"]) {
        std::fs::write(directory.join(format!("{}.{side}", comparison.module)), log)?;
    }
    Ok(())
}

fn row(name: &str, native: usize, guest: usize) {
    // Rounded down: 100 % means all.
    let tenths = (guest * 1000).checked_div(native).unwrap_or(0);
    println!(
        "| {name} | {native} | {guest} | {}.{} % |",
        tenths / 10,
        tenths % 10
    );
}
