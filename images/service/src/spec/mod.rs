//! The specification of a service: the model of BOX, API and NET, what goes
//! with it, and its identity. Field by field it is told in
//! `docs/specification.md`.
//!
//! Every type here is a message of the Celaut proto3 schema: the numbers are
//! that schema's, the names are ours. What a node decides from these values
//! (grants, prices, where something runs) is not decided here.

mod architecture;
mod descriptor;
mod filesystem;
mod id;
mod instance;
mod interface;
mod launch;
mod metadata;
mod service;
pub(crate) mod tree;
mod value;

pub use architecture::Level;
pub use descriptor::{Descriptor, matches};
pub use filesystem::{Attributes, Branch, Filesystem, Item, MAX_DIRECTORIES};
pub use id::{BadId, Hash, HashKind, Ids, ServiceId};
pub use instance::{
    Configuration, ConfigurationFile, Instance, NetworkResolution, SlotAddresses, Uri,
};
pub use interface::{Interface, Method};
pub(crate) use launch::names;
pub use launch::{ConfigFormat, InitFault, UnknownFormat, check_alias};
pub use metadata::{AttributeTag, HashTag, Metadata};
pub use service::{
    Amount, Api, ConfigDeclaration, Container, Contract, ContractRate, Dependency, Init, Network,
    Resources, Scenario, Service, Slot, Sysresources, Workload,
};
pub use value::{Bytes, Map};
