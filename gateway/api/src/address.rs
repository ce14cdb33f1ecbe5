//! The addresses that a guest sees. They mean something to one instance only:
//! two guests may know the same member under different addresses.
//!
//! | IPv4 | IPv6 | is |
//! | --- | --- | --- |
//! | 10.0.0.1 | fd00::1 | the gateway: HTTP on port 80, names on port 53 |
//! | 10.0.0.2 | fd00::2 | the instance itself |
//! | 10.0.0.3 | fd00::3 | its parent, if that is an instance |
//! | 10.1.0.1 and up | fd00::1:1 and up | its children |
//! | 10.2.0.1 and up | fd00::2:1 and up | members of networks that it was granted |
//!
//! Everything else is unreachable.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// One of the addresses that a guest sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// The node.
    Gateway,
    /// The instance itself.
    Own,
    /// The instance that started it.
    Parent,
    /// A child, by its number, from 1.
    Child(u16),
    /// A member of a network, by its number, from 1.
    Member(u16),
}

/// The port of the gateway where its HTTP API is.
pub const HTTP_PORT: u16 = 80;
/// The port of the gateway where it answers DNS queries, by UDP and by TCP.
pub const DNS_PORT: u16 = 53;
/// The host name of the gateway.
pub const GATEWAY: &str = "gateway";
/// The host name of the parent.
pub const PARENT: &str = "parent";

impl Address {
    /// The high and the low half of the part that differs.
    const fn parts(self) -> (u8, u16) {
        match self {
            Self::Gateway => (0, 1),
            Self::Own => (0, 2),
            Self::Parent => (0, 3),
            Self::Child(number) => (1, number),
            Self::Member(number) => (2, number),
        }
    }

    /// As IPv4.
    #[must_use]
    pub const fn v4(self) -> Ipv4Addr {
        let (kind, number) = self.parts();
        let [high, low] = number.to_be_bytes();
        Ipv4Addr::new(10, kind, high, low)
    }

    /// As IPv6.
    #[must_use]
    pub const fn v6(self) -> Ipv6Addr {
        let (kind, number) = self.parts();
        Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, kind as u16, number)
    }

    /// What an address means; `None` if nothing. IPv4 mapped into IPv6 is taken
    /// as the IPv4 that it is.
    #[must_use]
    pub fn of(ip: IpAddr) -> Option<Self> {
        let (kind, number) = match ip.to_canonical() {
            IpAddr::V4(ip) => match ip.octets() {
                [10, kind, high, low] => (kind.into(), u16::from_be_bytes([high, low])),
                _ => return None,
            },
            IpAddr::V6(ip) => match ip.segments() {
                [0xfd00, 0, 0, 0, 0, 0, kind, number] => (kind, number),
                _ => return None,
            },
        };
        match (kind, number) {
            (_, 0) => None,
            (0, 1) => Some(Self::Gateway),
            (0, 2) => Some(Self::Own),
            (0, 3) => Some(Self::Parent),
            (1, number) => Some(Self::Child(number)),
            (2, number) => Some(Self::Member(number)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_what_they_are_in_both_families() {
        for address in [
            Address::Gateway,
            Address::Own,
            Address::Parent,
            Address::Child(1),
            Address::Child(u16::MAX),
            Address::Member(1),
            Address::Member(257),
        ] {
            assert_eq!(Address::of(address.v4().into()), Some(address));
            assert_eq!(Address::of(address.v6().into()), Some(address));
            assert_eq!(
                Address::of(address.v4().to_ipv6_mapped().into()),
                Some(address)
            );
        }
        assert_eq!(Address::Member(257).v4().to_string(), "10.2.1.1");
        assert_eq!(Address::Child(1).v6().to_string(), "fd00::1:1");
        for nothing in [
            "10.0.0.0",
            "10.0.0.4",
            "10.1.0.0",
            "10.3.0.1",
            "127.0.0.1",
            "8.8.8.8",
        ] {
            assert_eq!(Address::of(nothing.parse().unwrap()), None, "{nothing}");
        }
        for nothing in [
            "fd00::",
            "fd00::4",
            "fd00::3:1",
            "fd00::1:0:1",
            "::1",
            "2001:db8::1",
        ] {
            assert_eq!(Address::of(nothing.parse().unwrap()), None, "{nothing}");
        }
    }
}
