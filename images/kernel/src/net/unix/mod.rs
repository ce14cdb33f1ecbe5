//! Unix sockets (unix(7)): streams, datagrams, sequenced packets.

mod connect;
mod end;
mod message;
mod name;
mod note;
mod stream;

use alloc::sync::Arc;

use linux_raw_sys::net;

pub use end::End;

use crate::errno::{Errno, Result};

/// Bytes of the buffers before they are set (`net.core.wmem_default`, `rmem_default`).
const BUFFER: i32 = 212_992;

fn kind(kind: u32, protocol: u32) -> Result<u32> {
    if protocol != 0 && protocol != net::AF_UNIX {
        return Err(Errno::EPROTONOSUPPORT);
    }
    match kind {
        net::SOCK_STREAM | net::SOCK_DGRAM | net::SOCK_SEQPACKET => Ok(kind),
        net::SOCK_RAW => Ok(net::SOCK_DGRAM),
        _ => Err(Errno::ESOCKTNOSUPPORT),
    }
}

/// A new socket.
///
/// # Errors
///
/// EPROTONOSUPPORT, ESOCKTNOSUPPORT.
pub fn create(wanted: u32, protocol: u32) -> Result<Arc<End>> {
    Ok(End::new(kind(wanted, protocol)?))
}

/// Two sockets that are connected to each other.
///
/// # Errors
///
/// As [`create`].
pub fn pair(wanted: u32, protocol: u32) -> Result<[Arc<End>; 2]> {
    let (one, other) = (create(wanted, protocol)?, create(wanted, protocol)?);
    connect::join(&one, &other);
    Ok([one, other])
}
