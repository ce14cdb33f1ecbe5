//! The bytes of the vDSO, which `vdso.s` assembles.
#![allow(unsafe_code)]
#![cfg(feature = "image")]

use core::arch::global_asm;
use core::mem::offset_of;

use unicell_guest_abi::layout::{DIRECT_MAP, PAGE_SIZE, SHARED_GPA};
use unicell_guest_abi::platform::{Clock, Shared};

global_asm!(
    include_str!("vdso.s"),
    CLOCK = const DIRECT_MAP + SHARED_GPA + offset_of!(Shared, clock) as u64,
    TSC = const offset_of!(Clock, tsc),
    MULT = const offset_of!(Clock, mult),
    MONO_NS = const offset_of!(Clock, mono_ns),
    REALTIME_OFFSET = const offset_of!(Clock, realtime_offset),
    LOOK_NS = const crate::reproducible::LOOK_NS,
    LATEST = sym crate::device::platform::LATEST,
);

const _: () = assert!(offset_of!(Clock, seq) == 0);

unsafe extern "C" {
    static unicell_vdso: [u8; PAGE_SIZE as usize];
}

/// The shared object: one page.
pub(super) fn bytes() -> &'static [u8] {
    // SAFETY: `vdso.s` fills a page at this label; nobody writes it.
    unsafe { &unicell_vdso }
}
