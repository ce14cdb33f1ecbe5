//! Services that a node keeps.

use serde::{Deserialize, Serialize};

use crate::id::ServiceId;
use crate::instance::Transport;
use crate::network::Descriptor;

/// A place where an instance can be reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Slot {
    /// Its port in the guest.
    pub port: u16,
    /// How it is carried.
    pub transport: Transport,
    /// What it speaks.
    #[serde(default)]
    pub protocols: Vec<Descriptor>,
}

/// Another service that a service starts, and how it calls it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Dependency {
    /// What the service calls it.
    pub alias: String,
    /// Which it is.
    pub service: ServiceId,
}

/// A service in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// Names that were given to it here.
    pub tags: Vec<String>,
    /// What its author says of it.
    pub prose: String,
    /// Bytes of its canonical form.
    pub size: u64,
    /// The instruction set level that it needs.
    pub architecture: String,
    /// Its slots.
    pub slots: Vec<Slot>,
    /// Networks that it declares.
    pub networks: Vec<Descriptor>,
    /// Services that it starts.
    pub dependencies: Vec<Dependency>,
    /// Whether an instance of it is running.
    pub running: usize,
}

/// Gives a name to a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Tag {
    /// The id of a service, or another tag of it.
    pub service: String,
}

/// A service was brought in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Imported {
    /// Its id, computed here.
    pub id: ServiceId,
    /// Whether it was there before.
    pub known: bool,
}

/// What a clean-up of the store removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Collected {
    /// Services.
    pub services: u64,
    /// Files that no service has any more.
    pub files: u64,
    /// Bytes of the disk.
    pub bytes: u64,
}
