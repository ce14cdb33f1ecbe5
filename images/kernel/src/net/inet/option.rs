//! Options of TCP, UDP and IP. Most are remembered and change nothing where nothing is lost or late.

use alloc::vec::Vec;

use linux_raw_sys::net;

use super::address;
use crate::errno::{Errno, Result};
use crate::net::settings::{Known, Rule, Settings, known, number, told};

/// UDP's own level.
const SOL_UDP: u32 = net::SOL_UDP;
/// UDP_CORK, UDP_SEGMENT, UDP_GRO (`linux/udp.h`).
const UDP_CORK: u32 = 1;
const UDP_SEGMENT: u32 = 103;
const UDP_GRO: u32 = 104;
/// The multicast calls that serve both families, from MCAST_JOIN_GROUP to MCAST_LEAVE_SOURCE_GROUP.
const MULTICAST_GROUPS: core::ops::RangeInclusive<u32> = 42..=47;
/// The numbers of the interfaces: `lo`, and `eth0` if there is one.
pub(in crate::net) const LOOPBACK: i32 = 1;
pub(in crate::net) const OUTSIDE: i32 = 2;
/// The ways in which TCP avoids congestion, of which there is none.
const CONGESTION: [&[u8; 16]; 2] = [
    b"cubic\0\0\0\0\0\0\0\0\0\0\0",
    b"reno\0\0\0\0\0\0\0\0\0\0\0\0",
];
/// Groups that a socket is in, at most (`net.ipv4.igmp_max_memberships`).
const GROUPS_MAX: usize = 20;
/// Bytes of a segment over loopback, and before there is a connection.
const SEGMENT: i32 = 32_768;
const SEGMENT_DEFAULT: i32 = 536;

/// Those of TCP.
pub(super) const OF_TCP: &[Known] = &[
    known(net::SOL_TCP, net::TCP_NODELAY, 0, Rule::Flag),
    known(net::SOL_TCP, net::TCP_CORK, 0, Rule::Flag),
    known(
        net::SOL_TCP,
        net::TCP_KEEPIDLE,
        7200,
        Rule::Range(1, 32_767),
    ),
    known(net::SOL_TCP, net::TCP_KEEPINTVL, 75, Rule::Range(1, 32_767)),
    known(net::SOL_TCP, net::TCP_KEEPCNT, 9, Rule::Range(1, 127)),
    known(net::SOL_TCP, net::TCP_SYNCNT, 6, Rule::Range(1, 127)),
    known(net::SOL_TCP, net::TCP_LINGER2, 60, Rule::Any),
    known(net::SOL_TCP, net::TCP_DEFER_ACCEPT, 0, Rule::Any),
    known(net::SOL_TCP, net::TCP_WINDOW_CLAMP, 0, Rule::Any),
    known(net::SOL_TCP, net::TCP_QUICKACK, 1, Rule::Flag),
    known(
        net::SOL_TCP,
        net::TCP_USER_TIMEOUT,
        0,
        Rule::Range(0, i32::MAX),
    ),
    known(
        net::SOL_TCP,
        net::TCP_THIN_LINEAR_TIMEOUTS,
        0,
        Rule::Range(0, 1),
    ),
    known(net::SOL_TCP, net::TCP_FASTOPEN, 0, Rule::Range(0, i32::MAX)),
    known(
        net::SOL_TCP,
        net::TCP_FASTOPEN_CONNECT,
        0,
        Rule::Range(0, 1),
    ),
    known(net::SOL_TCP, net::TCP_NOTSENT_LOWAT, 0, Rule::Any),
    known(net::SOL_TCP, net::TCP_SAVE_SYN, 0, Rule::Range(0, 1)),
    known(net::SOL_TCP, net::TCP_INQ, 0, Rule::Range(0, 1)),
    known(net::SOL_TCP, net::TCP_TX_DELAY, 0, Rule::Any),
];

/// Those of UDP.
pub(super) const OF_UDP: &[Known] = &[
    known(SOL_UDP, UDP_CORK, 0, Rule::Flag),
    known(SOL_UDP, UDP_SEGMENT, 0, Rule::Range(0, 0)),
    known(SOL_UDP, UDP_GRO, 0, Rule::Flag),
];

/// Those of UDP-Lite: bytes of a datagram that are checksummed, sent and received.
pub(super) const OF_UDP_LITE: &[Known] = &[
    known(net::SOL_UDPLITE, 10, 0, Rule::Any),
    known(net::SOL_UDPLITE, 11, 0, Rule::Any),
];

/// Those of IPv4.
pub(super) const OF_V4: &[Known] = &[
    known(net::SOL_IP, net::IP_TOS, 0, Rule::Range(0, 255)),
    known(net::SOL_IP, net::IP_TTL, 64, Rule::Range(-1, 255)),
    known(net::SOL_IP, net::IP_PKTINFO, 0, Rule::Flag),
    known(net::SOL_IP, net::IP_RECVERR, 0, Rule::Flag),
    known(net::SOL_IP, net::IP_RECVTTL, 0, Rule::Flag),
    known(net::SOL_IP, net::IP_RECVTOS, 0, Rule::Flag),
    known(net::SOL_IP, net::IP_RECVOPTS, 0, Rule::Flag),
    known(net::SOL_IP, net::IP_RETOPTS, 0, Rule::Flag),
    known(net::SOL_IP, net::IP_RECVORIGDSTADDR, 0, Rule::Flag),
    known(net::SOL_IP, net::IP_MTU_DISCOVER, 1, Rule::Range(0, 5)),
    known(net::SOL_IP, net::IP_FREEBIND, 0, Rule::Flag),
    known(net::SOL_IP, net::IP_TRANSPARENT, 0, Rule::Flag),
    known(net::SOL_IP, net::IP_MINTTL, 0, Rule::Range(0, 255)),
    known(net::SOL_IP, net::IP_BIND_ADDRESS_NO_PORT, 0, Rule::Flag),
    known(net::SOL_IP, net::IP_MULTICAST_TTL, 1, Rule::Range(-1, 255)),
    known(net::SOL_IP, net::IP_MULTICAST_LOOP, 1, Rule::Flag),
    known(net::SOL_IP, net::IP_MULTICAST_ALL, 1, Rule::Range(0, 1)),
];

/// Those of IPv6.
pub(super) const OF_V6: &[Known] = &[
    known(net::SOL_IPV6, net::IPV6_V6ONLY, 0, Rule::Flag),
    known(
        net::SOL_IPV6,
        net::IPV6_UNICAST_HOPS,
        64,
        Rule::Range(-1, 255),
    ),
    known(
        net::SOL_IPV6,
        net::IPV6_MULTICAST_HOPS,
        1,
        Rule::Range(-1, 255),
    ),
    known(
        net::SOL_IPV6,
        net::IPV6_MULTICAST_LOOP,
        1,
        Rule::Range(0, 1),
    ),
    known(net::SOL_IPV6, net::IPV6_MULTICAST_ALL, 1, Rule::Range(0, 1)),
    known(net::SOL_IPV6, net::IPV6_MTU_DISCOVER, 1, Rule::Range(0, 5)),
    known(net::SOL_IPV6, net::IPV6_RECVERR, 0, Rule::Flag),
    known(net::SOL_IPV6, net::IPV6_RECVPKTINFO, 0, Rule::Flag),
    known(net::SOL_IPV6, net::IPV6_RECVHOPLIMIT, 0, Rule::Flag),
    known(net::SOL_IPV6, net::IPV6_RECVTCLASS, 0, Rule::Flag),
    known(net::SOL_IPV6, net::IPV6_RECVRTHDR, 0, Rule::Flag),
    known(net::SOL_IPV6, net::IPV6_RECVHOPOPTS, 0, Rule::Flag),
    known(net::SOL_IPV6, net::IPV6_RECVDSTOPTS, 0, Rule::Flag),
    known(net::SOL_IPV6, net::IPV6_RECVORIGDSTADDR, 0, Rule::Flag),
    known(net::SOL_IPV6, net::IPV6_TCLASS, 0, Rule::Range(-1, 255)),
    known(net::SOL_IPV6, net::IPV6_DONTFRAG, 0, Rule::Flag),
    known(net::SOL_IPV6, net::IPV6_FREEBIND, 0, Rule::Flag),
    known(net::SOL_IPV6, net::IPV6_TRANSPARENT, 0, Rule::Flag),
    known(net::SOL_IPV6, net::IPV6_AUTOFLOWLABEL, 1, Rule::Flag),
];

/// What [`get`] and [`set`] have to know of a socket.
pub(super) struct About {
    /// Whether it has a port.
    pub(super) bound: bool,
    /// Whether it is connected.
    pub(super) connected: bool,
    /// TCP_INFO's state.
    pub(super) state: u8,
}

/// An option that [`Settings`] does not know.
pub(super) fn get(settings: &Settings, about: &About, level: u32, name: u32) -> Result<Vec<u8>> {
    let is_stream = settings.kind == net::SOCK_STREAM;
    match (level, name) {
        (net::SOL_SOCKET, _) => Err(Errno::ENOPROTOOPT),
        (net::SOL_TCP, net::TCP_MAXSEG) if is_stream => {
            Ok(told(match settings.number(level, name) {
                _ if about.connected => SEGMENT,
                0 => SEGMENT_DEFAULT,
                set => set,
            }))
        }
        (net::SOL_TCP, net::TCP_CONGESTION) if is_stream => {
            let index = settings.number(level, name) as usize;
            Ok(CONGESTION.get(index).unwrap_or(&CONGESTION[0]).to_vec())
        }
        (net::SOL_TCP, net::TCP_INFO) if is_stream => {
            let mut info = alloc::vec![0; size_of::<net::tcp_info>()];
            info[0] = about.state;
            Ok(info)
        }
        (net::SOL_IP, net::IP_MULTICAST_IF) => Ok([0; 4].to_vec()),
        (net::SOL_IPV6, net::IPV6_MULTICAST_IF) if settings.family == net::AF_INET6 => {
            Ok(told(settings.number(level, name)))
        }
        (net::SOL_IP, net::IP_MTU) | (net::SOL_IPV6, net::IPV6_MTU) if about.connected => {
            Ok(told(crate::net::interface::MTU))
        }
        (net::SOL_IP, net::IP_MTU) => Err(Errno::ENOTCONN),
        (net::SOL_IP, _) => Err(Errno::ENOPROTOOPT),
        _ if level == settings.protocol || settings.family == net::AF_INET6 => {
            Err(Errno::ENOPROTOOPT)
        }
        _ => Err(Errno::EOPNOTSUPP),
    }
}

fn is_own_address(bytes: &[u8]) -> Result<bool> {
    let address: [u8; 4] = *bytes.first_chunk().ok_or(Errno::EINVAL)?;
    Ok(address == [0; 4] || address::is_inside(address.into()))
}

/// Sets an option that is not just remembered, or says false.
pub(super) fn set(
    settings: &Settings,
    about: &About,
    level: u32,
    name: u32,
    value: &[u8],
) -> Result<bool> {
    let is_stream = settings.kind == net::SOCK_STREAM;
    let is_v6 = settings.family == net::AF_INET6;
    match (level, name) {
        (net::SOL_SOCKET, _) => return Ok(false),
        (net::SOL_TCP | SOL_UDP, _) if level != settings.protocol => {
            return Err(Errno::ENOPROTOOPT);
        }
        (net::SOL_IPV6, _) if !is_v6 => return Err(Errno::ENOPROTOOPT),
        (net::SOL_IPV6, net::IPV6_V6ONLY) if about.bound => return Err(Errno::EINVAL),
        (net::SOL_TCP, net::TCP_MAXSEG) => match number(value)? {
            segment @ 88..=32_767 => settings.put(level, name, segment),
            _ => return Err(Errno::EINVAL),
        },
        (net::SOL_TCP, net::TCP_CONGESTION) => {
            let end = value.iter().position(|byte| *byte == 0);
            let mut wanted = value[..end.unwrap_or(value.len())].to_vec();
            wanted.resize(CONGESTION[0].len(), 0);
            let index = CONGESTION.iter().position(|known| wanted == **known);
            let index = index.ok_or(Errno::ENOENT)?;
            settings.put(level, name, index as i32);
        }
        (net::SOL_TCP, net::TCP_ULP) => return Err(Errno::ENOENT),
        (net::SOL_IP, net::IP_MULTICAST_IF | net::IP_MULTICAST_TTL) if is_stream => {
            return Err(Errno::EINVAL);
        }
        (net::SOL_IPV6, net::IPV6_MULTICAST_HOPS) if is_stream => {
            return Err(Errno::ENOPROTOOPT);
        }
        // One byte will do for these.
        (
            net::SOL_IP,
            net::IP_TOS | net::IP_TTL | net::IP_MULTICAST_TTL | net::IP_MULTICAST_LOOP,
        ) if value.len() == 1 => {
            settings.put(level, name, value[0].into());
        }
        (net::SOL_IP, net::IP_TTL) if number(value)? == 0 => return Err(Errno::EINVAL),
        (net::SOL_IP, net::IP_MULTICAST_IF) => {
            // The address is the first, or the second after a group.
            let at = if value.len() >= 8 { 4 } else { 0 };
            if !is_own_address(&value[at..])? {
                return Err(Errno::EADDRNOTAVAIL);
            }
        }
        (net::SOL_IPV6, net::IPV6_MULTICAST_IF) => {
            let interface = number(value)?;
            if interface != 0 && interface != LOOPBACK {
                return Err(Errno::ENODEV);
            }
            settings.put(level, name, interface);
        }
        (net::SOL_IP, net::IP_ADD_MEMBERSHIP | net::IP_DROP_MEMBERSHIP)
        | (net::SOL_IPV6, net::IPV6_ADD_MEMBERSHIP | net::IPV6_DROP_MEMBERSHIP) => {
            return membership(settings, level, name, value);
        }
        (net::SOL_IP | net::SOL_IPV6, name) if MULTICAST_GROUPS.contains(&name) => {
            return Err(Errno::ENODEV);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Joining and leaving groups: nothing is sent to any, and only `lo` can be asked for.
fn membership(settings: &Settings, level: u32, name: u32, value: &[u8]) -> Result<bool> {
    if settings.kind == net::SOCK_STREAM {
        return Err(Errno::EPROTO);
    }
    let (group, is_group, is_ours) = if level == net::SOL_IP {
        let (group, ours) = value
            .get(..8)
            .and_then(|both| both.split_at_checked(4))
            .ok_or(Errno::EINVAL)?;
        let is_ours = ours != [0; 4] && is_own_address(ours)?;
        (group, group[0] & 0xf0 == 0xe0, is_ours)
    } else {
        let (group, interface) = value.split_at_checked(16).ok_or(Errno::EINVAL)?;
        (group, group[0] == 0xff, number(interface)? == LOOPBACK)
    };
    if !is_group {
        return Err(Errno::EINVAL);
    }
    if !is_ours {
        return Err(Errno::ENODEV);
    }
    let joins = matches!(name, net::IP_ADD_MEMBERSHIP | net::IPV6_ADD_MEMBERSHIP);
    settings.with_groups(|groups| {
        let at = groups.iter().position(|joined| joined == group);
        match at {
            Some(_) if joins => return Err(Errno::EADDRINUSE),
            Some(at) => drop(groups.remove(at)),
            None if !joins => return Err(Errno::EADDRNOTAVAIL),
            None if groups.len() >= GROUPS_MAX => return Err(Errno::ENOBUFS),
            None => groups.push(group.to_vec()),
        }
        Ok(true)
    })
}
