//! Starting, stopping and watching instances.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::id::{Incarnation, InstanceId, ServiceId};
use crate::network::{Descriptor, NetworkState};
use crate::token::Token;

/// How a stream or its like is carried.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Transport {
    /// A stream of bytes.
    #[default]
    Tcp,
    /// Datagrams.
    Udp,
}

/// Amounts of what an instance uses. In a request, what is left out is as the
/// service declares it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Resources {
    /// Memory, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Share of host CPUs, thousandths: 1000 is all of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_milli: Option<u32>,
    /// What may be written over the box, bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<u64>,
}

/// Amounts of everything: limits that hold, or what is given or free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Limits {
    /// Memory, bytes.
    pub memory: u64,
    /// Share of host CPUs, thousandths: 1000 is all of one.
    pub cpu_milli: u32,
    /// What may be written over the box, bytes.
    pub disk: u64,
}

/// A slot that is to be reachable on a port of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Publish {
    /// The slot's port in the guest.
    pub slot: u16,
    /// How it is carried.
    #[serde(default)]
    pub transport: Transport,
    /// Where on the host; port 0 lets the host choose one.
    #[cfg_attr(feature = "schema", schema(value_type = String, example = "127.0.0.1:8080"))]
    pub host: SocketAddr,
}

/// Starts an instance. The caller becomes its parent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Start {
    /// The id of a service, a tag, or (from inside a guest) an alias of a
    /// dependency that the service declares.
    pub service: String,
    /// The name by which its parent reaches it. Without one: the alias, or the
    /// tag, with a number if that is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Arguments instead of the service's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Vec<String>>,
    /// Values for environment variables that the service declares.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Limits of its own.
    #[serde(default)]
    pub resources: Resources,
    /// What its descendants may use in all. Without it, they draw on what its
    /// parent may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowance: Option<Limits>,
    /// It is stopped after this many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Slots to be reachable from the host. Needs the right to publish.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<Publish>,
    /// Networks that it is granted, of those that it declares. Without it: all
    /// that the policy allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<String>>,
    /// How far its run is to be repeatable. With D1 and D2 there is a receipt of
    /// it when it has ended.
    #[serde(default, skip_serializing_if = "Determinism::is_none")]
    pub determinism: Determinism,
    /// The processor that its program finds, with D1 and D2. Without it:
    /// x86-64-v2, so that its receipt can be verified on most hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
}

/// Where one slot of an instance is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SlotAddress {
    /// The slot's port.
    pub port: u16,
    /// How it is carried.
    pub transport: Transport,
    /// Addresses at which the caller reaches it: of the caller's guest, or of
    /// the host for a published slot.
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>))]
    pub addresses: Vec<SocketAddr>,
    /// What it speaks.
    #[serde(default)]
    pub protocols: Vec<Descriptor>,
}

/// An instance was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Started {
    /// Its id.
    pub id: InstanceId,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// The service that runs.
    pub service: ServiceId,
    /// The name by which its parent reaches it.
    pub name: String,
    /// Everything that its parent may do with it, as a token that can be passed on.
    pub token: Token,
    /// Its slots, and where the caller reaches them.
    pub slots: Vec<SlotAddress>,
    /// The networks that it declares, each with what became of it.
    pub networks: Vec<NetworkState>,
}

/// Where an instance is in its life. It only goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum State {
    /// Its process is being made.
    Starting,
    /// Its program runs.
    Running,
    /// It ends: its descendants are being stopped, or itself.
    Stopping,
    /// Nothing of it is left, nor of its descendants.
    Ended,
}

/// How an instance ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Outcome {
    /// The program ended with this status.
    Exited {
        /// As given to `exit`.
        status: u8,
    },
    /// A signal killed the program.
    Signaled {
        /// Linux's number of it.
        signal: u8,
    },
    /// Somebody stopped it, or its parent ended.
    Stopped,
    /// Its time was over.
    TimedOut,
    /// It could not go on, through no wish of the program.
    Failed {
        /// One of the reasons of `unicell run` (docs/exit-codes.md), as a code.
        code: u16,
        /// One sentence.
        reason: String,
    },
}

/// What an instance has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Usage {
    /// CPU time, nanoseconds.
    pub cpu_ns: u64,
    /// Memory now, bytes.
    pub memory: u64,
    /// The most memory it ever had, bytes.
    pub memory_peak: u64,
    /// Bytes that streams brought into the guest.
    pub bytes_in: u64,
    /// Bytes that streams took out of the guest.
    pub bytes_out: u64,
    /// Exits of the virtual CPU to its process.
    pub exits: u64,
    /// Bytes of its streams that the node itself carried: calls of the API,
    /// names, tunnels of `connect`. Streams between instances are not among them.
    pub bytes_relayed: u64,
    /// Time since it runs, nanoseconds.
    pub wall_ns: u64,
}

/// How far an instance's run can be repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Determinism {
    /// Nothing is promised.
    #[default]
    D0,
    /// The same input gives the same output on hosts of one CPU class.
    D1,
    /// D1, and the instructions that would show the host are trapped.
    D2,
}

impl Determinism {
    /// Whether nothing is promised.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        matches!(self, Self::D0)
    }
}

/// The processor that the program of a repeatable run finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Cpu {
    /// The host's own: the run is the same on hosts of its CPU class.
    #[serde(rename = "host")]
    Host,
    /// The same on every host: SSE4.2, no AVX.
    #[serde(rename = "x86-64-v2")]
    V2,
    /// The same on every host that offers it: AVX2 and FMA.
    #[serde(rename = "x86-64-v3")]
    V3,
}

/// How an instance's process is kept apart from the host: the layers of its jail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Jail {
    /// The layers that hold.
    pub holds: Vec<String>,
    /// The layers that this host lacks, and why.
    pub lacks: BTreeMap<String, String>,
}

/// Who started an instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Owner {
    /// The node's operator.
    Operator,
    /// A client, by the name in its token.
    Client(String),
    /// Another instance: its parent.
    Instance(InstanceId),
}

/// An instance, as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// The service that runs.
    pub service: ServiceId,
    /// The name by which its parent reaches it.
    pub name: String,
    /// Who started it.
    pub owner: Owner,
    /// Where it is in its life.
    pub state: State,
    /// How it ended, if it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// When it was started, milliseconds since 1970.
    pub started_ms: u64,
    /// Its slots, and where the caller reaches them.
    pub slots: Vec<SlotAddress>,
    /// The networks that it declares.
    pub networks: Vec<NetworkState>,
    /// The limits that hold.
    pub limits: Limits,
    /// What its descendants may use in all, if that was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowance: Option<Limits>,
    /// What it has used.
    pub usage: Usage,
    /// How far its run can be repeated.
    pub determinism: Determinism,
    /// What keeps its process apart from the host.
    #[serde(default)]
    pub jail: Jail,
    /// Its children that have not ended.
    pub children: Vec<InstanceId>,
}

/// An instance was stopped, and its descendants before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Stopped {
    /// How it ended.
    pub outcome: Outcome,
    /// What it used in all.
    pub usage: Usage,
    /// What it was given and holds no more.
    pub returned: Limits,
}

/// What starting and keeping an instance would cost here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct EstimateRequest {
    /// As in [`Start`].
    pub service: String,
    /// As in [`Start`].
    #[serde(default)]
    pub resources: Resources,
}

/// An amount with how sure it is, from starts that were measured here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Measured {
    /// The mean.
    pub mean: f64,
    /// The standard deviation.
    pub deviation: f64,
    /// Of how many.
    pub samples: u64,
}

/// The answer to [`EstimateRequest`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Estimate {
    /// The service.
    pub service: ServiceId,
    /// The limits that it would get.
    pub limits: Limits,
    /// Until its program runs, nanoseconds.
    pub start_ns: Measured,
    /// Share of a CPU that instances of this service used, thousandths.
    pub cpu_milli: Measured,
    /// Peak memory of instances of this service, bytes.
    pub memory_peak: Measured,
    /// Whether the figures are of this service. If not, they are of all
    /// services that ran here; without any samples nothing is known.
    pub of_this_service: bool,
    /// The price. Nothing is charged on this node.
    pub price: u64,
}

/// Could an instance of this shape start now?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct AvailabilityRequest {
    /// As in [`Start`]; without it, only the resources are looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// As in [`Start`].
    #[serde(default)]
    pub resources: Resources,
}

/// The answer to [`AvailabilityRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Availability {
    /// Whether it could.
    pub available: bool,
    /// Why not: one sentence for each reason.
    pub reasons: Vec<String>,
    /// What the caller could still use.
    pub free: Limits,
}
