//! The gateway device and the platform page: the only things outside the guest that it can touch.

mod buffer;
pub mod console;
pub mod control;
pub mod platform;
mod ring;
pub mod stdin;
pub mod stream;

/// Takes what the device has done since the last look and wakes who waited for it.
pub fn poll() {
    console::poll();
    control::poll();
    stream::poll();
}
