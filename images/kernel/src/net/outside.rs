//! What lies outside the guest, and how it is reached.
//!
//! Loopback never leaves the guest. Of the other addresses, those of the virtual networks
//! (10.0.0.0/8 and fd00::/8) are reached by streams of the device, each of which the node permits
//! or refuses; all others cannot be reached, which the node is told all the same
//! ([`super::refused`]). A guest without an address of its own reaches nothing.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::inet::{tcp, udp};
use super::refused::Refused;
use crate::device::stream::{self, Arrival};
use crate::errno::{Errno, Result};
use crate::memory::PAGE_SIZE;
use crate::memory::frames;
use crate::sync::Mutex;
use crate::time;

/// Bytes of a stream that may be on their way to the guest or unread, at least and at most.
const WINDOW_MIN: u64 = 16 << 10;
const WINDOW_MAX: u64 = 2 << 20;
/// The part of RAM that all streams together may fill.
const SHARE: u64 = 32;

/// The addresses of this guest beside loopback.
#[derive(Clone, Copy)]
struct Own {
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
}

static REFUSED: Mutex<Refused> = Mutex::new(Refused::new());

static OWN: Mutex<Own> = Mutex::new(Own { v4: None, v6: None });

/// Gives the guest its addresses, and has it listen to the device.
///
/// # Errors
///
/// ENOBUFS.
pub fn init(v4: Option<[u8; 4]>, v6: Option<[u8; 16]>) -> Result<()> {
    if v4.is_none() && v6.is_none() {
        return Ok(());
    }
    *OWN.lock() = Own {
        v4: v4.map(Into::into),
        v6: v6.map(Into::into),
    };
    stream::start()
}

/// The guest's IPv4 address beside loopback.
#[must_use]
pub fn v4() -> Option<Ipv4Addr> {
    OWN.lock().v4
}

/// The guest's IPv6 address beside loopback.
#[must_use]
pub fn v6() -> Option<Ipv6Addr> {
    OWN.lock().v6
}

/// The guest's address of the same family.
#[must_use]
pub fn own(other: IpAddr) -> Option<IpAddr> {
    match other {
        IpAddr::V4(_) => v4().map(IpAddr::V4),
        IpAddr::V6(_) => v6().map(IpAddr::V6),
    }
}

/// Whether an address is one of the virtual networks.
fn is_virtual(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => ip.octets()[0] == 10,
        IpAddr::V6(ip) => ip.octets()[0] == 0xfd,
    }
}

/// Whether there may be a way to an address.
///
/// # Errors
///
/// ENETUNREACH.
pub fn check(tcp: bool, from_port: u16, to: SocketAddr) -> Result<()> {
    if own(to.ip()).is_none() {
        return Err(Errno::ENETUNREACH);
    }
    if is_virtual(to.ip()) {
        return Ok(());
    }
    // The node wants to know who tries what.
    if let Some(times) = REFUSED.lock().count(time::monotonic()) {
        stream::refused(tcp, from_port, to, times);
    }
    Err(Errno::ENETUNREACH)
}

/// Bytes that a new stream may have on their way to the guest: fewer, the more there are.
#[must_use]
pub fn window() -> u32 {
    let (total, _) = frames::usage();
    let share = total * PAGE_SIZE / SHARE / (stream::count() as u64 + 1);
    share.clamp(WINDOW_MIN, WINDOW_MAX) as u32
}

/// Somebody connects from outside.
pub fn arrive(arrival: Arrival) {
    let local = own(arrival.from.ip()).map(|ip| SocketAddr::new(ip, arrival.port));
    match local {
        None => arrival.refuse(Errno::ECONNREFUSED),
        Some(local) if arrival.tcp => tcp::arrive(local, arrival),
        Some(local) => udp::arrive(local, &arrival),
    }
}
