//! `ps`, `stop`, `limit`, and what `inspect` shows of an instance.

use anstream::println;
use hyper::Method;
use unicell_gateway_api::instance::{
    Instance, Jail, Limits, Outcome, Owner, SlotAddress, State, Stopped,
};

use super::http::Client;
use super::start::Amounts;
use super::{Format, show};
use crate::failure::{Failure, Result};

#[derive(clap::Args)]
#[command(after_help = "Example:\n  unicell ps --json | jq -r '.[].id'")]
pub(crate) struct ListArguments {
    /// Show those that have ended too
    #[arg(long, short)]
    all: bool,
    #[command(flatten)]
    format: Format,
}

/// `unicell ps`.
pub(super) fn list(client: &Client, arguments: &ListArguments) -> Result<()> {
    let mut instances: Vec<Instance> = client.get("/instances")?;
    instances.retain(|instance| arguments.all || instance.state != State::Ended);
    if arguments.format.json {
        return show::json(&instances);
    }
    let rows: Vec<_> = instances.iter().map(row).collect();
    let headings = [
        "ID", "NAME", "OWNER", "STATE", "LEVEL", "AGE", "MEMORY", "JAIL", "SERVICE", "SLOTS",
    ];
    show::table(headings, &rows);
    Ok(())
}

fn row(instance: &Instance) -> [String; 10] {
    [
        instance.id.to_string(),
        instance.name.clone(),
        owner(&instance.owner),
        state(instance),
        format!("{:?}", instance.determinism),
        show::time(instance.usage.wall_ns),
        show::bytes(instance.usage.memory),
        jail(&instance.jail),
        instance.service.to_string()[..12].to_owned(),
        show::list(instance.slots.iter().map(slot)),
    ]
}

fn owner(owner: &Owner) -> String {
    match owner {
        Owner::Operator => "operator".to_owned(),
        Owner::Client(name) => name.clone(),
        Owner::Instance(id) => id.to_string(),
    }
}

/// What is lacking, or that nothing is.
fn jail(jail: &Jail) -> String {
    match (jail.lacks.is_empty(), jail.holds.is_empty()) {
        (true, true) => "-".to_owned(),
        (true, false) => "whole".to_owned(),
        (false, _) => format!("without {}", show::list(jail.lacks.keys())),
    }
}

fn slot(slot: &SlotAddress) -> String {
    match slot.addresses.is_empty() {
        true => slot.port.to_string(),
        false => format!("{}→{}", show::list(&slot.addresses), slot.port),
    }
}

fn state(instance: &Instance) -> String {
    match &instance.outcome {
        Some(outcome) => ended(outcome),
        None => format!("{:?}", instance.state).to_lowercase(),
    }
}

/// How an instance ended, in a few words.
pub(super) fn ended(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Exited { status } => format!("exited with {status}"),
        Outcome::Signaled { signal } => format!("killed by signal {signal}"),
        Outcome::Stopped => "stopped".to_owned(),
        Outcome::TimedOut => "timed out".to_owned(),
        Outcome::Failed { reason, .. } => format!("failed: {reason}"),
    }
}

#[derive(clap::Args)]
#[command(after_help = "Example:\n  unicell stop $(unicell ps --json | jq -r '.[].id')")]
pub(crate) struct StopArguments {
    /// Ids or names of instances
    #[arg(required = true, value_name = "INSTANCE")]
    instances: Vec<String>,
    #[command(flatten)]
    format: Format,
}

/// `unicell stop`.
pub(super) fn stop(client: &Client, arguments: &StopArguments) -> Result<()> {
    let ids: Vec<String> = arguments
        .instances
        .iter()
        .map(|name| id(client, name))
        .collect::<Result<_>>()?;
    for id in ids {
        let stopped: Stopped = client.ask(Method::DELETE, &format!("/instances/{id}"))?;
        if arguments.format.json {
            show::json(&stopped)?;
        } else {
            println!("{id} {}", ended(&stopped.outcome));
        }
    }
    Ok(())
}

#[derive(clap::Args)]
#[command(after_help = "Example:\n  unicell limit 0123456789ab --cpus 0.5 --memory 128M")]
pub(crate) struct LimitArguments {
    /// The id or name of an instance
    instance: String,
    #[command(flatten)]
    amounts: Amounts,
    #[command(flatten)]
    format: Format,
}

/// `unicell limit`.
pub(super) fn limit(client: &Client, arguments: &LimitArguments) -> Result<()> {
    let id = id(client, &arguments.instance)?;
    let resources = arguments.amounts.resources();
    let path = format!("/instances/{id}/resources");
    let limits: Limits = client.send(Method::PATCH, &path, &resources)?;
    if arguments.format.json {
        return show::json(&limits);
    }
    println!(
        "memory {}, cpus {}, disk {}",
        show::bytes(limits.memory),
        f64::from(limits.cpu_milli) / 1e3,
        show::bytes(limits.disk)
    );
    Ok(())
}

/// The id of the instance that is meant by its id, the start of it, or its name.
pub(super) fn id(client: &Client, name: &str) -> Result<String> {
    if name.parse::<unicell_gateway_api::InstanceId>().is_ok() {
        return Ok(name.to_owned());
    }
    let instances: Vec<Instance> = client.get("/instances")?;
    let id = |instance: &Instance| instance.id.to_string();
    let running = |instance: &&Instance| instance.state != State::Ended;
    let named = |instance: &&Instance| instance.name == name || id(instance).starts_with(name);
    // One that runs goes before those that have ended.
    let mut found: Vec<_> = instances.iter().filter(named).filter(running).collect();
    if found.is_empty() {
        found = instances.iter().filter(named).collect();
    }
    match found[..] {
        [] => Err(Failure::failed(format!("there is no instance {name}"))
            .hint("`unicell ps --all` lists those there are")),
        [one] => Ok(id(one)),
        [..] => Err(Failure::failed(format!(
            "{name} could be any of {}",
            show::list(found.iter().map(|instance| instance.id))
        ))),
    }
}
