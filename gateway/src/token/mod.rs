//! Tokens: chains of caveats under a key that only this node has.
//!
//! A token says for whom it speaks (its *principal*) and in which ways it is
//! narrower than that (its *caveats*). It is a chain of keyed BLAKE3 hashes, as
//! macaroons are:
//!
//! ```text
//! signature 0     = BLAKE3(key = root key,        ROOT   ‖ head)
//! signature i + 1 = BLAKE3(key = signature i,     CAVEAT ‖ caveat i)
//! ```
//!
//! The holder has the last signature only, so it can add a caveat without the
//! node, and cannot take one away. The node, which has the root key, computes
//! the chain again.
//!
//! Invariants: whatever a narrowed token permits, the one it came from permits;
//! no byte can be changed; every token has exactly one spelling; a caveat that
//! is not known refuses all. Revoking a token revokes what was narrowed from
//! it, and nothing else.
//!
//! The token that an instance is given is *held*: its first caveat says that
//! the instance itself is the holder, so that it is worth nothing to whoever
//! steals it. The node alone can take that caveat away, for what the instance
//! is to pass on ([`RootKey::release`]); revoking does not tell the two apart.

mod authority;
mod codec;

use std::fmt;

use unicell_gateway_api::id::{Incarnation, InstanceId};
use unicell_gateway_api::token::{Caveat, Token};

pub use authority::{Asked, Denied};
pub(crate) use codec::client_name;
pub use codec::{BadToken, MAX_CAVEATS, MAX_CLIENT_LEN, MAX_NETWORK_LEN, MAX_TOKEN_LEN};

/// What the first link of a chain is a hash of, before the head: a hash made
/// for another purpose under the same key is no token.
const ROOT: &[u8] = b"unicell token v1: head\0";
/// The same for the other links: else the head of one token could be passed
/// off as a caveat.
const CAVEAT: &[u8] = b"unicell token v1: caveat\0";
/// Names the hash by which a token is kept when it was revoked. A signature
/// itself is not kept: who reads the list of revocations could narrow what is
/// not yet revoked below it.
const REVOCATION: &str = "unicell 2026 token v1: name of a revoked token";

/// Whom a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Principal {
    /// The node's operator.
    Operator,
    /// A client, by name.
    Client(String),
    /// An instance.
    Instance(InstanceId, Incarnation),
}

/// A token, taken apart. Whether it is one of this node, [`RootKey::verify`] says.
#[derive(Clone, PartialEq, Eq)]
pub struct Chain {
    nonce: [u8; 16],
    principal: Principal,
    caveats: Vec<Caveat>,
    signature: blake3::Hash,
}

/// By what a revoked token is known.
pub type RevocationName = [u8; 32];

/// The key of all tokens of a node.
#[derive(Clone)]
pub struct RootKey([u8; 32]);

impl RootKey {
    /// A new one.
    ///
    /// # Errors
    ///
    /// The host gave no randomness.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self(key))
    }

    /// One that was kept.
    #[must_use]
    pub const fn from_bytes(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// What is to be kept, secretly.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// A token that speaks for someone, without any caveat. Every one is another.
    ///
    /// # Errors
    ///
    /// The host gave no randomness.
    pub fn mint(&self, principal: Principal) -> Result<Chain, getrandom::Error> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce)?;
        let signature = self.links(&nonce, &principal, [])[0];
        Ok(Chain {
            nonce,
            principal,
            caveats: Vec::new(),
            signature,
        })
    }

    /// The links of a chain under this key, the head first.
    fn links<'a>(
        &self,
        nonce: &[u8; 16],
        principal: &Principal,
        caveats: impl IntoIterator<Item = &'a Caveat>,
    ) -> Vec<blake3::Hash> {
        let mut last = link(&self.0, ROOT, &codec::head(nonce, principal));
        let mut links = vec![last];
        for caveat in caveats {
            last = link(last.as_bytes(), CAVEAT, &codec::caveat(caveat));
            links.push(last);
        }
        links
    }

    /// Whether a token was made by this node and narrowed by nothing but
    /// caveats; and if so the names under which it may have been revoked: one
    /// for each link, and for each that it would have if it were held.
    ///
    /// # Errors
    ///
    /// It was not.
    pub fn verify(&self, chain: &Chain) -> Result<Vec<RevocationName>, Forged> {
        let mut links = self.links(&chain.nonce, &chain.principal, &chain.caveats);
        // `Hash` compares in constant time.
        if links.last() != Some(&chain.signature) {
            return Err(Forged);
        }
        if let (Some(holder), false) = (chain.principal.holder(), chain.is_held()) {
            let held = std::iter::once(&holder).chain(&chain.caveats);
            links.extend(
                self.links(&chain.nonce, &chain.principal, held)
                    .split_off(1),
            );
        }
        Ok(links.iter().map(revocation_name).collect())
    }

    /// A token as it is, but for the caveat that its principal must be the
    /// holder, if that is its first.
    #[must_use]
    pub fn release(&self, chain: &Chain) -> Chain {
        let caveats = &chain.caveats[usize::from(chain.is_held())..];
        let links = self.links(&chain.nonce, &chain.principal, caveats);
        Chain {
            nonce: chain.nonce,
            principal: chain.principal.clone(),
            caveats: caveats.to_vec(),
            signature: links[caveats.len()],
        }
    }
}

impl fmt::Debug for RootKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootKey(…)")
    }
}

impl Principal {
    /// That it must be the holder, if it can be one.
    #[must_use]
    pub const fn holder(&self) -> Option<Caveat> {
        match *self {
            Self::Instance(id, incarnation) => Some(Caveat::Holder { id, incarnation }),
            Self::Operator | Self::Client(_) => None,
        }
    }
}

impl Chain {
    /// Reads a token.
    ///
    /// # Errors
    ///
    /// It is none, or holds what this node does not know.
    pub fn parse(token: &Token) -> Result<Self, BadToken> {
        codec::parse(token.reveal())
    }

    /// As it is passed around.
    #[must_use]
    pub fn token(&self) -> Token {
        Token::new(codec::text(self))
    }

    /// This token, with one more caveat. Needs no key.
    ///
    /// # Errors
    ///
    /// It has too many, or the caveat is out of bounds.
    pub fn narrow(mut self, caveat: Caveat) -> Result<Self, BadToken> {
        codec::check(&caveat)?;
        if self.caveats.len() >= MAX_CAVEATS {
            return Err(BadToken::TooManyCaveats);
        }
        let bytes = codec::caveat(&caveat);
        self.signature = link(self.signature.as_bytes(), CAVEAT, &bytes);
        // As it would be read again: lists of verbs have one order.
        self.caveats.push(codec::normal(caveat));
        if codec::text(&self).len() > MAX_TOKEN_LEN {
            return Err(BadToken::TooLong);
        }
        Ok(self)
    }

    /// Whom it speaks for.
    #[must_use]
    pub const fn principal(&self) -> &Principal {
        &self.principal
    }

    /// In which ways it is narrow.
    #[must_use]
    pub fn caveats(&self) -> &[Caveat] {
        &self.caveats
    }

    /// Whether nobody but whom it speaks for can use it.
    fn is_held(&self) -> bool {
        let holder = self.principal.holder();
        holder.is_some() && self.caveats.first() == holder.as_ref()
    }

    /// Under which name it is kept when it is revoked.
    #[must_use]
    pub fn revocation_name(&self) -> RevocationName {
        revocation_name(&self.signature)
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("principal", &self.principal)
            .field("caveats", &self.caveats)
            .finish_non_exhaustive()
    }
}

/// A token was not made by this node, or was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token was not made by this node")]
pub struct Forged;

fn link(key: &[u8; 32], domain: &[u8], bytes: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(domain);
    hasher.update(bytes);
    hasher.finalize()
}

fn revocation_name(signature: &blake3::Hash) -> RevocationName {
    blake3::derive_key(REVOCATION, signature.as_bytes())
}

#[cfg(test)]
mod tests;
