//! TCP: two queues of bytes between two ends, or between an end and a stream of the device.
//!
//! Inside, nothing is lost or late, so a connection is there as soon as it is asked for, and what is
//! sent has arrived. There is no TIME_WAIT: a port is free when nobody has it any more.

mod connection;
mod end;
mod outside;
mod state;
mod urgent;

pub use end::End;
pub use outside::arrive;
