//! The node itself.

use serde::{Deserialize, Serialize};

use crate::instance::Limits;

/// The protocol that services find at `http://gateway/`, as a box may name it
/// in its expected gateway (a tag of the descriptor).
pub const GATEWAY_PROTOCOL: &str = "unicell/1";

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Node {
    /// The version of the program.
    pub version: String,
    /// The protocols that services may expect of their gateway, by tag.
    pub protocols: Vec<String>,
    /// The instruction set level of the host, `x86-64-v1` to `x86-64-v4`.
    pub architecture: String,
    /// What all instances together may use.
    pub capacity: Limits,
    /// What of it is free.
    pub free: Limits,
    /// Instances that have not ended.
    pub instances: usize,
}
