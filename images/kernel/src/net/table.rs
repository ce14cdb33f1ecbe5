//! All sockets, and the tables of them in `/proc/net`.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt::Write;
use core::net::{IpAddr, SocketAddr};

use super::{Protocol, interface};
use crate::sync::Mutex;

static ALL: Mutex<BTreeMap<u64, Weak<dyn Protocol>>> = Mutex::new(BTreeMap::new());

/// What the tables tell of a socket.
pub enum Line {
    /// In `tcp`, `udp` and their like.
    Inet {
        /// Whether it is of IPv6.
        v6: bool,
        /// Whether it is of UDP.
        udp: bool,
        /// Its address.
        local: SocketAddr,
        /// What it is connected to.
        remote: SocketAddr,
        /// TCP_*.
        state: u8,
        /// Bytes on their way from it.
        unsent: usize,
        /// Bytes on their way to it.
        unread: usize,
        /// Its number.
        inode: u64,
    },
    /// In none of them.
    None,
    /// In `unix`.
    Unix {
        /// Whether it listens.
        flags: u32,
        /// SOCK_*.
        kind: u32,
        /// SS_*.
        state: u32,
        /// Its number.
        inode: u64,
        /// Its name, as it is shown.
        name: Option<Vec<u8>>,
    },
}

pub(super) fn enter(inode: u64, protocol: &Arc<dyn Protocol>) {
    ALL.lock().insert(inode, Arc::downgrade(protocol));
}

pub(super) fn leave(inode: u64) {
    ALL.lock().remove(&inode);
}

fn lines() -> Vec<Line> {
    let all: Vec<_> = ALL
        .lock()
        .iter()
        .map(|(ino, socket)| (*ino, socket.clone()))
        .collect();
    all.into_iter()
        .filter_map(|(ino, socket)| Some(socket.upgrade()?.line(ino)))
        .collect()
}

/// An address as the tables have it: words in the machine's order, in hexadecimal.
fn shown(address: SocketAddr, v6: bool) -> String {
    let octets: Vec<u8> = match address.ip() {
        IpAddr::V4(ip) if v6 && ip.is_unspecified() => [0; 16].to_vec(),
        IpAddr::V4(ip) if v6 => ip.to_ipv6_mapped().octets().to_vec(),
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let mut text = String::new();
    for word in octets.as_chunks::<4>().0 {
        // Writing to a string cannot fail.
        let _ = write!(text, "{:08X}", u32::from_ne_bytes(*word));
    }
    let _ = write!(text, ":{:04X}", address.port());
    text
}

/// `/proc/net/tcp`, `tcp6`, `udp`, `udp6`.
#[must_use]
pub fn inet(of_v6: bool, of_udp: bool) -> Vec<u8> {
    let mut text = String::from(match of_v6 {
        true => {
            "  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
        }
        false if of_udp => {
            "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops             \n"
        }
        false => {
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     \n"
        }
    });
    let mut count = 0;
    for line in lines() {
        if let Line::Inet {
            v6,
            udp,
            local,
            remote,
            state,
            unsent,
            unread,
            inode,
        } = line
            && (v6, udp) == (of_v6, of_udp)
            && local.port() != 0
        {
            let (local, remote) = (shown(local, v6), shown(remote, v6));
            let _ = writeln!(
                text,
                "{count:4}: {local} {remote} {state:02X} {unsent:08X}:{unread:08X} 00:00000000 \
                 00000000     0        0 {inode} 1 0000000000000000 0"
            );
            count += 1;
        }
    }
    text.into_bytes()
}

/// `/proc/net/unix`.
#[must_use]
pub fn unix() -> Vec<u8> {
    let mut text = b"Num       RefCount Protocol Flags    Type St Inode Path\n".to_vec();
    for line in lines() {
        if let Line::Unix {
            flags,
            kind,
            state,
            inode,
            name,
        } = line
        {
            let start = format!(
                "0000000000000000: 00000002 00000000 {flags:08X} {kind:04X} {state:02X} {inode:5}"
            );
            text.extend_from_slice(start.as_bytes());
            if let Some(name) = name {
                text.push(b' ');
                text.extend(name);
            }
            text.push(b'\n');
        }
    }
    text
}

/// `/proc/net/dev`: what has passed through them is not counted.
#[must_use]
pub fn devices() -> Vec<u8> {
    const HEAD: &str = "Inter-|   Receive                                                |  Transmit\n \
         face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n";
    let zeros = "       0       0    0    0    0     0          0         0";
    let sent = "       0       0    0    0    0     0       0          0";
    let mut text = String::from(HEAD);
    for interface in interface::all() {
        let _ = writeln!(text, "{:>6}:{zeros} {sent}", interface.name);
    }
    text.into_bytes()
}

/// `/proc/net/if_inet6`.
#[must_use]
pub fn v6_addresses() -> Vec<u8> {
    let mut text = String::new();
    for one in interface::all() {
        let Some(v6) = one.v6 else {
            continue;
        };
        for byte in v6.octets() {
            let _ = write!(text, "{byte:02x}");
        }
        let (index, prefix, scope) = (one.index, one.prefix, one.scope);
        let _ = writeln!(
            text,
            " {index:02x} {prefix:02x} {scope:02x} 80 {:>8}",
            one.name
        );
    }
    text.into_bytes()
}
