//! The guest kernel as bytes.
//!
//! **For**: embedding the kernel in the program that boots it. **Not for**: anything else; the
//! kernel itself is `unicell-kernel`. The build script builds it with a profile and a target
//! directory of its own.
//!
//! **Invariant**: the bytes begin at a page and fill whole pages, so that a guest can be given the
//! very pages of the program's file, one copy for all instances.

/// Aligns what it holds to a page, and pads it to whole pages.
#[repr(C, align(4096))]
struct Pages<T: ?Sized>(T);

static PAGES: &Pages<[u8]> = &Pages(*include_bytes!(concat!(env!("OUT_DIR"), "/kernel.elf")));

/// The kernel, an ELF file, aligned to a page.
pub static KERNEL: &[u8] = &PAGES.0;

#[cfg(test)]
mod tests {
    use super::KERNEL;

    #[test]
    fn the_kernel_is_an_aligned_elf_file() {
        assert!(KERNEL.starts_with(b"\x7fELF"));
        assert!(KERNEL.as_ptr().addr().is_multiple_of(4096));
    }
}
