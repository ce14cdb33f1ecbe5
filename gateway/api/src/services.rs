//! Where services are kept, as the gateway needs it. The calls may block: the
//! gateway makes them where that does no harm.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;

use crate::id::ServiceId;
use crate::instance::{Limits, Owner};
use crate::network::Descriptor;
use crate::problem::Problem;
use crate::run::Program;
use crate::service::{Collected, Dependency, Imported, Service, Slot};

/// The box of a service as a file image.
#[derive(Clone, Debug)]
pub struct BoxImage {
    /// The file it is in. It does not change any more.
    pub file: Arc<File>,
    /// Where in it, bytes.
    pub offset: u64,
    /// How long, bytes.
    pub len: u64,
}

/// What the gateway must know to run a service.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its id.
    pub id: ServiceId,
    /// What is run.
    pub program: Program,
    /// What it needs at the start.
    pub at_init: Limits,
    /// The most that it may be given.
    pub at_most: Limits,
    /// Where it wants its configuration.
    pub config_path: String,
    /// How it wants it written.
    pub config_format: ConfigFormat,
    /// Variables that may be set at its start.
    pub variables: Vec<String>,
    /// Its slots.
    pub slots: Vec<Slot>,
    /// The networks that it declares. None: isolated.
    pub networks: Vec<NetworkNeed>,
    /// Other services that it may start by an alias.
    pub dependencies: Vec<Dependency>,
    /// The gateway protocols that it expects.
    pub expected_gateway: Vec<Descriptor>,
    /// The instruction set level that it needs, `x86-64-v1` to `x86-64-v4`.
    pub architecture: String,
}

/// How the configuration file is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConfigFormat {
    /// As [`crate::configuration::Configuration`], JSON: what a service gets
    /// that declares nothing.
    #[default]
    Json,
    /// As the message of the specification, proto3: what every Celaut node
    /// writes. It has no place for a token; the JSON file is there beside it.
    Proto3,
}

/// A network that a service declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkNeed {
    /// Which.
    pub network: Descriptor,
    /// What is spoken in it: other members reach those slots of the service
    /// that speak one of these, or all of its slots if this is empty.
    pub protocols: Vec<Descriptor>,
}

/// Where services are kept. Errors are ready to be answered: a problem with
/// code `NotFound`, `BadService`, `Conflict`, `Unsupported` or `Internal`.
pub trait Services: Send + Sync + 'static {
    /// The service that an id or a tag names.
    fn resolve(&self, reference: &str) -> Result<ServiceId, Problem>;

    /// What is needed to run it.
    fn plan(&self, id: ServiceId) -> Result<Plan, Problem>;

    /// Its box, for an instance of `tenant`: the client, or the operator, from
    /// whom all above the instance comes. Who sees the same file sees which
    /// of its pages others have touched.
    fn image(&self, id: ServiceId, tenant: &Owner) -> Result<BoxImage, Problem>;

    /// All that are there. The number of running instances is not filled in.
    fn list(&self) -> Result<Vec<Service>, Problem>;

    /// One.
    fn service(&self, id: ServiceId) -> Result<Service, Problem>;

    /// Brings one in, in any encoding that the node speaks. It is hashed before
    /// it is kept; if `expected` is given and differs, it is refused.
    fn import(
        &self,
        bytes: &mut dyn Read,
        expected: Option<ServiceId>,
    ) -> Result<Imported, Problem>;

    /// Bytes that all services have on the disk, their box images too.
    fn used(&self) -> Result<u64, Problem>;

    /// Writes one in an encoding, by its name.
    fn export(&self, id: ServiceId, encoding: &str, to: &mut dyn Write) -> Result<(), Problem>;

    /// Gives a service a name, taking it from whatever had it.
    fn tag(&self, id: ServiceId, tag: &str) -> Result<(), Problem>;

    /// Removes a name.
    fn untag(&self, tag: &str) -> Result<(), Problem>;

    /// Removes a service and its names.
    fn remove(&self, id: ServiceId) -> Result<(), Problem>;

    /// Removes what nothing refers to. Services in `keep` (those that run) stay.
    fn collect(&self, keep: &[ServiceId]) -> Result<Collected, Problem>;

    /// Tags and what they name.
    fn tags(&self) -> Result<BTreeMap<String, ServiceId>, Problem>;
}
