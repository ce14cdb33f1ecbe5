//! The lowest layer of memory: frames of RAM, the kernel's heap, page tables, and access to the
//! program's memory. With `arch` and `device` it is where `unsafe` may be used; what it offers
//! upwards is safe.

pub mod frames;
#[cfg(feature = "image")]
mod heap;
pub mod image;
#[cfg(feature = "image")]
mod intrinsics;
mod leaves;
pub mod paging;
pub mod plain;
pub mod user;

pub use frames::Frame;
pub use unicell_guest_abi::layout::{HUGE_PAGE_SIZE, PAGE_SIZE};

/// Rounds down to a page.
#[must_use]
pub const fn page_floor(address: u64) -> u64 {
    address & !(PAGE_SIZE - 1)
}

/// Rounds up to a page; `None` past the end of the address space.
#[must_use]
pub const fn page_ceil(address: u64) -> Option<u64> {
    match address.checked_add(PAGE_SIZE - 1) {
        Some(end) => Some(page_floor(end)),
        None => None,
    }
}

/// A page that can be mapped into a program.
#[derive(Clone)]
pub enum Page {
    /// A frame of RAM, with one reference held by this value.
    Ram(Frame),
    /// A page of the box image, by guest-physical address: read-only, free of charge.
    Image(u64),
}

impl Page {
    /// Guest-physical address.
    #[must_use]
    pub fn address(&self) -> u64 {
        match self {
            Self::Ram(frame) => frame.address(),
            Self::Image(address) => *address,
        }
    }

    /// Reads bytes of the page, which must not reach past its end.
    pub fn read(&self, offset: usize, into: &mut [u8]) {
        match self {
            Self::Ram(frame) => frame.read(offset, into),
            Self::Image(address) => {
                into.copy_from_slice(&image::page(*address)[offset..offset + into.len()]);
            }
        }
    }

    /// A frame of RAM with the same content, which only the caller has.
    ///
    /// # Errors
    ///
    /// ENOMEM if no frame is left.
    pub fn copy(&self) -> crate::errno::Result<Frame> {
        let copy = Frame::uninitialised()?;
        match self {
            Self::Ram(frame) => copy.copy_from(frame),
            Self::Image(address) => copy.write(0, image::page(*address)),
        }
        Ok(copy)
    }
}

/// The init block, for as long as the kernel runs.
#[cfg(feature = "image")]
#[allow(unsafe_code)]
pub(crate) fn init_block(boot: &unicell_guest_abi::boot::BootInfo) -> &'static [u8] {
    let start = frames::pointer(boot.init_gpa);
    // SAFETY: the VMM has put the block below the free memory, where nothing else ever goes.
    unsafe { core::slice::from_raw_parts(start, boot.init_size as usize) }
}
