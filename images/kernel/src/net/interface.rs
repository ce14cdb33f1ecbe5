//! What there is to ask about network interfaces: `lo`, and nothing else.

use alloc::vec::Vec;

use linux_raw_sys::{ioctl, net};

use crate::errno::{Errno, Result};
use crate::memory::user;

/// The only interface.
const NAME: &[u8; 16] = b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
const INDEX: u32 = 1;
/// IFF_UP, IFF_LOOPBACK, IFF_RUNNING.
const FLAGS: u16 = 0x1 | 0x8 | 0x40;
/// ARPHRD_LOOPBACK.
const HARDWARE: u16 = 772;
/// Bytes of what it carries at once.
pub(super) const MTU: i32 = 65_536;
const QUEUE: u32 = 1000;
/// Bytes of `struct ifreq`, and of its name.
const REQUEST: usize = 40;
const NAME_LEN: usize = 16;

/// A `struct sockaddr_in`.
fn address(octets: [u8; 4]) -> Vec<u8> {
    let mut bytes = (net::AF_INET as u16).to_ne_bytes().to_vec();
    bytes.extend([0; 2]);
    bytes.extend(octets);
    bytes.resize(REQUEST - NAME_LEN, 0);
    bytes
}

/// What the interface answers to a request that names it.
fn answer(command: u32) -> Option<Vec<u8>> {
    Some(match command {
        ioctl::SIOCGIFFLAGS => FLAGS.to_ne_bytes().to_vec(),
        ioctl::SIOCGIFADDR => address([127, 0, 0, 1]),
        ioctl::SIOCGIFDSTADDR => address([127, 0, 0, 1]),
        ioctl::SIOCGIFBRDADDR => address([0; 4]),
        ioctl::SIOCGIFNETMASK => address([255, 0, 0, 0]),
        ioctl::SIOCGIFMTU => MTU.to_ne_bytes().to_vec(),
        ioctl::SIOCGIFMETRIC => 0_u32.to_ne_bytes().to_vec(),
        ioctl::SIOCGIFINDEX => INDEX.to_ne_bytes().to_vec(),
        ioctl::SIOCGIFTXQLEN => QUEUE.to_ne_bytes().to_vec(),
        ioctl::SIOCGIFHWADDR => {
            let mut bytes = HARDWARE.to_ne_bytes().to_vec();
            bytes.resize(REQUEST - NAME_LEN, 0);
            bytes
        }
        _ => return None,
    })
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
            if index != INDEX {
                return Err(Errno::ENODEV);
            }
            user::write(argument, NAME)?;
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
            let answer = answer(command).ok_or(Errno::ENOTTY)?;
            let mut name: [u8; NAME_LEN] = user::read(argument)?;
            name[NAME_LEN - 1] = 0;
            let len = name.iter().position(|byte| *byte == 0).unwrap_or(0);
            if &name[..len] != b"lo" {
                return Err(Errno::ENODEV);
            }
            user::copy_out(argument + NAME_LEN as u64, &answer)?;
            Ok(0)
        }
    }
}

/// SIOCGIFCONF: the list of all, or how long it is.
fn list(argument: u64) -> Result<u64> {
    let [room, buffer]: [u64; 2] = user::read(argument)?;
    let room = room as i32;
    let mut len = REQUEST as i32;
    if buffer != 0 {
        if room >= len {
            user::write(buffer, NAME)?;
            user::copy_out(buffer + NAME_LEN as u64, &address([127, 0, 0, 1]))?;
        } else {
            len = 0;
        }
    }
    user::write(argument, &len)?;
    Ok(0)
}
