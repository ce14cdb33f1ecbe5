//! The processor state in which the kernel is entered and which it may rely on.
//!
//! The VMM enters the vCPU at privilege level 3, in 64-bit mode, with paging on, at
//! [`crate::boot::KernelHeader::entry`], RDI = direct-map address of the boot information, no
//! stack, RFLAGS = [`RFLAGS`], FCW 0x37f and MXCSR 0x1f80. Selectors are Linux's: page-table KVM
//! accepts no others.

/// Code selector of ring 0 (the stubs only).
pub const KERNEL_CS: u16 = 0x10;
/// Data selector of ring 0.
pub const KERNEL_DS: u16 = 0x18;
/// 32-bit code selector of ring 3: what SYSRET's arithmetic starts from. Its descriptor is absent.
pub const USER_CS32: u16 = 0x23;
/// Data selector of ring 3.
pub const USER_DS: u16 = 0x2b;
/// 64-bit code selector of ring 3, of kernel and program alike.
pub const USER_CS: u16 = 0x33;
/// Task state selector.
pub const TSS_SELECTOR: u16 = 0x40;

/// IA32_STAR: SYSCALL loads CS 0x10 and SS 0x18, SYSRETQ loads CS 0x33 and SS 0x2b.
pub const STAR: u64 = 0x0023_0010_0000_0000;
/// IA32_FMASK: SYSCALL clears TF, DF, NT and AC. IF stays set: on page-table KVM a masked IF can
/// never be set again from ring 3.
pub const FMASK: u64 = 0x100 | 0x400 | 0x4000 | 0x4_0000;
/// RFLAGS at entry: IF and the bit that is always one.
pub const RFLAGS: u64 = 0x202;
/// IA32_EFER: SCE, LME, LMA, NXE.
pub const EFER: u64 = 0x1 | 0x100 | 0x400 | 0x800;
/// CR0: PE, MP, ET, NE, WP, AM, PG.
pub const CR0: u64 = 0x1 | 0x2 | 0x10 | 0x20 | 0x1_0000 | 0x4_0000 | 0x8000_0000;
/// CR4: PAE, OSFXSR, OSXMMEXCPT, UMIP, FSGSBASE, OSXSAVE.
pub const CR4: u64 = 0x20 | 0x200 | 0x400 | 0x800 | 0x1_0000 | 0x4_0000;
/// CR4, in a reproducible run: TSD, so that RDTSC and RDTSCP trap in ring 3.
pub const CR4_TSD: u64 = 0x4;

/// Exception vectors that have a gate: 0 to 31.
pub const EXCEPTIONS: usize = 32;
/// The vector that the VMM injects to preempt a program; the last one with a gate.
pub const PREEMPT_VECTOR: u8 = 32;
/// Gates in the IDT. Any other vector is #GP.
pub const VECTORS: usize = EXCEPTIONS + 1;
/// Vectors whose gate ring 3 may use (INT3 and INTO); all others have DPL 0.
pub const USER_VECTORS: [u8; 2] = [3, 4];
/// The vector with a stack of its own (IST 1): #DF.
pub const DOUBLE_FAULT_VECTOR: u8 = 8;
