//! Names for addresses in the kernel, from its symbol table. Read only after a crash.

use linux_loader::elf::{self, Elf64_Shdr, Elf64_Sym};
use unicell_guest_abi::layout::PAGE_SIZE;

use crate::kernel::{file_header, object, part};
use crate::memory::Abi;

/// The symbols of a kernel image.
#[derive(Clone, Copy)]
pub(crate) struct Symbols {
    image: &'static [u8],
}

impl std::fmt::Debug for Symbols {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Symbols")
    }
}

impl Symbols {
    /// Of an ELF file.
    pub(crate) fn of(image: &'static [u8]) -> Self {
        Self { image }
    }

    /// The address, with the function that holds it and the offset in it where one is known.
    pub(crate) fn name(&self, address: u64) -> String {
        match self.find(address) {
            Some((name, offset)) => format!("{address:#018x} {name:#}+{offset:#x}"),
            None => format!("{address:#018x}"),
        }
    }

    fn find(&self, address: u64) -> Option<(rustc_demangle::Demangle<'static>, u64)> {
        let (symbols, strings) = self.tables()?;
        let mut found: Option<Elf64_Sym> = None;
        for at in (0..symbols.len() as u64).step_by(size_of::<Elf64_Sym>()) {
            let Abi(symbol) = object::<Abi<Elf64_Sym>>(symbols, at)?;
            let named = matches!(symbol.st_info & 0xf, elf::STT_FUNC | elf::STT_NOTYPE);
            let starts_before = symbol.st_shndx != 0 && symbol.st_value <= address;
            let closer = found.is_none_or(|found| symbol.st_value >= found.st_value);
            if named && starts_before && closer {
                found = Some(symbol);
            }
        }
        let symbol = found?;
        let offset = address - symbol.st_value;
        // Labels in assembly have no size.
        let size = match symbol.st_size {
            0 => PAGE_SIZE,
            size => size,
        };
        if offset >= size {
            return None;
        }
        let name = strings.get(symbol.st_name as usize..)?;
        let name = name.split(|byte| *byte == 0).next()?;
        Some((
            rustc_demangle::demangle(std::str::from_utf8(name).ok()?),
            offset,
        ))
    }

    /// The symbol table and its strings.
    fn tables(&self) -> Option<(&'static [u8], &'static [u8])> {
        let file = file_header(self.image)?;
        let section = |index: u64| {
            let at = file
                .e_shoff
                .checked_add(index * size_of::<Elf64_Shdr>() as u64)?;
            object::<Abi<Elf64_Shdr>>(self.image, at).map(|section| section.0)
        };
        let mut sections = (0..u64::from(file.e_shnum)).filter_map(section);
        let symbols = sections.find(|section| section.sh_type == elf::SHT_SYMTAB)?;
        let strings = section(u64::from(symbols.sh_link))?;
        Some((
            part(self.image, symbols.sh_offset, symbols.sh_size)?,
            part(self.image, strings.sh_offset, strings.sh_size)?,
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(unsafe_code, reason = "the linker knows where this program begins")]

    use super::*;

    #[inline(never)]
    fn a_function_to_be_found() -> u64 {
        std::hint::black_box(7)
    }

    #[test]
    fn an_address_in_a_function_has_its_name() {
        unsafe extern "C" {
            static __ehdr_start: u8;
        }
        assert_eq!(a_function_to_be_found(), 7);
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let symbols = Symbols::of(crate::memory::map_file(&file).unwrap());
        // This program is linked at zero and was loaded elsewhere.
        let start = (&raw const __ehdr_start) as u64;
        let address = a_function_to_be_found as *const () as u64 - start;
        let name = symbols.name(address + 1);
        assert!(name.ends_with("a_function_to_be_found+0x1"), "{name}");
        assert_eq!(symbols.name(u64::MAX), "0xffffffffffffffff");
    }

    #[test]
    fn a_file_without_symbols_gives_addresses() {
        assert_eq!(Symbols::of(b"\x7fELF").name(16), "0x0000000000000010");
    }
}
