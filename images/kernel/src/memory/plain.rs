//! Types whose bytes may be copied to and from a program.
#![allow(unsafe_code)]

use linux_raw_sys::general as linux;
use linux_raw_sys::system;

/// A type that any bytes are a value of, and all of whose bytes are initialised.
///
/// # Safety
///
/// `repr(C)` or primitive, without padding that is not zeroed by its makers, without invariants.
pub unsafe trait Plain: Copy {}

macro_rules! plain {
    ($($type:ty),* $(,)?) => {
        // SAFETY: integers, arrays of integers, and Linux's structures made of them; the latter
        // are made by zeroing first (`zeroed`), so that their padding is initialised.
        $(unsafe impl Plain for $type {})*
    };
}

plain!(u8, u16, u32, u64, i8, i16, i32, i64, usize, isize);
plain!(
    linux::stat,
    linux::statx,
    linux::statfs64,
    linux::iovec,
    linux::__kernel_timespec
);
plain!(
    linux::__kernel_old_timeval,
    linux::__kernel_itimerspec,
    linux::__kernel_old_itimerval
);
plain!(
    linux::rlimit64,
    linux::rlimit,
    linux::rusage,
    linux::pollfd,
    linux::epoll_event
);
plain!(
    linux::clone_args,
    linux::flock,
    linux::robust_list_head,
    linux::termios
);
plain!(
    linux::termios2,
    linux::winsize,
    linux::kernel_sigaction,
    linux::kernel_sigset_t
);
plain!(
    linux::siginfo_t,
    linux::stack_t,
    linux::__user_cap_header_struct,
    linux::open_how
);
plain!(linux::__user_cap_data_struct);
plain!(system::new_utsname);

// SAFETY: an array of plain values has no padding of its own.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {}

/// A value of all zero bytes.
#[must_use]
pub fn zeroed<T: Plain>() -> T {
    // SAFETY: any bytes are a value of a plain type.
    unsafe { core::mem::zeroed() }
}

/// The bytes of a value.
pub fn bytes<T: Plain>(value: &T) -> &[u8] {
    // SAFETY: all bytes of a plain value are initialised.
    unsafe { core::slice::from_raw_parts(core::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// The bytes of a value, to be overwritten.
pub fn bytes_mut<T: Plain>(value: &mut T) -> &mut [u8] {
    // SAFETY: any bytes are a value of a plain type.
    unsafe { core::slice::from_raw_parts_mut(core::ptr::from_mut(value).cast(), size_of::<T>()) }
}

/// A value from the front of some bytes; `None` if they are too few.
pub fn from_bytes<T: Plain>(from: &[u8]) -> Option<T> {
    let mut value = zeroed();
    bytes_mut(&mut value).copy_from_slice(from.get(..size_of::<T>())?);
    Some(value)
}
