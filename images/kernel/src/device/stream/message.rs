//! Messages as the device has them.

use core::net::{IpAddr, SocketAddr};

use unicell_guest_abi::message::{Endpoint, Stream as Header, transport};

use super::Arrival;
use crate::errno::Errno;

pub(super) const HEADER: usize = size_of::<Header>();
pub(super) const ENDPOINT: usize = size_of::<Endpoint>();

/// The error that a message names.
pub(super) fn errno(value: u32) -> Option<Errno> {
    match value {
        0 => None,
        1..4096 => Some(Errno::new(value as u16)),
        _ => Some(Errno::EIO),
    }
}

/// Numbers of a message, in order: stream, kind, bytes that follow, value.
pub(super) type Words = [u32; 4];

pub(super) fn words(header: &[u8; HEADER]) -> Words {
    let word = |at: usize| {
        let bytes = header[4 * at..].first_chunk();
        bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    [word(0), word(1), word(2), word(3)]
}

pub(super) fn write_words(words: Words, into: &mut [u8]) {
    for (word, bytes) in words.iter().zip(into.as_chunks_mut::<4>().0) {
        *bytes = word.to_le_bytes();
    }
}

/// Where a connection is to lead.
pub(super) fn endpoint(tcp: bool, to: SocketAddr, own_port: u16) -> [u8; ENDPOINT] {
    let address = match to.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let transport = if tcp { transport::TCP } else { transport::UDP };
    let mut payload = [0; ENDPOINT];
    payload[..4].copy_from_slice(&transport.to_le_bytes());
    payload[4..6].copy_from_slice(&to.port().to_le_bytes());
    payload[6..8].copy_from_slice(&own_port.to_le_bytes());
    payload[8..].copy_from_slice(&address.octets());
    payload
}

impl Arrival {
    /// Who connects, as the device tells it.
    pub(super) fn parse(stream: u32, credit: u32, payload: &[u8]) -> Option<Self> {
        let payload: &[u8; ENDPOINT] = payload.first_chunk()?;
        let short = |at: usize| u16::from_le_bytes([payload[at], payload[at + 1]]);
        let mut address = [0; 16];
        address.copy_from_slice(&payload[8..]);
        let address = IpAddr::from(address).to_canonical();
        Some(Self {
            tcp: payload[0] == transport::TCP as u8,
            from: SocketAddr::new(address, short(4)),
            port: short(6),
            stream,
            credit,
        })
    }
}
