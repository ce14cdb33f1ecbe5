# The vDSO: a shared object of one page that every program finds by AT_SYSINFO_EHDR, so that
# reading a clock is no system call. It computes what device::platform::monotonic computes, from
# the same page and with the same memory of the latest answer: what the program sees and what the
# kernel sees is one clock, which never goes back.
#
# The page is copied to wherever the program has it, so its code may refer to itself only
# relatively, and to the kernel's memory only absolutely.

    .section .rodata.vdso, "a"
    .balign 8
    .globl unicell_vdso
unicell_vdso:
    .byte 0x7f, 'E', 'L', 'F', 2, 1, 1, 0
    .quad 0
    .short 3, 62                    # ET_DYN, x86-64
    .long 1
    .quad 0                         # entry
    .quad vdso_headers - unicell_vdso
    .quad 0                         # sections
    .long 0
    .short 64, 56, 2, 0, 0, 0

vdso_headers:
    .long 1, 5                      # PT_LOAD: read, execute
    .quad 0, 0, 0
    .quad vdso_end - unicell_vdso, vdso_end - unicell_vdso
    .quad 0x1000
    .long 2, 4                      # PT_DYNAMIC: read
    .quad vdso_dynamic - unicell_vdso, vdso_dynamic - unicell_vdso, vdso_dynamic - unicell_vdso
    .quad vdso_dynamic_end - vdso_dynamic, vdso_dynamic_end - vdso_dynamic
    .quad 8

vdso_dynamic:
    .quad 4, vdso_hash - unicell_vdso           # DT_HASH
    .quad 5, vdso_names - unicell_vdso          # DT_STRTAB
    .quad 6, vdso_symbols - unicell_vdso        # DT_SYMTAB
    .quad 10, vdso_names_end - vdso_names       # DT_STRSZ
    .quad 11, 24                                # DT_SYMENT
    .quad 14, vdso_soname - vdso_names          # DT_SONAME
    .quad 0x6ffffff0, vdso_versions - unicell_vdso      # DT_VERSYM
    .quad 0x6ffffffc, vdso_definitions - unicell_vdso   # DT_VERDEF
    .quad 0x6ffffffd, 2                                 # DT_VERDEFNUM
    .quad 0, 0
vdso_dynamic_end:

# One bucket holds all.
vdso_hash:
    .long 1, 5
    .long 1
    .long 0, 2, 3, 4, 0

    .macro symbol name, start, end
    .long \name - vdso_names
    .byte 0x12, 0                   # global, a function
    .short 1                        # defined
    .quad \start - unicell_vdso
    .quad \end - \start
    .endm

    .balign 8
vdso_symbols:
    .quad 0, 0, 0
    symbol name_clock_gettime, vdso_clock_gettime, vdso_gettimeofday
    symbol name_gettimeofday, vdso_gettimeofday, vdso_time
    symbol name_time, vdso_time, vdso_getcpu
    symbol name_getcpu, vdso_getcpu, vdso_end

# Every function is of the version LINUX_2.6, which Go looks for without asking whether there are
# versions at all.
vdso_versions:
    .short 0, 2, 2, 2, 2

    .macro version flags, index, hash, name, next
    .short 1, \flags, \index, 1
    .long \hash, 20, \next         # the name follows at once
    .long \name - vdso_names, 0
    .endm

    .balign 4
vdso_definitions:
    version 1, 1, 0xdeebfa1, vdso_soname, 28
    version 0, 2, 0x3ae75f6, vdso_version, 0

vdso_names:
    .byte 0
name_clock_gettime: .asciz "__vdso_clock_gettime"
name_gettimeofday:  .asciz "__vdso_gettimeofday"
name_time:          .asciz "__vdso_time"
name_getcpu:        .asciz "__vdso_getcpu"
vdso_soname:        .asciz "linux-vdso.so.1"
vdso_version:       .asciz "LINUX_2.6"
vdso_names_end:

# Out: RAX the monotonic time in ns, R10 what to add for real time. Uses RCX, RDX, R8, R9, R11.
    .balign 16
vdso_read_clock:
    movabs r8, {CLOCK}
    cmp qword ptr [r8 + {MULT}], 0
    je 6f
1:  mov r9d, [r8]
    test r9d, 1
    jnz 4f                          # the host is writing
    lfence
    rdtsc
    shl rdx, 32
    or rax, rdx
    xor ecx, ecx
    sub rax, [r8 + {TSC}]
    cmovb rax, rcx
    mul qword ptr [r8 + {MULT}]
    shrd rax, rdx, 32
    add rax, [r8 + {MONO_NS}]
    mov r10, [r8 + {REALTIME_OFFSET}]
    cmp r9d, [r8]
    jne 1b
    movabs r11, offset {LATEST}
2:  mov rcx, rax
    mov rax, [r11]
    cmp rax, rcx
    jae 3f                          # somebody has seen a later time: so it is that
    cmpxchg [r11], rcx
    jne 5f
    mov rax, rcx
3:  ret
4:  pause
    jmp 1b
5:  mov rax, rcx
    jmp 2b
6:  movabs r11, offset {LATEST}     # virtual time, which passes when it is looked at
    mov eax, {LOOK_NS}
    xadd [r11], rax
    add rax, {LOOK_NS}
    mov r10, [r8 + {REALTIME_OFFSET}]
    ret

# int clock_gettime(clockid_t, struct timespec *)
    .balign 16
vdso_clock_gettime:
    mov ecx, 0xf3                   # the clocks that are real or monotonic time
    cmp edi, 7
    ja 2f
    bt ecx, edi
    jnc 2f
    call vdso_read_clock
    mov ecx, 0x21                   # the real ones
    bt ecx, edi
    jnc 1f
    add rax, r10
1:  xor edx, edx
    mov ecx, 1000000000
    div rcx
    mov [rsi], rax
    mov [rsi + 8], rdx
    xor eax, eax
    ret
2:  mov eax, 228                    # clock_gettime(2)
    syscall
    ret

# int gettimeofday(struct timeval *, struct timezone *)
    .balign 16
vdso_gettimeofday:
    call vdso_read_clock
    test rdi, rdi
    jz 1f
    add rax, r10
    xor edx, edx
    mov ecx, 1000000000
    div rcx
    mov [rdi], rax
    mov eax, edx
    xor edx, edx
    mov ecx, 1000
    div ecx
    mov [rdi + 8], rax
1:  test rsi, rsi
    jz 2f
    mov qword ptr [rsi], 0
2:  xor eax, eax
    ret

# time_t time(time_t *)
    .balign 16
vdso_time:
    call vdso_read_clock
    add rax, r10
    xor edx, edx
    mov ecx, 1000000000
    div rcx
    test rdi, rdi
    jz 1f
    mov [rdi], rax
1:  ret

# int getcpu(unsigned *cpu, unsigned *node, void *)
    .balign 16
vdso_getcpu:
    xor eax, eax
    test rdi, rdi
    jz 1f
    mov [rdi], eax
1:  test rsi, rsi
    jz 2f
    mov [rsi], eax
2:  ret
vdso_end:
    .org unicell_vdso + 4096        # an error if it is longer than its page
    .text
