//! The guest kernel: what runs between the VMM and an unmodified Linux program.
//!
//! **For**: booting in ring 3 from the state that [`unicell_guest_abi`] describes, and offering
//! Linux's system calls to the programs of one box.
//!
//! **Not for**: protection of the kernel from the program. Both share ring 3; the VM is the
//! security boundary and every bound is enforced on the host (docs/threat-model.md).
//!
//! **How it fits**: `arch`, `memory` and `device` are the lowest layer and the only one that may
//! use `unsafe`; `mm`, `task` and `fs` build address spaces, threads and files on it; `syscall`
//! has one table of calls and one file for each family.
//!
//! **Invariants**: the kernel is not preempted and runs on one vCPU; it takes no fault that it
//! recovers from; the program's memory is looked up before it is touched; nothing is held locked
//! across a sleep.
#![no_std]
#![cfg_attr(
    not(feature = "image"),
    allow(dead_code, reason = "on the host only the logic is tested")
)]

extern crate alloc;

pub mod arch;
pub mod device;
pub mod errno;
pub mod exec;
pub mod fs;
pub mod io;
pub mod ipc;
pub mod memory;
pub mod mm;
pub mod net;
pub mod random;
pub mod reproducible;
pub mod signal;
pub mod sync;
pub mod syscall;
pub mod task;
pub mod time;
pub mod tty;

#[cfg(feature = "image")]
use unicell_guest_abi::boot::{BootInfo, flags};

/// Boots. Called by the entry code, once.
#[cfg(feature = "image")]
pub(crate) fn main(boot: &BootInfo) -> ! {
    use device::platform;
    reproducible::init(boot.level);
    platform::count(|counters| counters.kernel_start = platform::tsc());
    memory::frames::init(boot);
    memory::paging::init(boot);
    memory::image::init(boot.box_size);
    arch::xstate::init(boot);
    arch::cpu::init(boot);
    exec::init(boot.features);
    random::init(&boot.seed);
    if boot.flags & flags::COUNT_CALLS != 0 {
        syscall::summary::init();
    } else if boot.flags & flags::TRACE != 0 {
        syscall::trace::init();
    }
    task::crash::init(boot.flags & flags::CRASH_REPORTS != 0);
    let terminal = (boot.flags & flags::TERMINAL != 0).then_some(boot.window);
    task::start::first_program(memory::init_block(boot), terminal)
}

/// Ends the instance with the panic's message and backtrace.
#[cfg(feature = "image")]
pub fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    arch::report_panic(info)
}
