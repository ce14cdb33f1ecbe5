//! A node is an ed25519 key; its id is the public key.

mod file;
mod succession;

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use ed25519_dalek::{Signature as Ed25519, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

pub use file::{KeyError, KeyFile};
pub use succession::Succession;

/// What a signature is about. Its bytes come first in what is signed, so that a signature of one
/// thing is never one of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// A receipt ([`crate::receipt`]).
    Receipt,
    /// A key names the one that comes after it.
    Succession,
}

impl Domain {
    const fn bytes(self) -> &'static [u8] {
        match self {
            Self::Receipt => b"unicell receipt 1\0",
            Self::Succession => b"unicell key succession 1\0",
        }
    }

    fn text(self, message: &[u8]) -> Vec<u8> {
        [self.bytes(), message].concat()
    }
}

/// Who a node is: its public key. Written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId([u8; 32]);

/// A signature. Written as 128 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Signature([u8; 64]);

/// Text that is no id or no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} lower-case hexadecimal digits are wanted")]
pub struct NotHex(usize);

fn digits<const N: usize>(text: &str) -> Result<[u8; N], NotHex> {
    let bytes = HEXLOWER.decode(text.as_bytes()).ok();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(NotHex(2 * N))
}

impl FromStr for NodeId {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        digits(text).map(Self)
    }
}

impl TryFrom<String> for NodeId {
    type Error = NotHex;

    fn try_from(text: String) -> Result<Self, NotHex> {
        text.parse()
    }
}

impl TryFrom<String> for Signature {
    type Error = NotHex;

    fn try_from(text: String) -> Result<Self, NotHex> {
        digits(&text).map(Self)
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> Self {
        id.to_string()
    }
}

impl From<Signature> for String {
    fn from(signature: Signature) -> Self {
        HEXLOWER.encode(&signature.0)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl NodeId {
    /// Whether this node has signed the message. Signatures and keys in forms that different
    /// libraries judge differently are refused.
    #[must_use]
    pub fn has_signed(&self, domain: Domain, message: &[u8], signature: &Signature) -> bool {
        VerifyingKey::from_bytes(&self.0).is_ok_and(|key| {
            let signature = Ed25519::from_bytes(&signature.0);
            key.verify_strict(&domain.text(message), &signature).is_ok()
        })
    }
}

/// A node's own key. Its secret is wiped from memory when it is dropped, and is never shown.
pub struct Identity(SigningKey);

impl Identity {
    /// Who has this key.
    #[must_use]
    pub fn id(&self) -> NodeId {
        NodeId(self.0.verifying_key().to_bytes())
    }

    /// Signs a message.
    #[must_use]
    pub fn sign(&self, domain: Domain, message: &[u8]) -> Signature {
        Signature(self.0.sign(&domain.text(message)).to_bytes())
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> Identity {
        Identity(SigningKey::from_bytes(&[7; 32]))
    }

    #[test]
    fn a_signature_is_of_one_message_in_one_domain_by_one_node() {
        let node = identity();
        let signature = node.sign(Domain::Receipt, b"message");
        assert!(
            node.id()
                .has_signed(Domain::Receipt, b"message", &signature)
        );
        assert!(
            !node
                .id()
                .has_signed(Domain::Receipt, b"messagf", &signature)
        );
        assert!(
            !node
                .id()
                .has_signed(Domain::Succession, b"message", &signature)
        );
        let other = Identity(SigningKey::from_bytes(&[8; 32])).id();
        assert!(!other.has_signed(Domain::Receipt, b"message", &signature));
    }

    #[test]
    fn an_id_comes_back_as_it_was_written() {
        let id = identity().id();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("ab".parse::<NodeId>(), Err(NotHex(64)));
        assert_eq!(
            id.to_string().to_uppercase().parse::<NodeId>(),
            Err(NotHex(64))
        );
    }

    #[test]
    fn a_key_is_not_shown() {
        assert!(!format!("{:?}", identity()).contains(&HEXLOWER.encode(&[7; 32])));
    }
}
