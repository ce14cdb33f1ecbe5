//! `unicell`: runs boxes in micro-VMs.
//!
//! **For**: the command line, and putting the parts of the workspace together: this is the only
//! crate that knows all of them.
//!
//! **Not for**: anything that a part could own. A command here reads its arguments, calls a part
//! and tells the user.
//!
//! **Invariants**: what a program prints goes to standard output and standard error untouched;
//! unicell's own words go to standard error; the exit code is the program's, or one of
//! `exit_code`.

mod cache;
mod cli;
mod client;
mod doctor;
mod exit_code;
mod failure;
mod inspect;
mod instance;
mod key;
mod node;
mod output;
mod pack;
mod place;
mod reproduce;
mod run;
mod stats;
mod summary;
mod terminal;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use cli::{Cli, Command};

fn main() -> ExitCode {
    let Cli { which, command } = Cli::parse();
    let result = match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Pack(arguments) => pack::pack(&arguments),
        Command::Inspect(arguments) => inspect::inspect(&arguments),
        Command::Convert(arguments) => inspect::convert(&arguments),
        Command::Verify(arguments) => reproduce::verify(&arguments),
        Command::Replay(arguments) => reproduce::replay(&arguments),
        Command::Key(arguments) => key::run(&arguments),
        Command::Doctor(arguments) => doctor::doctor(&arguments),
        Command::Node(arguments) => node::run(&arguments),
        Command::OfNode(command) => client::run(&which, &command),
        Command::Completion { shell } => {
            clap_complete::generate(
                shell,
                &mut Cli::command(),
                "unicell",
                &mut std::io::stdout(),
            );
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|failure| failure.report())
}
