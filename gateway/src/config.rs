//! What the operator sets.

use std::time::Duration;

use unicell_gateway_api::instance::Limits;
use unicell_gateway_api::network::NetworkPolicy;

use crate::starts::{Rate, StartBounds};
use crate::tree::Bounds;

/// What the operator sets.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bounds of the tree of instances.
    pub bounds: Bounds,
    /// How often instances are started.
    pub starts: StartBounds,
    /// Bounds of each instance's use of the node.
    pub instance: InstanceBounds,
    /// Bounds of the API.
    pub api: ApiBounds,
    /// Bytes that the store may have when a client brings a service in. The
    /// operator may always.
    pub store: u64,
    /// Networks that are there from the start. Those that were set through the
    /// API are kept in the record, and go before these.
    pub networks: Vec<NetworkPolicy>,
    /// The instruction set level of the host, `x86-64-v1` to `x86-64-v4`.
    pub architecture: String,
    /// Whether clients may put slots on ports of the host (the operator always may).
    pub clients_publish: bool,
}

/// Bounds of each instance's use of the node.
#[derive(Clone, Copy, Debug)]
pub struct InstanceBounds {
    /// Streams to and from other instances and outside, together.
    pub streams: usize,
    /// Streams to the gateway itself: API, names.
    pub gateway_streams: usize,
    /// Events that are kept.
    pub events: usize,
    /// Bytes of output that are kept.
    pub log: usize,
    /// Slots on ports of the host.
    pub published: usize,
    /// Clients that a published slot of UDP has at once.
    pub clients: usize,
    /// How long such a client may be silent, and be sent nothing, before it is forgotten.
    pub client_idle: Duration,
    /// How long its program may take to start.
    pub start: Duration,
    /// How long the node tries to connect to a member outside.
    pub connect: Duration,
    /// How long a name query's stream may be idle.
    pub idle: Duration,
}

/// Bounds of the API.
#[derive(Clone, Copy, Debug)]
pub struct ApiBounds {
    /// Bytes of a request's body, but for an import.
    pub body: usize,
    /// Bytes of a service that is imported.
    pub import: u64,
    /// Services that are imported at once.
    pub imports: usize,
    /// Time until the head of a request is there.
    pub head: Duration,
    /// Time until the head of an answer is there.
    pub answer: Duration,
    /// Events that are kept which are about no instance.
    pub events: usize,
    /// Events that a reader may be behind.
    pub lag: usize,
}

impl Config {
    /// Usual bounds, for a node that may use so much.
    #[must_use]
    pub fn new(capacity: Limits) -> Self {
        Self {
            bounds: Bounds {
                capacity,
                client: capacity,
                instances: 4096,
                children: 256,
                depth: 16,
                remembered: 256,
            },
            starts: StartBounds::default(),
            instance: InstanceBounds::default(),
            api: ApiBounds::default(),
            store: u64::MAX,
            networks: Vec::new(),
            architecture: "x86-64-v1".to_owned(),
            clients_publish: false,
        }
    }
}

impl Default for StartBounds {
    fn default() -> Self {
        Self {
            client: Rate {
                burst: 64,
                each: Duration::from_secs(1) / 32,
            },
            instance: Rate {
                burst: 8,
                each: Duration::from_secs(1) / 4,
            },
            patience: Duration::from_secs(1),
        }
    }
}

impl Default for InstanceBounds {
    fn default() -> Self {
        Self {
            streams: 1024,
            gateway_streams: 32,
            events: 64,
            log: 256 << 10,
            published: 16,
            clients: 256,
            client_idle: Duration::from_secs(120),
            start: Duration::from_secs(60),
            connect: Duration::from_secs(20),
            idle: Duration::from_secs(30),
        }
    }
}

impl Default for ApiBounds {
    fn default() -> Self {
        Self {
            body: 256 << 10,
            import: 4 << 30,
            imports: 8,
            head: Duration::from_secs(10),
            answer: Duration::from_secs(120),
            events: 1024,
            lag: 1024,
        }
    }
}
