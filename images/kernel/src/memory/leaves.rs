//! Leaf tables that outlive the address spaces they were filled for.
//!
//! What a program has mapped from the box image is mapped alike, mostly at the same addresses, by
//! whoever runs the same program next. A leaf table that is handed on spares the next one the
//! faults that filled it, and the host those by which it filled its own tables from it.
//!
//! A table is nobody's while it is here, and holds entries of the box image alone, which are no
//! references. Whoever takes it strikes out what it has not mapped in the same way.

use alloc::vec::Vec;

use super::Frame;
use crate::sync::Mutex;

/// Tables kept at most: half a mebibyte of them.
const MOST: usize = 128;

/// A leaf table, for the 2 MiB that begin at `window`.
pub(super) struct Leaf {
    pub(super) window: u64,
    pub(super) table: Frame,
    /// The number of its first entry.
    pub(super) first: u64,
}

/// The oldest first.
static LEAVES: Mutex<Vec<Leaf>> = Mutex::new(Vec::new());

/// Keeps a table, in place of the oldest if there are too many.
pub(super) fn keep(leaf: Leaf) {
    let mut leaves = LEAVES.lock();
    if leaves.len() >= MOST {
        leaves.remove(0);
    }
    leaves.push(leaf);
}

/// The latest table for this window that `fits`.
pub(super) fn take(window: u64, fits: impl Fn(&Leaf) -> bool) -> Option<Leaf> {
    let mut leaves = LEAVES.lock();
    let found = leaves
        .iter()
        .rposition(|leaf| leaf.window == window && fits(leaf))?;
    Some(leaves.remove(found))
}
