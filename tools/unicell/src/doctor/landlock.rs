//! Landlock, of which the host's kernel tells the version by a system call alone.
#![allow(unsafe_code)]

/// The version of Landlock's interface; `None` if this kernel has none, or it is turned off.
pub(super) fn version() -> Option<u32> {
    // landlock_create_ruleset(2).
    const LANDLOCK_CREATE_RULESET_VERSION: libc::c_ulong = 1;
    let (attributes, size) = (std::ptr::null::<u8>(), 0_usize);
    let flags = LANDLOCK_CREATE_RULESET_VERSION;
    // SAFETY: with this flag the call takes no attributes, creates nothing and returns a number.
    let result =
        unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, attributes, size, flags) };
    u32::try_from(result).ok()
}
