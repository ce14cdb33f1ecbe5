//! The command line's grammar and its help.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use unicell_service::manifest::{Overrides, parse_memory};

use crate::{client, key, node, reproduce};

/// Runs boxes of ordinary Linux files in micro-VMs.
#[derive(Parser)]
#[command(
    version,
    arg_required_else_help = true,
    propagate_version = true,
    after_help = TOP_HELP
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) which: client::Which,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run a box: a directory of Linux files, a root filesystem tar, or a package
    Run(RunArguments),
    /// Pack a directory, a root filesystem tar or a container's image into one file
    Pack(PackArguments),
    /// Show what a service is: what it runs, how it is spoken to, its files
    Inspect(InspectArguments),
    /// Write a service in another encoding
    Convert(ConvertArguments),
    /// Check a receipt by running its program again
    Verify(reproduce::VerifyArguments),
    /// Run a receipt's program again, with the input that it had
    Replay(reproduce::ReplayArguments),
    /// Make, show, copy and change the node's key
    Key(key::Arguments),
    /// Say what this host offers, what is missing, and how to get it
    Doctor(DoctorArguments),
    /// Run a node: a daemon that keeps services and runs instances of them
    Node(node::Arguments),
    #[command(flatten)]
    OfNode(client::Command),
    /// Print a completion script for a shell
    #[command(after_help = "Example:\n  unicell completion bash > /etc/bash_completion.d/unicell")]
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
}

const TOP_HELP: &str = "\
Example:
  unicell run box --entrypoint /my-program

Exit codes: 0; 1 what was asked for could not be done; 2 a wrong command line; 200 the host or
unicell itself failed. `run`, `verify`, `replay` and `doctor` have more: see their help, and
docs/exit-codes.md.";

const RUN_HELP: &str = "\
A directory is run as it is: put your program and everything it needs into it, as it
would lie in the root of a Linux system, and name the program with --entrypoint or in
a file service.toml in it. Nothing is written back; what the program writes is gone
when it ends.

Examples:
  # a static program of your own
  mkdir box && cp my-program box/
  unicell run box --entrypoint /my-program -- first-argument second-argument

  # a whole Debian
  debootstrap --variant=minbase bookworm debian
  echo 'print(6 * 7)' | unicell run debian --entrypoint /usr/bin/python3 -- -

  # a shell to work in
  unicell run -it debian --entrypoint /bin/bash

  # which system calls a program makes, how often, and what they take
  unicell run --trace=SUMMARY debian --entrypoint /bin/ls -- -l /

  # packed once, started often
  unicell pack box --entrypoint /my-program -o hello.cell
  unicell run hello.cell -- first-argument

Exit codes: the program's own; 128 + N if signal N killed it; 1 if what was asked for
could not be done; 2 for a wrong command line; 200 to 212 if it could not be run to its end (see docs/exit-codes.md).";

/// What to run and how, over what the box says.
#[derive(Args)]
pub(crate) struct Overriding {
    /// The program to run, a path inside the box
    #[arg(long, value_name = "PATH")]
    entrypoint: Option<String>,
    /// Working directory inside the box
    #[arg(long, value_name = "PATH")]
    workdir: Option<String>,
    /// Memory of the micro-VM, such as 64M or 2G
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    memory: Option<u64>,
    /// Set an environment variable; may be repeated
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
}

impl Overriding {
    /// What is said differently, with `args` for the program if there are any.
    pub(crate) fn overrides(&self, args: &[String]) -> Overrides {
        Overrides {
            entrypoint: self.entrypoint.clone(),
            workdir: self.workdir.clone(),
            memory: self.memory,
            env: self.env.iter().cloned().collect(),
            args: (!args.is_empty()).then(|| args.to_vec()),
        }
    }
}

/// What `--trace` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Trace {
    /// Each call.
    Calls,
    /// How many there were.
    Summary,
}

#[derive(Args)]
#[command(after_help = RUN_HELP)]
pub(crate) struct RunArguments {
    /// A directory, a tar or a package
    #[arg(value_name = "BOX")]
    pub(crate) source: PathBuf,
    #[command(flatten)]
    pub(crate) overriding: Overriding,
    /// End the program after this time, such as 500ms, 10s or 5m (exit code 209)
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Keep standard input connected. Without --tty it always is
    #[arg(long, short)]
    pub(crate) interactive: bool,
    /// Give the program a terminal: with --interactive, the one that you sit at
    #[arg(long, short)]
    pub(crate) tty: bool,
    /// Show each system call of every process and thread with its arguments and result on standard
    /// error; with =SUMMARY only a table at the end: time, calls and errors, as of `strace -c`
    #[arg(
        long,
        value_name = "SUMMARY",
        value_enum,
        ignore_case = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "calls",
        hide_possible_values = true
    )]
    pub(crate) trace: Option<Trace>,
    /// When a fault ends a program, write its registers, mappings and stack to this file (`-`:
    /// standard error); the kernel's log and --trace go there too
    #[arg(long, value_name = "FILE")]
    pub(crate) crash_report: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) level: reproduce::LevelArguments,
    #[command(flatten)]
    pub(crate) wish: reproduce::Wish,
    /// Show boot phases, exits, page faults and memory on standard error at the end
    #[arg(long)]
    pub(crate) stats: bool,
    /// Arguments for the program, instead of those the box names
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) args: Vec<String>,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  unicell pack box -o hello.cell
  unicell pack rootfs.tar --entrypoint /usr/sbin/nginx -o nginx.cell -- -g 'daemon off;'

The same files give the same package, byte for byte, whenever and wherever they are packed.")]
pub(crate) struct PackArguments {
    /// A directory, a root filesystem tar, an OCI image layout or a docker-archive
    #[arg(value_name = "BOX")]
    pub(crate) source: PathBuf,
    /// Where the package goes
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// What to run, instead of service.toml in the box's root
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) overriding: Overriding,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Arguments for the program
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) args: Vec<String>,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  unicell inspect hello.cell
  unicell inspect hello.cell --json | jq .slots
  unicell inspect hello.cell --encoding json > hello.json")]
pub(crate) struct InspectArguments {
    /// A package, or a service in any encoding
    #[arg(value_name = "SERVICE")]
    pub(crate) service: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the service itself in this encoding: proto3, json or json+zip
    #[arg(long, value_name = "NAME", conflicts_with = "json")]
    pub(crate) encoding: Option<String>,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  unicell convert hello.cell --encoding json+zip -o hello.zip
  unicell convert received.pb --encoding package -o received.cell

The id of a service does not depend on its encoding.")]
pub(crate) struct ConvertArguments {
    /// A package, or a service in any encoding
    #[arg(value_name = "SERVICE")]
    pub(crate) service: PathBuf,
    /// What to write: proto3, json, json+zip, or package
    #[arg(long, value_name = "NAME")]
    pub(crate) encoding: String,
    /// Where it goes
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(Args)]
#[command(after_help = "\
Example:
  unicell doctor

Exit codes: 0 if boxes can run here; 201 if not.")]
pub(crate) struct DoctorArguments {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// As in a manifest; less than a MiB is understood too, to be told that it is too little.
pub(crate) fn memory(text: &str) -> Result<u64, String> {
    let kib = text
        .strip_suffix("K")
        .and_then(|digits| digits.parse::<u64>().ok());
    match kib {
        Some(kib) => Ok(kib.div_ceil(1024) << 20),
        None => parse_memory(text).map_err(|fault| fault.to_string()),
    }
}

pub(crate) fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let unit = match &text[digits.len()..] {
        "ms" => Duration::from_millis(1),
        "s" | "" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        "h" => Duration::from_secs(3600),
        unit => return Err(format!("{unit} is no unit: use ms, s, m or h")),
    };
    let number: f64 = digits
        .parse()
        .map_err(|_| format!("{digits:?} is no number"))?;
    let seconds = unit.as_secs_f64() * number;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        for wrong in ["", "ten", "5 days", "-1s", "1e999h"] {
            assert!(duration(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_variable_needs_a_name_and_a_value() {
        assert_eq!(variable("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(variable("A").is_err());
        assert!(variable("=b").is_err());
    }
}
