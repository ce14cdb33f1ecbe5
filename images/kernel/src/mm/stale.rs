//! Pages of files that mappings must show no longer: the image's, once the file has one of its own
//! in its place, and those that a file has lost.
//!
//! Whoever changes a file notes what is stale, perhaps in the middle of a page fault; it is taken
//! out of all spaces as soon as no lock is held.

use alloc::vec::Vec;

use crate::memory::Page;
use crate::sync::Mutex;
use crate::task;

/// Which pages of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// One, where it is still shown by the memory at this address.
    Shown(u64, u64),
    /// All from this one on, private copies too.
    From(u64),
}

/// Pages of the file with this identity ([`super::Pages::identity`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stale {
    pub(super) file: (u64, u64),
    pub(super) which: Which,
}

static STALE: Mutex<Vec<Stale>> = Mutex::new(Vec::new());

/// Notes that a file no longer has `page` as its page of this number.
pub fn replaced(file: (u64, u64), index: u64, page: &Page) {
    let which = Which::Shown(index, page.address());
    STALE.lock().push(Stale { file, which });
}

/// Notes that a file has lost its pages from this number on.
pub fn cut(file: (u64, u64), from: u64) {
    let which = Which::From(from);
    STALE.lock().push(Stale { file, which });
}

/// Takes what was noted out of all spaces. Nothing is locked.
pub fn commit() {
    if STALE.lock().is_empty() {
        return;
    }
    let stale = core::mem::take(&mut *STALE.lock());
    for process in task::processes() {
        process.space().forget(&stale);
    }
}
