//! Sockets: Unix sockets, TCP and UDP over loopback, and netlink to ask about interfaces.
//!
//! A [`Socket`] is a [`crate::fs::File`] over a [`Protocol`]: [`unix`], [`inet::tcp`] or
//! [`inet::udp`], or [`netlink`]. There are no packets. What is sent is put into the receiver's queue at once:
//! bytes into [`bytes::Bytes`], messages into [`messages::Messages`]; who has nothing to read, or
//! no room to write, gets EAGAIN and waits on the queue of its own end, which the other end wakes.
//! Addresses that are not of this guest go through [`outside`].
//!
//! Invariants: never are the states of two ends locked at once (an end can be its own peer), and
//! nothing is dropped with a state locked that may be a file.

mod address;
pub mod bytes;
mod credentials;
pub mod inet;
mod interface;
pub mod messages;
mod netlink;
pub mod outside;
mod protocol;
mod refused;
mod rights;
mod settings;
mod socket;
pub mod table;
pub mod unix;

pub use address::{ADDRESS_MAX, RawAddress, family};
pub use credentials::SenderCredentials;
pub use protocol::{Control, Outgoing, Protocol, Received, Shut};
pub use rights::{RIGHTS_MAX, Rights};
pub use socket::{Socket, create, pair};
