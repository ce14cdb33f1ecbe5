//! A guest kernel of a few instructions that does what a script says.
//!
//! A script lies in the init block: steps of three words, an operation and its two operands. A trap
//! leaves its vector in [`TRAP_VECTOR`] and goes on with the next step.

use std::arch::global_asm;
use std::sync::OnceLock;

use unicell_guest_abi::boot::{KERNEL_MAGIC, KernelHeader};
use unicell_guest_abi::cpu::VECTORS;
use unicell_guest_abi::layout::{DEVICE_VA, DIRECT_MAP, KERNEL_BASE, PAGE_SIZE};
use unicell_guest_abi::{ABI_VERSION, platform};
use unicell_vmm::Kernel;

/// Where the interpreter's code is linked: the page after the header.
pub const CODE: u64 = KERNEL_BASE + PAGE_SIZE;
/// The ring-0 stubs, one page after the code.
const STUBS: u64 = CODE + PAGE_SIZE;
/// Two writable pages: the guest's own words, and its stack.
pub const DATA: u64 = STUBS + PAGE_SIZE;
/// The vector of the last trap, and how many traps there were.
pub const TRAP_VECTOR: u64 = DATA;
pub const TRAPS: u64 = DATA + 8;
/// Bytes of each stub.
const STUB: u64 = 16;

global_asm!(
    r#"
    .pushsection .rodata.guest, "a", @progbits
    .global guest_code, guest_spin, guest_syscall, guest_end
    .balign 16
guest_code:
    lea rsp, [rip + guest_code + {stack}]
    mov rsi, [rdi + 48]            # BootInfo::init_gpa
    mov rax, {direct}
    add rsi, rax
    mov r15, rsi
guest_next:
    mov rax, [rsi]
    mov rdi, [rsi + 8]
    mov rdx, [rsi + 16]
    add rsi, 24
    lea rcx, [rip + 3f]
    movsxd rax, dword ptr [rcx + rax * 4]
    add rax, rcx
    jmp rax
    .balign 4
3:  .long 10f - 3b, 11f - 3b, 12f - 3b, 13f - 3b, 14f - 3b, 15f - 3b, 16f - 3b, 17f - 3b
    .long 18f - 3b, 19f - 3b, 20f - 3b, 21f - 3b, 22f - 3b, 23f - 3b, 24f - 3b, 25f - 3b
    .long 26f - 3b, 27f - 3b, 28f - 3b, 29f - 3b, 30f - 3b, 31f - 3b, 32f - 3b, 33f - 3b
    .long 34f - 3b, 35f - 3b
10: mov [rdi], dl                  # store 8
    jmp guest_next
11: mov [rdi], dx                  # store 16
    jmp guest_next
12: mov [rdi], edx                 # store 32
    jmp guest_next
13: mov [rdi], rdx                 # store 64
    jmp guest_next
14: mov al, [rdi]                  # load 8
    jmp guest_next
15: mov ax, [rdi]                  # load 16
    jmp guest_next
16: mov eax, [rdi]                 # expect 32
    cmp eax, edx
    jne 99f
    jmp guest_next
17: mov rax, [rdi]                 # expect 64
    cmp rax, rdx
    jne 99f
    jmp guest_next
18: pause                          # spin until 16
    cmp [rdi], dx
    jne 18b
    jmp guest_next
19: cmp [rdi], dx                  # park until 16
    je guest_next
    mov rcx, {park}
    mov rax, -1
    mov [rcx], rax
    jmp 19b
20: add word ptr [rdi], dx         # add 16
    jmp guest_next
21: lea rsi, [r15 + rdi]           # go to a step
    jmp guest_next
22:
guest_spin:
    jmp 22b                        # spin for ever
23: mov rax, [rdx]                 # copy 64
    mov [rdi], rax
    jmp guest_next
24: ud2
25: mov rcx, cr3                   # privileged
    jmp guest_next
26: jmp rdi                        # jump
27: rdtsc                          # time stamp to memory
    shl rdx, 32
    or rax, rdx
    mov [rdi], rax
    jmp guest_next
28: stmxcsr [rdi]                  # floating-point state to memory
    fnstcw [rdi + 4]
    jmp guest_next
29: int 32                         # the preemption vector, forged
    jmp guest_next
30: int 0x80                       # a vector without a gate
    jmp guest_next
31: int3
    jmp guest_next
32: hlt
    jmp guest_next
33: out dx, al
    jmp guest_next
34: mov ax, [rdx]                  # park until two words are equal
    cmp [rdi], ax
    je guest_next
    mov rcx, {park}
    mov rax, -1
    mov [rcx], rax
    jmp 34b
35: dec qword ptr [rdi]            # count down, and go to a step unless zero
    jz guest_next
    lea rsi, [r15 + rdx]
    jmp guest_next
99: mov rcx, {exit}                # an expectation that failed: the step it was
    mov rax, rsi
    sub rax, r15
    mov [rcx], rax
guest_syscall:
    jmp rcx
guest_trap:                        # vector in rax, ring 3
    mov [rip + guest_code + {vector}], rax
    inc qword ptr [rip + guest_code + {traps}]
    jmp guest_next
    .org guest_code + {stubs}
    .set n, 0
    .rept {vectors}
    .balign 16
    push n
    jmp 4f
    .set n, n + 1
    .endr
    .balign 16
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
    lea rax, [rip + guest_trap]
    mov [rsp + 8], rax
    pop rax
    iretq
guest_end:
    .popsection
    "#,
    direct = const DIRECT_MAP as i64,
    park = const (DEVICE_VA + platform::REGISTERS + platform::PARK) as i64,
    exit = const (DEVICE_VA + platform::REGISTERS + platform::EXIT) as i64,
    stack = const DATA + 2 * PAGE_SIZE - CODE,
    vector = const TRAP_VECTOR - CODE,
    traps = const TRAPS - CODE,
    vectors = const VECTORS,
    stubs = const STUBS - CODE,
);

unsafe extern "C" {
    static guest_code: u8;
    static guest_spin: u8;
    static guest_syscall: u8;
    static guest_end: u8;
}

/// The code of the interpreter and its stubs, and the offset of the system call entry.
fn code() -> (&'static [u8], u64) {
    let (start, end) = (&raw const guest_code, &raw const guest_end);
    // SAFETY: the symbols enclose one section of this program, which is never written.
    let code = unsafe { std::slice::from_raw_parts(start, end as usize - start as usize) };
    (code, (&raw const guest_syscall) as u64 - start as u64)
}

/// Offset of the endless loop in the page of the code.
pub fn spin_offset() -> u64 {
    (&raw const guest_spin) as u64 - (&raw const guest_code) as u64
}

/// The interpreter as a kernel image.
pub fn kernel() -> Kernel {
    static IMAGE: OnceLock<&'static [u8]> = OnceLock::new();
    Kernel::from_static(IMAGE.get_or_init(|| page_aligned(&image()))).unwrap()
}

/// A copy of `bytes` that begins at a page, for ever.
pub fn page_aligned(bytes: &[u8]) -> &'static [u8] {
    let page = PAGE_SIZE as usize;
    let space = Vec::leak(vec![0; bytes.len() + 2 * page]);
    let start = space.as_ptr().align_offset(page);
    let place = &mut space[start..start + bytes.len().next_multiple_of(page)];
    place[..bytes.len()].copy_from_slice(bytes);
    place
}

/// The interpreter as an ELF file: a page of file headers, then one segment of header, code and
/// stubs, then one of data that is zero.
pub fn image() -> Vec<u8> {
    let (code, syscall) = code();
    let page = PAGE_SIZE as usize;
    let header = KernelHeader {
        magic: KERNEL_MAGIC,
        abi: ABI_VERSION,
        reserved: 0,
        entry: CODE,
        syscall: CODE + syscall,
        vectors: std::array::from_fn(|vector| STUBS + vector as u64 * STUB),
        ring0: [STUBS, STUBS + PAGE_SIZE],
    };
    assert_eq!(VECTORS, header.vectors.len());
    let mut image = elf_header(&[
        (5, KERNEL_BASE, 3 * PAGE_SIZE, true),
        (6, DATA, 2 * PAGE_SIZE, false),
    ]);
    image.resize(page, 0);
    image.extend(header.magic.to_le_bytes());
    image.extend(header.abi.to_le_bytes());
    image.extend(header.reserved.to_le_bytes());
    let words = [header.entry, header.syscall].into_iter();
    for word in words.chain(header.vectors).chain(header.ring0) {
        image.extend(word.to_le_bytes());
    }
    image.resize(2 * page, 0);
    image.extend(code);
    image.resize(4 * page, 0);
    image
}

/// An ELF header and program headers for segments of flags, address and size, of which those with
/// content follow each other from the second page of the file on.
fn elf_header(segments: &[(u32, u64, u64, bool)]) -> Vec<u8> {
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0];
    file.resize(16, 0);
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    let long = |file: &mut Vec<u8>, value: u64| file.extend(value.to_le_bytes());
    half(&mut file, 2);
    half(&mut file, 62);
    word(&mut file, 1);
    long(&mut file, CODE);
    long(&mut file, 64);
    long(&mut file, 0);
    word(&mut file, 0);
    for value in [64, 56, segments.len() as u16, 64, 0, 0] {
        half(&mut file, value);
    }
    let mut offset = PAGE_SIZE;
    for &(flags, address, size, content) in segments {
        let in_file = if content { size } else { 0 };
        word(&mut file, 1);
        word(&mut file, flags);
        for value in [offset, address, address, in_file, size, PAGE_SIZE] {
            long(&mut file, value);
        }
        offset += in_file;
    }
    file
}
