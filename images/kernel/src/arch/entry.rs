//! Where `entry.s` calls Rust.
#![allow(unsafe_code)]
#![cfg(feature = "image")]

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};

use unicell_guest_abi::boot::{BOOT_MAGIC, BootInfo, KERNEL_MAGIC};
use unicell_guest_abi::cpu::{
    DOUBLE_FAULT_VECTOR, EXCEPTIONS, PREEMPT_VECTOR, RFLAGS, USER_CS, USER_DS, VECTORS,
};
use unicell_guest_abi::exit::{ExitKind, REPORT_FRAMES};
use unicell_guest_abi::layout::{
    DIRECT_MAP, DOUBLE_FAULT_STACK_TOP, KERNEL_BASE, KERNEL_HALF, KERNEL_LIMIT, TRAP_GPA,
    TRAP_STACK_TOP, USER_END,
};
use unicell_guest_abi::{ABI_VERSION, cpu};

use super::Frame;
use crate::device::platform;
use crate::memory::paging;
use crate::memory::user::Access;

global_asm!(
    include_str!("entry.s"),
    KERNEL_MAGIC = const KERNEL_MAGIC,
    ABI_VERSION = const ABI_VERSION,
    VECTORS = const VECTORS,
    RFLAGS = const RFLAGS,
    USER_CS = const USER_CS,
    USER_DS = const USER_DS,
    DOUBLE_FAULT = const DOUBLE_FAULT_VECTOR,
    TRAP_STACK_TOP = const DIRECT_MAP + TRAP_GPA + TRAP_STACK_TOP,
    DOUBLE_FAULT_STACK_TOP = const DIRECT_MAP + TRAP_GPA + DOUBLE_FAULT_STACK_TOP,
);

// entry.s lists the vectors one by one.
const _: () = assert!(VECTORS == 33 && EXCEPTIONS == 32 && cpu::PREEMPT_VECTOR == 32);

unsafe extern "C" {
    static unicell_fault_address: AtomicU64;
}

pub(super) fn fault_address() -> u64 {
    // SAFETY: a word of `entry.s`, written by the stub of #PF.
    unsafe { &unicell_fault_address }.load(Ordering::Relaxed)
}

#[unsafe(no_mangle)]
extern "C" fn unicell_main(boot: *const BootInfo) -> ! {
    // SAFETY: the VMM passes the address of the boot page, which is mapped and valid.
    let boot = unsafe { boot.read() };
    assert_eq!(
        (boot.magic, boot.abi),
        (BOOT_MAGIC, ABI_VERSION),
        "another VMM's boot page"
    );
    crate::main(&boot)
}

#[unsafe(no_mangle)]
extern "C" fn unicell_syscall(frame: *const Frame) -> bool {
    // SAFETY: the entry code passes the complete frame of the running thread. No reference to it
    // is kept across the call, which may change it through the thread's context.
    let (number, arguments) = unsafe { ((*frame).number, (*frame).arguments()) };
    crate::task::entry::system_call(number, &arguments);
    // SAFETY: as above.
    unsafe { (*frame).needs_whole_restore() }
}

#[unsafe(no_mangle)]
extern "C" fn unicell_trap(frame: *const Frame) {
    // SAFETY: the entry code passes a complete frame, of the running thread or of the kernel. No
    // reference to it is kept while the program's faults are handled, which may change it.
    let (number, error, rip) = unsafe { ((*frame).number, (*frame).error, (*frame).rip) };
    if rip >= KERNEL_HALF || number == u64::from(DOUBLE_FAULT_VECTOR) {
        // SAFETY: nobody else looks at a frame of the kernel.
        kernel_trap(unsafe { &*frame });
    } else if number == u64::from(PREEMPT_VECTOR) {
        crate::task::entry::preempted();
    } else {
        crate::task::entry::exception(number as u8, error, fault_address());
    }
}

#[unsafe(no_mangle)]
extern "C" fn unicell_thread_begin() {
    crate::task::entry::thread_begins();
}

const PAGE_FAULT: u64 = 14;

/// The kernel takes no fault that it would have to recover from: it panics. There is one that is
/// none: a processor may remember that a page was read-only after it has been made writable, and
/// forgets it with the fault (Intel SDM volume 3, 4.10.4.3); the access is then repeated.
fn kernel_trap(frame: &Frame) {
    let address = fault_address();
    let access = Access::of_fault(frame.error);
    if frame.number == PAGE_FAULT && address < USER_END && paging::current_permits(address, access)
    {
        return;
    }
    let mut trace = [0; REPORT_FRAMES];
    trace[0] = frame.rip;
    let len = 1 + backtrace(frame.rbp, &mut trace[1..]);
    platform::end_with_frames(
        ExitKind::Panic,
        0,
        format_args!(
            "trap {} in the kernel at {:#x}, rsp {:#x}, error {:#x}, address {address:#x}",
            frame.number, frame.rip, frame.rsp, frame.error
        ),
        &trace[..len],
    )
}

/// Follows the chain of frame pointers. Returns how many return addresses were found.
pub(crate) fn backtrace(mut base_pointer: u64, into: &mut [u64]) -> usize {
    let mut found = 0;
    while found < into.len() && base_pointer >= DIRECT_MAP && base_pointer.is_multiple_of(8) {
        // SAFETY: frame pointers of the kernel point into its stacks, which are mapped; a chain
        // that leads elsewhere stops at an address that is not the kernel's text.
        let (next, address) = unsafe {
            (
                *(base_pointer as *const u64),
                *((base_pointer + 8) as *const u64),
            )
        };
        if !(KERNEL_BASE..KERNEL_LIMIT).contains(&address) {
            break;
        }
        into[found] = address;
        found += 1;
        if next <= base_pointer {
            break;
        }
        base_pointer = next;
    }
    found
}
