//! The box image as the kernel sees it: a read-only slot, read in place.
#![allow(unsafe_code)]

use core::sync::atomic::{AtomicU64, Ordering};

use unicell_guest_abi::layout::{BOX_GPA, DIRECT_MAP, PAGE_SIZE};

static SIZE: AtomicU64 = AtomicU64::new(0);

/// Tells how large the image is. Called once, at boot.
pub fn init(size: u64) {
    SIZE.store(size, Ordering::Relaxed);
}

/// The whole image.
pub fn bytes() -> &'static [u8] {
    let size = SIZE.load(Ordering::Relaxed) as usize;
    if size == 0 {
        return &[];
    }
    // SAFETY: the VMM maps `size` bytes of the image here, and nobody ever writes them.
    unsafe { core::slice::from_raw_parts((DIRECT_MAP + BOX_GPA) as *const u8, size) }
}

/// Guest-physical address of the page of the image that begins at `offset`, if it is whole.
#[must_use]
pub fn page_address(offset: u64) -> Option<u64> {
    let end = offset.checked_add(PAGE_SIZE)?;
    (offset.is_multiple_of(PAGE_SIZE) && end <= SIZE.load(Ordering::Relaxed))
        .then_some(BOX_GPA + offset)
}

/// The content of a page that [`page_address`] has named.
pub fn page(address: u64) -> &'static [u8] {
    let offset = (address - BOX_GPA) as usize;
    &bytes()[offset..offset + PAGE_SIZE as usize]
}
