//! The functions that compiled code expects to find: nothing else is linked in that has them.
//! String instructions are fast for these on every CPU that the kernel runs on (ERMS).
#![allow(unsafe_code)]
#![allow(unreachable_pub, reason = "the linker reaches them")]

use core::arch::asm;

/// C's memcpy.
///
/// # Safety
///
/// `len` bytes at both pointers, which do not overlap.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    // SAFETY: as the caller promises; DF is clear in the kernel.
    unsafe {
        asm!("rep movsb", inout("rcx") len => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags));
    }
    to
}

/// C's memmove.
///
/// # Safety
///
/// `len` bytes at both pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, len: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= len {
        // SAFETY: a forward copy does not overwrite what it has yet to read.
        return unsafe { memcpy(to, from, len) };
    }
    // SAFETY: as the caller promises; backwards, and DF is cleared again.
    unsafe {
        asm!("std", "rep movsb", "cld",
            inout("rcx") len => _,
            inout("rdi") to.wrapping_add(len).wrapping_sub(1) => _,
            inout("rsi") from.wrapping_add(len).wrapping_sub(1) => _,
            options(nostack));
    }
    to
}

/// C's memset.
///
/// # Safety
///
/// `len` bytes at the pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memset(to: *mut u8, byte: i32, len: usize) -> *mut u8 {
    // SAFETY: as the caller promises; DF is clear in the kernel.
    unsafe {
        asm!("rep stosb", inout("rcx") len => _, inout("rdi") to => _, in("al") byte as u8,
            options(nostack, preserves_flags));
    }
    to
}

/// C's memcmp.
///
/// # Safety
///
/// `len` bytes at both pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, len: usize) -> i32 {
    let mut at = 0;
    // Eight at a time while they are equal, then the byte that differs.
    while at + 8 <= len {
        // SAFETY: within both.
        let (a, b) = unsafe {
            (
                left.add(at).cast::<u64>().read_unaligned(),
                right.add(at).cast::<u64>().read_unaligned(),
            )
        };
        if a != b {
            break;
        }
        at += 8;
    }
    while at < len {
        // SAFETY: within both.
        let (a, b) = unsafe { (*left.add(at), *right.add(at)) };
        if a != b {
            return i32::from(a) - i32::from(b);
        }
        at += 1;
    }
    0
}

/// C's bcmp.
///
/// # Safety
///
/// `len` bytes at both pointers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, len: usize) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { memcmp(left, right, len) }
}

/// C's strlen.
///
/// # Safety
///
/// A string that ends in NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn strlen(string: *const u8) -> usize {
    let mut len = 0;
    // SAFETY: the string ends in NUL.
    while unsafe { *string.add(len) } != 0 {
        len += 1;
    }
    len
}

/// The landing pads of the precompiled `alloc` crate name this; with `panic=abort` nothing unwinds
/// and it is never called.
#[unsafe(no_mangle)]
pub extern "C" fn _Unwind_Resume() -> ! {
    unreachable!("a panic ends the instance; nothing unwinds")
}

/// As [`_Unwind_Resume`].
#[unsafe(no_mangle)]
pub extern "C" fn rust_eh_personality() {}
