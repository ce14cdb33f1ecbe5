//! Clocks.

use crate::device::platform;

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

/// Nanoseconds of the monotonic clock.
#[must_use]
pub fn monotonic() -> u64 {
    platform::monotonic()
}

/// Nanoseconds since 1970.
#[must_use]
pub fn realtime() -> u64 {
    platform::monotonic().wrapping_add_signed(platform::realtime_offset())
}
