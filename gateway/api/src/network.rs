//! Named networks: what a service declares, who is a member, what is granted.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::id::InstanceId;
use crate::instance::{SlotAddress, Transport};

/// A descriptor of a network or a protocol. Two match if both have a formal
/// part and those bytes are equal; or, unless both have one, if they share a
/// tag. Prose never counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Descriptor {
    /// Names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prose: String,
    /// For machines; in JSON lower-case hexadecimal digits.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "hexadecimal")]
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub formal: Vec<u8>,
}

/// What became of a network that an instance declares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NetworkState {
    /// The declaration.
    pub network: Descriptor,
    /// Whether the instance may reach its members now.
    pub granted: bool,
    /// If not granted: who does not allow it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many members it could connect to now. None is legal, and worth
    /// knowing.
    pub members: usize,
}

/// A member of a network, as the asking instance reaches it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Member {
    /// Its host name in the guest of the caller, if the caller is an instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Which instance, if it is one and the caller may know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// Where it is reached.
    pub slots: Vec<SlotAddress>,
}

/// A network and those of its members that the caller may reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Network {
    /// The name that was asked for.
    pub name: String,
    /// Whether the caller may reach it.
    pub granted: bool,
    /// One sentence if there are no members, or if it is not granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Its members.
    pub members: Vec<Member>,
}

/// An endpoint outside the node that the operator makes a member of a network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Endpoint {
    /// Where, numerically: the node resolves no names for guests.
    #[cfg_attr(feature = "schema", schema(value_type = String, example = "192.0.2.7:8333"))]
    pub address: SocketAddr,
    /// How it is carried.
    #[serde(default)]
    pub transport: Transport,
}

/// What the operator allows in the way of one network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NetworkPolicy {
    /// Which network: as services declare it.
    pub network: Descriptor,
    /// Whether instances that declare the network are its members.
    #[serde(default = "yes")]
    pub instances: bool,
    /// Members outside the node.
    #[serde(default)]
    pub endpoints: Vec<Endpoint>,
}

fn yes() -> bool {
    true
}

mod hexadecimal {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(
            &bytes
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>(),
        )
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(D::Error::custom(
                "formal: lower-case hexadecimal digits are wanted",
            )),
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if !rest.is_empty() {
            return Err(D::Error::custom("formal: the number of digits is odd"));
        }
        pairs
            .iter()
            .map(|[high, low]| Ok(digit(*high)? << 4 | digit(*low)?))
            .collect()
    }
}
