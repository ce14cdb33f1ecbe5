//! Instructions that have no name in Rust.
#![allow(unsafe_code)]

use core::arch::asm;

/// The FS base, which belongs to the program.
#[must_use]
pub fn fs_base() -> u64 {
    let base;
    // SAFETY: CR4.FSGSBASE is set; the kernel does not use FS.
    unsafe { asm!("rdfsbase {}", out(reg) base, options(nomem, nostack, preserves_flags)) }
    base
}

/// Sets the FS base; the address is canonical.
pub fn set_fs_base(base: u64) {
    // SAFETY: CR4.FSGSBASE is set; the kernel does not use FS; callers check the address.
    unsafe { asm!("wrfsbase {}", in(reg) base, options(nomem, nostack, preserves_flags)) }
}

/// The GS base, which belongs to the program.
#[must_use]
pub fn gs_base() -> u64 {
    let base;
    // SAFETY: CR4.FSGSBASE is set; the kernel does not use GS.
    unsafe { asm!("rdgsbase {}", out(reg) base, options(nomem, nostack, preserves_flags)) }
    base
}

/// Sets the GS base; the address is canonical.
pub fn set_gs_base(base: u64) {
    // SAFETY: CR4.FSGSBASE is set; the kernel does not use GS; callers check the address.
    unsafe { asm!("wrgsbase {}", in(reg) base, options(nomem, nostack, preserves_flags)) }
}

/// RBP, the head of the chain of frames.
#[must_use]
#[inline(always)]
pub fn base_pointer() -> u64 {
    let base;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rbp", out(reg) base, options(nomem, nostack, preserves_flags)) }
    base
}

/// CPUID: EAX, EBX, ECX, EDX. An exit on most hosts: never on the way to a program's start.
#[must_use]
pub fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    let result = core::arch::x86_64::__cpuid_count(leaf, subleaf);
    [result.eax, result.ebx, result.ecx, result.edx]
}
