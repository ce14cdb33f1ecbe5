//! `network`.

use std::net::SocketAddr;

use anstream::println;
use hyper::Method;
use serde_json::Value;
use unicell_gateway_api::network::{Descriptor, Endpoint, Network, NetworkPolicy};

use super::http::Client;
use super::{Format, show, transport};
use crate::failure::Result;

/// What can be done with networks.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List the networks that instances may be granted
    Ls(ListArguments),
    /// Show who is a member of a network
    Members(MembersArguments),
    /// Allow a network: instances that declare it are granted it
    Allow(AllowArguments),
    /// Forbid a network: streams that are open in it break
    Forbid(ForbidArguments),
}

#[derive(clap::Args)]
pub(crate) struct ListArguments {
    #[command(flatten)]
    format: Format,
}

#[derive(clap::Args)]
#[command(after_help = "Example:\n  unicell network members bitcoin-mainnet")]
pub(crate) struct MembersArguments {
    /// The network, by a tag
    name: String,
    #[command(flatten)]
    format: Format,
}

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  # instances that declare it see each other
  unicell network allow chat
  # and members outside the node
  unicell network allow bitcoin-mainnet --endpoint 192.0.2.7:8333 --no-instances")]
pub(crate) struct AllowArguments {
    /// The network, by a tag
    name: String,
    /// A member outside the node, ADDRESS:PORT, with /udp for datagrams; may be repeated
    #[arg(long, value_name = "ADDRESS", value_parser = endpoint)]
    endpoint: Vec<Endpoint>,
    /// Instances that declare the network are no members for each other
    #[arg(long)]
    no_instances: bool,
}

#[derive(clap::Args)]
#[command(after_help = "Example:\n  unicell network forbid chat")]
pub(crate) struct ForbidArguments {
    /// The network, by a tag
    name: String,
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    let (place, transport) = transport::split(text)?;
    let address: SocketAddr = place
        .parse()
        .map_err(|_| format!("{place} is no ADDRESS:PORT; names are not resolved"))?;
    Ok(Endpoint { address, transport })
}

/// `unicell network`.
pub(super) fn run(client: &Client, command: &Command) -> Result<()> {
    match command {
        Command::Ls(arguments) => list(client, arguments),
        Command::Members(arguments) => members(client, arguments),
        Command::Allow(arguments) => allow(client, arguments),
        Command::Forbid(arguments) => {
            let path = format!("/networks/{}", arguments.name);
            let _: Value = client.ask(Method::DELETE, &path)?;
            Ok(())
        }
    }
}

fn list(client: &Client, arguments: &ListArguments) -> Result<()> {
    let policies: Vec<NetworkPolicy> = client.get("/networks")?;
    if arguments.format.json {
        return show::json(&policies);
    }
    let rows: Vec<_> = policies
        .iter()
        .map(|policy| {
            [
                show::list(&policy.network.tags),
                if policy.instances { "yes" } else { "no" }.to_owned(),
                show::list(policy.endpoints.iter().map(|endpoint| endpoint.address)),
            ]
        })
        .collect();
    show::table(["NETWORK", "INSTANCES", "ENDPOINTS"], &rows);
    Ok(())
}

fn members(client: &Client, arguments: &MembersArguments) -> Result<()> {
    let network: Network = client.get(&format!("/networks/{}", arguments.name))?;
    if arguments.format.json {
        return show::json(&network);
    }
    if let Some(note) = &network.note {
        crate::failure::warn(note);
    }
    for member in &network.members {
        let who = member
            .instance
            .map_or_else(|| "outside".to_owned(), |id| id.to_string());
        let slots = member
            .slots
            .iter()
            .map(|slot| match slot.addresses.is_empty() {
                true => slot.port.to_string(),
                false => show::list(&slot.addresses),
            });
        println!("{who}  {}", show::list(slots));
    }
    Ok(())
}

fn allow(client: &Client, arguments: &AllowArguments) -> Result<()> {
    let policy = NetworkPolicy {
        network: Descriptor {
            tags: vec![arguments.name.clone()],
            ..Descriptor::default()
        },
        instances: !arguments.no_instances,
        endpoints: arguments.endpoint.clone(),
    };
    let _: Value = client.send(Method::PUT, "/networks", &policy)?;
    Ok(())
}
