# Every way into the kernel and out of it. Read docs/architecture.md, "One ring", first.
#
# All Rust code runs in ring 3. What runs in ring 0 is in .ring0 (trap stubs; page-table KVM
# emulates each of their instructions, so they are as short as they can be) and, on hardware only,
# the head of the system call stub.

    .section .unicell.header, "a"
    .globl unicell_header
unicell_header:
    .quad {KERNEL_MAGIC}
    .long {ABI_VERSION}
    .long 0
    .quad kernel_start
    .quad syscall_stub
    .set vector, 0
    .rept {VECTORS}
    .quad ring0_stubs + 32 * vector
    .set vector, vector + 1
    .endr
    .quad __ring0_start
    .quad __ring0_end

# --- Boot ------------------------------------------------------------------------------------

    .section .text.entry, "ax"
kernel_start:
    lea rsp, [rip + __boot_stack_top]
    xor ebp, ebp
    call unicell_main
    ud2

# --- System calls ----------------------------------------------------------------------------
#
# SYSCALL leaves the return address in RCX and RFLAGS in R11 and does not touch RSP. It arrives in
# ring 0 on hardware and in ring 3 on page-table KVM. Nothing may be pushed before the stack is
# ours: the program's red zone is below its RSP.

    .balign 16
syscall_stub:
    mov [rip + scratch_rcx], rcx
    mov [rip + scratch_r11], r11
    mov ecx, cs
    test cl, 3
    jnz syscall_entry
    lea rcx, [rip + syscall_entry]
    mov r11d, {RFLAGS}
    sysretq

syscall_entry:
    mov [rip + scratch_rsp], rsp
    mov rsp, [rip + unicell_stack_top]
    push {USER_DS}
    push qword ptr [rip + scratch_rsp]
    push qword ptr [rip + scratch_r11]
    push {USER_CS}
    push qword ptr [rip + scratch_rcx]
    push 0                          # error code
    push rax                        # the call's number
    push rdi
    push rsi
    push rdx
    push qword ptr [rip + scratch_rcx]
    push rax
    push r8
    push r9
    push r10
    push qword ptr [rip + scratch_r11]
    call save_rest
    mov rdi, rsp
    call unicell_syscall
    jmp resume_program

# Completes a frame whose lowest word is R11: the callee-saved registers, then XMM, which the
# compiler uses freely in kernel code. The return address is lifted over what is pushed.
save_rest:
    xchg rbx, [rsp]
    push rbp
    push r12
    push r13
    push r14
    push r15
    sub rsp, 256
    movups [rsp], xmm0
    movups [rsp + 16], xmm1
    movups [rsp + 32], xmm2
    movups [rsp + 48], xmm3
    movups [rsp + 64], xmm4
    movups [rsp + 80], xmm5
    movups [rsp + 96], xmm6
    movups [rsp + 112], xmm7
    movups [rsp + 128], xmm8
    movups [rsp + 144], xmm9
    movups [rsp + 160], xmm10
    movups [rsp + 176], xmm11
    movups [rsp + 192], xmm12
    movups [rsp + 208], xmm13
    movups [rsp + 224], xmm14
    movups [rsp + 240], xmm15
    cld
    xor ebp, ebp
    jmp rbx

# RSP = a complete frame, AL = whether the frame must be restored whole, by IRETQ. Otherwise RCX
# and R11 of the frame equal its RIP and RFLAGS, as after a system call, and a jump does it.
    .globl resume_program
resume_program:
    mov ecx, eax
    movups xmm0, [rsp]
    movups xmm1, [rsp + 16]
    movups xmm2, [rsp + 32]
    movups xmm3, [rsp + 48]
    movups xmm4, [rsp + 64]
    movups xmm5, [rsp + 80]
    movups xmm6, [rsp + 96]
    movups xmm7, [rsp + 112]
    movups xmm8, [rsp + 128]
    movups xmm9, [rsp + 144]
    movups xmm10, [rsp + 160]
    movups xmm11, [rsp + 176]
    movups xmm12, [rsp + 192]
    movups xmm13, [rsp + 208]
    movups xmm14, [rsp + 224]
    movups xmm15, [rsp + 240]
    add rsp, 256
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbp
    pop rbx
    test cl, cl
    jnz 1f
    pop r11
    pop r10
    pop r9
    pop r8
    pop rax
    pop rcx
    pop rdx
    pop rsi
    pop rdi
    push r11
    popfq
    mov rsp, [rsp + 40]
    jmp rcx
1:  pop r11
    pop r10
    pop r9
    pop r8
    pop rax
    pop rcx
    pop rdx
    pop rsi
    pop rdi
    add rsp, 16
    iretq

# --- Traps -----------------------------------------------------------------------------------
#
# A trap from ring 3 pushes its frame on the trap stack and arrives at its ring-0 stub, which
# leaves by IRETQ through a ready-made frame to its prologue in ring 3.

    .irp vector, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32
    .if \vector != 14
prologue_\vector:
    mov [rip + scratch_rax], rax
    mov eax, \vector
    jmp trap_entry
    .endif
    .endr

# The stub of #PF has saved RAX and left CR2 in it.
prologue_14:
    mov [rip + unicell_fault_address], rax
    mov eax, 14
trap_entry:
    mov [rip + scratch_rcx], rcx
    movabs rcx, {TRAP_STACK_TOP}
    cmp eax, {DOUBLE_FAULT}
    jne 1f
    movabs rcx, {DOUBLE_FAULT_STACK_TOP}
1:  # A trap in the kernel has a stack of its own, so that nothing of the program's is lost.
    lea rsp, [rip + __trap_stack_top]
    test byte ptr [rcx - 33], 0x80  # the sign of the saved RIP: was it the kernel?
    jnz 2f
    mov rsp, [rip + unicell_stack_top]
2:  push qword ptr [rcx - 8]        # SS
    push qword ptr [rcx - 16]       # RSP
    push qword ptr [rcx - 24]       # RFLAGS
    push qword ptr [rcx - 32]       # CS
    push qword ptr [rcx - 40]       # RIP
    push qword ptr [rcx - 48]       # error code, if this vector has one
    push rax
    push rdi
    push rsi
    push rdx
    push qword ptr [rip + scratch_rcx]
    push qword ptr [rip + scratch_rax]
    push r8
    push r9
    push r10
    push r11
    call save_rest
    mov rdi, rsp
    call unicell_trap
    mov eax, 1
    jmp resume_program

# --- Ring 0 ----------------------------------------------------------------------------------

    .section .ring0, "ax"
ring0_stubs:
    .irp vector, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32
    .balign 32
    .if \vector == 14
    mov [rip + scratch_rax], rax
    mov rax, cr2
    .endif
    .if \vector == 6
    cmp qword ptr [rsp], offset gate_instruction
    je gate
    .endif
    lea rsp, [rip + frame_\vector]
    iretq
    .endr

# The gate's service: RCX pages from RAX are flushed, or, if RCX is 0, CR3 is loaded from RAX.
gate:
    test rcx, rcx
    jnz 1f
    mov cr3, rax
2:  lea rsp, [rip + frame_gate]
    iretq
1:  invlpg [rax]
    add rax, 4096
    dec rcx
    jnz 1b
    jmp 2b

    .balign 8
    .irp vector, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32
frame_\vector:
    .quad prologue_\vector, {USER_CS}, {RFLAGS}, 0, {USER_DS}
    .endr
frame_gate:
    .quad gate_return, {USER_CS}, {RFLAGS}, 0, {USER_DS}

    .section .text.entry, "ax"

# unicell_gate(rdi, rsi): an undefined instruction at a known address is the one trap that behaves
# alike on every host. RDI = address and RSI = pages to flush, or RDI = CR3 and RSI = 0.
    .globl unicell_gate
unicell_gate:
    mov rax, rdi
    mov rcx, rsi
    mov rdx, rsp
gate_instruction:
    ud2
gate_return:
    mov rsp, rdx
    ret

# --- Threads ---------------------------------------------------------------------------------

# unicell_switch(rdi = where to leave the old stack pointer, rsi = the new one)
    .globl unicell_switch
unicell_switch:
    push rbp
    push rbx
    push r12
    push r13
    push r14
    push r15
    mov [rdi], rsp
    mov rsp, rsi
    pop r15
    pop r14
    pop r13
    pop r12
    pop rbx
    pop rbp
    ret

# Where a new thread's first switch returns to; its frame is on top of the stack.
    .globl unicell_thread_start
unicell_thread_start:
    mov rdi, rsp
    call unicell_thread_begin
    mov eax, 1
    jmp resume_program

# --- Data ------------------------------------------------------------------------------------

    .section .data.entry, "aw"
    .balign 64
scratch_rcx: .quad 0
scratch_r11: .quad 0
scratch_rsp: .quad 0
scratch_rax: .quad 0
    .globl unicell_stack_top
unicell_stack_top: .quad 0
    .globl unicell_fault_address
unicell_fault_address: .quad 0

    .section .bss.stacks, "aw", @nobits
    .balign 16
    .skip 65536
__boot_stack_top:
    .skip 16384
__trap_stack_top:
