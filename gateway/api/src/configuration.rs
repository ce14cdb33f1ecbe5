//! The file that a service finds in its guest, as JSON: at `/__config__`, or
//! where its specification says. A service that wants the file in proto3 where
//! this one would be finds this one at `/__config__.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{Incarnation, InstanceId, ServiceId};
use crate::instance::{Limits, SlotAddress};
use crate::network::NetworkState;
use crate::token::Token;

/// Where it is, unless the service says otherwise.
pub const DEFAULT_PATH: &str = "/__config__";
/// Where it is if something else is there.
pub const OTHER_PATH: &str = "/__config__.json";

/// What a service is told at its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Configuration {
    /// Where the gateway is.
    pub gateway: GatewayAddress,
    /// The instance itself.
    pub instance: InstanceId,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// Its service.
    pub service: ServiceId,
    /// What the instance may do, and proves who calls.
    pub token: Token,
    /// Values for the variables that the service declares.
    pub environment: BTreeMap<String, String>,
    /// Its own slots.
    pub slots: Vec<SlotAddress>,
    /// Networks that it declares. They may change: ask the gateway.
    pub networks: Vec<NetworkState>,
    /// Dependencies, by the alias to start them with.
    pub dependencies: BTreeMap<String, ServiceId>,
    /// Its limits at the start.
    pub resources: Limits,
}

/// Where the gateway is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct GatewayAddress {
    /// The URL of its API.
    pub url: String,
    /// Its addresses.
    #[cfg_attr(feature = "schema", schema(value_type = Vec<String>))]
    pub addresses: Vec<std::net::IpAddr>,
    /// The name of the header that carries the token.
    pub token_header: String,
}
