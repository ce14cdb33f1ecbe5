//! What an ELF file says of itself. The file is hostile: little of it is read
//! at a time, and nothing is believed.

use std::io;

use object::elf;
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};
use object::{Endianness, ReadCache, ReadRef};

use crate::tree::{Source, SourceReader};

type Header = elf::FileHeader64<Endianness>;
type File<'a> = &'a ReadCache<SourceReader>;

/// Most bytes of a dynamic section, and of an interpreter's path.
const MAX_DYNAMIC: u64 = 1 << 20;
const MAX_INTERPRETER: u64 = 4096;
/// Most libraries one file may need, and directories it may name.
const MAX_NEEDED: usize = 1024;

/// What a file is.
pub(super) enum Read {
    /// An ELF file for x86-64.
    Elf(Program),
    /// An ELF file for something else.
    Foreign(String),
    /// It begins as ELF files do, and goes on otherwise.
    Broken,
    /// It begins with `#!`.
    Script,
    /// None of these.
    Other,
}

/// An ELF program or library.
#[derive(Clone, Debug, Default)]
pub(super) struct Program {
    /// It can be started: it has an entry, and is not a mere library.
    pub(super) runnable: bool,
    /// `PT_INTERP`.
    pub(super) interpreter: Option<Vec<u8>>,
    /// `DT_NEEDED`.
    pub(super) needed: Vec<Vec<u8>>,
    /// `DT_RUNPATH`, else `DT_RPATH`: directories, `$ORIGIN` not replaced.
    pub(super) search: Vec<Vec<u8>>,
}

/// Reads what a file says of itself.
pub(super) fn read(source: &Source) -> io::Result<Read> {
    use std::io::Read as _;
    let mut start = Vec::new();
    source.open()?.take(20).read_to_end(&mut start)?;
    if start.starts_with(b"#!") {
        return Ok(Read::Script);
    }
    if !start.starts_with(&elf::ELFMAG) {
        return Ok(Read::Other);
    }
    if let Some(machine) = foreign(&start) {
        return Ok(Read::Foreign(machine));
    }
    let cache = ReadCache::new(source.open()?);
    Ok(program(&cache).map_or(Read::Broken, Read::Elf))
}

/// What the file is for, if that is not x86-64; the first 20 bytes tell.
fn foreign(start: &[u8]) -> Option<String> {
    let ident = |at: usize| start.get(at).copied();
    let machine = u16::from_le_bytes([ident(18)?, ident(19)?]);
    let little = ident(5) == Some(elf::ELFDATA2LSB.0);
    if ident(4) == Some(elf::ELFCLASS64.0) && little && machine == elf::EM_X86_64.0 {
        return None;
    }
    let machine = if little {
        machine
    } else {
        machine.swap_bytes()
    };
    Some(match elf::Machine(machine) {
        elf::EM_386 => "32-bit x86".to_owned(),
        elf::EM_X86_64 => "x86-64 with 32-bit pointers".to_owned(),
        elf::EM_AARCH64 => "64-bit ARM".to_owned(),
        elf::EM_ARM => "32-bit ARM".to_owned(),
        elf::EM_RISCV => "RISC-V".to_owned(),
        elf::EM_PPC64 => "64-bit PowerPC".to_owned(),
        elf::EM_S390 => "S/390".to_owned(),
        _ => format!("ELF machine {machine}"),
    })
}

fn program(file: File<'_>) -> Option<Program> {
    let header = Header::parse(file).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, file).ok()?;
    let mut program = Program::default();
    let mut dynamic = None;
    for segment in segments {
        let len = segment.p_filesz(endian);
        match segment.p_type(endian) {
            elf::PT_INTERP if len <= MAX_INTERPRETER => {
                let path = segment.interpreter(endian, file).ok()??;
                program.interpreter = Some(path.to_vec());
            }
            elf::PT_DYNAMIC if len <= MAX_DYNAMIC => {
                dynamic = segment.dynamic(endian, file).ok()?;
            }
            elf::PT_INTERP | elf::PT_DYNAMIC => return None,
            _ => {}
        }
    }
    let mut pie = false;
    if let Some(dynamic) = dynamic {
        let dynamic = Dynamic {
            file,
            endian,
            segments,
            entries: dynamic,
        };
        let flags = dynamic.value(elf::DT_FLAGS_1).unwrap_or_default();
        pie = flags & elf::DF_1_PIE.0 != 0;
        program.needed = dynamic.texts(elf::DT_NEEDED)?;
        program.search = dynamic.search()?;
    }
    let executable = header.e_type(endian) == elf::ET_EXEC;
    program.runnable = executable || pie || program.interpreter.is_some();
    Some(program)
}

/// A dynamic section, and what is needed to read the strings it names.
struct Dynamic<'a> {
    file: File<'a>,
    endian: Endianness,
    segments: &'a [elf::ProgramHeader64<Endianness>],
    entries: &'a [elf::Dyn64<Endianness>],
}

impl Dynamic<'_> {
    /// The values with a tag, up to the section's end.
    fn values(&self, tag: elf::DynamicTag) -> impl Iterator<Item = u64> {
        let endian = self.endian;
        self.entries
            .iter()
            .take_while(move |entry| entry.d_tag(endian) != elf::DT_NULL)
            .filter(move |entry| entry.d_tag(endian) == tag)
            .map(move |entry| entry.d_val(endian))
    }

    fn value(&self, tag: elf::DynamicTag) -> Option<u64> {
        self.values(tag).next()
    }

    /// The strings with a tag; nothing if one cannot be read.
    fn texts(&self, tag: elf::DynamicTag) -> Option<Vec<Vec<u8>>> {
        let table = self
            .value(elf::DT_STRTAB)
            .and_then(|address| offset(self.segments, self.endian, address));
        let read = |at: u64| text(self.file, table?.checked_add(at)?);
        self.values(tag).take(MAX_NEEDED).map(read).collect()
    }

    /// The directories of the run path.
    fn search(&self) -> Option<Vec<Vec<u8>>> {
        let mut paths = self.texts(elf::DT_RUNPATH)?;
        if paths.is_empty() {
            paths = self.texts(elf::DT_RPATH)?;
        }
        let directories = paths
            .iter()
            .flat_map(|path| path.split(|byte| *byte == b':'));
        let named = directories.filter(|path| !path.is_empty());
        Some(named.take(MAX_NEEDED).map(<[u8]>::to_vec).collect())
    }
}

/// Where in the file an address is loaded from.
fn offset(
    segments: &[elf::ProgramHeader64<Endianness>],
    endian: Endianness,
    address: u64,
) -> Option<u64> {
    segments
        .iter()
        .filter(|s| s.p_type(endian) == elf::PT_LOAD)
        .find_map(|segment| {
            let within = address.checked_sub(segment.p_vaddr(endian))?;
            let inside = within < segment.p_filesz(endian);
            inside
                .then(|| segment.p_offset(endian).checked_add(within))
                .flatten()
        })
}

/// The string at an offset, up to its NUL.
fn text(file: File<'_>, offset: u64) -> Option<Vec<u8>> {
    let end = file.len().ok()?;
    let text = file.read_bytes_at_until(offset..end.max(offset), 0).ok()?;
    Some(text.to_vec())
}
