//! The program's registers, as `entry.s` leaves them on the kernel stack.

use unicell_guest_abi::cpu::{USER_CS, USER_DS};

/// Registers of the program at a system call or a trap. The order is `entry.s`'s.
#[derive(Clone, Debug)]
#[repr(C)]
#[allow(missing_docs, reason = "registers have well-known names")]
pub struct Frame {
    pub xmm: [u128; 16],
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    /// The vector of a trap, or the number of a system call.
    pub number: u64,
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

const _: () = assert!(size_of::<Frame>() == 432 && core::mem::offset_of!(Frame, rip) == 392);

/// Flags that a program may choose: the arithmetic ones, TF, DF, NT, RF, AC and ID.
const USER_FLAGS: u64 = 0xcd5 | 0x100 | 0x4000 | 0x1_0000 | 0x4_0000 | 0x20_0000;
/// Flags that are always set: IF and bit 1.
const FIXED_FLAGS: u64 = 0x202;
const TRAP_FLAG: u64 = 0x100;

impl Frame {
    /// Registers of a program that starts at `rip`.
    #[must_use]
    pub fn start(rip: u64, rsp: u64) -> Self {
        let mut frame = Self::zero();
        (frame.rip, frame.rsp) = (rip, rsp);
        frame
    }

    fn zero() -> Self {
        Self {
            xmm: [0; 16],
            r15: 0,
            r14: 0,
            r13: 0,
            r12: 0,
            rbp: 0,
            rbx: 0,
            r11: 0,
            r10: 0,
            r9: 0,
            r8: 0,
            rax: 0,
            rcx: 0,
            rdx: 0,
            rsi: 0,
            rdi: 0,
            number: 0,
            error: 0,
            rip: 0,
            cs: USER_CS.into(),
            rflags: FIXED_FLAGS,
            rsp: 0,
            ss: USER_DS.into(),
        }
    }

    /// The arguments of the system call.
    #[must_use]
    pub fn arguments(&self) -> [u64; 6] {
        [self.rdi, self.rsi, self.rdx, self.r10, self.r8, self.r9]
    }

    /// Sets RFLAGS to what a program may have asked for.
    pub fn set_rflags(&mut self, rflags: u64) {
        self.rflags = rflags & USER_FLAGS | FIXED_FLAGS;
    }

    /// Whether the frame has to be restored by IRETQ: anything but a plain return from a call.
    #[must_use]
    pub(super) fn needs_whole_restore(&self) -> bool {
        self.rcx != self.rip || self.r11 != self.rflags || self.rflags & TRAP_FLAG != 0
    }
}
