//! The services that a node keeps: what the gateway needs, from the store.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;

use unicell_gateway_api::instance::{Limits, Owner, Transport};
use unicell_gateway_api::network::Descriptor;
use unicell_gateway_api::problem::{Code, Problem};
use unicell_gateway_api::run::Program;
use unicell_gateway_api::service::{Collected, Dependency, Imported, Service, Slot};
use unicell_gateway_api::services::{BoxImage, ConfigFormat, NetworkNeed, Plan, Services};
use unicell_gateway_api::{ServiceId, service};
use unicell_service::encoding;
use unicell_service::manifest::DEFAULT_MEMORY;
use unicell_service::spec::{self, Container, Init, Level, Sysresources};
use unicell_store::{Store, StoreError};

/// The directory that programs start in, unless their service says otherwise.
const WORKDIR: &str = "/";
/// The search path of programs whose service sets no environment.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// What may be written over a box, unless its service says otherwise, in bytes.
const DEFAULT_DISK: u64 = 64 << 20;
/// All of one CPU, in thousandths.
const WHOLE_CPU: u32 = 1000;

type Result<T> = std::result::Result<T, Problem>;

/// A store, as the gateway sees it.
pub(super) struct Kept {
    pub(super) store: Store,
    /// Whether instances of different owners have the same image.
    pub(super) share_images: bool,
}

/// What the caller is told of the store's error.
#[allow(
    clippy::needless_pass_by_value,
    reason = "it is the argument of `map_err`"
)]
fn problem(error: StoreError) -> Problem {
    let code = match &error {
        StoreError::NotFound(_) | StoreError::Ambiguous(_) => Code::NotFound,
        StoreError::BadTag(_) => Code::BadRequest,
        StoreError::WrongId { .. } | StoreError::Decode(_) | StoreError::Tree(_) => {
            Code::BadService
        }
        StoreError::InUse(_) => Code::Conflict,
        _ => {
            tracing::error!(%error, "the store failed");
            Code::Internal
        }
    };
    Problem::new(code, error)
}

fn unsound(id: ServiceId, why: impl std::fmt::Display) -> Problem {
    Problem::new(
        Code::BadService,
        format!("the service {id} cannot run: {why}"),
    )
}

fn inner(id: ServiceId) -> spec::ServiceId {
    spec::ServiceId::from_bytes(*id.bytes())
}

fn outer(id: spec::ServiceId) -> ServiceId {
    ServiceId::new(*id.as_bytes())
}

fn descriptor(from: &spec::Descriptor) -> Descriptor {
    Descriptor {
        tags: from.tags.clone(),
        prose: from.prose.clone(),
        formal: from.formal.0.clone(),
    }
}

fn network(from: &spec::Network) -> Descriptor {
    Descriptor {
        tags: from.tags.clone(),
        prose: from.prose.clone(),
        formal: from.formal.0.clone(),
    }
}

fn slots(service: &spec::Service) -> Vec<Slot> {
    let is_udp = |transport: &spec::Descriptor| transport.tags.iter().any(|tag| tag == "udp");
    let slot = |slot: &spec::Slot| Slot {
        port: slot.port,
        transport: match slot.transport.as_ref().is_some_and(is_udp) {
            true => Transport::Udp,
            false => Transport::Tcp,
        },
        protocols: slot.protocol_stack.iter().map(descriptor).collect(),
    };
    service.slots().iter().map(slot).collect()
}

fn dependencies(id: ServiceId, service: &spec::Service) -> Result<Vec<Dependency>> {
    let named = service.dependencies().map_err(|error| unsound(id, error))?;
    let dependency = |(alias, id)| Dependency {
        alias,
        service: outer(id),
    };
    Ok(named.into_iter().map(dependency).collect())
}

/// What is said, over what is usual.
fn limits(said: Option<&Sysresources>, usual: Limits) -> Limits {
    let Some(said) = said else {
        return usual;
    };
    let cpu = said
        .cpu_quota
        .zip(said.cpu_period)
        .and_then(|(quota, period)| {
            let milli = quota.saturating_mul(WHOLE_CPU.into()).checked_div(period)?;
            u32::try_from(milli).ok()
        });
    Limits {
        memory: said.mem_limit.unwrap_or(usual.memory),
        cpu_milli: cpu.unwrap_or(usual.cpu_milli),
        disk: said.disk_space.unwrap_or(usual.disk),
    }
}

fn program(id: ServiceId, container: &Container) -> Result<Program> {
    let nothing = Init::default();
    let init = container.init.as_ref().unwrap_or(&nothing);
    let wrong = |error| unsound(id, error);
    let entry = init
        .entrypoint()
        .ok_or_else(|| unsound(id, "it names no entrypoint"))?;
    let mut env: Vec<String> = init
        .env()
        .map_err(wrong)?
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    if !env.iter().any(|variable| variable.starts_with("PATH=")) {
        env.push(PATH.to_owned());
    }
    Ok(Program {
        entry,
        args: init.args().map_err(wrong)?,
        env,
        workdir: init
            .workdir()
            .map_err(wrong)?
            .unwrap_or_else(|| WORKDIR.to_owned()),
    })
}

/// How the configuration file is written: ours, unless the service says.
fn config_format(container: &Container) -> Result<ConfigFormat> {
    if container.config.is_none() {
        return Ok(ConfigFormat::Json);
    }
    match container.config_format() {
        Ok(spec::ConfigFormat::Json) => Ok(ConfigFormat::Json),
        Ok(spec::ConfigFormat::Proto3) => Ok(ConfigFormat::Proto3),
        Err(unknown) => Err(Problem::new(Code::Unsupported, unknown)),
    }
}

impl Kept {
    fn describe(&self, id: ServiceId, tags: &BTreeMap<String, spec::ServiceId>) -> Result<Service> {
        let record = self.store.record(inner(id)).map_err(problem)?;
        let service = self.store.get(inner(id)).map_err(problem)?;
        let named = |(_, of): &(&String, &spec::ServiceId)| **of == inner(id);
        Ok(Service {
            id,
            tags: tags
                .iter()
                .filter(named)
                .map(|(tag, _)| tag.clone())
                .collect(),
            size: record.canonical_len,
            architecture: level(service.container.as_ref()).to_string(),
            slots: slots(&service),
            networks: service.network.iter().map(network).collect(),
            dependencies: dependencies(id, &service)?,
            running: 0,
            prose: service.prose,
        })
    }
}

/// The level that a box needs: the lowest, where it names none.
fn level(container: Option<&Container>) -> Level {
    let architecture = container.and_then(|container| container.architecture.as_ref());
    architecture.and_then(Level::of).unwrap_or_default()
}

impl Services for Kept {
    fn resolve(&self, reference: &str) -> Result<ServiceId> {
        self.store.resolve(reference).map(outer).map_err(problem)
    }

    fn plan(&self, id: ServiceId) -> Result<Plan> {
        let service = self.store.get(inner(id)).map_err(problem)?;
        let container = service
            .container
            .as_ref()
            .ok_or_else(|| unsound(id, "it has no box"))?;
        let usual = Limits {
            memory: DEFAULT_MEMORY,
            cpu_milli: WHOLE_CPU,
            disk: DEFAULT_DISK,
        };
        let resources = container.resources.as_ref();
        let at_init = limits(resources.and_then(|said| said.at_init.as_ref()), usual);
        let at_most = limits(resources.and_then(|said| said.at_most.as_ref()), at_init);
        Ok(Plan {
            id,
            program: program(id, container)?,
            at_init,
            at_most,
            config_path: container.config_path(),
            config_format: config_format(container)?,
            variables: container.environment.keys().cloned().collect(),
            slots: slots(&service),
            networks: service
                .network
                .iter()
                .map(|needed| NetworkNeed {
                    network: network(needed),
                    protocols: needed.protocol_stack.iter().map(descriptor).collect(),
                })
                .collect(),
            dependencies: dependencies(id, &service)?,
            expected_gateway: container.expected_gateway.iter().map(descriptor).collect(),
            architecture: level(Some(container)).to_string(),
        })
    }

    fn image(&self, id: ServiceId, tenant: &Owner) -> Result<BoxImage> {
        let image = if self.share_images {
            self.store.box_image(inner(id))
        } else {
            // No client's name has a space in it.
            let owner = match tenant {
                Owner::Client(name) => name,
                Owner::Operator | Owner::Instance(_) => "the operator",
            };
            self.store.own_box_image(inner(id), owner)
        };
        let image = image.map_err(problem)?;
        Ok(BoxImage {
            file: Arc::new(image.file),
            offset: 0,
            len: image.len,
        })
    }

    fn list(&self) -> Result<Vec<Service>> {
        let tags = self.store.tags().map_err(problem)?;
        let services = self.store.list().map_err(problem)?;
        services
            .keys()
            .map(|id| self.describe(outer(*id), &tags))
            .collect()
    }

    fn service(&self, id: ServiceId) -> Result<Service> {
        self.describe(id, &self.store.tags().map_err(problem)?)
    }

    fn import(&self, bytes: &mut dyn Read, expected: Option<ServiceId>) -> Result<Imported> {
        let put = self
            .store
            .put(bytes, expected.map(inner))
            .map_err(problem)?;
        Ok(Imported {
            id: outer(put.ids.id),
            known: put.known,
        })
    }

    fn used(&self) -> Result<u64> {
        Ok(self.store.usage().map_err(problem)?.bytes())
    }

    fn export(&self, id: ServiceId, encoding: &str, to: &mut dyn Write) -> Result<()> {
        let encoding =
            encoding::by_name(encoding).map_err(|error| Problem::new(Code::Unsupported, error))?;
        self.store.export(inner(id), encoding, to).map_err(problem)
    }

    fn tag(&self, id: ServiceId, tag: &str) -> Result<()> {
        self.store.tag(inner(id), tag).map_err(problem)
    }

    fn untag(&self, tag: &str) -> Result<()> {
        self.store.untag(tag).map_err(problem)
    }

    fn remove(&self, id: ServiceId) -> Result<()> {
        self.store.rm(inner(id)).map_err(problem)
    }

    fn collect(&self, keep: &[ServiceId]) -> Result<Collected> {
        let keep: Vec<_> = keep.iter().map(|id| inner(*id)).collect();
        let gone = self.store.gc(&keep).map_err(problem)?;
        Ok(service::Collected {
            services: gone.services,
            files: gone.files,
            bytes: gone.bytes,
        })
    }

    fn tags(&self) -> Result<BTreeMap<String, ServiceId>> {
        let tags = self.store.tags().map_err(problem)?;
        Ok(tags.into_iter().map(|(tag, id)| (tag, outer(id))).collect())
    }
}
