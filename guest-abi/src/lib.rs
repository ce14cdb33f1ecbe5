//! What the VMM and the guest kernel agree on, and nothing else.
//!
//! **For**: the guest-physical and kernel-virtual memory map, the state in which the kernel is
//! entered, the registers of the gateway device and of the platform page, the messages on the
//! device's queues, and the ways in which an instance ends.
//!
//! **Not for**: behaviour. Apart from the encoding of [`init`], which both sides must read alike,
//! there are only constants and `repr(C)` types here.
//!
//! **Invariants**: every type that crosses the border has a size and offsets that are checked at
//! compile time; all integers are little-endian (both sides are x86-64); anything read from the
//! other side is hostile until it is validated. The document for people is `docs/guest-abi.md`.
#![no_std]

pub mod boot;
pub mod cpu;
pub mod device;
pub mod exit;
pub mod init;
pub mod layout;
pub mod message;
pub mod platform;

/// Version of everything in this crate. The VMM refuses a kernel built for another one.
pub const ABI_VERSION: u32 = 7;
