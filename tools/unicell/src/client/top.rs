//! `top`.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use anstream::print;
use unicell_gateway_api::InstanceId;
use unicell_gateway_api::instance::{Instance, State};

use super::http::Client;
use super::show;
use crate::cli::duration;
use crate::failure::Result;

#[derive(clap::Args)]
#[command(after_help = "Example:\n  unicell top --every 500ms")]
pub(crate) struct Arguments {
    /// The time between two looks
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "2s")]
    every: Duration,
    /// Look so often, then end
    #[arg(long, value_name = "COUNT")]
    count: Option<u64>,
}

/// To the upper left corner, and everything gone.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// `unicell top`.
pub(super) fn show(client: &Client, arguments: &Arguments) -> Result<()> {
    let mut before: BTreeMap<InstanceId, (u64, u64)> = BTreeMap::new();
    let mut looks = 0;
    loop {
        let mut instances: Vec<Instance> = client.get("/instances")?;
        instances.retain(|instance| instance.state != State::Ended);
        let load = |instance: &Instance| {
            let now = instance.usage;
            let (cpu, wall) = before.get(&instance.id).copied().unwrap_or_default();
            let passed = now.wall_ns.saturating_sub(wall).max(1);
            now.cpu_ns.saturating_sub(cpu) as f64 / passed as f64
        };
        let mut rows: Vec<_> = instances.iter().map(|one| (load(one), one)).collect();
        rows.sort_by(|(left, _), (right, _)| right.total_cmp(left));
        let rows: Vec<_> = rows.iter().map(|(load, one)| row(*load, one)).collect();
        if std::io::stdout().is_terminal() {
            print!("{CLEAR}");
        }
        let headings = [
            "ID", "NAME", "CPU", "MEMORY", "PEAK", "IN", "OUT", "EXITS", "AGE",
        ];
        show::table(headings, &rows);
        looks += 1;
        if arguments.count.is_some_and(|count| looks >= count) {
            return Ok(());
        }
        let usage = |one: &Instance| (one.id, (one.usage.cpu_ns, one.usage.wall_ns));
        before = instances.iter().map(usage).collect();
        std::thread::sleep(arguments.every);
    }
}

fn row(load: f64, instance: &Instance) -> [String; 9] {
    let usage = &instance.usage;
    [
        instance.id.to_string(),
        instance.name.clone(),
        format!("{:.1} %", load * 100.0),
        show::bytes(usage.memory),
        show::bytes(usage.memory_peak),
        show::bytes(usage.bytes_in),
        show::bytes(usage.bytes_out),
        usage.exits.to_string(),
        show::time(usage.wall_ns),
    ]
}
