//! Exit codes. A program's own status is passed on as it is; these say that there is none.
//! `docs/exit-codes.md` lists them for users.

use serde::{Deserialize, Serialize};

/// Why `unicell` ended, where it was not the program's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub(crate) enum Code {
    /// Something that was asked for could not be done: a file, a package, a tree.
    Failed = 1,
    /// The host or unicell itself failed.
    Internal = 200,
    /// There is no KVM, or no right to use it.
    NoKvm = 201,
    /// The entrypoint is not in the box.
    NoEntrypoint = 202,
    /// The entrypoint is no program.
    NotExecutable = 203,
    /// The entrypoint is for another architecture.
    ForeignArchitecture = 204,
    /// The program's interpreter is not in the box.
    NoInterpreter = 205,
    /// The package is damaged.
    DamagedPackage = 206,
    /// The memory limit is too small to start.
    MemoryTooSmall = 207,
    /// Memory ran out.
    OutOfMemory = 208,
    /// The time-out of `--timeout`.
    TimedOut = 209,
    /// The guest kernel panicked.
    KernelPanic = 210,
    /// The guest broke the protocol of its device.
    Violation = 211,
    /// In a reproducible run, the program made no system call for too long.
    Spinning = 212,
    /// A run went another way than its receipt says.
    Different = 213,
    /// A receipt's run cannot be compared with one on this host.
    NotComparable = 214,
    /// A receipt, its transcript or its service are not what was signed.
    Untrue = 215,
}
