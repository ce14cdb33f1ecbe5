//! The gateway device and the platform page: the only things outside the guest that it can touch.

mod buffer;
pub mod console;
pub mod control;
pub mod platform;
mod ring;
pub mod stdin;
pub mod stream;

pub use stream::{Outside, outside};

/// Takes what the device has done since the last look and wakes who waited for it. Returns whether
/// a stream had news.
pub fn poll() -> bool {
    console::poll();
    control::poll();
    stream::poll()
}
