//! `logs`.

use std::io::Write;

use unicell_gateway_api::log::{LogEntry, Source};

use super::http::Client;
use super::{Format, instances};
use crate::failure::{Failure, Result, warn};

#[derive(clap::Args)]
#[command(after_help = "\
What the program wrote to its standard output goes to standard output, the rest to standard error.

Example:
  unicell logs -f hello")]
pub(crate) struct Arguments {
    /// The id or name of an instance
    instance: String,
    /// Go on until the instance ends
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    format: Format,
}

/// `unicell logs`.
pub(super) fn show(client: &Client, arguments: &Arguments) -> Result<()> {
    let id = instances::id(client, &arguments.instance)?;
    let path = format!("/instances/{id}/logs?follow={}", arguments.follow);
    client.lines(&path, |entry: LogEntry| {
        if arguments.format.json {
            let line = serde_json::to_string(&entry).map_err(Failure::internal)?;
            return write(&mut std::io::stdout(), &format!("{line}\n"));
        }
        if entry.missed > 0 {
            warn(format!("{} bytes are missing here", entry.missed));
        }
        match entry.source {
            Source::Stdout => write(&mut std::io::stdout(), &entry.text),
            Source::Stderr | Source::Kernel => write(&mut std::io::stderr(), &entry.text),
        }
    })
}

fn write(to: &mut impl Write, text: &str) -> Result<()> {
    to.write_all(text.as_bytes())
        .and_then(|()| to.flush())
        .map_err(|error| Failure::failed(format!("the log cannot be written: {error}")))
}
