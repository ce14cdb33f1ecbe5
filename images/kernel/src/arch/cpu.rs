//! Instructions that have no name in Rust.
#![allow(unsafe_code)]

use alloc::vec::Vec;
use core::arch::asm;

use unicell_guest_abi::boot::{ANY_PART, BootInfo, CpuidPart};

use crate::sync::Mutex;

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

/// What CPUID answers in a reproducible run; empty in an ordinary one, where it does not trap.
static CPUID: Mutex<Vec<CpuidPart>> = Mutex::new(Vec::new());

/// Takes what the VMM tells of CPUID. Called once, when there is a heap.
pub fn init(boot: &BootInfo) {
    let count = (boot.cpuid_count as usize).min(boot.cpuid.len());
    *CPUID.lock() = Vec::from(&boot.cpuid[..count]);
}

/// CPUID: EAX, EBX, ECX, EDX. An exit on most hosts: never on the way to a program's start.
#[must_use]
pub fn cpuid(leaf: u32, subleaf: u32) -> [u32; 4] {
    {
        let told = CPUID.lock();
        if !told.is_empty() {
            let is_it =
                |part: &&CpuidPart| part.leaf == leaf && [subleaf, ANY_PART].contains(&part.part);
            return told.iter().find(is_it).map_or([0; 4], |part| part.values);
        }
    }
    let result = core::arch::x86_64::__cpuid_count(leaf, subleaf);
    [result.eax, result.ebx, result.ecx, result.edx]
}
