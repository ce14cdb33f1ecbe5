//! Mapping the segments of a program or of its interpreter.

use super::elf::{Elf, Segment};
use crate::errno::{Errno, Result};
use crate::fs::Program;
use crate::memory::{PAGE_SIZE, page_ceil, page_floor, user};
use crate::mm::{Place, Protection, Space, Traits};

/// Where movable programs are loaded, as Linux does without address randomisation.
const PROGRAM_BASE: u64 = 0x5555_5555_4000;

/// Which of the two it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    Program,
    Interpreter,
}

/// A mapped program.
pub(super) struct Image {
    /// What was added to its addresses.
    pub(super) base: u64,
    pub(super) entry: u64,
    /// One past its last byte.
    pub(super) end: u64,
    /// Where its program headers are in memory; 0 if no segment has them.
    pub(super) headers: u64,
    pub(super) code: (u64, u64),
    pub(super) data: (u64, u64),
}

/// Maps all segments. The space is the one that is seen.
pub(super) fn map(space: &Space, program: &Program, elf: &Elf, base: Base) -> Result<Image> {
    let (start, end) = elf.span();
    let base = match base {
        _ if !elf.movable => 0,
        Base::Program => PROGRAM_BASE.next_multiple_of(elf.align),
        Base::Interpreter => {
            // A reservation finds the room, the segments then replace it.
            let len = end - start + elf.align;
            let room = space.map(
                Place::Hint(0),
                len,
                Protection::default(),
                false,
                None,
                Traits::default(),
            )?;
            space.unmap(room, len)?;
            room.next_multiple_of(elf.align) - start
        }
    };
    let mut image = Image {
        base,
        entry: base.wrapping_add(elf.entry),
        end: base + end,
        headers: 0,
        code: (0, 0),
        data: (0, 0),
    };
    for segment in &elf.segments {
        map_segment(space, program, base, segment)?;
        let (from, to) = (
            base + segment.address,
            base + segment.address + segment.file_size,
        );
        if segment.protection.execute && image.code.1 == 0 {
            image.code = (from, to);
        }
        if segment.protection.write {
            image.data = (from, to);
        }
        let held = segment.offset..segment.offset + segment.file_size;
        if held.contains(&elf.headers.0) {
            image.headers = from + (elf.headers.0 - segment.offset);
        }
    }
    Ok(image)
}

fn map_segment(space: &Space, program: &Program, base: u64, segment: &Segment) -> Result<()> {
    let start = base + segment.address;
    let file_end = start + segment.file_size;
    let end = page_ceil(start + segment.memory_size).ok_or(Errno::ENOMEM)?;
    let mut mapped_to = page_floor(start);
    if segment.file_size > 0 {
        mapped_to = page_ceil(file_end).ok_or(Errno::ENOMEM)?;
        let (at, len) = (page_floor(start), mapped_to - page_floor(start));
        let object = (program.pages()?, page_floor(segment.offset));
        space.map(
            Place::Fixed(at),
            len,
            segment.protection,
            false,
            Some(object),
            Traits::default(),
        )?;
    }
    if end > mapped_to {
        let len = end - mapped_to;
        space.map(
            Place::Fixed(mapped_to),
            len,
            segment.protection,
            false,
            None,
            Traits::HUGE,
        )?;
    }
    // What follows the file's bytes in its last page is zero, as far as there is such memory.
    let tail = mapped_to - file_end;
    if segment.memory_size > segment.file_size && segment.file_size > 0 && tail > 0 {
        debug_assert!(tail < PAGE_SIZE);
        if segment.protection.write {
            user::zero_out(file_end, tail as usize)?;
        }
    }
    Ok(())
}
