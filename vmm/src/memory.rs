//! Guest-physical memory: RAM, the kernel image and the box image, as the host maps them.
//!
//! RAM is private anonymous memory; the two images are mapped read-only from files (or lie in this
//! program's own read-only pages), so that any number of instances share one copy of them. The
//! guest writes to RAM while the host reads it: nothing here hands out a reference to it, only
//! copies and atomic accesses of `vm-memory`.
#![allow(unsafe_code)]

use std::fs::File;
use std::sync::Arc;

use unicell_guest_abi::{boot, exit, layout, message, platform};
use vm_memory::mmap::{MmapRegionBuilder, MmapRegionError};
use vm_memory::{
    ByteValued, Bytes, FileOffset, GuestAddress, GuestMemoryError, GuestMemoryMmap,
    GuestMemoryRegion, GuestRegionMmap, MmapRegion,
};

/// Types of the guest ABI that are plain bytes.
///
/// # Safety
///
/// The type is `repr(C)`, has no padding and is valid for every bit pattern.
pub(crate) unsafe trait Plain: Copy {}

// SAFETY: repr(C), integers only, sizes checked against the sum of their fields in guest-abi.
unsafe impl Plain for boot::BootInfo {}
// SAFETY: as above.
unsafe impl Plain for boot::KernelHeader {}
// SAFETY: as above.
unsafe impl Plain for exit::Report {}
// SAFETY: as above.
unsafe impl Plain for platform::Clock {}
// SAFETY: as above.
unsafe impl Plain for platform::Counters {}
// SAFETY: as above.
unsafe impl Plain for platform::CallCount {}
// SAFETY: as above.
unsafe impl Plain for message::Console {}
// SAFETY: as above.
unsafe impl Plain for message::Request {}
// SAFETY: as above.
unsafe impl Plain for message::Reply {}
// SAFETY: as above.
unsafe impl Plain for message::Stream {}
// SAFETY: as above.
unsafe impl Plain for message::Endpoint {}
// SAFETY: an integer.
unsafe impl Plain for u64 {}

// SAFETY: repr(C), integers only, without padding (System V ABI, 64-bit object files).
unsafe impl Plain for linux_loader::elf::Elf64_Shdr {}
// SAFETY: as above.
unsafe impl Plain for linux_loader::elf::Elf64_Sym {}

// SAFETY: integers only.
unsafe impl Plain for [u64; 512] {}

/// Wraps a [`Plain`] type for `vm-memory`.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Abi<T>(pub(crate) T);

// SAFETY: Plain demands what ByteValued does; Abi is transparent.
unsafe impl<T: Plain + Send + Sync> ByteValued for Abi<T> {}

/// What went wrong while memory was set up.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The amount of RAM is out of range.
    #[error(
        "{0} bytes of RAM: it must be a multiple of {granule} between {min} and {max}",
        granule = layout::RAM_GRANULE,
        min = layout::RAM_MIN,
        max = layout::RAM_MAX
    )]
    Size(u64),
    /// The box image is too long for its slot.
    #[error("a box image of {0} bytes: the most is {max}", max = layout::BOX_MAX)]
    BoxSize(u64),
    /// The box image is at an offset that cannot be mapped.
    #[error("a box image at offset {0} of its file: it must be a multiple of the page size")]
    BoxOffset(u64),
    /// The file is shorter than the image in it.
    #[error("a box image that ends at byte {end} of a file of {len} bytes")]
    BoxCut {
        /// Where the image would end.
        end: u64,
        /// The length of the file.
        len: u64,
    },
    /// The host refused a mapping.
    #[error("the host cannot map {what}")]
    Map {
        /// What was to be mapped.
        what: &'static str,
        /// Why it could not be.
        #[source]
        source: MmapRegionError,
    },
    /// What has to lie in RAM at start leaves nothing for the guest.
    #[error("{0} bytes of RAM are too few for the kernel and its tables")]
    TooSmall(u64),
}

/// A part of a file that holds a box image.
#[derive(Debug)]
pub struct BoxImage {
    /// The file, open for reading. Nobody may write to it while an instance runs.
    pub file: File,
    /// Where the image begins, a multiple of the page size.
    pub offset: u64,
    /// Bytes of the image.
    pub len: u64,
}

/// A slot to be given to KVM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) gpa: u64,
    pub(crate) len: u64,
    pub(crate) host: u64,
    pub(crate) read_only: bool,
}

/// The memory of one instance.
pub(crate) struct Memory {
    /// RAM alone: the only memory in which the device may be told to write.
    ram: GuestMemoryMmap,
    /// RAM and the box image: what the device may be told to read.
    readable: GuestMemoryMmap,
    slots: Vec<Slot>,
    /// What RAM lies in; dropped after the regions above.
    _ram_mapping: Mapping,
}

impl Memory {
    /// Maps `ram` bytes of RAM and the images, of which `kernel` is in memory already, at a page.
    /// Each slot costs a wait for the kernel's readers of the slots: what is not needed gets none.
    pub(crate) fn new(
        ram: u64,
        kernel: Option<&'static [u8]>,
        image: Option<BoxImage>,
    ) -> Result<Self, MemoryError> {
        let in_range = (layout::RAM_MIN..=layout::RAM_MAX).contains(&ram);
        if !in_range || !ram.is_multiple_of(layout::RAM_GRANULE) {
            return Err(MemoryError::Size(ram));
        }
        let (mapping, ram) = map_ram(ram)?;
        let ram = Arc::new(region(layout::RAM_GPA, ram));
        let mut slots = vec![slot(&ram, false)];
        slots.extend(kernel.map(|kernel| Slot {
            gpa: layout::KERNEL_GPA,
            len: (kernel.len() as u64).next_multiple_of(layout::PAGE_SIZE),
            host: kernel.as_ptr() as u64,
            read_only: true,
        }));
        let mut regions = vec![Arc::clone(&ram)];
        if let Some(image) = image {
            let mapping = region(layout::BOX_GPA, map_box(image)?);
            slots.push(slot(&mapping, true));
            regions.push(Arc::new(mapping));
        }
        Ok(Self {
            ram: collection(vec![ram]),
            readable: collection(regions),
            slots,
            _ram_mapping: mapping,
        })
    }

    pub(crate) fn ram(&self) -> &GuestMemoryMmap {
        &self.ram
    }

    pub(crate) fn readable(&self) -> &GuestMemoryMmap {
        &self.readable
    }

    pub(crate) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub(crate) fn read<T: Plain + Send + Sync>(&self, gpa: u64) -> Result<T, GuestMemoryError> {
        self.ram
            .read_obj::<Abi<T>>(GuestAddress(gpa))
            .map(|value| value.0)
    }

    pub(crate) fn write<T: Plain + Send + Sync>(
        &self,
        gpa: u64,
        value: T,
    ) -> Result<(), GuestMemoryError> {
        self.ram.write_obj(Abi(value), GuestAddress(gpa))
    }

    pub(crate) fn write_table(&self, gpa: u64, table: &[u64; 512]) -> Result<(), GuestMemoryError> {
        self.ram.write_obj(Abi(*table), GuestAddress(gpa))
    }

    /// Makes the first `size` bytes of RAM present and writable in the host's page tables: KVM
    /// without hardware virtualisation then maps eight pages for each fault, and otherwise one.
    pub(crate) fn make_present(&self, size: u64) {
        use rustix::mm::{Advice, madvise};
        let size = size.min(self.slots[0].len) as usize;
        let start = self.slots[0].host as *mut _;
        // A host that does not know the advice (before Linux 5.14) faults the pages in one by one.
        // SAFETY: the range is within the mapping of the RAM; the advice changes no content.
        let _ = unsafe { madvise(start, size, Advice::LinuxPopulateWrite) };
    }

    /// Bytes of RAM.
    pub(crate) fn ram_size(&self) -> u64 {
        self.slots[0].len
    }

    /// Bytes of RAM that are resident.
    pub(crate) fn resident(&self) -> u64 {
        const PAGES: u64 = 64 << 10;
        let mut there = vec![0_u8; PAGES as usize];
        let mut count = 0;
        let (start, pages) = (self.slots[0].host, self.ram_size() / layout::PAGE_SIZE);
        for first in (0..pages).step_by(PAGES as usize) {
            let part = PAGES.min(pages - first);
            let address = start + first * layout::PAGE_SIZE;
            let len = (part * layout::PAGE_SIZE) as usize;
            // SAFETY: the range lies in the mapping of the RAM; `there` has a byte for each page.
            let asked = unsafe { libc::mincore(address as *mut _, len, there.as_mut_ptr()) };
            debug_assert_eq!(asked, 0);
            let present = there[..part as usize].iter().filter(|page| **page & 1 != 0);
            count += present.count() as u64;
        }
        count * layout::PAGE_SIZE
    }

    pub(crate) fn write_bytes(&self, gpa: u64, bytes: &[u8]) -> Result<(), GuestMemoryError> {
        self.ram.write_slice(bytes, GuestAddress(gpa))
    }
}

fn slot(region: &GuestRegionMmap, read_only: bool) -> Slot {
    Slot {
        gpa: region.start_addr().0,
        len: region.len(),
        host: region.as_ptr() as u64,
        read_only,
    }
}

/// A mapping that ends with this.
struct Mapping {
    start: *mut u8,
    len: usize,
}

// SAFETY: the pointer is used to undo the mapping and for nothing else.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this is what was mapped, and nobody uses it any more: in `Memory`, the regions
        // that lie in it are dropped before.
        let undone = unsafe { rustix::mm::munmap(self.start.cast(), self.len) };
        debug_assert!(undone.is_ok());
    }
}

/// Maps RAM where huge pages of the guest can be huge pages of the host: not every kernel does that
/// of itself.
fn map_ram(size: u64) -> Result<(Mapping, MmapRegion), MemoryError> {
    use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
    let align = layout::HUGE_PAGE_SIZE as usize;
    let (size, len) = (size as usize, size as usize + align);
    let (prot, flags) = (
        ProtFlags::READ | ProtFlags::WRITE,
        MapFlags::PRIVATE | MapFlags::NORESERVE,
    );
    let failed = |source| MemoryError::Map {
        what: "the RAM",
        source,
    };
    // SAFETY: a fresh mapping chosen by the kernel replaces nothing.
    let start = unsafe { mmap_anonymous(std::ptr::null_mut(), len, prot, flags) }
        .map_err(|errno| failed(MmapRegionError::Mmap(errno.into())))?;
    let start: *mut u8 = start.cast();
    let mapping = Mapping { start, len };
    let builder = MmapRegionBuilder::new(size)
        .with_mmap_prot(prot.bits() as i32)
        .with_mmap_flags(flags.bits() as i32);
    // SAFETY: the aligned part lies within the mapping, which its caller keeps for longer.
    let ram = unsafe { builder.with_raw_mmap_pointer(start.add(start.align_offset(align))) };
    let ram = ram.build().map_err(failed)?;
    advise(&ram);
    Ok((mapping, ram))
}

/// RAM below this has small pages: what an idle instance keeps. The guest takes single frames from
/// the bottom up, so that one which needs more than this uses the pages above densely, and there a
/// huge page costs one fault where small ones cost 512, each a change of world.
const SMALL_PAGES: usize = 4 << 20;

fn advise(ram: &MmapRegion) {
    use rustix::mm::{Advice, madvise};
    let small = SMALL_PAGES.min(ram.size());
    // A host that knows no huge pages refuses, which is as good.
    // SAFETY: both ranges lie in the fresh mapping; the advice changes no content.
    unsafe {
        let base = ram.as_ptr();
        let _ = madvise(base.cast(), small, Advice::LinuxNoHugepage);
        let _ = madvise(
            base.add(small).cast(),
            ram.size() - small,
            Advice::LinuxHugepage,
        );
    }
}

fn map_box(image: BoxImage) -> Result<MmapRegion, MemoryError> {
    if image.len == 0 || image.len > layout::BOX_MAX {
        return Err(MemoryError::BoxSize(image.len));
    }
    if !image.offset.is_multiple_of(layout::PAGE_SIZE) {
        return Err(MemoryError::BoxOffset(image.offset));
    }
    // A page beyond the end of the file would be there, and kill whoever touches it.
    let len = image.file.metadata().map_or(0, |metadata| metadata.len());
    let end = image.offset.saturating_add(image.len);
    if end > len {
        return Err(MemoryError::BoxCut { end, len });
    }
    MmapRegionBuilder::new(image.len.next_multiple_of(layout::PAGE_SIZE) as usize)
        .with_mmap_prot(libc::PROT_READ)
        .with_mmap_flags(libc::MAP_SHARED | libc::MAP_NORESERVE)
        .with_file_offset(FileOffset::new(image.file, image.offset))
        .build()
        .map_err(|source| MemoryError::Map {
            what: "the box image",
            source,
        })
}

/// Places a mapping in guest-physical space. The layout leaves room for the largest.
fn region(gpa: u64, mapping: MmapRegion) -> GuestRegionMmap {
    #[expect(clippy::expect_used, reason = "sizes were checked against the layout")]
    GuestRegionMmap::new(mapping, GuestAddress(gpa)).expect("the layout is below 2^39")
}

/// `regions` in ascending order.
fn collection(regions: Vec<Arc<GuestRegionMmap>>) -> GuestMemoryMmap {
    #[expect(
        clippy::expect_used,
        reason = "the layout's regions are apart and ascend"
    )]
    GuestMemoryMmap::from_arc_regions(regions).expect("the layout's regions do not overlap")
}

/// Maps a whole file read-only until this process ends.
pub(crate) fn map_file(file: &File) -> std::io::Result<&'static [u8]> {
    let len = usize::try_from(file.metadata()?.len()).map_err(std::io::Error::other)?;
    // SAFETY: a fresh mapping chosen by the kernel replaces nothing; it is never undone, so the
    // slice is valid for ever. That the file does not change is the caller's concern: a changed
    // kernel image hurts its guest.
    unsafe {
        let address = rustix::mm::mmap(
            std::ptr::null_mut(),
            len,
            rustix::mm::ProtFlags::READ,
            rustix::mm::MapFlags::SHARED,
            file,
            0,
        )?;
        Ok(std::slice::from_raw_parts(address.cast(), len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(offset: u64, len: u64) -> BoxImage {
        let file = File::open("/proc/self/exe").unwrap();
        BoxImage { file, offset, len }
    }

    fn refused(ram: u64, image: Option<BoxImage>) -> String {
        let Err(error) = Memory::new(ram, None, image) else {
            panic!("it was mapped");
        };
        error.to_string()
    }

    #[test]
    fn slots_are_what_was_asked_for() {
        let memory = Memory::new(16 << 20, None, Some(image(4096, 5000))).unwrap();
        let [ram, image] = memory.slots() else {
            panic!("{:?}", memory.slots());
        };
        assert_eq!((ram.gpa, ram.len, ram.read_only), (0, 16 << 20, false));
        assert!(ram.host.is_multiple_of(layout::HUGE_PAGE_SIZE));
        let expected = (layout::BOX_GPA, 8192, true);
        assert_eq!((image.gpa, image.len, image.read_only), expected);
    }

    #[test]
    fn memory_that_does_not_fit_is_refused() {
        assert!(refused(layout::RAM_MIN - layout::RAM_GRANULE, None).contains("bytes of RAM"));
        assert!(refused(layout::RAM_MIN + 4096, None).contains("multiple"));
        assert!(refused(layout::RAM_MAX * 2, None).contains("bytes of RAM"));
        let min = layout::RAM_MIN;
        assert!(refused(min, Some(image(0, 0))).contains("0 bytes"));
        assert!(refused(min, Some(image(100, 10))).contains("offset 100"));
        assert!(refused(min, Some(image(0, layout::BOX_MAX + 1))).contains("the most is"));
        assert!(refused(min, Some(image(4096, layout::BOX_MAX))).contains("ends at byte"));
        let last_page = !4095;
        assert!(refused(min, Some(image(last_page, 8192))).contains("ends at byte"));
    }
}
