//! What happens on a node, as a stream.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::id::{Incarnation, InstanceId, ServiceId};
use crate::instance::{Limits, Outcome, Owner, Transport};
use crate::problem::Code;

/// One thing that happened: a line of the stream of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Event {
    /// Grows by one with each event of the node. A caller who does not see
    /// all of them sees gaps.
    pub number: u64,
    /// When, milliseconds since 1970.
    pub time_ms: u64,
    /// Whose, if it is about one instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What can be measured from both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Amount {
    /// Processor time, nanoseconds.
    CpuNs,
    /// Memory, bytes.
    Memory,
    /// Bytes through its streams, of which it says in all less than of each.
    StreamBytes,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub enum What {
    /// An instance is being started.
    Starting {
        /// Of which service.
        service: ServiceId,
        /// Its name for its parent.
        name: String,
        /// By whom.
        owner: Owner,
        /// Its incarnation.
        incarnation: Incarnation,
    },
    /// Its program runs.
    Running {
        /// Since the start was asked for, nanoseconds.
        after_ns: u64,
    },
    /// It is being stopped, and its descendants before it.
    Stopping {
        /// Why.
        reason: String,
    },
    /// It has ended.
    Ended {
        /// How.
        outcome: Outcome,
    },
    /// It tried to connect to what it may not reach.
    ConnectRefused {
        /// How.
        transport: Transport,
        /// Where to.
        #[cfg_attr(feature = "schema", schema(value_type = String))]
        to: SocketAddr,
        /// What the program was told, a name of errno(3).
        errno: String,
        /// One sentence.
        reason: String,
        /// How many such events were left out before this one, since there
        /// were too many.
        left_out: u64,
    },
    /// A call of the API was refused: for what was shown, or since the caller may not, or not so
    /// often. About the instance whose guest made it, if it came from one.
    CallRefused {
        /// The door that it came to: `operator`, `client` or `guest`.
        door: String,
        /// For whom the token speaks that was shown, if it is one of this node.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token_of: Option<Owner>,
        /// Method and path.
        call: String,
        /// How it was refused.
        code: Code,
        /// One sentence.
        reason: String,
        /// How many such events were left out before this one, since there
        /// were too many.
        left_out: u64,
    },
    /// It may reach the members of a network from now on.
    Granted {
        /// Which.
        network: String,
    },
    /// It may not any more.
    Withdrawn {
        /// Which.
        network: String,
        /// How many open streams broke by it.
        streams: usize,
    },
    /// It was started with a network that has no member now.
    NetworkEmpty {
        /// Which.
        network: String,
    },
    /// A network that it declares is not granted.
    NetworkRefused {
        /// Which.
        network: String,
        /// By whom.
        reason: String,
    },
    /// Its process says that it has used what it has not, or the other way
    /// round: it must be taken to have been taken over by its guest. What the
    /// host has measured is what counts.
    Misreported {
        /// Of what.
        amount: Amount,
        /// What it says.
        claimed: u64,
        /// What the host has measured.
        measured: u64,
    },
    /// The processes at the two ends of a stream between instances tell of
    /// different bytes, by more than can have been lost on the way: one of them
    /// must be taken to have been taken over. Both instances are told of, each
    /// once.
    StreamDisputed {
        /// The instance at the other end.
        peer: InstanceId,
        /// What the end that sent says that it has sent, bytes.
        sent: u64,
        /// What the other one says that it has received, bytes.
        received: u64,
    },
    /// Its limits changed.
    Limits {
        /// To these.
        limits: Limits,
    },
    /// A slot is reachable on the host.
    Published {
        /// The slot's port.
        slot: u16,
        /// How it is carried.
        transport: Transport,
        /// Where.
        #[cfg_attr(feature = "schema", schema(value_type = String))]
        host: SocketAddr,
    },
    /// A token was made for a client.
    TokenCreated {
        /// Its name.
        client: String,
    },
    /// A token was revoked.
    TokenRevoked,
    /// An instance of the node's last life was lost when that ended.
    Lost {
        /// Of which service.
        service: ServiceId,
    },
    /// The node is shutting down.
    ShuttingDown,
    /// The reader was too slow: so many events were left out here.
    Lagged {
        /// How many.
        missed: u64,
    },
}
