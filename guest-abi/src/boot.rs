//! What the kernel tells the VMM (its header) and what the VMM tells the kernel (the boot page).

use crate::cpu::VECTORS;

/// "UNICELLK", the first bytes of [`KernelHeader`].
pub const KERNEL_MAGIC: u64 = u64::from_le_bytes(*b"UNICELLK");
/// "UNICELLB", the first bytes of [`BootInfo`].
pub const BOOT_MAGIC: u64 = u64::from_le_bytes(*b"UNICELLB");

/// Flag of a program header (of the range that ELF leaves to operating systems, `PF_MASKOS`): a
/// read-only segment that is copied to RAM like a writable one.
///
/// KVM without hardware virtualisation maps eight pages for a fault on RAM, but one for a fault on
/// a read-only slot. What a kernel runs through at its start belongs in such a segment.
pub const SEGMENT_IN_RAM: u32 = 1 << 20;

/// Lies at [`crate::layout::KERNEL_BASE`], the start of the kernel's first loadable segment.
///
/// The kernel is a static ELF executable whose segments are page-aligned in the file too. Segments
/// that are neither writable nor marked [`SEGMENT_IN_RAM`] are mapped from the image slot; the
/// others are copied to RAM.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct KernelHeader {
    /// [`KERNEL_MAGIC`].
    pub magic: u64,
    /// [`crate::ABI_VERSION`].
    pub abi: u32,
    /// Zero.
    pub reserved: u32,
    /// Where the vCPU is entered, in ring 3.
    pub entry: u64,
    /// For IA32_LSTAR. Its page is a user page: page-table KVM stays in ring 3 here.
    pub syscall: u64,
    /// Ring-0 stubs, by vector.
    pub vectors: [u64; VECTORS],
    /// The pages of the ring-0 stubs (start, end), page-aligned: mapped as supervisor pages.
    pub ring0: [u64; 2],
}

/// The page at [`crate::layout::BOOT_GPA`]. Written by the VMM before the first entry.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct BootInfo {
    /// [`BOOT_MAGIC`].
    pub magic: u64,
    /// [`crate::ABI_VERSION`].
    pub abi: u32,
    /// Bits of [`flags`].
    pub flags: u32,
    /// RAM in bytes.
    pub ram_size: u64,
    /// GPA from which RAM is free (page-aligned) and still zero.
    pub free_start: u64,
    /// GPA of the page-table root.
    pub root_table: u64,
    /// Bytes of the box image at [`crate::layout::BOX_GPA`].
    pub box_size: u64,
    /// GPA of the init block ([`crate::init`]).
    pub init_gpa: u64,
    /// Bytes of the init block.
    pub init_size: u64,
    /// XCR0: the components of extended state that are on.
    pub xstate_mask: u64,
    /// Bytes that XSAVE writes for them, in the standard format (CPUID leaf 0xD). Told, because
    /// asking costs an exit for each component.
    pub xstate_size: u32,
    /// CPUID leaf 1, EDX, which a program finds in its auxiliary vector.
    pub features: u32,
    /// Randomness for the kernel's generator, from the host (or a seed, in reproducible runs).
    pub seed: [u8; 32],
    /// With [`flags::TERMINAL`]: the terminal's size, rows in the upper half, columns in the lower.
    pub window: u32,
    /// The level of reproducible execution, 0 to 2. From 1 on time is virtual ([`crate::platform::Clock`]),
    /// nobody preempts, and what comes from outside is asked for ([`crate::platform::INPUT`]).
    pub level: u32,
    /// How many of [`BootInfo::cpuid`] there are: none in an ordinary run.
    pub cpuid_count: u32,
    /// Zero.
    pub reserved: u32,
    /// What CPUID answers in a reproducible run, where it traps. Of what is not here it answers zeros.
    pub cpuid: [CpuidPart; CPUID_MAX],
}

/// One part of one leaf of CPUID.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CpuidPart {
    /// The leaf, in EAX.
    pub leaf: u32,
    /// The part, in ECX, or [`ANY_PART`] of a leaf that has none.
    pub part: u32,
    /// EAX, EBX, ECX and EDX.
    pub values: [u32; 4],
}

/// [`CpuidPart::part`] of a leaf for which ECX is of no meaning.
pub const ANY_PART: u32 = u32::MAX;
/// The most of [`BootInfo::cpuid`].
pub const CPUID_MAX: usize = 64;

/// Bits of [`BootInfo::flags`].
pub mod flags {
    /// Report each system call on the trace channel.
    pub const TRACE: u32 = 1;
    /// The program's standard input, output and error are one terminal, the controlling one of its
    /// session. The stream of standard input brings what is typed, the channel of standard output
    /// takes what is shown.
    pub const TERMINAL: u32 = 2;
    /// Report each program that a fault ends, at length, on the log channel.
    pub const CRASH_REPORTS: u32 = 4;
    /// Count each system call in a table, [`crate::platform::Shared::calls`].
    pub const COUNT_CALLS: u32 = 8;
}

const _: () = {
    assert!(size_of::<KernelHeader>() == 32 + 8 * VECTORS + 16);
    assert!(size_of::<BootInfo>() == 128 + CPUID_MAX * size_of::<CpuidPart>());
    assert!(size_of::<BootInfo>() <= crate::layout::PAGE_SIZE as usize);
};
