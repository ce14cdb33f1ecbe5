//! What there is to ask about network interfaces: `lo`, and `eth0` where the guest has addresses
//! beside loopback.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use linux_raw_sys::{ioctl, net};

use super::outside;
use crate::errno::{Errno, Result};
use crate::memory::user;

/// An interface.
pub(super) struct Interface {
    pub(super) name: &'static str,
    pub(super) index: u32,
    /// IFF_*.
    pub(super) flags: u16,
    /// ARPHRD_*.
    pub(super) hardware: u16,
    pub(super) v4: Option<Ipv4Addr>,
    pub(super) v6: Option<Ipv6Addr>,
    mask: Ipv4Addr,
    /// Bits of the IPv6 network's prefix.
    pub(super) prefix: u8,
    /// RT_SCOPE_* of its IPv6 address, as `/proc/net/if_inet6` shows it.
    pub(super) scope: u8,
    pub(super) mtu: i32,
}

/// IFF_UP, IFF_LOOPBACK, IFF_RUNNING.
const LO_FLAGS: u16 = 0x1 | 0x8 | 0x40;
/// IFF_UP, IFF_POINTOPOINT, IFF_RUNNING, IFF_NOARP: there is nobody to shout at.
const ETH_FLAGS: u16 = 0x1 | 0x10 | 0x40 | 0x80;
/// IFF_LOWER_UP, for which the flags of ioctls have no room.
pub(super) const LOWER_UP: u32 = 0x1_0000;
/// ARPHRD_LOOPBACK, ARPHRD_NONE.
const LO_HARDWARE: u16 = 772;
const ETH_HARDWARE: u16 = 0xfffe;
/// Bytes of what loopback carries at once.
pub(super) const MTU: i32 = 65_536;
pub(super) const QUEUE: u32 = 1000;
/// Bytes of `struct ifreq`, and of its name.
const REQUEST: usize = 40;
const NAME_LEN: usize = 16;

/// All interfaces.
pub(super) fn all() -> Vec<Interface> {
    let mut all = alloc::vec![Interface {
        name: "lo",
        index: 1,
        flags: LO_FLAGS,
        hardware: LO_HARDWARE,
        v4: Some(Ipv4Addr::LOCALHOST),
        v6: Some(Ipv6Addr::LOCALHOST),
        mask: Ipv4Addr::new(255, 0, 0, 0),
        prefix: 128,
        scope: 0x10,
        mtu: MTU,
    }];
    let (v4, v6) = (outside::v4(), outside::v6());
    if v4.is_some() || v6.is_some() {
        all.push(Interface {
            name: "eth0",
            index: 2,
            flags: ETH_FLAGS,
            hardware: ETH_HARDWARE,
            v4,
            v6,
            mask: Ipv4Addr::new(255, 0, 0, 0),
            prefix: 8,
            scope: 0,
            mtu: MTU,
        });
    }
    all
}

/// A name as requests have it.
fn padded(name: &str) -> [u8; NAME_LEN] {
    let mut bytes = [0; NAME_LEN];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    bytes
}

/// A `struct sockaddr_in`.
fn address(octets: Ipv4Addr) -> Vec<u8> {
    let mut bytes = (net::AF_INET as u16).to_ne_bytes().to_vec();
    bytes.extend([0; 2]);
    bytes.extend(octets.octets());
    bytes.resize(REQUEST - NAME_LEN, 0);
    bytes
}

/// The network of so many bits that an address is in.
pub(super) fn network(address: IpAddr, prefix: u8) -> IpAddr {
    let low = |bits: u8| u128::MAX.checked_shr(bits.into()).unwrap_or(0);
    match address {
        IpAddr::V4(v4) => IpAddr::V4((u32::from(v4) & !(low(prefix + 96) as u32)).into()),
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & !low(prefix)).into()),
    }
}

impl Interface {
    pub(super) fn is_loopback(&self) -> bool {
        self.hardware == LO_HARDWARE
    }

    /// Its address of a family (AF_*), and the bits of that network's prefix.
    pub(super) fn network(&self, family: u32) -> Option<(IpAddr, u8)> {
        if family == net::AF_INET {
            let prefix = u32::from(self.mask).count_ones() as u8;
            self.v4.map(|v4| (v4.into(), prefix))
        } else {
            self.v6.map(|v6| (v6.into(), self.prefix))
        }
    }

    /// What it answers to a request that names it.
    fn answer(&self, command: u32) -> Result<Vec<u8>> {
        let own = self.v4.ok_or(Errno::EADDRNOTAVAIL);
        Ok(match command {
            ioctl::SIOCGIFFLAGS => self.flags.to_ne_bytes().to_vec(),
            ioctl::SIOCGIFADDR | ioctl::SIOCGIFDSTADDR => address(own?),
            ioctl::SIOCGIFBRDADDR => address(Ipv4Addr::UNSPECIFIED),
            ioctl::SIOCGIFNETMASK => own.map(|_| address(self.mask))?,
            ioctl::SIOCGIFMTU => self.mtu.to_ne_bytes().to_vec(),
            ioctl::SIOCGIFMETRIC => 0_u32.to_ne_bytes().to_vec(),
            ioctl::SIOCGIFINDEX => self.index.to_ne_bytes().to_vec(),
            ioctl::SIOCGIFTXQLEN => QUEUE.to_ne_bytes().to_vec(),
            ioctl::SIOCGIFHWADDR => {
                let mut bytes = self.hardware.to_ne_bytes().to_vec();
                bytes.resize(REQUEST - NAME_LEN, 0);
                bytes
            }
            _ => return Err(Errno::ENOTTY),
        })
    }
}

/// The calls of netdevice(7) that every socket takes.
///
/// # Errors
///
/// ENOTTY if it is none, ENODEV for another interface, EPERM if it would change something.
pub(super) fn ioctl(command: u32, argument: u64) -> Result<u64> {
    match command {
        ioctl::SIOCGIFCONF => list(argument),
        ioctl::SIOCGIFNAME => {
            let index: u32 = user::read(argument + NAME_LEN as u64)?;
            let found = all()
                .into_iter()
                .find(|interface| interface.index == index)
                .ok_or(Errno::ENODEV)?;
            user::write(argument, &padded(found.name))?;
            Ok(0)
        }
        ioctl::SIOCSIFFLAGS
        | ioctl::SIOCSIFADDR
        | ioctl::SIOCSIFNETMASK
        | ioctl::SIOCSIFMTU
        | ioctl::SIOCSIFBRDADDR
        | ioctl::SIOCADDRT
        | ioctl::SIOCDELRT => Err(Errno::EPERM),
        _ => {
            let all = all();
            // Whether it is a request at all does not depend on the interface.
            if let Err(Errno::ENOTTY) = all[0].answer(command) {
                return Err(Errno::ENOTTY);
            }
            let mut name: [u8; NAME_LEN] = user::read(argument)?;
            name[NAME_LEN - 1] = 0;
            let len = name.iter().position(|byte| *byte == 0).unwrap_or(0);
            let found = all
                .iter()
                .find(|interface| interface.name.as_bytes() == &name[..len])
                .ok_or(Errno::ENODEV)?;
            user::copy_out(argument + NAME_LEN as u64, &found.answer(command)?)?;
            Ok(0)
        }
    }
}

/// SIOCGIFCONF: the list of all that have an IPv4 address, or how long it is.
fn list(argument: u64) -> Result<u64> {
    let [room, buffer]: [u64; 2] = user::read(argument)?;
    let room = room as i32 as usize;
    let mut len = 0;
    for interface in all() {
        let Some(v4) = interface.v4 else {
            continue;
        };
        if buffer != 0 {
            if len + REQUEST > room {
                break;
            }
            let at = buffer + len as u64;
            user::write(at, &padded(interface.name))?;
            user::copy_out(at + NAME_LEN as u64, &address(v4))?;
        }
        len += REQUEST;
    }
    user::write(argument, &(len as i32))?;
    Ok(0)
}
