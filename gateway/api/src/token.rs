//! Tokens, as they are passed around.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::{Incarnation, InstanceId};
use crate::instance::Transport;

/// The header in which a guest's program sends its token.
pub const HEADER: &str = "unicell-token";

/// A token: a secret that lets its bearer do something. It is printed only by
/// [`Token::reveal`] and by serialization.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Token(String);

impl Token {
    /// What is written on the wire.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret. Not for logs.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What may be done, as tokens name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Verb {
    /// Start instances.
    Start,
    /// Stop an instance.
    Stop,
    /// See instances.
    Instance,
    /// Change limits.
    Resources,
    /// Ask what a start would cost.
    Estimate,
    /// Ask whether a start could succeed.
    Availability,
    /// See and fetch services.
    Service,
    /// Ask for the members of networks.
    Network,
    /// Open streams to slots.
    Connect,
    /// Usage in the form of Prometheus.
    Metrics,
    /// Follow what happens.
    Events,
    /// Read what programs print.
    Logs,
    /// Make tokens, narrow them, and revoke one's own.
    Token,
    /// Bring services into the store, name and remove them.
    Import,
    /// Put slots on ports of the host.
    Publish,
    /// Change which networks are granted, and who is a member.
    Grant,
    /// Have it proven what an instance did, and see all that came to it.
    Receipt,
}

impl Verb {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Start,
        Self::Stop,
        Self::Instance,
        Self::Resources,
        Self::Estimate,
        Self::Availability,
        Self::Service,
        Self::Network,
        Self::Connect,
        Self::Metrics,
        Self::Events,
        Self::Logs,
        Self::Token,
        Self::Import,
        Self::Publish,
        Self::Grant,
        Self::Receipt,
    ];
}

/// One way in which a token is narrowed. The set is closed: a node refuses a
/// token with one that it does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum Caveat {
    /// Only for this instance.
    Instance {
        /// Its id.
        id: InstanceId,
        /// Its incarnation.
        incarnation: Incarnation,
    },
    /// Only these verbs.
    Verbs(Vec<Verb>),
    /// Until then, milliseconds since 1970.
    Expires(u64),
    /// Only used by this instance, calling from inside its guest.
    Holder {
        /// Its id.
        id: InstanceId,
        /// Its incarnation.
        incarnation: Incarnation,
    },
    /// Only to connect to this slot.
    Slot {
        /// Its port.
        port: u16,
        /// How it is carried.
        #[serde(default)]
        transport: Transport,
    },
    /// Only to ask for this network.
    Network(String),
}

/// Makes a token for a client. Only the operator may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct CreateToken {
    /// The client's name: what it starts belongs to that name.
    pub client: String,
    /// In which ways the token is narrow.
    #[serde(default)]
    pub caveats: Vec<Caveat>,
}

/// Narrows a token. Anyone who holds one may, and needs no node for it; this is
/// for those without the library.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct NarrowToken {
    /// The token to begin with. Without it: the one that the call is made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Token>,
    /// In which further ways it is to be narrow.
    pub caveats: Vec<Caveat>,
}

/// Revokes a token, and every token that was narrowed from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct RevokeToken {
    /// Which.
    pub token: Token,
}

/// A token that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct IssuedToken {
    /// It.
    pub token: Token,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_printed() {
        let token = Token::new("uct1_secret");
        let said = format!(
            "{:?} {:?}",
            token,
            IssuedToken {
                token: token.clone()
            }
        );
        assert!(!said.contains("secret"), "{said}");
        assert_eq!(serde_json::to_string(&token).unwrap(), "\"uct1_secret\"");
    }
}
