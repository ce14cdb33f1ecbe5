//! The configuration file: what an instance is told at its start.

use std::net::SocketAddr;

use unicell_gateway_api::address::{Address, GATEWAY, HTTP_PORT};
use unicell_gateway_api::configuration::{Configuration, DEFAULT_PATH, GatewayAddress, OTHER_PATH};
use unicell_gateway_api::id::InstanceId;
use unicell_gateway_api::instance::Start;
use unicell_gateway_api::network::Network;
use unicell_gateway_api::run::GuestFile;
use unicell_gateway_api::services::{ConfigFormat, Plan};
use unicell_gateway_api::token::HEADER;
use unicell_service::spec;

use super::{Gateway, Live, Result, internal};
use crate::net;
use crate::token::{Chain, Principal};

/// Microseconds of a period of CPU time, as the specification counts it.
const PERIOD_US: u64 = 100_000;

impl Gateway {
    /// What an instance is told.
    pub(super) fn configuration(&self, live: &Live, request: &Start) -> Result<Configuration> {
        let principal = Principal::Instance(live.id, live.incarnation);
        let holder = principal.holder();
        let token = self.0.key.mint(principal).map_err(internal)?;
        // In the hands of others it is worth nothing.
        let token = holder.into_iter().try_fold(token, Chain::narrow);
        let token = token.map_err(internal)?.token();
        let state = self.0.state.lock();
        let resources = state.tree.get(live.id).map(|entry| entry.limits);
        Ok(Configuration {
            gateway: GatewayAddress {
                url: format!("http://{GATEWAY}/"),
                addresses: vec![Address::Gateway.v4().into(), Address::Gateway.v6().into()],
                token_header: HEADER.to_owned(),
            },
            instance: live.id,
            incarnation: live.incarnation,
            service: live.service,
            token,
            environment: request.env.clone(),
            slots: live.slots_at(&[Address::Own.v4().into(), Address::Own.v6().into()]),
            networks: self.network_states(&state, live.id),
            dependencies: live
                .dependencies
                .iter()
                .map(|dependency| (dependency.alias.clone(), dependency.service))
                .collect(),
            resources: resources.unwrap_or_default(),
        })
    }

    /// That as files: always as JSON, and as proto3 if the service wants that.
    pub(super) fn configuration_files(
        &self,
        id: InstanceId,
        plan: &Plan,
        configuration: &Configuration,
    ) -> Result<Vec<GuestFile>> {
        let file = |path: &str, bytes| GuestFile {
            path: path.to_owned(),
            mode: 0o444,
            bytes,
        };
        let json = serde_json::to_vec_pretty(configuration).map_err(internal)?;
        if plan.config_format == ConfigFormat::Json {
            return Ok(vec![file(&plan.config_path, json)]);
        }
        let beside = if plan.config_path == DEFAULT_PATH {
            OTHER_PATH
        } else {
            DEFAULT_PATH
        };
        let networks = {
            let mut state = self.0.state.lock();
            let names = configuration
                .networks
                .iter()
                .filter(|network| network.granted);
            let names = names.map(|network| net::name(&network.network).to_owned());
            names.map(|name| state.network_of(id, &name)).collect()
        };
        let message = message(configuration, networks);
        let bytes = message.encode(spec::ConfigFormat::Proto3);
        Ok(vec![file(&plan.config_path, bytes), file(beside, json)])
    }
}

/// The message of the specification.
fn message(configuration: &Configuration, networks: Vec<Network>) -> spec::ConfigurationFile {
    let gateway = configuration.gateway.addresses.iter();
    let gateway: Vec<_> = gateway.map(|ip| SocketAddr::new(*ip, HTTP_PORT)).collect();
    let environment = configuration.environment.iter();
    let environment = environment.map(|(name, value)| (name.clone(), value.as_bytes().into()));
    let resolution = networks.into_iter().map(|network| spec::NetworkResolution {
        tags: vec![network.name],
        peers: network
            .members
            .iter()
            .map(|member| spec::Instance {
                api: None,
                addresses: member
                    .slots
                    .iter()
                    .map(|slot| at(slot.port, &slot.addresses))
                    .collect(),
            })
            .collect(),
    });
    let limits = &configuration.resources;
    spec::ConfigurationFile {
        gateway: Some(spec::Instance {
            api: None,
            addresses: vec![at(HTTP_PORT, &gateway)],
        }),
        configuration: Some(spec::Configuration {
            environment: spec::Map(environment.collect()),
            ..spec::Configuration::default()
        }),
        network_resolution: resolution.collect(),
        initial_resources: Some(spec::Sysresources {
            cpu_period: Some(PERIOD_US),
            cpu_quota: Some(u64::from(limits.cpu_milli) * PERIOD_US / 1000),
            mem_limit: Some(limits.memory),
            disk_space: Some(limits.disk),
            ..spec::Sysresources::default()
        }),
    }
}

fn at(port: u16, addresses: &[SocketAddr]) -> spec::SlotAddresses {
    let uri = addresses.iter().map(|address| spec::Uri {
        ip: address.ip().to_string(),
        port: address.port(),
    });
    spec::SlotAddresses {
        internal_port: port,
        uri: uri.collect(),
    }
}
