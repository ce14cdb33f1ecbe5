//! Whether what is asked for fits what the service declares: checked before
//! anything is made.

use unicell_gateway_api::instance::{Limits, Resources, Start, Transport};
use unicell_gateway_api::network::Descriptor;
use unicell_gateway_api::node::GATEWAY_PROTOCOL;
use unicell_gateway_api::run::Program;
use unicell_gateway_api::services::Plan;
use unicell_gateway_api::{Code, Problem};

use super::Result;
use crate::config::Config;
use crate::names;
use crate::net::matches;

/// Most bytes of arguments and environment together: what Linux takes with a
/// stack of 8 MiB is more, but it has to go through one message.
const MAX_STRINGS: usize = 32 << 10;

/// A start that may be tried.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) exact: bool,
    pub(super) limits: Limits,
    pub(super) program: Program,
}

/// What an instance of a service gets when this is asked for.
pub(super) fn limits(plan: &Plan, asked: &Resources) -> Result<Limits> {
    let bound = |what: &str, asked: Option<u64>, at_init: u64, at_most: u64| match asked {
        None => Ok(at_init),
        Some(0) => Err(Problem::new(
            Code::BadRequest,
            format!("resources.{what}: 0 is not enough"),
        )),
        Some(asked) if asked > at_most => Err(Problem::new(
            Code::BadRequest,
            format!(
                "resources.{what}: {asked} is more than the {at_most} that the service declares"
            ),
        )),
        Some(asked) => Ok(asked),
    };
    let (init, most) = (&plan.at_init, &plan.at_most);
    let milli = bound(
        "cpu_milli",
        asked.cpu_milli.map(u64::from),
        init.cpu_milli.into(),
        most.cpu_milli.into(),
    )?;
    Ok(Limits {
        memory: bound("memory", asked.memory, init.memory, most.memory)?,
        // It came from a `u32` either way.
        cpu_milli: milli.try_into().unwrap_or(u32::MAX),
        disk: bound("disk", asked.disk, init.disk, most.disk)?,
    })
}

/// Whether this node can run a service at all.
pub(super) fn supported(plan: &Plan, config: &Config) -> Result<()> {
    let level = |text: &str| text.strip_prefix("x86-64-v")?.parse::<u8>().ok();
    match (level(&plan.architecture), level(&config.architecture)) {
        (Some(needs), Some(has)) if needs <= has => {}
        _ => {
            return Err(Problem::new(
                Code::Unsupported,
                format!(
                    "the service needs {}, this host is {}",
                    plan.architecture, config.architecture
                ),
            ));
        }
    }
    let offered = Descriptor {
        tags: vec![GATEWAY_PROTOCOL.to_owned()],
        ..Descriptor::default()
    };
    let expected = &plan.expected_gateway;
    if expected.is_empty() || expected.iter().any(|protocol| matches(protocol, &offered)) {
        return Ok(());
    }
    let tags: Vec<_> = expected
        .iter()
        .flat_map(|protocol| &protocol.tags)
        .collect();
    Err(Problem::new(
        Code::Unsupported,
        format!(
            "the service expects a gateway that speaks one of {tags:?}, this one speaks {:?}",
            offered.tags
        ),
    ))
}

impl Draft {
    /// Checks a start against what the service declares. `called` is how its
    /// parent would call it by itself.
    pub(super) fn new(request: &Start, plan: &Plan, config: &Config, called: &str) -> Result<Self> {
        supported(plan, config)?;
        let bad = |detail: String| Err(Problem::new(Code::BadRequest, detail));
        if let Some(name) = request
            .name
            .as_deref()
            .filter(|name| !names::is_instance_name(name))
        {
            return bad(format!(
                "name: {name:?} is no host name of one part with a-z, 0-9 and '-', or is taken by the node"
            ));
        }
        let networks = request.networks.iter().flatten();
        let declared = |name: &&String| {
            plan.networks
                .iter()
                .any(|need| need.network.tags.contains(name))
        };
        if let Some(name) = networks.clone().find(|name| !declared(name)) {
            return bad(format!(
                "networks: the service declares no network {name:?}"
            ));
        }
        if request.publish.len() > config.instance.published {
            return bad(format!(
                "publish: more than {} slots",
                config.instance.published
            ));
        }
        for publish in &request.publish {
            let is_it = |slot: &unicell_gateway_api::service::Slot| {
                slot.port == publish.slot && slot.transport == publish.transport
            };
            if !plan.slots.iter().any(is_it) {
                let transport = match publish.transport {
                    Transport::Tcp => "TCP",
                    Transport::Udp => "UDP",
                };
                return bad(format!(
                    "publish: the service has no {transport} slot {}",
                    publish.slot
                ));
            }
        }
        Ok(Self {
            exact: request.name.is_some(),
            name: request
                .name
                .clone()
                .unwrap_or_else(|| names::instance_name(called)),
            limits: limits(plan, &request.resources)?,
            program: program(request, plan)?,
        })
    }
}

fn program(request: &Start, plan: &Plan) -> Result<Program> {
    let bad = |detail: String| Problem::new(Code::BadRequest, detail);
    let mut program = plan.program.clone();
    if let Some(args) = &request.args {
        program.args.clone_from(args);
    }
    for (name, value) in &request.env {
        if !plan.variables.contains(name) {
            return Err(bad(format!(
                "env: the service declares no variable {name:?}, only {:?}",
                plan.variables
            )));
        }
        program
            .env
            .retain(|variable| variable.split('=').next() != Some(name));
        program.env.push(format!("{name}={value}"));
    }
    let strings = || program.args.iter().chain(&program.env);
    if strings().any(|text| text.contains('\0')) {
        return Err(bad("args and env: a string has a byte 0".to_owned()));
    }
    let len: usize = strings().map(|text| text.len() + 1).sum();
    if len > MAX_STRINGS {
        return Err(bad(format!(
            "args and env: {len} bytes, more than {MAX_STRINGS}"
        )));
    }
    Ok(program)
}
