//! Access to the program's memory, from the system call of the program itself.
//!
//! The kernel takes no recoverable fault: every page is looked up in the page tables, and brought
//! in if it has to be, before it is touched.
#![allow(unsafe_code)]

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use unicell_guest_abi::layout::{PAGE_SIZE, USER_END};

use super::plain::{Plain, bytes, bytes_mut, zeroed};
use super::{page_floor, paging};
use crate::arch::gate;
use crate::errno::{Errno, Result};
use crate::mm;

/// What is about to be done to a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read it.
    Read,
    /// Write it.
    Write,
    /// Execute it.
    Execute,
}

impl Access {
    /// What a page fault's error code says was tried.
    #[must_use]
    pub fn of_fault(error: u64) -> Self {
        const WRITE: u64 = 1 << 1;
        const FETCH: u64 = 1 << 4;
        if error & FETCH != 0 {
            Self::Execute
        } else if error & WRITE != 0 {
            Self::Write
        } else {
            Self::Read
        }
    }
}

/// Checks that a range lies where a program's memory can be.
///
/// # Errors
///
/// EFAULT.
pub fn check_range(address: u64, len: usize) -> Result<()> {
    let end = address.checked_add(len as u64).ok_or(Errno::EFAULT)?;
    if end > USER_END {
        Err(Errno::EFAULT)
    } else {
        Ok(())
    }
}

/// Runs `each` over the pieces of a range that lie in one page each, after that page is there.
fn pieces(
    address: u64,
    len: usize,
    access: Access,
    mut each: impl FnMut(*mut u8, core::ops::Range<usize>),
) -> Result<()> {
    check_range(address, len)?;
    let mut done = 0;
    while done < len {
        let at = address + done as u64;
        let piece = (len - done).min((page_floor(at) + PAGE_SIZE - at) as usize);
        if !paging::current_permits(at, access) {
            let replaces = paging::current_permits(at, Access::Read);
            mm::fault_in(at, access)?;
            if replaces {
                // Another page may be there now. A fault of the program would have made the
                // processor forget the old one, but there was none.
                gate::flush_pages(page_floor(at), 1);
            }
        }
        each(at as *mut u8, done..done + piece);
        done += piece;
    }
    Ok(())
}

/// Copies bytes from the program.
///
/// # Errors
///
/// EFAULT if any of them is not readable; some may have been copied.
pub fn copy_in(address: u64, into: &mut [u8]) -> Result<()> {
    // SAFETY: the piece's page is mapped and readable, and no thread of the program runs now.
    pieces(address, into.len(), Access::Read, |from, range| unsafe {
        from.copy_to_nonoverlapping(into[range.clone()].as_mut_ptr(), range.len());
    })
}

/// Copies bytes to the program.
///
/// # Errors
///
/// EFAULT if any of them is not writable; some may have been copied.
pub fn copy_out(address: u64, from: &[u8]) -> Result<()> {
    // SAFETY: the piece's page is mapped and writable, and no thread of the program runs now.
    pieces(address, from.len(), Access::Write, |to, range| unsafe {
        to.copy_from_nonoverlapping(from[range.clone()].as_ptr(), range.len());
    })
}

/// Zeros bytes of the program.
///
/// # Errors
///
/// EFAULT if any of them is not writable; some may have been zeroed.
pub fn zero_out(address: u64, len: usize) -> Result<()> {
    // SAFETY: the piece's page is mapped and writable, and no thread of the program runs now.
    pieces(address, len, Access::Write, |to, range| unsafe {
        to.write_bytes(0, range.len());
    })
}

/// Reads a value.
///
/// # Errors
///
/// EFAULT if it is not readable.
pub fn read<T: Plain>(address: u64) -> Result<T> {
    let mut value = zeroed();
    copy_in(address, bytes_mut(&mut value))?;
    Ok(value)
}

/// Writes a value.
///
/// # Errors
///
/// EFAULT if it is not writable.
pub fn write<T: Plain>(address: u64, value: &T) -> Result<()> {
    copy_out(address, bytes(value))
}

/// Reads `count` values.
///
/// # Errors
///
/// EFAULT if one is not readable. The caller bounds `count`.
pub fn read_many<T: Plain>(address: u64, count: usize) -> Result<Vec<T>> {
    let size = size_of::<T>() as u64;
    (0..count as u64)
        .map(|at| read(address.wrapping_add(at * size)))
        .collect()
}

/// Reads a string up to its NUL, which is not part of the result.
///
/// # Errors
///
/// EFAULT if it is not readable, ENAMETOOLONG if there are more than `max` bytes before the NUL.
pub fn string(address: u64, max: usize) -> Result<Vec<u8>> {
    let mut result = Vec::new();
    loop {
        let at = address
            .checked_add(result.len() as u64)
            .ok_or(Errno::EFAULT)?;
        let in_page = (page_floor(at) + PAGE_SIZE - at) as usize;
        let len = in_page.min(max + 1 - result.len()).min(256);
        let start = result.len();
        result.resize(start + len, 0);
        copy_in(at, &mut result[start..])?;
        if let Some(end) = result[start..].iter().position(|byte| *byte == 0) {
            result.truncate(start + end);
            return Ok(result);
        }
        if result.len() > max {
            return Err(Errno::ENAMETOOLONG);
        }
    }
}

/// Runs `operation` on a word of the program that other threads use atomically.
///
/// # Errors
///
/// EINVAL if the address is not a multiple of 4, EFAULT if the word is not accessible.
pub fn with_atomic<R>(
    address: u64,
    access: Access,
    operation: impl FnOnce(&AtomicU32) -> R,
) -> Result<R> {
    if !address.is_multiple_of(4) {
        return Err(Errno::EINVAL);
    }
    let mut word = core::ptr::null_mut();
    pieces(address, 4, access, |pointer, _| word = pointer)?;
    // SAFETY: mapped, aligned, and only ever accessed atomically or by the program.
    Ok(operation(unsafe { &*word.cast::<AtomicU32>() }))
}

/// Reads a word that other threads use atomically.
///
/// # Errors
///
/// As [`with_atomic`].
pub fn load(address: u64) -> Result<u32> {
    with_atomic(address, Access::Read, |word| word.load(Ordering::SeqCst))
}

/// Makes a range present, so that it can be touched later without bringing anything in.
///
/// # Errors
///
/// EFAULT if a page does not permit the access.
pub fn make_present(address: u64, len: usize, access: Access) -> Result<()> {
    pieces(address, len, access, |_, _| ())
}
