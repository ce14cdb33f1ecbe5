//! Keys that follow one another: each old one has signed the new.

use serde::{Deserialize, Serialize};

use super::{Domain, Identity, NodeId, Signature};

/// A statement of one key that another comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Succession {
    /// Who says it.
    pub old: NodeId,
    /// Who the node is from then on.
    pub new: NodeId,
    /// By `old`.
    pub signature: Signature,
}

fn message(old: NodeId, new: NodeId) -> Vec<u8> {
    [old.0, new.0].concat()
}

impl Succession {
    /// Has the old key sign the new one.
    #[must_use]
    pub fn sign(old: &Identity, new: NodeId) -> Self {
        Self {
            old: old.id(),
            new,
            signature: old.sign(Domain::Succession, &message(old.id(), new)),
        }
    }

    /// Whether the old key has said so.
    #[must_use]
    pub fn is_true(&self) -> bool {
        let message = message(self.old, self.new);
        self.old
            .has_signed(Domain::Succession, &message, &self.signature)
    }

    /// Whether `chain` leads from one node to another, each link signed by the one before.
    #[must_use]
    pub fn leads(chain: &[Self], from: NodeId, to: NodeId) -> bool {
        let start = chain.iter().position(|link| link.old == from);
        let mut at = from;
        for link in chain.iter().skip(start.unwrap_or(chain.len())) {
            if at == to {
                break;
            }
            if link.old != at || !link.is_true() {
                return false;
            }
            at = link.new;
        }
        at == to
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;

    fn key(n: u8) -> Identity {
        Identity(SigningKey::from_bytes(&[n; 32]))
    }

    #[test]
    fn a_chain_leads_where_each_link_is_signed() {
        let links: Vec<_> = (1..4)
            .map(|n| Succession::sign(&key(n), key(n + 1).id()))
            .collect();
        assert!(Succession::leads(&links, key(1).id(), key(4).id()));
        assert!(Succession::leads(&links, key(2).id(), key(3).id()));
        assert!(Succession::leads(&links, key(9).id(), key(9).id()));
        assert!(!Succession::leads(&links, key(4).id(), key(1).id()));
        let mut forged = links.clone();
        forged[1].new = key(9).id();
        assert!(!Succession::leads(&forged, key(1).id(), key(9).id()));
        let gap = [links[0], links[2]];
        assert!(!Succession::leads(&gap, key(1).id(), key(4).id()));
    }
}
