//! The floor's guest: a few instructions in ring 3, one page table entry for each thing it needs.
#![allow(unsafe_code)]

use std::arch::global_asm;

/// Where the guest sees a page without memory: a store there is an exit.
pub(crate) const DEVICE: u64 = 2 << 30;
/// In that page: a store here wakes an eventfd, inside the host's kernel.
pub(crate) const DOORBELL: u64 = DEVICE + 0x100;
/// Where the code lies.
pub(crate) const CODE: u64 = 0x8000;
/// Where memory begins that nobody has touched yet.
pub(crate) const FRESH: u64 = 2 << 20;

const ROOT: u64 = 0x1000;
const UPPER: u64 = 0x2000;
const LOW: u64 = 0x3000;
const HIGH: u64 = 0x4000;
/// Tables for fresh memory in small pages.
const SMALL: u64 = 0x10_000;
/// The most fresh memory that there are tables for.
pub(crate) const FRESH_MAX: u64 = 256 << 20;

const PRESENT_WRITABLE_USER: u64 = 0x7;
const ACCESSED_DIRTY: u64 = 0x60;
const HUGE: u64 = 0x80;
const PAGE: u64 = 4096;
const HUGE_PAGE: u64 = 2 << 20;

pub(crate) const TABLES: u64 = ROOT;

// RDI is an address, RSI a count, RDX a distance.
global_asm!(
    r#"
    .pushsection .rodata.floor, "a", @progbits
    .global floor_code, floor_end, floor_store, floor_syscall, floor_touch
    .global floor_jump, floor_sysret
    .balign 16
floor_code:
floor_store:                       # RSI stores, then exits for ever
    mov [rdi], eax
    dec rsi
    jnz floor_store
2:  mov rcx, {device}
    mov [rcx], eax
    jmp 2b
floor_syscall:                     # RSI system calls
    syscall
    dec rsi
    jnz floor_syscall
    jmp 2b
floor_touch:                       # a byte in each of RSI pages, RDX apart
    mov byte ptr [rdi], 1
    add rdi, rdx
    dec rsi
    jnz floor_touch
    jmp 2b
floor_jump:                        # back, in ring 3
    jmp rcx
floor_sysret:                      # back, from ring 0
    sysretq
floor_end:
    .popsection
    "#,
    device = const DEVICE,
);

unsafe extern "C" {
    static floor_code: u8;
    static floor_end: u8;
    static floor_store: u8;
    static floor_syscall: u8;
    static floor_touch: u8;
    static floor_jump: u8;
    static floor_sysret: u8;
}

/// Places in the guest's code.
#[derive(Clone, Copy)]
pub(crate) enum Entry {
    Store,
    Syscall,
    Touch,
    Jump,
    Sysret,
}

impl Entry {
    pub(crate) fn address(self) -> u64 {
        let symbol = match self {
            Self::Store => &raw const floor_store,
            Self::Syscall => &raw const floor_syscall,
            Self::Touch => &raw const floor_touch,
            Self::Jump => &raw const floor_jump,
            Self::Sysret => &raw const floor_sysret,
        };
        CODE + (symbol as u64 - (&raw const floor_code) as u64)
    }
}

fn code() -> &'static [u8] {
    let (start, end) = (&raw const floor_code, &raw const floor_end);
    // SAFETY: the symbols enclose one section of this program, which is never written.
    unsafe { std::slice::from_raw_parts(start, end as usize - start as usize) }
}

/// Writes code and page tables into the guest's memory. Everything lies where it is seen; fresh
/// memory is mapped by pages of `fresh_page` bytes, 4 KiB or 2 MiB.
pub(crate) fn load(memory: &mut [u8], fresh_page: u64) {
    let mut put =
        |at: u64, bytes: &[u8]| memory[at as usize..][..bytes.len()].copy_from_slice(bytes);
    let mut entry = |table: u64, index: u64, value: u64| {
        let value = value | PRESENT_WRITABLE_USER | ACCESSED_DIRTY;
        put(table + 8 * index, &value.to_le_bytes());
    };
    entry(ROOT, 0, UPPER);
    entry(UPPER, 0, LOW);
    entry(UPPER, DEVICE >> 30, HIGH);
    entry(HIGH, 0, DEVICE | HUGE);
    entry(LOW, 0, HUGE);
    if fresh_page == HUGE_PAGE {
        for huge in FRESH / HUGE_PAGE..(FRESH + FRESH_MAX) / HUGE_PAGE {
            entry(LOW, huge, (huge * HUGE_PAGE) | HUGE);
        }
    } else {
        let present = (memory_len(fresh_page) - FRESH) / PAGE;
        for small in 0..present {
            entry(SMALL, small, FRESH + small * PAGE);
        }
        for table in 0..present.div_ceil(512) {
            entry(LOW, FRESH / HUGE_PAGE + table, SMALL + table * PAGE);
        }
    }
    put(CODE, code());
}

/// Bytes of memory that a guest has with fresh memory in pages of this size: little where it is
/// not looked at.
pub(crate) const fn memory_len(fresh_page: u64) -> u64 {
    match fresh_page {
        HUGE_PAGE => FRESH + FRESH_MAX,
        PAGE => FRESH + FRESH_MAX / 8,
        _ => FRESH,
    }
}
