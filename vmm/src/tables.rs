//! The page tables with which a guest starts. From then on they are the guest's.
//!
//! Everything that the guest may touch without a fault of the MMU's own has its accessed and dirty
//! bits set: a stub in ring 0 must never cause a write to a page table.

use unicell_guest_abi::layout::{HUGE_PAGE_SIZE, PAGE_SIZE, TABLES_GPA};

const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const ACCESSED: u64 = 1 << 5;
const DIRTY: u64 = 1 << 6;
const HUGE: u64 = 1 << 7;
const NO_EXECUTE: u64 = 1 << 63;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Who may do what with a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) writable: bool,
    pub(crate) executable: bool,
    pub(crate) user: bool,
}

impl Access {
    pub(crate) const READ: Self = Self {
        writable: false,
        executable: false,
        user: true,
    };
    pub(crate) const WRITE: Self = Self {
        writable: true,
        ..Self::READ
    };
    pub(crate) const EXECUTE: Self = Self {
        executable: true,
        ..Self::READ
    };

    pub(crate) const fn supervisor(self) -> Self {
        Self {
            user: false,
            ..self
        }
    }

    const fn bits(self) -> u64 {
        let mut bits = PRESENT | ACCESSED | DIRTY;
        if self.writable {
            bits |= WRITABLE;
        }
        if self.user {
            bits |= USER;
        }
        if !self.executable {
            bits |= NO_EXECUTE;
        }
        bits
    }
}

type Table = [u64; 512];

/// Four levels of page tables that will lie at [`TABLES_GPA`], the root first.
pub(crate) struct Tables {
    tables: Vec<Table>,
}

impl Tables {
    pub(crate) fn new() -> Self {
        Self {
            tables: vec![[0; 512]],
        }
    }

    /// Maps `size` bytes from `gpa` at `va` by 4 KiB pages. All three are multiples of a page.
    pub(crate) fn map(&mut self, va: u64, gpa: u64, size: u64, access: Access) {
        for offset in (0..size).step_by(PAGE_SIZE as usize) {
            *self.entry(va + offset, 1) = (gpa + offset) | access.bits();
        }
    }

    /// Maps `size` bytes from `gpa` at `va` by 2 MiB pages, of which all three are multiples.
    pub(crate) fn map_huge(&mut self, va: u64, gpa: u64, size: u64, access: Access) {
        for offset in (0..size).step_by(HUGE_PAGE_SIZE as usize) {
            *self.entry(va + offset, 2) = (gpa + offset) | access.bits() | HUGE;
        }
    }

    /// Makes the tables that mapping these 4 KiB pages will need, so that no further one is made.
    pub(crate) fn reserve(&mut self, va: u64, size: u64) {
        for offset in (0..size).step_by(PAGE_SIZE as usize) {
            self.entry(va + offset, 1);
        }
    }

    /// Bytes of all tables.
    pub(crate) fn size(&self) -> u64 {
        self.tables.len() as u64 * PAGE_SIZE
    }

    /// Each table and where it belongs.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Table)> {
        (TABLES_GPA..).step_by(PAGE_SIZE as usize).zip(&self.tables)
    }

    /// The entry for `va` in the table of this level (1 maps 4 KiB, 2 maps 2 MiB).
    fn entry(&mut self, va: u64, level: u32) -> &mut u64 {
        let mut table = 0;
        for upper in (level + 1..=4).rev() {
            let index = index(va, upper);
            let next = self.tables[table][index];
            table = if next == 0 {
                let new = self.tables.len();
                self.tables.push([0; 512]);
                let gpa = TABLES_GPA + new as u64 * PAGE_SIZE;
                self.tables[table][index] = gpa | PRESENT | WRITABLE | USER | ACCESSED;
                new
            } else {
                (((next & ADDRESS) - TABLES_GPA) / PAGE_SIZE) as usize
            };
        }
        &mut self.tables[table][index(va, level)]
    }
}

/// Index of `va` in a table of this level.
const fn index(va: u64, level: u32) -> usize {
    (va >> (12 + 9 * (level - 1)) & 511) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicell_guest_abi::layout::{DIRECT_MAP, KERNEL_BASE};

    /// Walks the tables as the MMU does.
    fn walk(tables: &Tables, va: u64) -> Option<(u64, u64)> {
        let mut table = TABLES_GPA;
        for level in (1..=4).rev() {
            let entries = tables.iter().find(|(gpa, _)| *gpa == table)?.1;
            let entry = entries[index(va, level)];
            if entry & PRESENT == 0 {
                return None;
            }
            let size = 1u64 << (12 + 9 * (level - 1));
            if level == 1 || entry & HUGE != 0 {
                let bits = entry & !ADDRESS & !HUGE;
                return Some(((entry & ADDRESS) + va % size, bits));
            }
            assert_eq!(entry & !ADDRESS, PRESENT | WRITABLE | USER | ACCESSED);
            table = entry & ADDRESS;
        }
        None
    }

    #[test]
    fn pages_of_both_sizes_are_found_and_nothing_beside_them() {
        let mut tables = Tables::new();
        tables.map(KERNEL_BASE, 0x5000, 0x2000, Access::EXECUTE);
        tables.map_huge(DIRECT_MAP, 0, 2 * HUGE_PAGE_SIZE, Access::WRITE);
        let execute = PRESENT | USER | ACCESSED | DIRTY;
        assert_eq!(walk(&tables, KERNEL_BASE + 0x1234), Some((0x6234, execute)));
        assert_eq!(walk(&tables, KERNEL_BASE + 0x2000), None);
        assert_eq!(walk(&tables, KERNEL_BASE - 1), None);
        let write = execute | WRITABLE | NO_EXECUTE;
        let last = 2 * HUGE_PAGE_SIZE - 1;
        assert_eq!(walk(&tables, DIRECT_MAP + last), Some((last, write)));
        assert_eq!(walk(&tables, DIRECT_MAP + last + 1), None);
    }

    #[test]
    fn a_supervisor_page_has_no_user_bit() {
        let mut tables = Tables::new();
        tables.map(KERNEL_BASE, 0, PAGE_SIZE, Access::EXECUTE.supervisor());
        assert_eq!(walk(&tables, KERNEL_BASE).unwrap().1 & USER, 0);
    }

    #[test]
    fn mapping_what_was_reserved_makes_no_table() {
        let mut tables = Tables::new();
        tables.reserve(KERNEL_BASE, 5 << 20);
        let size = tables.size();
        tables.map(KERNEL_BASE, 0, 5 << 20, Access::READ);
        assert_eq!(tables.size(), size);
    }
}
