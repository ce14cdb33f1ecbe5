//! The exit codes of `unicell run` that are not the program's own, as
//! `docs/exit-codes.md` lists them.

/// The command line makes no sense.
pub const USAGE: i32 = 2;
/// The dynamic loader found no library that the program needs: the loader's own.
pub const LIBRARY_MISSING: i32 = 127;
/// A fault within the node itself.
pub const INTERNAL: i32 = 200;
/// No KVM, or no right to it.
pub const NO_KVM: i32 = 201;
/// The box has no file under the entrypoint's name.
pub const ENTRYPOINT_ABSENT: i32 = 202;
/// The entrypoint is no program: not ELF, or cut short.
pub const NOT_EXECUTABLE: i32 = 203;
/// The entrypoint is a program for another processor.
pub const FOREIGN_ARCHITECTURE: i32 = 204;
/// The interpreter that the entrypoint names is not in the box.
pub const INTERPRETER_MISSING: i32 = 205;
/// The package does not hold what its hashes say.
pub const PACKAGE_DAMAGED: i32 = 206;
/// The memory limit is too small to start in.
pub const MEMORY_TOO_SMALL: i32 = 207;
/// The program used more memory than its limit.
pub const MEMORY_EXHAUSTED: i32 = 208;
/// The time limit passed.
pub const TIMEOUT: i32 = 209;
/// The guest kernel panicked.
pub const KERNEL_PANIC: i32 = 210;
/// The guest broke the device's protocol.
pub const PROTOCOL: i32 = 211;

/// The exit code of a program that a signal ended.
pub const fn signal(number: i32) -> i32 {
    128 + number
}
