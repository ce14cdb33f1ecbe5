//! `token`.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anstream::println;
use hyper::Method;
use serde::Deserialize;
use serde::de::value::StrDeserializer;
use serde_json::Value;
use unicell_gateway_api::token::{
    Caveat, CreateToken, IssuedToken, NarrowToken, RevokeToken, Verb,
};

use super::http::{Client, read_token};
use crate::cli::duration;
use crate::failure::{Failure, Result};

/// What can be done with tokens.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Make a token for a client
    Create(CreateArguments),
    /// Make a token that may do less than another
    Narrow(NarrowArguments),
    /// Revoke a token, and all that were narrowed from it
    Revoke(RevokeArguments),
}

/// In which ways a token is narrow.
#[derive(clap::Args)]
pub(crate) struct Narrowing {
    /// Only this verb, such as start or logs; may be repeated
    #[arg(long, value_name = "VERB", value_parser = verb)]
    verb: Vec<Verb>,
    /// Only for this time, such as 10m or 24h
    #[arg(long, value_name = "TIME", value_parser = duration)]
    expires: Option<Duration>,
    /// Only to ask for this network
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
}

#[derive(clap::Args)]
#[command(after_help = "\
The token is printed once and kept nowhere.

Example:
  unicell token create alice --expires 24h > alice.token
  unicell --node http://127.0.0.1:7878 --token-file alice.token ps")]
pub(crate) struct CreateArguments {
    /// The client's name: what it starts belongs to that name
    client: String,
    #[command(flatten)]
    narrowing: Narrowing,
}

#[derive(clap::Args)]
#[command(after_help = "Example:\n  unicell token narrow alice.token --verb logs > logs.token")]
pub(crate) struct NarrowArguments {
    /// A file with the token to begin with
    token: PathBuf,
    #[command(flatten)]
    narrowing: Narrowing,
}

#[derive(clap::Args)]
#[command(after_help = "Example:\n  unicell token revoke alice.token")]
pub(crate) struct RevokeArguments {
    /// A file with the token
    token: PathBuf,
}

/// As JSON spells them.
fn verb(text: &str) -> Result<Verb, String> {
    Verb::deserialize(StrDeserializer::<serde::de::value::Error>::new(text))
        .map_err(|error| error.to_string())
}

impl Narrowing {
    fn caveats(&self) -> Vec<Caveat> {
        let expires = self.expires.map(|time| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let then = now.unwrap_or_default() + time;
            Caveat::Expires(then.as_millis().try_into().unwrap_or(u64::MAX))
        });
        let verbs = (!self.verb.is_empty()).then(|| Caveat::Verbs(self.verb.clone()));
        let network = self.network.clone().map(Caveat::Network);
        [expires, verbs, network].into_iter().flatten().collect()
    }
}

/// `unicell token`.
pub(super) fn run(client: &Client, command: &Command) -> Result<()> {
    match command {
        Command::Create(arguments) => {
            let request = CreateToken {
                client: arguments.client.clone(),
                caveats: arguments.narrowing.caveats(),
            };
            print(&client.send(Method::POST, "/tokens", &request)?);
        }
        Command::Narrow(arguments) => {
            let caveats = arguments.narrowing.caveats();
            if caveats.is_empty() {
                return Err(
                    Failure::failed("nothing is said in which way to narrow the token")
                        .hint("give --verb, --expires or --network"),
                );
            }
            let request = NarrowToken {
                token: Some(read_token(&arguments.token)?),
                caveats,
            };
            print(&client.send(Method::POST, "/tokens/narrow", &request)?);
        }
        Command::Revoke(arguments) => {
            let request = RevokeToken {
                token: read_token(&arguments.token)?,
            };
            let _: Value = client.send(Method::POST, "/tokens/revoke", &request)?;
        }
    }
    Ok(())
}

fn print(issued: &IssuedToken) {
    println!("{}", issued.token.reveal());
}
