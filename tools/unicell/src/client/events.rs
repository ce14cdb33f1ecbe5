//! `events`.

use anstream::println;
use unicell_gateway_api::event::Event;

use super::Format;
use super::http::Client;
use crate::failure::{Failure, Result};

#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  unicell events -f --json | jq 'select(.event == \"connect-refused\")'"
)]
pub(crate) struct Arguments {
    /// Go on as long as the node runs
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    format: Format,
}

/// `unicell events`.
pub(super) fn show(client: &Client, arguments: &Arguments) -> Result<()> {
    let path = format!("/events?follow={}", arguments.follow);
    client.lines(&path, |event: Event| {
        let value = serde_json::to_value(&event).map_err(Failure::internal)?;
        if arguments.format.json {
            println!("{value}");
        } else {
            println!("{}", line(&event, &value));
        }
        Ok(())
    })
}

/// Number, time, instance, what, and its details as `name=value`.
fn line(event: &Event, value: &serde_json::Value) -> String {
    let instance = event
        .instance
        .map_or_else(|| "-".repeat(12), |id| id.to_string());
    let seconds = event.time_ms / 1000 % 86_400;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut line = format!("{hours:02}:{minutes:02}:{seconds:02}Z  {instance}");
    let fields = value.as_object().into_iter().flatten();
    let mut details = String::new();
    for (name, value) in fields {
        match name.as_str() {
            "number" | "time_ms" | "instance" => {}
            "event" => line.push_str(&format!("  {:<15}", value.as_str().unwrap_or_default())),
            _ => match value.as_str() {
                Some(text) => details.push_str(&format!("  {name}={text}")),
                None => details.push_str(&format!("  {name}={value}")),
            },
        }
    }
    line + &details
}
