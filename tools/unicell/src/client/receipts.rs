//! `receipt`.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use form_urlencoded::Serializer;
use unicell_netstack::receipt::Receipt;

use super::http::Client;
use super::instances;
use crate::failure::{Failure, Result};
use crate::reproduce::transcript_path;

#[derive(clap::Args)]
#[command(after_help = "\
The instance was started with --level D1 or D2, and has ended. Beside the receipt lies the transcript
of all that came to it, which shows its input and how it was started: keep it as you keep those.

Example:
  unicell start hello --name proven --level D1
  unicell receipt proven -o r.json --nonce \"for you\"
  unicell export hello --encoding package -o hello.cell
  unicell verify r.json --box hello.cell")]
pub(crate) struct Arguments {
    /// The id or name of an instance
    instance: String,
    /// Where the receipt goes; the transcript goes beside it, with .transcript added to the name
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Have this signed too, so that whoever asked for the receipt knows it is for them
    #[arg(long, value_name = "TEXT")]
    nonce: Option<String>,
}

/// `unicell receipt`.
pub(super) fn fetch(client: &Client, arguments: &Arguments) -> Result<()> {
    let id = instances::id(client, &arguments.instance)?;
    let mut query = Serializer::new(String::new());
    if let Some(nonce) = &arguments.nonce {
        query.append_pair("nonce", nonce);
    }
    let path = format!("/instances/{id}/receipt?{}", query.finish());
    let mut receipt: Receipt = client.get(&path)?;
    let beside = transcript_path(&arguments.output);
    let unwritable = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| Failure::failed(format!("{path} cannot be written: {error}"))
    };
    let mut file = File::create(&beside).map_err(unwritable(&beside))?;
    client.download(&format!("/instances/{id}/transcript"), |bytes| {
        file.write_all(bytes).map_err(unwritable(&beside))
    })?;
    // Not signed: it only says where to look.
    let name = beside.file_name().and_then(|name| name.to_str());
    receipt.hints.transcript = name.map(str::to_owned);
    let text = receipt.to_json().map_err(Failure::internal)?;
    fs::write(&arguments.output, text).map_err(unwritable(&arguments.output))
}
