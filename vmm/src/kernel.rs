//! The kernel image: an ELF file whose pages are mapped into the guest as they are.
//!
//! The image comes from this project's own build, yet it is checked as if it did not: a mistake in
//! a linker script should be one sentence here, not a triple fault there.

use std::fs::File;

use linux_loader::elf::{self, Elf64_Ehdr, Elf64_Phdr};
use unicell_guest_abi::boot::{KERNEL_MAGIC, KernelHeader, SEGMENT_IN_RAM};
use unicell_guest_abi::{ABI_VERSION, layout};
use vm_memory::ByteValued;

use crate::memory::{Abi, map_file};

/// Why a kernel image cannot be booted.
#[derive(Debug, thiserror::Error)]
#[error("the kernel image cannot be booted: {0}")]
pub struct KernelError(String);

/// Loadable segments, at most.
const SEGMENTS_MAX: usize = 16;

/// A loadable part of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) vaddr: u64,
    /// Bytes in memory; what the file does not give is zero.
    pub(crate) mem_size: u64,
    pub(crate) file_size: u64,
    pub(crate) offset: u64,
    pub(crate) writable: bool,
    pub(crate) executable: bool,
    /// Whether it is copied to RAM, not mapped from the image.
    pub(crate) in_ram: bool,
}

impl Segment {
    pub(crate) fn end(&self) -> u64 {
        self.vaddr + self.mem_size
    }

    /// Bytes of the pages that the segment covers.
    pub(crate) fn pages_size(&self) -> u64 {
        self.mem_size.next_multiple_of(layout::PAGE_SIZE)
    }

    pub(crate) fn contains(&self, address: u64) -> bool {
        (self.vaddr..self.end()).contains(&address)
    }
}

/// A kernel that has been looked at and can be booted.
#[derive(Clone)]
pub struct Kernel {
    bytes: &'static [u8],
    header: KernelHeader,
    segments: Vec<Segment>,
}

impl Kernel {
    /// Takes an image that is part of this program, aligned to a page.
    ///
    /// # Errors
    ///
    /// The image is not a kernel for this VMM.
    pub fn from_static(bytes: &'static [u8]) -> Result<Self, KernelError> {
        if !(bytes.as_ptr() as u64).is_multiple_of(layout::PAGE_SIZE) {
            return Err(KernelError("it is not aligned to a page".into()));
        }
        let segments = segments(bytes)?;
        let header = header(bytes, &segments)?;
        Ok(Self {
            bytes,
            header,
            segments,
        })
    }

    /// Maps an image from a file, for the rest of the life of this process.
    ///
    /// # Errors
    ///
    /// The file cannot be mapped or is not a kernel for this VMM.
    pub fn open(file: &File) -> Result<Self, KernelError> {
        let bytes = map_file(file)
            .map_err(|error| KernelError(format!("its file cannot be mapped: {error}")))?;
        Self::from_static(bytes)
    }

    pub(crate) fn bytes(&self) -> &'static [u8] {
        self.bytes
    }

    pub(crate) fn header(&self) -> &KernelHeader {
        &self.header
    }

    /// The image, if part of it is mapped into the guest as it is.
    pub(crate) fn mapped(&self) -> Option<&'static [u8]> {
        let mapped = self.segments.iter().any(|segment| !segment.in_ram);
        mapped.then_some(self.bytes)
    }

    /// What the file gives of a segment.
    pub(crate) fn content(&self, segment: &Segment) -> &'static [u8] {
        // Checked when the segment was read.
        part(self.bytes, segment.offset, segment.file_size).unwrap_or_default()
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

fn bad<T>(what: impl Into<String>) -> Result<T, KernelError> {
    Err(KernelError(what.into()))
}

/// `bytes[at..at + len]`, or `None`.
pub(crate) fn part(bytes: &[u8], at: u64, len: u64) -> Option<&[u8]> {
    let start = usize::try_from(at).ok()?;
    bytes.get(start..start.checked_add(usize::try_from(len).ok()?)?)
}

/// The object at `at`, or `None`.
pub(crate) fn object<T: ByteValued>(bytes: &[u8], at: u64) -> Option<T> {
    T::read_exact_from(part(bytes, at, size_of::<T>() as u64)?).ok()
}

/// The file header, if it is that of an x86-64 ELF file.
pub(crate) fn file_header(bytes: &[u8]) -> Option<Elf64_Ehdr> {
    let header: Elf64_Ehdr = object(bytes, 0)?;
    let ident = &header.e_ident;
    let elf64 = ident[..4] == *b"\x7fELF" && ident[4] == elf::ELFCLASS64 && ident[5] == 1;
    (elf64 && header.e_machine == elf::EM_X86_64).then_some(header)
}

fn segments(bytes: &[u8]) -> Result<Vec<Segment>, KernelError> {
    let Some(file) = file_header(bytes) else {
        return bad("it is no ELF file for x86-64");
    };
    if file.e_type != elf::ET_EXEC || usize::from(file.e_phentsize) != size_of::<Elf64_Phdr>() {
        return bad("it is no static executable");
    }
    let mut segments: Vec<Segment> = Vec::new();
    for index in 0..u64::from(file.e_phnum) {
        let at = file
            .e_phoff
            .saturating_add(index * size_of::<Elf64_Phdr>() as u64);
        let Some(header) = object::<Elf64_Phdr>(bytes, at) else {
            return bad("its program headers are cut off");
        };
        if header.p_type == elf::PT_LOAD && header.p_memsz != 0 {
            let previous = segments.last().map_or(layout::KERNEL_BASE, Segment::end);
            segments.push(segment(bytes, &header, previous)?);
        }
    }
    if segments.is_empty() || segments.len() > SEGMENTS_MAX {
        return bad(format!("it has {} loadable segments", segments.len()));
    }
    Ok(segments)
}

fn segment(bytes: &[u8], header: &Elf64_Phdr, previous: u64) -> Result<Segment, KernelError> {
    let at = header.p_vaddr;
    let end = at.saturating_add(header.p_memsz);
    if at < previous || end > layout::KERNEL_LIMIT {
        return bad(format!("its segment {at:#x}..{end:#x} is out of place"));
    }
    if !at.is_multiple_of(layout::PAGE_SIZE) || !header.p_offset.is_multiple_of(layout::PAGE_SIZE) {
        return bad(format!("its segment at {at:#x} is not aligned to pages"));
    }
    if part(bytes, header.p_offset, header.p_filesz).is_none() || header.p_filesz > header.p_memsz {
        return bad(format!("its segment at {at:#x} is cut off"));
    }
    let segment = Segment {
        vaddr: at,
        mem_size: header.p_memsz,
        file_size: header.p_filesz,
        offset: header.p_offset,
        writable: header.p_flags & elf::PF_W != 0,
        executable: header.p_flags & elf::PF_X != 0,
        in_ram: header.p_flags & (elf::PF_W | SEGMENT_IN_RAM) != 0,
    };
    if segment.writable && segment.executable {
        return bad(format!("its segment at {at:#x} is writable and executable"));
    }
    if !segment.writable && segment.file_size != segment.mem_size {
        return bad(format!(
            "its read-only segment at {at:#x} is not in the file"
        ));
    }
    Ok(segment)
}

fn header(bytes: &[u8], segments: &[Segment]) -> Result<KernelHeader, KernelError> {
    let first = &segments[0];
    if first.vaddr != layout::KERNEL_BASE || first.file_size < size_of::<KernelHeader>() as u64 {
        return bad("its header is not where its segments begin");
    }
    let header = match object::<Abi<KernelHeader>>(bytes, first.offset) {
        Some(Abi(header)) if header.magic == KERNEL_MAGIC => header,
        _ => return bad("its header is not that of a kernel"),
    };
    if header.abi != ABI_VERSION {
        let abi = header.abi;
        return bad(format!("it speaks ABI {abi}, this VMM {ABI_VERSION}"));
    }
    let [start, end] = header.ring0;
    let executable = |at: u64| segments.iter().any(|s| s.executable && s.contains(at));
    let aligned = [start, end]
        .iter()
        .all(|at| at.is_multiple_of(layout::PAGE_SIZE));
    if !aligned || start >= end || !executable(start) || !executable(end - 1) {
        return bad(format!(
            "its ring-0 stubs {start:#x}..{end:#x} are no pages of code"
        ));
    }
    for (what, at) in [
        ("entry", header.entry),
        ("system call entry", header.syscall),
    ] {
        if !executable(at) || (start..end).contains(&at) {
            return bad(format!("its {what} {at:#x} is not in ring-3 code"));
        }
    }
    if let Some(at) = header.vectors.iter().find(|at| !(start..end).contains(at)) {
        return bad(format!("its trap stub {at:#x} is not in the ring-0 pages"));
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicell_guest_abi::boot::KernelHeader;
    use unicell_guest_abi::cpu::VECTORS;
    use unicell_guest_abi::layout::{KERNEL_BASE, KERNEL_LIMIT, PAGE_SIZE};

    const PAGE: usize = PAGE_SIZE as usize;
    /// Offsets of the second program header's fields in the file.
    const SECOND: usize = 64 + 56;

    /// A kernel of two segments: header, code and stubs in three pages, one page of data.
    fn image() -> Vec<u8> {
        let file = Elf64_Ehdr {
            e_ident: *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0",
            e_type: elf::ET_EXEC,
            e_machine: elf::EM_X86_64,
            e_phoff: 64,
            e_phentsize: 56,
            e_phnum: 2,
            ..Default::default()
        };
        let segment = |flags, offset, vaddr, file_size, mem_size| Elf64_Phdr {
            p_type: elf::PT_LOAD,
            p_flags: flags,
            p_offset: offset,
            p_vaddr: vaddr,
            p_paddr: vaddr,
            p_filesz: file_size,
            p_memsz: mem_size,
            p_align: PAGE_SIZE,
        };
        let code = segment(5, PAGE_SIZE, KERNEL_BASE, 3 * PAGE_SIZE, 3 * PAGE_SIZE);
        let data = segment(6, 4 * PAGE_SIZE, KERNEL_BASE + 3 * PAGE_SIZE, 8, PAGE_SIZE);
        let stubs = KERNEL_BASE + 2 * PAGE_SIZE;
        let header = KernelHeader {
            magic: KERNEL_MAGIC,
            abi: ABI_VERSION,
            reserved: 0,
            entry: KERNEL_BASE + PAGE_SIZE,
            syscall: KERNEL_BASE + PAGE_SIZE + 8,
            vectors: [stubs; VECTORS],
            ring0: [stubs, stubs + PAGE_SIZE],
        };
        let mut bytes = [file.as_slice(), code.as_slice(), data.as_slice()].concat();
        bytes.resize(PAGE, 0);
        bytes.extend(Abi(header).as_slice());
        bytes.resize(5 * PAGE, 0);
        bytes
    }

    fn aligned(bytes: &[u8]) -> &'static [u8] {
        let space = vec![0; bytes.len() + PAGE].leak();
        let start = space.as_ptr().align_offset(PAGE);
        space[start..start + bytes.len()].copy_from_slice(bytes);
        &space[start..start + bytes.len()]
    }

    fn parse(bytes: &[u8]) -> Result<Kernel, KernelError> {
        Kernel::from_static(aligned(bytes))
    }

    #[test]
    fn a_sound_kernel_is_taken() {
        let kernel = parse(&image()).unwrap();
        assert_eq!(kernel.segments().len(), 2);
        assert_eq!(kernel.segments()[1].mem_size, PAGE_SIZE);
        assert!(kernel.segments()[1].in_ram && !kernel.segments()[0].in_ram);
        assert!(kernel.mapped().is_some());
    }

    #[test]
    fn a_kernel_that_is_wholly_copied_is_not_mapped() {
        let mut bytes = image();
        bytes[64 + 4..64 + 8].copy_from_slice(&(5 | SEGMENT_IN_RAM).to_le_bytes());
        assert!(parse(&bytes).unwrap().mapped().is_none());
    }

    #[test]
    fn each_mistake_is_one_sentence() {
        let header = PAGE;
        let ring0 = header + 32 + 8 * VECTORS;
        let long = |value: u64| value.to_le_bytes().to_vec();
        let cases: [(usize, Vec<u8>, &str); 17] = [
            (0, vec![0], "no ELF file"),
            (18, vec![3], "no ELF file"),
            (16, vec![3], "no static executable"),
            (32, long(u64::MAX), "program headers are cut off"),
            (64, vec![0], "out of place|not where its segments begin"),
            (64 + 4, vec![7], "writable and executable"),
            (64 + 16, long(KERNEL_BASE - PAGE_SIZE), "out of place"),
            (SECOND + 16, long(KERNEL_LIMIT), "out of place"),
            (SECOND + 16, long(KERNEL_BASE), "out of place"),
            (
                SECOND + 16,
                long(KERNEL_BASE + 3 * PAGE_SIZE + 8),
                "not aligned",
            ),
            (SECOND + 8, long(!0xfff), "cut off"),
            (SECOND + 4, vec![4], "not in the file"),
            (header, vec![0], "not that of a kernel"),
            (header + 8, vec![99], "it speaks ABI 99"),
            (header + 16, long(KERNEL_BASE + 2 * PAGE_SIZE), "its entry"),
            (header + 32, long(KERNEL_BASE), "its trap stub"),
            (ring0, long(KERNEL_BASE + 3 * PAGE_SIZE), "no pages of code"),
        ];
        for (at, change, sentence) in cases {
            let mut bytes = image();
            bytes[at..at + change.len()].copy_from_slice(&change);
            let Err(error) = parse(&bytes) else {
                panic!("a change at {at} went unnoticed");
            };
            let told = sentence
                .split('|')
                .any(|part| error.to_string().contains(part));
            assert!(told, "{at}: {error}");
        }
    }

    #[test]
    fn a_kernel_cut_anywhere_is_refused() {
        let bytes = image();
        // The last page of the file holds eight bytes of data and is padding after that.
        for end in (0..4 * PAGE + 8).step_by(61) {
            assert!(parse(&bytes[..end]).is_err(), "cut at {end}");
        }
    }
}
