//! The commands that talk to a node: each is a call of its HTTP API and a way to show the answer.
//!
//! What the node refuses is told in its own words, with exit code 1.

mod events;
mod http;
mod instances;
mod logs;
mod networks;
mod publish;
mod receipts;
mod services;
mod show;
mod start;
mod tokens;
mod top;
mod transport;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use crate::failure::Result;
pub(crate) use http::{Client, Which};

/// What can be asked of a node.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start an instance of a service on a node
    Start(start::Arguments),
    /// Stop instances, and what they have started
    Stop(instances::StopArguments),
    /// List the instances that run
    Ps(instances::ListArguments),
    /// Show what an instance prints
    Logs(logs::Arguments),
    /// Have it proven what an instance did that has ended
    Receipt(receipts::Arguments),
    /// Show what happens on a node, as it happens
    Events(events::Arguments),
    /// Show what instances use, again and again
    Top(top::Arguments),
    /// Change an instance's limits while it runs
    Limit(instances::LimitArguments),
    /// Say what an instance of a service would cost, and whether it could start now
    Estimate(start::EstimateArguments),
    /// List the services that a node keeps
    Services(services::ListArguments),
    /// Bring a package or an exported service into a node
    Import(services::ImportArguments),
    /// Write a service into a file, in one of its encodings
    Export(services::ExportArguments),
    /// Give a service a name
    Tag(services::TagArguments),
    /// Remove a service, or a name of one
    Rm(services::RemoveArguments),
    /// Remove what nothing refers to
    Gc(services::CollectArguments),
    /// See and set which networks instances may reach
    #[command(subcommand, after_help = "Example:\n  unicell network allow chat")]
    Network(networks::Command),
    /// Make, narrow and revoke tokens
    #[command(
        subcommand,
        after_help = "Example:\n  unicell token create alice --expires 24h > alice.token"
    )]
    Token(tokens::Command),
}

/// How an answer is shown.
#[derive(Args, Clone, Copy)]
pub(crate) struct Format {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs a command against the node that is meant.
pub(crate) fn run(which: &Which, command: &Command) -> Result<ExitCode> {
    let client = Client::new(which)?;
    match command {
        Command::Start(arguments) => start::start(&client, arguments),
        Command::Stop(arguments) => instances::stop(&client, arguments),
        Command::Ps(arguments) => instances::list(&client, arguments),
        Command::Logs(arguments) => logs::show(&client, arguments),
        Command::Receipt(arguments) => receipts::fetch(&client, arguments),
        Command::Events(arguments) => events::show(&client, arguments),
        Command::Top(arguments) => top::show(&client, arguments),
        Command::Limit(arguments) => instances::limit(&client, arguments),
        Command::Estimate(arguments) => start::estimate(&client, arguments),
        Command::Services(arguments) => services::list(&client, arguments),
        Command::Import(arguments) => services::import(&client, arguments),
        Command::Export(arguments) => services::export(&client, arguments),
        Command::Tag(arguments) => services::tag(&client, arguments),
        Command::Rm(arguments) => services::remove(&client, arguments),
        Command::Gc(arguments) => services::collect(&client, arguments),
        Command::Network(command) => networks::run(&client, command),
        Command::Token(command) => tokens::run(&client, command),
    }
    .map(|()| ExitCode::SUCCESS)
}
