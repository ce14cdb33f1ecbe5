//! The verbs of a node as types, the errors, and the traits for "somewhere to
//! run this" and "where services are kept".
//!
//! # For
//!
//! What both ends of the HTTP API must agree on, and what the gateway and the
//! parts under it must agree on:
//!
//! - [`instance`], [`service`], [`network`], [`token`], [`event`], [`log`],
//!   [`node`](mod@node): bodies of requests and answers, one module a subject;
//! - [`configuration`]: the file that a service finds in its guest;
//! - [`problem`]: every error, with codes that do not change;
//! - [`address`]: the addresses that a guest sees;
//! - [`run`] (feature `node`): the traits [`run::Runner`], [`run::Instance`];
//! - [`services`] (feature `node`): the trait [`services::Services`].
//!
//! # Not for
//!
//! Logic. What is decided, and how, is `unicell-gateway`'s. The types here say
//! what a value means and how it is written, and check no more than that.
//!
//! # Features
//!
//! Without any, the types alone, with serde: what a client needs. `schema`
//! adds utoipa's schemas, from which the OpenAPI document is made; `node` adds
//! the traits.
//!
//! # Invariants
//!
//! - Requests refuse fields that they do not know; answers may gain fields.
//! - Sizes are bytes, times are nanoseconds or, where a wall clock is meant,
//!   milliseconds since 1970 in UTC; the name of a field says which.
//! - Nothing that prints (`Debug`, errors) shows a token.

pub mod address;
pub mod configuration;
pub mod event;
pub mod id;
pub mod instance;
pub mod log;
pub mod network;
pub mod node;
pub mod problem;
#[cfg(feature = "node")]
pub mod run;
pub mod service;
#[cfg(feature = "node")]
pub mod services;
pub mod token;

pub use id::{Incarnation, InstanceId, ServiceId};
pub use problem::{Code, Problem};
