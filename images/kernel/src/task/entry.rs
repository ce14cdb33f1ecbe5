//! From the program into the kernel: calls, faults, preemption; and what is done on the way back.

use super::accounts::Used;
use super::{crash, current, exit, out_of_memory, scheduler};
use crate::arch::{Frame, cpu};
use crate::device::platform;
use crate::errno::Result;
use crate::memory::user::{self, Access};
use crate::mm::Fault;
use crate::reproducible;
use crate::signal::{self, Info, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP};
use crate::syscall;

/// A system call.
pub(crate) fn system_call(number: u64, arguments: &[u64; 6]) {
    platform::count(|counters| counters.syscalls += 1);
    reproducible::call();
    let answer = syscall::dispatch(number, arguments);
    if !matches!(answer, Some(Err(errno)) if errno.restarts()) {
        current().resume_at(None);
    }
    if let Some(answer) = answer {
        let value = answer.unwrap_or_else(|errno| (-i64::from(errno.number())) as u64);
        current().context().with_frame(|frame| frame.rax = value);
    }
    back_to_program(true);
}

/// The preemption interrupt.
pub(crate) fn preempted() {
    platform::count(|counters| counters.preemptions += 1);
    reproducible::preempted();
    scheduler::look_around();
    back_to_program(false);
}

/// A new thread's first moment.
pub(crate) fn thread_begins() {
    scheduler::after_switch();
    back_to_program(false);
}

/// An exception in the program.
pub(crate) fn exception(vector: u8, error: u64, address: u64) {
    let info = match vector {
        PAGE_FAULT => page_fault(error, address),
        PROTECTION if reproducible::is_on() && (read_time_stamp() || ask_processor()) => None,
        _ => Some(fault_info(vector, error)),
    };
    if let Some(info) = info {
        signal::raise_fault(info, || crash::describe(Some(vector), &info));
    }
    back_to_program(false);
}

fn back_to_program(from_call: bool) {
    scheduler::before_program(from_call);
    let (killed, due) = {
        let thread = current();
        (
            thread.is_killed(),
            signal::is_due(&thread) || thread.signals.lock().saved_mask.is_some(),
        )
    };
    if due && !killed {
        signal::deliver(from_call);
    } else if from_call && !killed {
        restart_if_asked();
    }
    if current().is_killed() {
        exit::end_thread(0);
    }
}

/// A wait was broken off for a signal that another thread has taken meanwhile.
fn restart_if_asked() {
    current()
        .context()
        .with_frame(|frame| signal::settle_call(frame, true, None));
}

const DIVIDE_ERROR: u8 = 0;
const DEBUG: u8 = 1;
const BREAKPOINT: u8 = 3;
const OVERFLOW: u8 = 4;
const INVALID_OPCODE: u8 = 6;
const STACK_FAULT: u8 = 12;
const PROTECTION: u8 = 13;
const PAGE_FAULT: u8 = 14;
const X87: u8 = 16;
const ALIGNMENT: u8 = 17;
const SIMD: u8 = 19;

fn page_fault(error: u64, address: u64) -> Option<Info> {
    platform::count(|counters| counters.page_faults += 1);
    // Processors differ in how many an instruction takes that reads and writes.
    if !reproducible::is_on() {
        current().account(Used::Faults, 1);
    }
    let process = super::process();
    let space = process.space();
    match space.fault(address, Access::of_fault(error)) {
        Ok(()) => None,
        Err(Fault::Unmapped) => Some(Info::fault(SIGSEGV, 1, address)),
        Err(Fault::Forbidden) => Some(Info::fault(SIGSEGV, 2, address)),
        Err(Fault::PastEnd) => Some(Info::fault(SIGBUS, 2, address)),
        Err(Fault::OutOfMemory) => {
            out_of_memory(&process);
            None
        }
    }
}

/// The signal of an exception, with the code that Linux gives it.
fn fault_info(vector: u8, error: u64) -> Info {
    let (rip, bytes) = {
        let frame = current().context().frame();
        (frame.rip, instruction(&frame))
    };
    match vector {
        DIVIDE_ERROR => Info::fault(SIGFPE, 1, rip),
        DEBUG => Info::fault(SIGTRAP, 2, rip),
        BREAKPOINT => Info::new(SIGTRAP, 0x80),
        OVERFLOW => Info::new(SIGSEGV, 0x80),
        // `int n` is an undefined instruction on page-table KVM, and a protection fault elsewhere.
        INVALID_OPCODE if bytes == Ok([0xcd]) => Info::new(SIGSEGV, 0x80),
        INVALID_OPCODE => Info::fault(SIGILL, 2, rip),
        STACK_FAULT => Info::new(SIGBUS, 0x80),
        X87 | SIMD => Info::fault(SIGFPE, floating_point_code(vector), rip),
        ALIGNMENT => Info::fault(SIGBUS, 1, 0),
        _ => {
            let _ = error;
            Info::new(SIGSEGV, 0x80)
        }
    }
}

/// Does RDTSC or RDTSCP, which trap in a reproducible run, if it is one that the program is at.
fn read_time_stamp() -> bool {
    let rip = current().context().frame().rip;
    let len = match user::read::<[u8; 2]>(rip) {
        Ok([0x0f, 0x31]) => 2,
        Ok([0x0f, 0x01]) if user::read(rip + 2) == Ok([0xf9_u8]) => 3,
        _ => return false,
    };
    let now = reproducible::time_stamp();
    current().context().with_frame(|frame| {
        (frame.rax, frame.rdx) = (now & 0xffff_ffff, now >> 32);
        frame.rip += len;
        if len == 3 {
            // The processor's number.
            frame.rcx = 0;
        }
    });
    true
}

/// Does CPUID, which traps in a reproducible run, if the program is at one.
fn ask_processor() -> bool {
    let rip = current().context().frame().rip;
    if user::read(rip) != Ok([0x0f_u8, 0xa2]) {
        return false;
    }
    current().context().with_frame(|frame| {
        let values = cpu::cpuid(frame.rax as u32, frame.rcx as u32);
        [frame.rax, frame.rbx, frame.rcx, frame.rdx] = values.map(u64::from);
        frame.rip += 2;
    });
    true
}

fn instruction(frame: &Frame) -> Result<[u8; 1]> {
    user::read(frame.rip)
}

/// FPE_ codes by the first unmasked exception: MXCSR for SIMD, the status word for x87.
fn floating_point_code(vector: u8) -> i32 {
    let state = current().context().current_state();
    let word = |at: usize| u32::from(state.bytes()[at]) | u32::from(state.bytes()[at + 1]) << 8;
    let raised = if vector == SIMD {
        word(24) & !(word(24) >> 7)
    } else {
        word(2) & !word(0)
    };
    match raised {
        _ if raised & 1 != 0 => 7,
        _ if raised & 4 != 0 => 3,
        _ if raised & 8 != 0 => 4,
        _ if raised & 0x12 != 0 => 5,
        _ if raised & 0x20 != 0 => 6,
        _ => 0,
    }
}
