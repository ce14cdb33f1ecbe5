//! How an instance ends, as the guest says it, and what it says about it.

/// What ended the instance. The upper half of the value written to [`crate::platform::EXIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ExitKind {
    /// The program called exit; the status is its own.
    Exited = 0,
    /// The program was killed by a signal; the status is the signal's number.
    Signaled = 1,
    /// The kernel panicked; [`Report`] says where.
    Panic = 2,
    /// The entrypoint, a script's interpreter or a directory on its path is not in the box.
    NoEntrypoint = 3,
    /// The entrypoint is no program: neither ELF nor `#!`, truncated, or not executable.
    NotExecutable = 4,
    /// The entrypoint is a program for another architecture.
    ForeignArchitecture = 5,
    /// The program's ELF interpreter is not in the box.
    NoInterpreter = 6,
    /// The box image is damaged.
    BadBox = 7,
    /// There is too little memory to start the program.
    MemoryTooSmall = 8,
    /// The program was ended because memory ran out.
    OutOfMemory = 9,
}

impl ExitKind {
    /// The kind with this number.
    #[must_use]
    pub const fn from_u32(value: u32) -> Option<Self> {
        Some(match value {
            0 => Self::Exited,
            1 => Self::Signaled,
            2 => Self::Panic,
            3 => Self::NoEntrypoint,
            4 => Self::NotExecutable,
            5 => Self::ForeignArchitecture,
            6 => Self::NoInterpreter,
            7 => Self::BadBox,
            8 => Self::MemoryTooSmall,
            9 => Self::OutOfMemory,
            _ => return None,
        })
    }
}

/// The value for [`crate::platform::EXIT`].
#[must_use]
pub const fn encode(kind: ExitKind, status: u32) -> u64 {
    (kind as u64) << 32 | status as u64
}

/// Splits a value written to [`crate::platform::EXIT`]; `None` if its kind is unknown.
#[must_use]
pub const fn decode(value: u64) -> Option<(ExitKind, u32)> {
    match ExitKind::from_u32((value >> 32) as u32) {
        Some(kind) => Some((kind, value as u32)),
        None => None,
    }
}

/// Bytes of text in a [`Report`].
pub const REPORT_TEXT: usize = 2048;
/// Return addresses in a [`Report`].
pub const REPORT_FRAMES: usize = 32;

/// The page at [`crate::layout::REPORT_GPA`]: what the guest wants to be known about its end.
///
/// For [`ExitKind::Panic`] the text is the panic's message and the addresses are the kernel's
/// backtrace; for the kinds that a program can cause, the text names what was wrong (a path, a
/// library). For [`ExitKind::Signaled`] by a fault, registers of the program are in the text.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Report {
    /// Bytes of `text` in use; UTF-8 is likely but not certain.
    pub text_len: u32,
    /// Addresses of `frames` in use.
    pub frame_count: u32,
    /// What happened.
    pub text: [u8; REPORT_TEXT],
    /// Kernel return addresses, innermost first.
    pub frames: [u64; REPORT_FRAMES],
}

const _: () = assert!(size_of::<Report>() == 8 + REPORT_TEXT + 8 * REPORT_FRAMES);
