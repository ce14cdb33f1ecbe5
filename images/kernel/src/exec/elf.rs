//! ELF headers, as far as a loader needs them. The file is the program's own business, but no
//! number in it is trusted.

use alloc::vec::Vec;

use super::Failure;
use crate::fs::Program;
use crate::memory::{PAGE_SIZE, page_floor};
use crate::mm::Protection;
use unicell_guest_abi::layout::USER_END;

const MACHINE_X86_64: u16 = 62;
const TYPE_EXECUTABLE: u16 = 2;
const TYPE_SHARED: u16 = 3;
const LOAD: u32 = 1;
const INTERPRETER: u32 = 3;
const HEADER: usize = 64;
/// Size of a program header.
pub(super) const PROGRAM_HEADER: usize = 56;
/// The longest path of an interpreter.
const PATH_MAX: u64 = 4096;

/// A part of the file that is mapped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) address: u64,
    pub(super) offset: u64,
    pub(super) file_size: u64,
    pub(super) memory_size: u64,
    pub(super) protection: Protection,
}

/// A program's headers.
#[derive(Debug)]
pub(super) struct Elf {
    pub(super) entry: u64,
    /// Whether it may be loaded anywhere.
    pub(super) movable: bool,
    pub(super) segments: Vec<Segment>,
    pub(super) interpreter: Option<Vec<u8>>,
    /// Where the program headers are in the file, and how many.
    pub(super) headers: (u64, u16),
    /// The strictest alignment that a segment asks for.
    pub(super) align: u64,
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.0[at], self.0[at + 1]])
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from(self.u16(at)) | u32::from(self.u16(at + 2)) << 16
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from(self.u32(at)) | u64::from(self.u32(at + 4)) << 32
    }
}

impl Elf {
    /// Reads the headers from the start of the file, and from elsewhere in it where they point.
    pub(super) fn parse(head: &[u8], program: &Program) -> Result<Self, Failure> {
        let broken = Failure::NotAProgram;
        if head.get(..4) != Some(b"\x7fELF") {
            return Err(broken(
                "neither an ELF program nor a script that begins with `#!`",
            ));
        }
        if head.len() < HEADER {
            return Err(broken("the ELF header is cut off"));
        }
        let header = Bytes(head);
        let machine = header.u16(18);
        // Class 64-bit, little-endian.
        if head[4] != 2 || head[5] != 1 || machine != MACHINE_X86_64 {
            return Err(Failure::Foreign(machine));
        }
        let kind = header.u16(16);
        if kind != TYPE_EXECUTABLE && kind != TYPE_SHARED {
            return Err(broken(
                "an ELF file, but not a program (an object file or a core dump)",
            ));
        }
        let (offset, count) = (header.u64(32), header.u16(56));
        if usize::from(header.u16(54)) != PROGRAM_HEADER || count == 0 || count > 1024 {
            return Err(broken("the ELF header's table of segments is broken"));
        }
        let mut table = alloc::vec![0; usize::from(count) * PROGRAM_HEADER];
        if program.read_at(offset, &mut table)? != table.len() {
            return Err(broken("the ELF file is cut off in its table of segments"));
        }
        let mut elf = Self {
            entry: header.u64(24),
            movable: kind == TYPE_SHARED,
            segments: Vec::new(),
            interpreter: None,
            headers: (offset, count),
            align: PAGE_SIZE,
        };
        for entry in table.chunks_exact(PROGRAM_HEADER) {
            elf.add(&Bytes(entry), program)?;
        }
        if elf.segments.is_empty() {
            return Err(broken("an ELF file without anything to load"));
        }
        Ok(elf)
    }

    fn add(&mut self, entry: &Bytes<'_>, program: &Program) -> Result<(), Failure> {
        let broken = Failure::NotAProgram;
        let (offset, file_size) = (entry.u64(8), entry.u64(32));
        match entry.u32(0) {
            LOAD => {
                let flags = entry.u32(4);
                let segment = Segment {
                    address: entry.u64(16),
                    offset,
                    file_size,
                    memory_size: entry.u64(40),
                    protection: Protection {
                        read: flags & 4 != 0,
                        write: flags & 2 != 0,
                        execute: flags & 1 != 0,
                    },
                };
                self.check(&segment, program.size())?;
                let align = entry.u64(48);
                if align.is_power_of_two() && align <= 1 << 30 {
                    self.align = self.align.max(align);
                }
                if segment.memory_size > 0 {
                    self.segments.push(segment);
                }
            }
            INTERPRETER => {
                if file_size == 0 || file_size > PATH_MAX {
                    return Err(broken(
                        "the ELF file's interpreter has no name or too long a one",
                    ));
                }
                let mut path = alloc::vec![0; file_size as usize];
                if program.read_at(offset, &mut path)? != path.len() || path.pop() != Some(0) {
                    return Err(broken("the ELF file is cut off in its interpreter's name"));
                }
                self.interpreter = Some(path);
            }
            _ => {}
        }
        Ok(())
    }

    fn check(&self, segment: &Segment, size: u64) -> Result<(), Failure> {
        let broken = Failure::NotAProgram;
        let in_file = segment
            .offset
            .checked_add(segment.file_size)
            .is_some_and(|end| end <= size);
        if !in_file {
            return Err(broken(
                "the ELF file is cut off: a segment reaches past its end",
            ));
        }
        let end = segment.address.checked_add(segment.memory_size);
        let previous = self
            .segments
            .last()
            .map_or(0, |last| last.address + last.memory_size);
        if segment.memory_size < segment.file_size
            || end.is_none_or(|end| end > USER_END)
            || segment.address % PAGE_SIZE != segment.offset % PAGE_SIZE
            || segment.address < previous
        {
            return Err(broken("the ELF file's segments are broken"));
        }
        Ok(())
    }

    /// The range of addresses that it takes, in whole pages.
    pub(super) fn span(&self) -> (u64, u64) {
        let first = self
            .segments
            .first()
            .map_or(0, |segment| page_floor(segment.address));
        let last = self
            .segments
            .last()
            .map_or(0, |last| last.address + last.memory_size);
        (first, last.next_multiple_of(PAGE_SIZE))
    }
}
