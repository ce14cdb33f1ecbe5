//! The probe's guest: one page of questions in ring 3, one page of stubs in ring 0.
//!
//! Every question ends with a store to the device's page: to [`ANSWER`] with its answer, or to
//! [`TRAPPED`] with the vector of the trap that it has caused.
#![allow(unsafe_code)]

use std::arch::global_asm;

use unicell_guest_abi::ABI_VERSION;
use unicell_guest_abi::boot::{KERNEL_MAGIC, KernelHeader};
use unicell_guest_abi::cpu::VECTORS;
use unicell_guest_abi::layout::{DEVICE_VA, KERNEL_BASE, PAGE_SIZE};

/// Offsets in the device's page.
pub(super) const ANSWER: u64 = 0;
pub(super) const TRAPPED: u64 = 8;
/// The stubs, one page after the questions.
pub(super) const STUBS: u64 = KERNEL_BASE + PAGE_SIZE;
/// Bytes of each stub.
const STUB: u64 = 16;

global_asm!(
    r#"
    .pushsection .rodata.probe, "a", @progbits
    .global probe_code, probe_end, probe_syscall
    .global probe_rdtsc, probe_rdtscp, probe_rdpid, probe_rdrand, probe_rdseed, probe_xgetbv
    .global probe_cpuid, probe_exits, probe_syscalls
    .balign 4096
probe_code:
probe_rdtsc:
    rdtsc
    jmp probe_wide
probe_rdtscp:
    rdtscp
    jmp probe_wide
probe_rdpid:
    rdpid rax
    jmp probe_answer
probe_rdrand:
    rdrand rax
    jmp probe_answer
probe_rdseed:
    rdseed rax
    jmp probe_answer
probe_xgetbv:
    xor ecx, ecx
    xgetbv
probe_wide:
    shl rdx, 32
    or rax, rdx
probe_answer:
    mov rcx, {answer}
    mov [rcx], rax
    ud2
probe_cpuid:                       # rsi rows of six words at rdi: leaf, part, EAX, EBX, ECX, EDX
    mov eax, [rdi]
    mov ecx, [rdi + 4]
    cpuid
    mov [rdi + 8], eax
    mov [rdi + 12], ebx
    mov [rdi + 16], ecx
    mov [rdi + 20], edx
    add rdi, 24
    dec rsi
    jnz probe_cpuid
    jmp probe_answer
probe_exits:                       # for ever
    mov rcx, {answer}
2:  mov [rcx], rax
    jmp 2b
probe_syscalls:                    # rsi times
    syscall
    dec rsi
    jnz probe_syscalls
    jmp probe_answer
probe_syscall:                     # page-table KVM comes here in ring 3
    mov eax, cs
    test al, 3
    jz 3f
    jmp rcx
3:  sysretq
probe_trap:                        # vector in rax
    mov rcx, {trapped}
    mov [rcx], rax
    ud2
    .org probe_code + {page}
    .set n, 0
    .rept {vectors}
    .balign {stub}
    push n
    jmp 4f
    .set n, n + 1
    .endr
    .balign {stub}
4:  pop rax                        # the vector; below it an error code or the return address
    cmp eax, 8
    je 5f
    cmp eax, 10
    jb 6f
    cmp eax, 14
    jbe 5f
    cmp eax, 17
    jne 6f
5:  add rsp, 8
6:  push rax
    lea rax, [rip + probe_trap]
    mov [rsp + 8], rax
    pop rax
    iretq
    .org probe_code + 2 * {page}
probe_end:
    .popsection
    "#,
    answer = const (DEVICE_VA + ANSWER) as i64,
    trapped = const (DEVICE_VA + TRAPPED) as i64,
    page = const PAGE_SIZE,
    stub = const STUB,
    vectors = const VECTORS,
);

unsafe extern "C" {
    static probe_code: u8;
    static probe_end: u8;
    static probe_syscall: u8;
    static probe_rdtsc: u8;
    static probe_rdtscp: u8;
    static probe_rdpid: u8;
    static probe_rdrand: u8;
    static probe_rdseed: u8;
    static probe_xgetbv: u8;
    static probe_cpuid: u8;
    static probe_exits: u8;
    static probe_syscalls: u8;
}

/// What the guest can be asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Rdtsc,
    Rdtscp,
    Rdpid,
    Rdrand,
    Rdseed,
    Xgetbv,
    /// Fills the rows at RDI, of which there are RSI.
    Cpuid,
    /// Answers again and again.
    Exits,
    /// Makes RSI system calls.
    Syscalls,
}

impl Question {
    /// Where the guest is entered.
    pub(super) fn entry(self) -> u64 {
        address(match self {
            Self::Rdtsc => &raw const probe_rdtsc,
            Self::Rdtscp => &raw const probe_rdtscp,
            Self::Rdpid => &raw const probe_rdpid,
            Self::Rdrand => &raw const probe_rdrand,
            Self::Rdseed => &raw const probe_rdseed,
            Self::Xgetbv => &raw const probe_xgetbv,
            Self::Cpuid => &raw const probe_cpuid,
            Self::Exits => &raw const probe_exits,
            Self::Syscalls => &raw const probe_syscalls,
        })
    }
}

/// Where the guest sees a symbol of its code.
fn address(symbol: *const u8) -> u64 {
    KERNEL_BASE + (symbol as u64 - (&raw const probe_code) as u64)
}

/// The guest's two pages, page-aligned.
pub(super) fn code() -> &'static [u8] {
    let (start, end) = (&raw const probe_code, &raw const probe_end);
    // SAFETY: the symbols enclose one section of this program, which is never written.
    unsafe { std::slice::from_raw_parts(start, end as usize - start as usize) }
}

/// The guest as the VMM knows kernels.
pub(super) fn header() -> KernelHeader {
    KernelHeader {
        magic: KERNEL_MAGIC,
        abi: ABI_VERSION,
        reserved: 0,
        entry: KERNEL_BASE,
        syscall: address(&raw const probe_syscall),
        vectors: std::array::from_fn(|vector| STUBS + vector as u64 * STUB),
        ring0: [STUBS, STUBS + PAGE_SIZE],
    }
}
