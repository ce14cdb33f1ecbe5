//! `unicell key`: the node's identity.

use std::path::PathBuf;
use std::process::ExitCode;

use anstream::println;
use clap::{Args, Subcommand};
use unicell_netstack::identity::{KeyError, KeyFile, NodeId};

use crate::failure::{Failure, Result};
use crate::place;

/// Which key.
#[derive(Args, Clone)]
pub(crate) struct Which {
    /// The file of the node's key, instead of node.key in the node's state
    #[arg(long = "key", value_name = "FILE", global = true)]
    path: Option<PathBuf>,
}

impl Which {
    /// The key's file, whether it is there or not.
    pub(crate) fn file(&self) -> Result<KeyFile> {
        let path = match &self.path {
            Some(path) => path.clone(),
            None => place::state().map_err(Failure::failed)?.join("node.key"),
        };
        Ok(KeyFile::new(path))
    }
}

#[derive(Args)]
#[command(after_help = "\
The key is the node: its public half is the node's id, and it signs receipts. It is a file of its
owner's alone (mode 0600), in the PEM form that `openssl pkey` reads too.

Examples:
  unicell key create
  unicell key backup node.key.copy")]
pub(crate) struct Arguments {
    #[command(flatten)]
    which: Which,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a new key, where there is none
    Create,
    /// Show the node's id, and those that it had
    Show,
    /// Copy the key to a new file, to be kept elsewhere
    Backup {
        /// Where it goes
        file: PathBuf,
    },
    /// Take over a key from a backup, where there is none
    Restore {
        /// The backup
        file: PathBuf,
    },
    /// Put a new key in the place of the old one, which signs it
    Rotate,
}

/// What a trouble with a key means to the user.
pub(crate) fn explain(error: &KeyError) -> Failure {
    let failure = Failure::failed(error);
    match error {
        KeyError::Missing(_) => {
            failure.hint("`unicell key create` makes one; `unicell key restore` takes a backup")
        }
        KeyError::Exposed { path, .. } => failure.hint(format!(
            "if nobody else has read it, `chmod 600 {}`; else put another in its place",
            path.display()
        )),
        _ => failure,
    }
}

/// Does what is asked with the key, and says what was done.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let file = arguments.which.file()?;
    let path = file.path().display();
    match &arguments.command {
        Command::Create => {
            let id = file.create().map_err(|error| explain(&error))?.id();
            println!("{id}");
            println!("made a new key at {path}; only its owner can read it");
            println!("without it this node cannot be itself: `unicell key backup FILE` copies it");
        }
        Command::Show => show(&file)?,
        Command::Backup { file: to } => {
            let id = file.back_up(to).map_err(|error| explain(&error))?;
            println!("{id}");
            println!(
                "copied the key to {}: whoever has that file can be this node",
                to.display()
            );
        }
        Command::Restore { file: from } => {
            let id = file.restore(from).map_err(|error| explain(&error))?.id();
            println!("{id}");
            println!("took over the key from {} to {path}", from.display());
        }
        Command::Rotate => {
            let (succession, kept) = file.rotate().map_err(|error| explain(&error))?;
            println!("{}", succession.new);
            println!("made a new key at {path}, signed by the old one");
            println!(
                "the old one, {}, is kept at {}",
                succession.old,
                kept.display()
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(file: &KeyFile) -> Result<()> {
    let id: NodeId = file.load().map_err(|error| explain(&error))?.id();
    println!("{id}");
    for link in file
        .history()
        .map_err(|error| explain(&error))?
        .iter()
        .rev()
    {
        println!("{}  before, until it signed {}", link.old, link.new);
    }
    Ok(())
}
