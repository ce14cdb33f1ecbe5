//! TCP and UDP over loopback, IPv4 and IPv6.
//!
//! Inside, an address is the one that is meant: an IPv4 address that an IPv6 socket uses
//! (`::ffff:127.0.0.1`) is an IPv4 address, and shown mapped by [`address`] only.

pub mod address;
mod option;
mod port;
pub mod tcp;
pub mod udp;

use alloc::sync::Arc;
use core::net::SocketAddr;

use linux_raw_sys::net;

use super::Protocol;
use super::settings::Settings;
use crate::errno::{Errno, Result};

/// IPPROTO_ICMP and IPPROTO_ICMPV6.
const PINGS: [u32; 2] = [1, 58];
/// IPPROTO_TCP.
const TCP: u32 = net::SOL_TCP;
/// IPPROTO_UDP.
const UDP: u32 = net::SOL_UDP;

/// A new socket.
///
/// # Errors
///
/// ESOCKTNOSUPPORT, EPROTONOSUPPORT, EPERM for raw sockets, EACCES for pings.
pub fn create(family: u32, kind: u32, protocol: u32) -> Result<Arc<dyn Protocol>> {
    const PROTOCOL_MAX: u32 = 262;
    if protocol > PROTOCOL_MAX {
        return Err(Errno::EINVAL);
    }
    match (kind, protocol) {
        (net::SOCK_STREAM, 0 | TCP) => Ok(tcp::End::new(family)),
        (net::SOCK_DGRAM, 0 | UDP) => Ok(udp::End::new(family, UDP)),
        (net::SOCK_DGRAM, net::SOL_UDPLITE) => Ok(udp::End::new(family, protocol)),
        (net::SOCK_DGRAM, protocol) if PINGS.contains(&protocol) => Err(Errno::EACCES),
        (net::SOCK_STREAM | net::SOCK_DGRAM, _) => Err(Errno::EPROTONOSUPPORT),
        (net::SOCK_RAW, 0) => Err(Errno::EPROTONOSUPPORT),
        (net::SOCK_RAW, _) => Err(Errno::EPERM),
        _ => Err(Errno::ESOCKTNOSUPPORT),
    }
}

/// The address in what bind(2) is given.
///
/// # Errors
///
/// EADDRNOTAVAIL if it is not of this guest, and as [`address::parse`].
fn bindable(settings: &Settings, bytes: &[u8]) -> Result<SocketAddr> {
    const V4_LEN: usize = 16;
    let of = settings.family;
    let unspecified = super::family(bytes) == Some(net::AF_UNSPEC);
    if of == net::AF_INET && unspecified && bytes.len() >= V4_LEN {
        // As in Linux: no family is IPv4, if the address is none in particular.
        if bytes[4..8] != [0; 4] {
            return Err(Errno::EAFNOSUPPORT);
        }
        let port = u16::from_be_bytes([bytes[2], bytes[3]]);
        return Ok(SocketAddr::new(address::any(of), port));
    }
    let local = address::parse(of, bytes)?;
    let v6_only = of == net::AF_INET6 && settings.number(net::SOL_IPV6, net::IPV6_V6ONLY) != 0;
    if v6_only && local.is_ipv4() {
        return Err(Errno::EINVAL);
    }
    let free = settings.number(net::SOL_IP, net::IP_FREEBIND) != 0;
    if local.ip().is_unspecified() || address::is_inside(local.ip()) || free {
        Ok(local)
    } else {
        Err(Errno::EADDRNOTAVAIL)
    }
}
