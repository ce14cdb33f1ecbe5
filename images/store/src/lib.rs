//! Where a node keeps services.
//!
//! # For
//!
//! - [`Store::put`]: a service in any encoding, hashed before it is kept;
//! - [`Store::get`], [`Store::export`]: the service again, in any encoding;
//! - [`Store::box_image`]: its files as an EROFS image, built once for all
//!   instances; [`Store::own_box_image`]: for those of one owner;
//! - tags, metadata, [`Store::gc`], [`Store::check`], [`Store::usage`].
//!
//! # Not for
//!
//! Deciding who may do what, fetching from other nodes, running anything.
//!
//! # How it works
//!
//! The contents of each file lie once, under their BLAKE3. A specification is
//! kept with hashes in place of contents. The index, an embedded database, says
//! what is there; what it does not know does not exist. `docs/store.md` tells
//! the layout on disk.
//!
//! # Invariants
//!
//! - A service is wholly there or not there, whenever the process or the
//!   machine stops: what the index names was written, synced and moved into
//!   place before the index says so, and is removed only after the index has
//!   forgotten it. Opening sweeps away what the index does not know.
//! - Nothing is kept under an id that it does not have.
//! - Files in the store never change. A reader that has one open keeps it,
//!   even if it is removed meanwhile.
//! - One process has a store open; in it, any number of threads may read while
//!   one writes.

mod check;
mod collect;
mod disk;
mod error;
mod image;
mod index;
mod put;
mod seal;
mod store;
mod tags;
mod usage;

pub use check::{Damage, Finding, Report};
pub use collect::Collected;
pub use error::StoreError;
pub use image::BoxImage;
pub use index::Record;
pub use put::Put;
pub use store::{Hold, Store};
pub use usage::Usage;
