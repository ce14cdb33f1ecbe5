//! What a master in packet mode is told (`asm-generic/ioctls.h`).

/// Nothing: bytes follow.
pub(in crate::tty) const DATA: u8 = 0;
/// What was typed is forgotten.
pub(in crate::tty) const FLUSH_READ: u8 = 1;
/// What was to be shown is forgotten.
pub(in crate::tty) const FLUSH_WRITE: u8 = 2;
/// Output waits.
pub(in crate::tty) const STOP: u8 = 4;
/// Output goes on.
pub(in crate::tty) const START: u8 = 8;
/// The usual characters do not stop and start output any more.
pub(in crate::tty) const NO_STOP: u8 = 16;
/// They do.
pub(in crate::tty) const DO_STOP: u8 = 32;
/// The settings have changed, and the master processes input itself.
pub(in crate::tty) const IOCTL: u8 = 64;
