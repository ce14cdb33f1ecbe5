//! Internet addresses: as programs give them, and which of them are in the guest.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use linux_raw_sys::net;

use crate::errno::{Errno, Result};
use crate::net::{RawAddress, family, outside};

/// Bytes of `struct sockaddr_in`.
const V4_LEN: usize = 16;
/// Bytes of `struct sockaddr_in6` without its scope, and with it.
const V6_LEN_MIN: usize = 24;
const V6_LEN: usize = 28;

/// The address that all of a family are bound to who are bound to none.
#[must_use]
pub fn any(family: u32) -> IpAddr {
    if family == net::AF_INET6 {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    }
}

/// The address with which this guest appears to `other`.
#[must_use]
pub fn own(other: IpAddr) -> IpAddr {
    let outside = outside::own(other).filter(|_| !other.is_unspecified() && !other.is_loopback());
    outside.unwrap_or(match other {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    })
}

/// What an address means as a destination: none in particular means this guest.
#[must_use]
pub fn destination(to: SocketAddr) -> SocketAddr {
    if to.ip().is_unspecified() {
        SocketAddr::new(own(to.ip()), to.port())
    } else {
        to
    }
}

/// Whether an address is in this guest.
#[must_use]
pub fn is_inside(address: IpAddr) -> bool {
    address.is_loopback() || outside::own(address) == Some(address)
}

/// Reads an address for a socket of a family.
///
/// # Errors
///
/// EINVAL if it is too short, EAFNOSUPPORT if it is of another family.
pub fn parse(of: u32, address: &[u8]) -> Result<SocketAddr> {
    let given = family(address).ok_or(Errno::EINVAL)?;
    let port = |bytes: &[u8]| u16::from_be_bytes([bytes[2], bytes[3]]);
    if of == net::AF_INET {
        let bytes: &[u8; V4_LEN] = address.first_chunk().ok_or(Errno::EINVAL)?;
        if given != net::AF_INET {
            return Err(Errno::EAFNOSUPPORT);
        }
        let ip = Ipv4Addr::new(bytes[4], bytes[5], bytes[6], bytes[7]);
        return Ok(SocketAddr::new(ip.into(), port(bytes)));
    }
    let bytes: &[u8; V6_LEN_MIN] = address.first_chunk().ok_or(Errno::EINVAL)?;
    if given != net::AF_INET6 {
        return Err(Errno::EAFNOSUPPORT);
    }
    let mut ip = [0; 16];
    ip.copy_from_slice(&bytes[8..24]);
    let ip = Ipv6Addr::from(ip);
    let ip = ip.to_ipv4_mapped().map_or(ip.into(), IpAddr::V4);
    Ok(SocketAddr::new(ip, port(bytes)))
}

/// An address as a socket of a family shows it.
#[must_use]
pub fn shown(to: u32, address: SocketAddr) -> RawAddress {
    let mut bytes = (to as u16).to_ne_bytes().to_vec();
    bytes.extend(address.port().to_be_bytes());
    match address.ip() {
        IpAddr::V4(ip) if to == net::AF_INET => {
            bytes.extend(ip.octets());
            bytes.resize(V4_LEN, 0);
        }
        ip => {
            let ip = match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            bytes.extend([0; 4]);
            bytes.extend(ip.octets());
            bytes.resize(V6_LEN, 0);
        }
    }
    bytes
}

/// As [`parse`], for something to connect or send to.
///
/// # Errors
///
/// As [`parse`]; ENETUNREACH for an IPv4 address if the socket is for IPv6 alone.
pub fn parse_destination(of: u32, v6_only: bool, address: &[u8]) -> Result<SocketAddr> {
    let to = parse(of, address)?;
    if of == net::AF_INET6 && v6_only && to.is_ipv4() {
        return Err(Errno::ENETUNREACH);
    }
    Ok(destination(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back() {
        for (of, text) in [
            (net::AF_INET, "127.0.0.1:80"),
            (net::AF_INET6, "[::1]:443"),
            (net::AF_INET6, "127.0.0.1:9"),
        ] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(parse(of, &shown(of, address)), Ok(address));
        }
    }

    #[test]
    fn short_and_foreign_addresses_are_refused() {
        let v4 = shown(net::AF_INET, "127.0.0.1:80".parse().unwrap());
        assert_eq!(parse(net::AF_INET, &v4[..15]), Err(Errno::EINVAL));
        assert_eq!(parse(net::AF_INET6, &v4), Err(Errno::EINVAL));
        let v6 = shown(net::AF_INET6, "[::1]:80".parse().unwrap());
        assert_eq!(parse(net::AF_INET, &v6), Err(Errno::EAFNOSUPPORT));
        assert_eq!(parse(net::AF_INET, &[0; 1]), Err(Errno::EINVAL));
    }
}
