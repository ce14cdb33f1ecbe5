//! GDT, IDT and TSS as bytes (SDM vol. 3, 3.4.5, 6.14.1 and 8.7).

use unicell_guest_abi::boot::KernelHeader;
use unicell_guest_abi::{cpu, layout};

use super::direct;

/// Bytes of the GDT: up to the second half of the TSS descriptor.
const GDT_SIZE: usize = cpu::TSS_SELECTOR as usize + 16;
const TSS_SIZE: usize = 104;
pub(super) const GDT_LIMIT: u16 = GDT_SIZE as u16 - 1;
pub(super) const IDT_LIMIT: u16 = (cpu::VECTORS * 16) as u16 - 1;
pub(super) const TSS_LIMIT: u32 = TSS_SIZE as u32 - 1;

const _: () = {
    assert!(GDT_SIZE as u64 <= layout::IDT_OFFSET);
    assert!(layout::IDT_OFFSET + (IDT_LIMIT as u64) < layout::PAGE_SIZE);
    assert!((TSS_SIZE as u64) < layout::DOUBLE_FAULT_STACK_TOP);
};

/// Flat segments, all accessed: 64-bit code and data of rings 0 and 3.
const KERNEL_CODE: u64 = 0x00af_9b00_0000_ffff;
const KERNEL_DATA: u64 = 0x00cf_9300_0000_ffff;
const USER_DATA: u64 = 0x00cf_f300_0000_ffff;
const USER_CODE: u64 = 0x00af_fb00_0000_ffff;

/// The global descriptor table.
pub(crate) fn gdt() -> [u8; GDT_SIZE] {
    let base = direct(layout::TRAP_GPA);
    let tss_low = u64::from(TSS_LIMIT)
        | (base & 0x00ff_ffff) << 16
        | 0x8b << 40 // present, busy 64-bit TSS
        | (base >> 24 & 0xff) << 56;
    let mut gdt = [0; GDT_SIZE];
    for (selector, descriptor) in [
        (cpu::KERNEL_CS, KERNEL_CODE),
        (cpu::KERNEL_DS, KERNEL_DATA),
        (cpu::USER_DS, USER_DATA),
        (cpu::USER_CS, USER_CODE),
        (cpu::TSS_SELECTOR, tss_low),
        (cpu::TSS_SELECTOR + 8, base >> 32),
    ] {
        let at = usize::from(selector & !7);
        gdt[at..at + 8].copy_from_slice(&descriptor.to_le_bytes());
    }
    gdt
}

/// The interrupt descriptor table: interrupt gates to the kernel's ring-0 stubs.
pub(crate) fn idt(kernel: &KernelHeader) -> [u8; cpu::VECTORS * 16] {
    let mut idt = [0; cpu::VECTORS * 16];
    for (vector, (gate, stub)) in idt.chunks_exact_mut(16).zip(kernel.vectors).enumerate() {
        let vector = vector as u8;
        let dpl = if cpu::USER_VECTORS.contains(&vector) {
            3
        } else {
            0
        };
        let ist = u64::from(vector == cpu::DOUBLE_FAULT_VECTOR);
        let low = (stub & 0xffff)
            | u64::from(cpu::KERNEL_CS) << 16
            | ist << 32
            | (0x8e | dpl << 5) << 40 // present, 64-bit interrupt gate
            | (stub >> 16 & 0xffff) << 48;
        gate[..8].copy_from_slice(&low.to_le_bytes());
        gate[8..].copy_from_slice(&(stub >> 32).to_le_bytes());
    }
    idt
}

/// The task state segment: the two stacks for traps, and no I/O permission bitmap.
pub(crate) fn tss() -> [u8; TSS_SIZE] {
    let mut tss = [0; TSS_SIZE];
    let trap = direct(layout::TRAP_GPA);
    let rsp0 = trap + layout::TRAP_STACK_TOP;
    let ist1 = trap + layout::DOUBLE_FAULT_STACK_TOP;
    tss[4..12].copy_from_slice(&rsp0.to_le_bytes());
    tss[36..44].copy_from_slice(&ist1.to_le_bytes());
    tss[102..104].copy_from_slice(&(TSS_SIZE as u16).to_le_bytes());
    tss
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel() -> KernelHeader {
        KernelHeader {
            magic: 0,
            abi: 0,
            reserved: 0,
            entry: 0,
            syscall: 0,
            vectors: std::array::from_fn(|n| 0xffff_ffff_8123_4000 + 16 * n as u64),
            ring0: [0; 2],
        }
    }

    fn word(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    #[test]
    fn gates_point_at_the_stubs() {
        let idt = idt(&kernel());
        for (vector, stub) in kernel().vectors.iter().enumerate() {
            let (low, high) = (word(&idt, vector * 16), word(&idt, vector * 16 + 8));
            let offset = (low & 0xffff) | (low >> 48) << 16 | high << 32;
            assert_eq!(offset, *stub, "vector {vector}");
            assert_eq!(low >> 16 & 0xffff, u64::from(cpu::KERNEL_CS));
            let user = vector == 3 || vector == 4;
            assert_eq!(low >> 40 & 0xff, if user { 0xee } else { 0x8e });
            assert_eq!(low >> 32 & 7, u64::from(vector == 8));
        }
    }

    #[test]
    fn the_tss_descriptor_is_busy_and_names_the_trap_page() {
        let gdt = gdt();
        let (low, high) = (word(&gdt, 0x40), word(&gdt, 0x48));
        let base = (low >> 16 & 0xff_ffff) | (low >> 56) << 24 | high << 32;
        assert_eq!(base, direct(layout::TRAP_GPA));
        assert_eq!(low >> 40 & 0xff, 0x8b);
        assert_eq!(low & 0xffff, 103);
    }

    #[test]
    fn selectors_have_their_privilege_and_the_32_bit_one_is_absent() {
        let gdt = gdt();
        let dpl = |selector: u16| word(&gdt, usize::from(selector & !7)) >> 45 & 3;
        assert_eq!(dpl(cpu::KERNEL_CS), 0);
        assert_eq!(dpl(cpu::USER_CS), 3);
        assert_eq!(dpl(cpu::USER_DS), 3);
        assert_eq!(word(&gdt, usize::from(cpu::USER_CS32 & !7)), 0);
    }
}
