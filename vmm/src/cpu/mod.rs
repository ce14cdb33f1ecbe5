//! The processor's initial state: 64-bit mode, ring 3, at the kernel's entry.
//!
//! [`descriptors`] makes the tables that lie in memory, [`initial`] the registers, [`vmx`] judges
//! the registers by the rules that VMX hardware will judge them by.

pub(crate) mod baseline;
pub(crate) mod cpuid;
mod descriptors;
pub(crate) mod vmx;

use kvm_bindings::{kvm_dtable, kvm_regs, kvm_segment, kvm_sregs};
use unicell_guest_abi::boot::KernelHeader;
use unicell_guest_abi::{cpu, layout};

pub(crate) use descriptors::{gdt, idt, tss};

/// IA32_APIC_BASE after reset of the bootstrap processor (SDM vol. 3, 12.4.4). There is no APIC.
const APIC_BASE: u64 = 0xfee0_0900;

/// Type of an accessed 64-bit code segment, and of an accessed writable data segment (SDM vol. 3,
/// 3.4.5.1).
const CODE: u8 = 0xb;
const DATA: u8 = 0x3;
/// Type of a busy 64-bit TSS (SDM vol. 3, 3.5).
const BUSY_TSS: u8 = 0xb;

/// Where the kernel sees a guest-physical address.
pub(crate) const fn direct(gpa: u64) -> u64 {
    layout::DIRECT_MAP + gpa
}

/// The registers with which a kernel is entered, its root table being at `root`.
pub(crate) fn initial(kernel: &KernelHeader, root: u64) -> (kvm_regs, kvm_sregs) {
    let regs = kvm_regs {
        rip: kernel.entry,
        rdi: direct(layout::BOOT_GPA),
        rflags: cpu::RFLAGS,
        ..Default::default()
    };
    let data = segment(cpu::USER_DS, DATA);
    let sregs = kvm_sregs {
        cs: segment(cpu::USER_CS, CODE),
        ds: data,
        es: data,
        fs: data,
        gs: data,
        ss: data,
        tr: kvm_segment {
            base: direct(layout::TRAP_GPA),
            limit: descriptors::TSS_LIMIT,
            selector: cpu::TSS_SELECTOR,
            type_: BUSY_TSS,
            present: 1,
            ..Default::default()
        },
        ldt: kvm_segment {
            unusable: 1,
            ..Default::default()
        },
        gdt: kvm_dtable {
            base: direct(layout::DESCRIPTORS_GPA),
            limit: descriptors::GDT_LIMIT,
            ..Default::default()
        },
        idt: kvm_dtable {
            base: direct(layout::DESCRIPTORS_GPA + layout::IDT_OFFSET),
            limit: descriptors::IDT_LIMIT,
            ..Default::default()
        },
        cr0: cpu::CR0,
        cr3: root,
        cr4: cpu::CR4,
        efer: cpu::EFER,
        apic_base: APIC_BASE,
        ..Default::default()
    };
    (regs, sregs)
}

/// A flat segment of ring 3, as the GDT describes it.
fn segment(selector: u16, type_: u8) -> kvm_segment {
    let code = type_ == CODE;
    kvm_segment {
        limit: u32::MAX,
        selector,
        type_,
        present: 1,
        dpl: 3,
        db: u8::from(!code),
        s: 1,
        l: u8::from(code),
        g: 1,
        ..Default::default()
    }
}
