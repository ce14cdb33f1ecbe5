//! What rtnetlink(7) tells: interfaces, addresses, routes. Nothing can be changed.

use alloc::vec::Vec;
use core::net::IpAddr;

use linux_raw_sys::net::{AF_INET, AF_INET6, AF_UNSPEC};
use linux_raw_sys::netlink::{self, rt_class_t, rt_scope_t, rtattr_type_t};

use super::message::{Answers, Message};
use crate::errno::{Errno, Result};
use crate::net::interface::{self, Interface};

/// Messages that are understood.
const GET_LINK: u32 = netlink::RTM_GETLINK as u32;
const GET_ADDRESS: u32 = netlink::RTM_GETADDR as u32;
const GET_ROUTE: u32 = netlink::RTM_GETROUTE as u32;
const GET_NEIGHBOUR: u32 = netlink::RTM_GETNEIGH as u32;

/// Bytes of `struct ifinfomsg`, and where its index is.
const LINK: usize = 16;
const LINK_INDEX: usize = 4;
/// IFLA_*, in the order in which Linux has them.
const IFLA_ADDRESS: u32 = netlink::IFLA_ADDRESS as u32;
const IFLA_BROADCAST: u32 = netlink::IFLA_BROADCAST as u32;
const IFLA_IFNAME: u32 = netlink::IFLA_IFNAME as u32;
const IFLA_MTU: u32 = netlink::IFLA_MTU as u32;
const IFLA_QDISC: u32 = netlink::IFLA_QDISC as u32;
const IFLA_STATS: u32 = netlink::IFLA_STATS as u32;
const IFLA_TXQLEN: u32 = netlink::IFLA_TXQLEN as u32;
const IFLA_OPERSTATE: u32 = netlink::IFLA_OPERSTATE as u32;
const IFLA_LINKMODE: u32 = netlink::IFLA_LINKMODE as u32;
const IFLA_STATS64: u32 = netlink::IFLA_STATS64 as u32;
const IFLA_GROUP: u32 = netlink::IFLA_GROUP as u32;
const IFLA_PROMISCUITY: u32 = netlink::IFLA_PROMISCUITY as u32;
const IFLA_NUM_TX_QUEUES: u32 = netlink::IFLA_NUM_TX_QUEUES as u32;
const IFLA_NUM_RX_QUEUES: u32 = netlink::IFLA_NUM_RX_QUEUES as u32;
const IFLA_CARRIER: u32 = netlink::IFLA_CARRIER as u32;
/// Bytes of `struct rtnl_link_stats` and `struct rtnl_link_stats64`.
const STATS: usize = 96;
const STATS64: usize = 200;
/// Bytes of a hardware address.
const HARDWARE: usize = 6;

/// IFA_*.
const IFA_ADDRESS: u32 = netlink::IFA_ADDRESS as u32;
const IFA_LOCAL: u32 = netlink::IFA_LOCAL as u32;
const IFA_LABEL: u32 = netlink::IFA_LABEL as u32;
const IFA_CACHEINFO: u32 = netlink::IFA_CACHEINFO as u32;
const IFA_FLAGS: u32 = netlink::IFA_FLAGS as u32;

/// RTA_*.
const RTA_DST: u32 = rtattr_type_t::RTA_DST as u32;
const RTA_OIF: u32 = rtattr_type_t::RTA_OIF as u32;
const RTA_PRIORITY: u32 = rtattr_type_t::RTA_PRIORITY as u32;
const RTA_PREFSRC: u32 = rtattr_type_t::RTA_PREFSRC as u32;
const RTA_CACHEINFO: u32 = rtattr_type_t::RTA_CACHEINFO as u32;
const RTA_TABLE: u32 = rtattr_type_t::RTA_TABLE as u32;
const RTA_PREF: u32 = rtattr_type_t::RTA_PREF as u32;
/// RT_TABLE_*.
const MAIN: u8 = rt_class_t::RT_TABLE_MAIN as u8;
const LOCAL: u8 = rt_class_t::RT_TABLE_LOCAL as u8;
/// RTN_*.
const TO_NETWORK: u8 = netlink::RTN_UNICAST as u8;
const TO_SELF: u8 = netlink::RTN_LOCAL as u8;
const TO_ALL: u8 = netlink::RTN_BROADCAST as u8;
/// RT_SCOPE_*.
const EVERYWHERE: u8 = rt_scope_t::RT_SCOPE_UNIVERSE as u8;
const ON_LINK: u8 = rt_scope_t::RT_SCOPE_LINK as u8;
const ON_HOST: u8 = rt_scope_t::RT_SCOPE_HOST as u8;
/// What Linux prefers an IPv6 route of a network with (IP6_RT_PRIO_ADDRCONF).
const METRIC: u32 = 256;

/// RTM_MAX of the Linux that is offered: what is above is no message.
const KIND_MAX: u16 = 119;
/// Of each four kinds one asks.
const KINDS: u16 = 4;
const ASKS: u16 = 2;

/// Answers a message.
///
/// # Errors
///
/// EPERM if it would change something, EOPNOTSUPP, EINVAL, ENODEV.
pub(super) fn answer(message: &Message<'_>, answers: &mut Answers) -> Result<()> {
    if message.kind > KIND_MAX {
        return Err(Errno::EOPNOTSUPP);
    }
    let Some(family) = message.payload().first().copied() else {
        return Ok(());
    };
    if message.kind % KINDS != ASKS {
        return Err(Errno::EPERM);
    }
    let dumps = message.has(netlink::NLM_F_DUMP);
    let all = interface::all();
    match (u32::from(message.kind), dumps) {
        (GET_LINK, false) => one_link(message, &all, answers)?,
        (GET_LINK, true) => {
            for one in &all {
                link(one, netlink::NLM_F_MULTI, answers);
            }
        }
        (GET_ADDRESS, true) => addresses(&all, family, answers),
        (GET_ROUTE, true) => routes(&all, family, answers),
        // Nobody is a neighbour.
        (GET_NEIGHBOUR, true) => {}
        _ => return Err(Errno::EOPNOTSUPP),
    }
    Ok(())
}

/// RTM_GETLINK of the one that it names, by number or by name.
fn one_link(message: &Message<'_>, all: &[Interface], answers: &mut Answers) -> Result<()> {
    let index = message.number(LINK_INDEX).ok_or(Errno::EINVAL)?;
    let name = message.attribute(LINK, IFLA_IFNAME as u16);
    let name = name.map(|name| name.split(|byte| *byte == 0).next().unwrap_or_default());
    let wanted = |one: &&Interface| match (index, name) {
        (0, Some(name)) => one.name.as_bytes() == name,
        (index, _) => one.index == index,
    };
    if index == 0 && name.is_none() {
        return Err(Errno::EINVAL);
    }
    let found = all.iter().find(wanted).ok_or(Errno::ENODEV)?;
    link(found, 0, answers);
    Ok(())
}

fn link(one: &Interface, flags: u32, answers: &mut Answers) {
    answers.begin(netlink::RTM_NEWLINK as u32, flags);
    answers.add(&[AF_UNSPEC as u8, 0]);
    answers.add(&one.hardware.to_ne_bytes());
    answers.add(&one.index.to_ne_bytes());
    answers.add(&(u32::from(one.flags) | interface::LOWER_UP).to_ne_bytes());
    answers.add(&[0; 4]);
    answers.attribute(IFLA_IFNAME, &[one.name.as_bytes(), &[0]].concat());
    answers.number(IFLA_TXQLEN, interface::QUEUE);
    // IF_OPER_UNKNOWN, IF_LINK_MODE_DEFAULT.
    answers.attribute(IFLA_OPERSTATE, &[0]);
    answers.attribute(IFLA_LINKMODE, &[0]);
    answers.number(IFLA_MTU, one.mtu as u32);
    answers.number(IFLA_GROUP, 0);
    answers.number(IFLA_PROMISCUITY, 0);
    answers.number(IFLA_NUM_TX_QUEUES, 1);
    answers.number(IFLA_NUM_RX_QUEUES, 1);
    answers.attribute(IFLA_CARRIER, &[1]);
    answers.attribute(IFLA_QDISC, b"noqueue\0");
    if one.is_loopback() {
        answers.attribute(IFLA_ADDRESS, &[0; HARDWARE]);
        answers.attribute(IFLA_BROADCAST, &[0; HARDWARE]);
    }
    // Nothing is counted.
    answers.attribute(IFLA_STATS64, &[0; STATS64]);
    answers.attribute(IFLA_STATS, &[0; STATS]);
}

/// Whether a dump for `asked` tells of a family: one that is not known asks for all.
fn includes(asked: u8, family: u32) -> bool {
    let asked = u32::from(asked);
    asked == family || ![AF_INET, AF_INET6].contains(&asked)
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn addresses(all: &[Interface], asked: u8, answers: &mut Answers) {
    for family in [AF_INET, AF_INET6] {
        if !includes(asked, family) {
            continue;
        }
        for one in all {
            let Some((ip, prefix)) = one.network(family) else {
                continue;
            };
            answers.begin(netlink::RTM_NEWADDR as u32, netlink::NLM_F_MULTI);
            let flags = netlink::IFA_F_PERMANENT;
            let scope = if one.is_loopback() {
                ON_HOST
            } else {
                EVERYWHERE
            };
            answers.add(&[family as u8, prefix, flags as u8, scope]);
            answers.add(&one.index.to_ne_bytes());
            answers.attribute(IFA_ADDRESS, &octets(ip));
            if family == AF_INET {
                answers.attribute(IFA_LOCAL, &octets(ip));
                answers.attribute(IFA_LABEL, &[one.name.as_bytes(), &[0]].concat());
            }
            answers.number(IFA_FLAGS, flags);
            // For ever; since the start.
            let times = [u32::MAX, u32::MAX, 0, 0];
            answers.attribute(IFA_CACHEINFO, &times.map(u32::to_ne_bytes).concat());
        }
    }
}

/// A route through an interface.
struct Route {
    table: u8,
    kind: u8,
    scope: u8,
    to: IpAddr,
    prefix: u8,
}

/// Those that follow from an interface's address.
fn routes_of(one: &Interface, family: u32) -> Vec<Route> {
    let Some((ip, prefix)) = one.network(family) else {
        return Vec::new();
    };
    let bits = if ip.is_ipv4() { 32 } else { 128 };
    let host = if ip.is_ipv4() { ON_HOST } else { EVERYWHERE };
    let local = |to, prefix| Route {
        table: LOCAL,
        kind: TO_SELF,
        scope: host,
        to,
        prefix,
    };
    let IpAddr::V4(v4) = ip else {
        let network = (!one.is_loopback()).then(|| Route {
            table: MAIN,
            kind: TO_NETWORK,
            scope: EVERYWHERE,
            to: interface::network(ip, prefix),
            prefix,
        });
        return network.into_iter().chain([local(ip, bits)]).collect();
    };
    let network = interface::network(ip, prefix);
    if one.is_loopback() {
        let last = IpAddr::V4((u32::from(v4) | u32::MAX >> prefix).into());
        return alloc::vec![
            local(network, prefix),
            local(ip, bits),
            Route {
                table: LOCAL,
                kind: TO_ALL,
                scope: ON_LINK,
                to: last,
                prefix: bits,
            },
        ];
    }
    let on_link = Route {
        table: MAIN,
        kind: TO_NETWORK,
        scope: ON_LINK,
        to: network,
        prefix,
    };
    alloc::vec![on_link, local(ip, bits)]
}

fn routes(all: &[Interface], asked: u8, answers: &mut Answers) {
    for family in [AF_INET, AF_INET6] {
        if !includes(asked, family) {
            continue;
        }
        // As in Linux: a table after the other.
        for table in [MAIN, LOCAL] {
            for one in all {
                for route in routes_of(one, family) {
                    if route.table == table {
                        tell_route(one, &route, answers);
                    }
                }
            }
        }
    }
}

fn tell_route(one: &Interface, route: &Route, answers: &mut Answers) {
    let family = if route.to.is_ipv4() {
        AF_INET
    } else {
        AF_INET6
    };
    answers.begin(netlink::RTM_NEWROUTE as u32, netlink::NLM_F_MULTI);
    answers.add(&[family as u8, route.prefix, 0, 0]);
    let by_kernel = netlink::RTPROT_KERNEL as u8;
    answers.add(&[route.table, by_kernel, route.scope, route.kind]);
    answers.add(&[0; 4]);
    answers.number(RTA_TABLE, route.table.into());
    answers.attribute(RTA_DST, &octets(route.to));
    if family == AF_INET {
        if let Some((source, _)) = one.network(family) {
            answers.attribute(RTA_PREFSRC, &octets(source));
        }
        answers.number(RTA_OIF, one.index);
        return;
    }
    let metric = if route.kind == TO_NETWORK { METRIC } else { 0 };
    answers.number(RTA_PRIORITY, metric);
    answers.number(RTA_OIF, one.index);
    // `struct rta_cacheinfo`: nothing is cached. ICMPV6_ROUTER_PREF_MEDIUM.
    answers.attribute(RTA_CACHEINFO, &[0; 32]);
    answers.attribute(RTA_PREF, &[0]);
}
