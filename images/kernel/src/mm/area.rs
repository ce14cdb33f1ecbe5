//! A range of addresses with one use.

use alloc::sync::Arc;

use super::Pages;
use crate::memory::PAGE_SIZE;
use crate::memory::paging::Rights;
use crate::memory::user::Access;

/// What the program may do in an area.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// Read.
    pub read: bool,
    /// Write.
    pub write: bool,
    /// Execute.
    pub execute: bool,
}

impl Protection {
    /// Read and write.
    pub const READ_WRITE: Self = Self {
        read: true,
        write: true,
        execute: false,
    };

    /// From the bits PROT_READ (1), PROT_WRITE (2) and PROT_EXEC (4).
    #[must_use]
    pub fn from_bits(bits: u32) -> Self {
        Self {
            read: bits & 1 != 0,
            write: bits & 2 != 0,
            execute: bits & 4 != 0,
        }
    }

    /// Whether an access is allowed. On x86 what may be written or executed may be read.
    #[must_use]
    pub fn permits(self, access: Access) -> bool {
        match access {
            Access::Read => self.read || self.write || self.execute,
            Access::Write => self.write,
            Access::Execute => self.execute,
        }
    }

    /// The rights of a page that is not to be copied first.
    #[must_use]
    pub fn rights(self) -> Rights {
        Rights {
            write: self.write,
            execute: self.execute,
        }
    }

    /// The rights of a page that a write must copy.
    #[must_use]
    pub fn rights_unwritten(self) -> Rights {
        Rights {
            write: false,
            execute: self.execute,
        }
    }
}

/// Where an area's pages come from.
#[derive(Clone)]
pub enum Backing {
    /// Zeros.
    Anonymous,
    /// An object, from a byte offset (a multiple of the page size) that is the area's start.
    Object(Arc<dyn Pages>, u64),
}

/// What a child gets of an area.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AtFork {
    /// A copy.
    #[default]
    Copy,
    /// Zeros (MADV_WIPEONFORK).
    Wipe,
    /// Nothing (MADV_DONTFORK).
    Skip,
}

/// What else is particular about an area.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// Whether blocks of 2 MiB may be used.
    pub huge: bool,
    /// Whether it is locked in memory; nothing is ever swapped out, but locks are counted.
    pub locked: bool,
    /// Whether it grows downwards when what is below it is touched.
    pub grows: bool,
    /// What a child gets of it.
    pub at_fork: AtFork,
}

impl Traits {
    /// An area that may use blocks of 2 MiB.
    pub const HUGE: Self = Self {
        huge: true,
        locked: false,
        grows: false,
        at_fork: AtFork::Copy,
    };
}

/// An area. Its start is its key.
#[derive(Clone)]
pub struct Area {
    /// First address.
    pub start: u64,
    /// One past the last.
    pub end: u64,
    /// What is allowed.
    pub protection: Protection,
    /// Whether writes are seen by others who map the object.
    pub shared: bool,
    /// What else is particular about it.
    pub traits: Traits,
    /// The zeros or the object.
    pub backing: Backing,
    /// What `/proc/self/maps` shows if there is no object: `[heap]`, `[stack]`.
    pub label: &'static str,
}

impl Area {
    /// Whether it counts for RLIMIT_DATA: private, writable and no stack.
    #[must_use]
    pub fn is_data(&self) -> bool {
        !self.shared && self.protection.write && self.label != "[stack]"
    }

    /// The number of the object's page at an address of the area.
    #[must_use]
    pub fn page_index(&self, address: u64) -> u64 {
        match &self.backing {
            Backing::Anonymous => 0,
            Backing::Object(_, offset) => (offset + (address - self.start)) / PAGE_SIZE,
        }
    }

    /// Whether it maps an object, shared, that must not be written.
    #[must_use]
    pub fn is_unwritable(&self) -> bool {
        match &self.backing {
            Backing::Object(object, _) => self.shared && !object.may_be_written(),
            Backing::Anonymous => false,
        }
    }

    /// Cuts the area in two at an address within it; `self` keeps the lower part.
    #[must_use]
    pub fn split_off(&mut self, at: u64) -> Self {
        let mut upper = self.clone();
        if let Backing::Object(_, offset) = &mut upper.backing {
            *offset += at - self.start;
        }
        upper.start = at;
        self.end = at;
        upper
    }

    /// Whether `next` begins where this ends and could be one with it.
    #[must_use]
    pub fn joins(&self, next: &Self) -> bool {
        let same_pages = match (&self.backing, &next.backing) {
            (Backing::Anonymous, Backing::Anonymous) => true,
            (Backing::Object(left, from), Backing::Object(right, to)) => {
                Arc::ptr_eq(left, right) && from + (self.end - self.start) == *to
            }
            _ => false,
        };
        same_pages
            && self.end == next.start
            && self.protection == next.protection
            && self.shared == next.shared
            && self.traits == next.traits
            && core::ptr::eq(self.label, next.label)
    }
}
