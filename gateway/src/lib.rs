//! The node's side of every instance: who belongs to whom, who may do what,
//! who reaches whom, what each may use and has used.
//!
//! # For
//!
//! - [`node`](mod@node): the [`Gateway`], which joins all of this and has a
//!   method for each verb;
//! - [`starts`]: how often they may start something;
//! - [`tree`]: owners, children, resources; the order in which things end;
//! - [`token`]: what callers show;
//! - [`net`]: which members of which networks an instance reaches;
//! - [`http`]: the API, on Unix sockets, on TCP, and inside guests;
//! - [`record`]: what outlives the node's process.
//!
//! # Not for
//!
//! Virtual machines, which come through the trait
//! [`Runner`](unicell_gateway_api::run::Runner); services, which come through
//! [`Services`](unicell_gateway_api::services::Services); other nodes.
//!
//! # How it fits
//!
//! The daemon makes a [`Gateway`] from a runner, a store and a
//! [`record::Record`], and gives it listeners ([`http::listen_unix`],
//! [`http::listen_tcp`]). Everything else comes from callers and from guests.
//!
//! # Invariants
//!
//! - An instance ends before its parent does, and after its descendants.
//! - A stream exists only as long as something permits it: kinship, a network
//!   that is granted, or a caller's token.
//! - The node carries no byte of a stream between two instances.
//! - Whatever a guest, a client or a file says is bounded before it is kept.

mod clock;
pub mod config;
mod events;
pub mod fuzz;
pub mod http;
mod logs;
mod meter;
mod names;
pub mod net;
pub mod node;
pub mod record;
mod relay;
pub mod starts;
mod streams;
pub mod token;
pub mod tree;

pub use config::Config;
pub use node::{Caller, Gateway};
