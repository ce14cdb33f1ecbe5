//! The memory map: guest-physical addresses (GPA) and the kernel's part of the virtual space.
//!
//! Guest-physical space holds at most three memory slots (RAM, kernel image, box image) and the
//! device's two pages. Everything is below 2^39, which every 64-bit host can address.
//!
//! The program owns the lower half of the virtual space. The kernel has the last PML4 entry: a
//! linear map of all guest-physical memory at [`DIRECT_MAP`], and its own image in the topmost
//! 2 GiB at [`KERNEL_BASE`].

/// Bytes in a page.
pub const PAGE_SIZE: u64 = 4096;
/// Bytes that one page-directory entry maps.
pub const HUGE_PAGE_SIZE: u64 = 2 << 20;

/// RAM begins at GPA zero; its first pages are laid out below.
pub const RAM_GPA: u64 = 0;
/// RAM is a multiple of this.
pub const RAM_GRANULE: u64 = HUGE_PAGE_SIZE;
/// The least RAM with which a kernel boots and can still report what it lacks.
pub const RAM_MIN: u64 = 8 << 20;
/// The most RAM that fits below the device.
pub const RAM_MAX: u64 = DEVICE_GPA;

/// Descriptor tables: the GDT at offset 0, the IDT at [`IDT_OFFSET`]. A supervisor page.
pub const DESCRIPTORS_GPA: u64 = 0x1000;
/// Offset of the IDT in the page of the descriptor tables.
pub const IDT_OFFSET: u64 = 0x100;
/// The TSS at offset 0, above it the two stacks on which the CPU pushes trap frames.
pub const TRAP_GPA: u64 = 0x2000;
/// Top of the stack for #DF (IST 1), an offset in the trap page.
pub const DOUBLE_FAULT_STACK_TOP: u64 = 0x800;
/// Top of the stack for every other trap (TSS.RSP0), an offset in the trap page.
pub const TRAP_STACK_TOP: u64 = 0x1000;
/// [`crate::platform::Shared`].
pub const SHARED_GPA: u64 = 0x3000;
/// [`crate::boot::BootInfo`].
pub const BOOT_GPA: u64 = 0x4000;
/// [`crate::exit::Report`].
pub const REPORT_GPA: u64 = 0x5000;
/// The rings of the device's queues, [`crate::device::RING_STRIDE`] apart.
pub const RINGS_GPA: u64 = 0x6000;
/// First page of the boot page tables. They are followed by the kernel's writable segments, the
/// init block, and then by free memory ([`crate::boot::BootInfo::free_start`]).
pub const TABLES_GPA: u64 = 0x8000;

/// Device registers: one page of virtio-mmio, one page of [`crate::platform`] registers.
pub const DEVICE_GPA: u64 = 0x10_0000_0000;
/// The kernel image, a read-only slot: the ELF file as it is, byte for byte.
pub const KERNEL_GPA: u64 = 0x11_0000_0000;
/// The box image, a read-only slot.
pub const BOX_GPA: u64 = 0x12_0000_0000;
/// The largest box image.
pub const BOX_MAX: u64 = 0x10_0000_0000;

/// The lowest address of the kernel's half; every address at or above it is the kernel's.
pub const KERNEL_HALF: u64 = 0xffff_8000_0000_0000;
/// One past the highest address that a program may use (Linux's value for 47-bit addresses).
pub const USER_END: u64 = 0x7fff_ffff_f000;
/// `DIRECT_MAP + gpa` maps `gpa`, for RAM (writable) and the box image (read-only), never
/// executable. The base of the last PML4 entry.
pub const DIRECT_MAP: u64 = 0xffff_ff80_0000_0000;
/// The device's two pages, as the kernel sees them.
pub const DEVICE_VA: u64 = 0xffff_ffff_8000_0000;
/// Where the kernel image is linked; it and the device share the topmost 2 GiB.
pub const KERNEL_BASE: u64 = 0xffff_ffff_8001_0000;
/// One past the last address at which the kernel's segments may lie.
pub const KERNEL_LIMIT: u64 = 0xffff_ffff_8040_0000;

const _: () = {
    assert!(RINGS_GPA + crate::device::QUEUES as u64 * crate::device::RING_STRIDE <= TABLES_GPA);
    assert!(DIRECT_MAP + BOX_GPA + BOX_MAX < DEVICE_VA);
    assert!(size_of::<crate::platform::Shared>() as u64 <= PAGE_SIZE);
    assert!(size_of::<crate::boot::BootInfo>() as u64 <= PAGE_SIZE);
    assert!(size_of::<crate::exit::Report>() as u64 <= PAGE_SIZE);
};
