//! The node's side of every other node.
//!
//! **For**, so far: who a node is ([`identity`]), and what it vouches for by its signature
//! ([`receipt`]). To come: QUIC, handshake, discovery, remote execution.
//!
//! **Not for**: running anything, and what a node's own callers may do: that is the gateway's.
//!
//! **How it fits**: nothing here knows of VMs or of the gateway; `tools/unicell` joins them.
//!
//! **Invariants**
//!
//! - Every signature is over a text that begins with the [`identity::Domain`] of what is signed, so
//!   that no signature can be shown as one of something else.
//! - What comes from others is bounded before it is read, and parsed into types or refused.

pub mod identity;
pub mod receipt;
