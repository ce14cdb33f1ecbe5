//! Services of tests, kept in memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;

use parking_lot::Mutex;
use unicell_gateway_api::id::ServiceId;
use unicell_gateway_api::instance::{Limits, Owner, Transport};
use unicell_gateway_api::network::Descriptor;
use unicell_gateway_api::run::Program;
use unicell_gateway_api::service::{Collected, Dependency, Imported, Service, Slot};
use unicell_gateway_api::services::{BoxImage, ConfigFormat, NetworkNeed, Plan, Services};
use unicell_gateway_api::{Code, Problem};

/// A service of a test.
pub fn service(number: u8, slots: &[u16], networks: &[&str]) -> Plan {
    let limits = Limits {
        memory: 1 << 20,
        cpu_milli: 100,
        disk: 1 << 20,
    };
    Plan {
        id: ServiceId::new([number; 32]),
        program: Program {
            entry: "/bin/program".to_owned(),
            args: vec!["argument".to_owned()],
            env: vec!["PATH=/bin".to_owned()],
            workdir: "/".to_owned(),
        },
        at_init: limits,
        at_most: Limits {
            memory: 64 << 20,
            cpu_milli: 2000,
            disk: 64 << 20,
        },
        config_path: "/__config__".to_owned(),
        config_format: ConfigFormat::Json,
        variables: vec!["COLOR".to_owned()],
        slots: slots
            .iter()
            .map(|port| Slot {
                port: *port,
                transport: Transport::Tcp,
                protocols: Vec::new(),
            })
            .collect(),
        networks: networks
            .iter()
            .map(|name| NetworkNeed {
                network: network(name),
                protocols: Vec::new(),
            })
            .collect(),
        dependencies: Vec::new(),
        expected_gateway: Vec::new(),
        architecture: "x86-64-v2".to_owned(),
    }
}

pub fn network(name: &str) -> Descriptor {
    Descriptor {
        tags: vec![name.to_owned()],
        ..Descriptor::default()
    }
}

/// Services in memory. What is imported is a service by its length.
#[derive(Default)]
pub struct Store(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    plans: BTreeMap<ServiceId, Plan>,
    tags: BTreeMap<String, ServiceId>,
    images: BTreeMap<Owner, Arc<File>>,
}

impl Store {
    pub fn add(&self, tag: &str, plan: Plan) -> ServiceId {
        let id = plan.id;
        let mut kept = self.0.lock();
        kept.tags.insert(tag.to_owned(), id);
        kept.plans.insert(id, plan);
        id
    }

    /// A service with dependencies, that were added before.
    pub fn add_with(&self, tag: &str, mut plan: Plan, dependencies: &[&str]) -> ServiceId {
        for alias in dependencies {
            plan.dependencies.push(Dependency {
                alias: (*alias).to_owned(),
                service: self.resolve(alias).unwrap(),
            });
        }
        self.add(tag, plan)
    }
}

fn unknown(what: impl std::fmt::Debug) -> Problem {
    Problem::new(Code::NotFound, format!("there is no service {what:?}"))
}

impl Services for Store {
    fn resolve(&self, reference: &str) -> Result<ServiceId, Problem> {
        let kept = self.0.lock();
        let id = reference
            .parse()
            .ok()
            .or_else(|| kept.tags.get(reference).copied());
        id.filter(|id| kept.plans.contains_key(id))
            .ok_or_else(|| unknown(reference))
    }

    fn plan(&self, id: ServiceId) -> Result<Plan, Problem> {
        self.0
            .lock()
            .plans
            .get(&id)
            .cloned()
            .ok_or_else(|| unknown(id))
    }

    fn image(&self, _: ServiceId, tenant: &Owner) -> Result<BoxImage, Problem> {
        let mut kept = self.0.lock();
        let file = kept.images.entry(tenant.clone()).or_insert_with(|| {
            let file = tempfile::tempfile().unwrap();
            Arc::new(file)
        });
        Ok(BoxImage {
            file: Arc::clone(file),
            offset: 0,
            len: 0,
        })
    }

    fn list(&self) -> Result<Vec<Service>, Problem> {
        let ids: Vec<_> = self.0.lock().plans.keys().copied().collect();
        ids.into_iter().map(|id| self.service(id)).collect()
    }

    fn service(&self, id: ServiceId) -> Result<Service, Problem> {
        let plan = self.plan(id)?;
        let tags = self.tags()?;
        Ok(Service {
            id,
            tags: tags
                .into_iter()
                .filter(|(_, other)| *other == id)
                .map(|(tag, _)| tag)
                .collect(),
            prose: String::new(),
            size: 0,
            architecture: plan.architecture,
            slots: plan.slots,
            networks: plan.networks.into_iter().map(|need| need.network).collect(),
            dependencies: plan.dependencies,
            running: 0,
        })
    }

    fn import(
        &self,
        bytes: &mut dyn Read,
        expected: Option<ServiceId>,
    ) -> Result<Imported, Problem> {
        let mut all = Vec::new();
        let read = bytes.read_to_end(&mut all);
        read.map_err(|error| Problem::new(Code::BadService, error))?;
        let plan = service(all.len() as u8, &[80], &[]);
        if expected.is_some_and(|expected| expected != plan.id) {
            return Err(Problem::new(Code::BadService, "it hashes to another id"));
        }
        let id = plan.id;
        let known = self.0.lock().plans.insert(id, plan).is_some();
        Ok(Imported { id, known })
    }

    fn used(&self) -> Result<u64, Problem> {
        Ok(self.0.lock().plans.len() as u64 * 100)
    }

    fn export(&self, id: ServiceId, encoding: &str, to: &mut dyn Write) -> Result<(), Problem> {
        self.plan(id)?;
        if encoding != "proto3" {
            return Err(Problem::new(Code::Unsupported, "only proto3"));
        }
        let broken = |error| Problem::new(Code::Internal, error);
        (0..200)
            .try_for_each(|_| to.write_all(&[7; 1000]))
            .map_err(broken)
    }

    fn tag(&self, id: ServiceId, tag: &str) -> Result<(), Problem> {
        self.0.lock().tags.insert(tag.to_owned(), id);
        Ok(())
    }

    fn untag(&self, tag: &str) -> Result<(), Problem> {
        self.0
            .lock()
            .tags
            .remove(tag)
            .map(|_| ())
            .ok_or_else(|| unknown(tag))
    }

    fn remove(&self, id: ServiceId) -> Result<(), Problem> {
        let mut kept = self.0.lock();
        kept.tags.retain(|_, other| *other != id);
        kept.plans
            .remove(&id)
            .map(|_| ())
            .ok_or_else(|| unknown(id))
    }

    fn collect(&self, keep: &[ServiceId]) -> Result<Collected, Problem> {
        let mut kept = self.0.lock();
        let tagged: Vec<_> = kept.tags.values().copied().collect();
        let before = kept.plans.len();
        kept.plans
            .retain(|id, _| keep.contains(id) || tagged.contains(id));
        Ok(Collected {
            services: (before - kept.plans.len()) as u64,
            ..Collected::default()
        })
    }

    fn tags(&self) -> Result<BTreeMap<String, ServiceId>, Problem> {
        Ok(self.0.lock().tags.clone())
    }
}
