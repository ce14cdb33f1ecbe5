//! What only ring 0 may do, through the one gate: flushing, and loading CR3.
#![allow(unsafe_code)]

use crate::device::platform;

#[cfg(feature = "image")]
unsafe extern "C" {
    /// `entry.s`.
    fn unicell_gate(first: u64, pages: u64);
}

#[cfg(not(feature = "image"))]
unsafe extern "C" fn unicell_gate(_: u64, _: u64) {
    unreachable!("only the image has a gate");
}

fn pass(first: u64, pages: u64) {
    platform::count(|counters| counters.gates += 1);
    // SAFETY: flushing is always allowed; the tables that `load_tables` names map the kernel.
    unsafe { unicell_gate(first, pages) }
}

/// Forgets what is cached of some pages.
pub fn flush_pages(first: u64, pages: u64) {
    pass(first, pages);
}

/// Loads CR3 with a root of `memory::paging`, which forgets everything too.
pub(crate) fn load_tables(root: u64) {
    pass(root, 0);
}
