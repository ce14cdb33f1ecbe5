//! Socket addresses as programs give them: a family, and what that family makes of the rest.

use alloc::vec::Vec;

/// Bytes of an address, at most (`struct sockaddr_storage`).
pub const ADDRESS_MAX: usize = 128;

/// An address as it lies in the program's memory. Each protocol reads its own.
pub type RawAddress = Vec<u8>;

/// The family of an address (AF_*); none if it is too short to have one.
#[must_use]
pub fn family(address: &[u8]) -> Option<u32> {
    let family = address.first_chunk::<2>()?;
    Some(u16::from_ne_bytes(*family).into())
}
