//! `start` and `estimate`.

use std::collections::BTreeMap;

use anstream::println;
use hyper::Method;
use unicell_gateway_api::instance::{
    Availability, AvailabilityRequest, Estimate, EstimateRequest, Measured, Publish, Resources,
    Start, Started,
};

use super::http::Client;
use super::publish::publication;
use super::{Format, show};
use crate::cli::{duration, memory, variable};
use crate::failure::Result;
use crate::reproduce::{CpuName, LevelName};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  unicell import hello.cell --tag hello
  unicell start hello --publish 127.0.0.1:8080:80
  unicell start hello --name second --memory 64M --env GREETING=hi -- --verbose
  unicell start hello --name proven --level D1   # then: unicell receipt proven -o r.json")]
pub(crate) struct Arguments {
    /// The service: its id, or a tag
    service: String,
    /// The instance's name
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    resources: Amounts,
    /// Set a variable that the service declares; may be repeated
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = variable)]
    env: Vec<(String, String)>,
    /// Make a slot reachable: ADDRESS:PORT:SLOT or PORT:SLOT (on loopback), with /udp for datagrams; may be repeated
    #[arg(long, short, value_name = "HOST:SLOT", value_parser = publication)]
    publish: Vec<Publish>,
    /// Grant only this one of the networks that the service declares; may be repeated
    #[arg(long, value_name = "NAME")]
    network: Vec<String>,
    /// Grant none of the networks that the service declares
    #[arg(long, conflicts_with = "network")]
    isolated: bool,
    /// Stop the instance after this time, such as 10s or 5m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<std::time::Duration>,
    /// What is promised of the run: D0 nothing, D1 the same output for the same input, D2 also where
    /// the processor's own instructions would show the host. With D1 and D2 `unicell receipt` proves
    /// what was run
    #[arg(long, value_name = "LEVEL", ignore_case = true, default_value = "D0")]
    level: LevelName,
    /// With D1 and D2: the processor that the program finds (default: x86-64-v2, so that others can
    /// verify the receipt whatever their processor)
    #[arg(long, value_name = "CPU")]
    cpu: Option<CpuName>,
    #[command(flatten)]
    format: Format,
    /// Arguments for the program, instead of those the service names
    #[arg(last = true, value_name = "ARGS")]
    args: Vec<String>,
}

/// Amounts of what an instance may use; what is left out is as the service declares it.
#[derive(clap::Args, Clone, Copy)]
pub(super) struct Amounts {
    /// Memory, such as 64M or 2G
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    memory: Option<u64>,
    /// Share of the host's CPUs: 1.5 is one and a half
    #[arg(long, value_name = "CPUS", value_parser = cpus)]
    cpus: Option<u32>,
    /// What may be written over the box, such as 10M
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    disk: Option<u64>,
}

impl Amounts {
    pub(super) fn resources(self) -> Resources {
        Resources {
            memory: self.memory,
            cpu_milli: self.cpus,
            disk: self.disk,
        }
    }
}

/// Thousandths of a CPU.
fn cpus(text: &str) -> Result<u32, String> {
    match text.parse::<f64>() {
        Ok(cpus) if (0.001..=1024.0).contains(&cpus) => Ok((cpus * 1000.0) as u32),
        _ => Err("write a number of CPUs, such as 0.5".to_owned()),
    }
}

/// `unicell start`.
pub(super) fn start(client: &Client, arguments: &Arguments) -> Result<()> {
    let networks = !arguments.network.is_empty() || arguments.isolated;
    let request = Start {
        service: arguments.service.clone(),
        name: arguments.name.clone(),
        args: (!arguments.args.is_empty()).then(|| arguments.args.clone()),
        env: arguments.env.iter().cloned().collect::<BTreeMap<_, _>>(),
        resources: arguments.resources.resources(),
        allowance: None,
        timeout_ms: arguments
            .timeout
            .map(|time| time.as_millis().try_into().unwrap_or(u64::MAX)),
        publish: arguments.publish.clone(),
        networks: networks.then(|| arguments.network.clone()),
        determinism: arguments.level.into(),
        cpu: arguments.cpu.map(Into::into),
    };
    let started: Started = client.send(Method::POST, "/instances", &request)?;
    if arguments.format.json {
        return show::json(&started);
    }
    println!("{}", started.id);
    for slot in started
        .slots
        .iter()
        .filter(|slot| !slot.addresses.is_empty())
    {
        anstream::eprintln!("slot {}: {}", slot.port, show::list(&slot.addresses));
    }
    for network in started
        .networks
        .iter()
        .filter(|network| network.members == 0)
    {
        let name = show::list(&network.network.tags);
        let why = network.reason.as_deref().unwrap_or("it has no members now");
        crate::failure::warn(format!("network {name}: {why}"));
    }
    Ok(())
}

#[derive(clap::Args)]
#[command(after_help = "Example:\n  unicell estimate hello --memory 64M")]
pub(crate) struct EstimateArguments {
    /// The service: its id, or a tag
    service: String,
    #[command(flatten)]
    resources: Amounts,
    #[command(flatten)]
    format: Format,
}

/// `unicell estimate`.
pub(super) fn estimate(client: &Client, arguments: &EstimateArguments) -> Result<()> {
    let (service, resources) = (arguments.service.clone(), arguments.resources.resources());
    let request = EstimateRequest {
        service: service.clone(),
        resources,
    };
    let estimate: Estimate = client.send(Method::POST, "/estimate", &request)?;
    let request = AvailabilityRequest {
        service: Some(service),
        resources,
    };
    let availability: Availability = client.send(Method::POST, "/availability", &request)?;
    if arguments.format.json {
        let both = serde_json::json!({"estimate": estimate, "availability": availability});
        return show::json(&both);
    }
    let measured = |of: &Measured, amount: fn(u64) -> String| match of.samples {
        0 => "not known".to_owned(),
        samples => {
            let (mean, deviation) = (amount(of.mean as u64), amount(of.deviation as u64));
            format!("{mean} ± {deviation} ({samples} starts)")
        }
    };
    println!("start   {}", measured(&estimate.start_ns, show::time));
    println!("memory  {}", measured(&estimate.memory_peak, show::bytes));
    println!(
        "cpu     {}",
        measured(&estimate.cpu_milli, |milli| format!(
            "{:.3}",
            milli as f64 / 1e3
        ))
    );
    println!("price   {}", estimate.price);
    match availability.available {
        true => println!("now     yes"),
        false => println!("now     no: {}", availability.reasons.join("; ")),
    }
    Ok(())
}
