//! Memory of the kernel's heap that the device reads or writes.
#![allow(unsafe_code)]

use alloc::vec::Vec;

use unicell_guest_abi::layout::DIRECT_MAP;

use super::ring::Piece;
use crate::errno::{Errno, Result};

/// Bytes in a row, in RAM too: the heap lies in the direct map.
///
/// While the device has it, its content is undefined and not looked at.
pub(super) struct Buffer(Vec<u8>);

impl Buffer {
    /// Room for `len` bytes, at least one; their content is undefined.
    ///
    /// # Errors
    ///
    /// ENOBUFS if there is no memory.
    pub(super) fn new(len: usize) -> Result<Self> {
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(len.max(1))
            .map_err(|_| Errno::ENOBUFS)?;
        // SAFETY: so many bytes are reserved, and the heap's memory holds some value or other: RAM
        // is mapped and was zero when the guest began.
        unsafe { bytes.set_len(len) };
        Ok(Self(bytes))
    }

    /// The bytes, while the device does not have them.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, to be filled before the device gets them.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Leaves an empty one in its place.
    pub(super) fn take(&mut self) -> Self {
        Self(core::mem::take(&mut self.0))
    }

    /// Shortens it.
    pub(super) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// Its first bytes, at most `len`, for whoever keeps them.
    pub(super) fn shortened(mut self, len: usize) -> Vec<u8> {
        self.0.truncate(len);
        self.0
    }

    /// What [`Buffer::shortened`] was made of, if it was not taken meanwhile; else an empty one.
    pub(super) fn restored(mut bytes: Vec<u8>, len: usize) -> Self {
        if bytes.capacity() < len {
            return Self(Vec::new());
        }
        // SAFETY: as in `new`.
        unsafe { bytes.set_len(len) };
        Self(bytes)
    }

    /// Where the device finds the bytes from `offset` on.
    pub(super) fn piece(&self, offset: usize, len: usize) -> Piece {
        debug_assert!(offset + len <= self.0.len());
        let address = self.0.as_ptr() as u64 - DIRECT_MAP + offset as u64;
        (address, len as u32)
    }
}
