//! What things cost: one command that prints one table.
//!
//! **For**: judging a change, and telling users what to expect. Everything is measured against a
//! floor or a peer in the same run, in turns, because machines differ and are never quiet: ratios
//! are what stays.
//!
//! **Not for**: tests. Nothing here fails because something is slow.
//!
//! **How it fits**: drives the `unicell` binary as its user would, and `unicell-floor`, the other
//! binary of this crate. `docs/benchmarks.md` explains every row.

mod attacks;
mod density;
mod files;
mod group;
mod idle;
mod launch;
mod machine;
mod make;
mod operations;
mod pack;
mod sample;
mod servers;
mod streams;
mod work;

use std::process::ExitCode;

use clap::Parser;

use files::Files;
use group::{Group, Size};
use sample::Failure;

/// Measures what micro-VMs cost, against the bare machine and against peers, in one table
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// How often each thing is measured; medians are shown
    #[arg(long, default_value_t = 21, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// How many instances are kept idle at once
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    instances: u32,
    /// For how many seconds launches are sustained
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Only the groups whose titles contain one of these words
    #[arg(value_name = "WORD")]
    only: Vec<String>,
}

fn main() -> ExitCode {
    match measure(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<(), Failure> {
    let wanted = |group: &Group| {
        let contains = |word: &String| group.title.contains(word.as_str());
        arguments.only.is_empty() || arguments.only.iter().any(contains)
    };
    let size = Size {
        runs: arguments.runs,
        instances: arguments.instances,
        seconds: arguments.seconds,
    };
    let files = Files::find()?;
    // Density first: what others give back late would count for it.
    let groups = [
        density::groups(&files),
        launch::groups(&files)?,
        idle::groups(&files)?,
        operations::groups(&files)?,
        streams::groups(),
        servers::groups(),
        attacks::groups(&files),
        work::groups(&files)?,
        make::groups(&files)?,
        pack::groups(&files),
    ];
    let groups: Vec<Group> = groups.into_iter().flatten().filter(wanted).collect();
    println!("{}", machine::describe());
    for mut group in groups {
        print!("{}", group.measure(&size));
    }
    println!("{}", machine::load());
    Ok(())
}
