//! The seam to what lies outside the guest.
//!
//! Loopback never leaves the guest; every other address is given to the [`Route`]. For now there
//! is none, and everything outside is unreachable. The gateway's streams come here: a connection to
//! the outside is one over loopback whose far end is held not by a program but by the route, which
//! reads from it what the program sends and writes to it what comes from the gateway, by the same
//! operations that a socket offers. So buffers, blocking, readiness, shutdown and errors of a
//! program's end are the same wherever the other end is.

use core::net::SocketAddr;

use super::inet::tcp;
use crate::errno::{Errno, Result};

/// How what is sent leaves the guest.
pub trait Route: Sync {
    /// Opens a stream to an address. `near` is the program's end, still unconnected: the route
    /// makes the far end and joins the two.
    ///
    /// # Errors
    ///
    /// ENETUNREACH if there is no way, EAGAIN if it takes waiting: `near` is woken when it is to be
    /// asked again.
    fn connect(&self, near: &tcp::End, to: SocketAddr) -> Result<()>;

    /// Sends a datagram.
    ///
    /// # Errors
    ///
    /// ENETUNREACH if there is no way, EAGAIN.
    fn send(&self, from: SocketAddr, to: SocketAddr, datagram: &[u8]) -> Result<()>;
}

/// No way out.
struct Nowhere;

impl Route for Nowhere {
    fn connect(&self, _: &tcp::End, _: SocketAddr) -> Result<()> {
        Err(Errno::ENETUNREACH)
    }

    fn send(&self, _: SocketAddr, _: SocketAddr, _: &[u8]) -> Result<()> {
        Err(Errno::ENETUNREACH)
    }
}

/// The way out of this guest.
#[must_use]
pub fn route() -> &'static dyn Route {
    &Nowhere
}
