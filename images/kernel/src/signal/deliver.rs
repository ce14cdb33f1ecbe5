//! Calling handlers, and returning from them.
//!
//! The frame is Linux's `rt_sigframe`: return address, ucontext, siginfo, and above them the
//! extended state at a multiple of 64 bytes. Programs look at it and change it.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::send::end_by;
use super::{
    Action, DEFAULT, DefaultAction, IGNORE, Info, SIGKILL, SIGSEGV, SIGSTOP, Set, Stack,
    child_stopped, default_of,
};
use crate::arch::{self, Frame, xstate};
use crate::errno::{Errno, Result};
use crate::memory::user;
use crate::task::process::{Life, Stop};
use crate::task::{self, Process, Thread, group};
use unicell_guest_abi::layout::USER_END;

const SA_ONSTACK: u64 = 0x0800_0000;
const SA_RESTART: u64 = 0x1000_0000;
const SA_NODEFER: u64 = 0x4000_0000;
const SA_RESETHAND: u64 = 0x8000_0000;
const SA_RESTORER: u64 = 0x0400_0000;
const SS_AUTODISARM: u32 = 1 << 31;

/// The program's memory below its stack pointer that a leaf function may use.
const RED_ZONE: u64 = 128;
/// uc_flags: extended state is there, SS is saved and restored.
const UC_FLAGS: u64 = 0x7;
/// Words of ucontext and sigcontext up to the mask.
const UCONTEXT: usize = 304;
const SIGINFO: usize = 128;
const FP_MAGIC_1: u32 = 0x4650_5853;
const FP_MAGIC_2: u32 = 0x4650_5845;
/// Where the legacy region has room for software.
const SOFTWARE_BYTES: usize = 464;

/// What becomes of a call that was interrupted: with a handler that has these flags, or without.
pub fn settle_call(frame: &mut Frame, from_call: bool, handler: Option<u64>) {
    if !from_call {
        return;
    }
    let number = u16::try_from(frame.rax.wrapping_neg()).unwrap_or(0);
    let again = match (Errno::new(number), handler) {
        (Errno::RESTART_ALWAYS, _) => true,
        (Errno::RESTART, Some(flags)) => flags & SA_RESTART != 0,
        (Errno::RESTART_UNHANDLED, Some(_)) => false,
        (Errno::RESTART | Errno::RESTART_UNHANDLED, None) => true,
        _ => return,
    };
    if again {
        frame.rax = frame.number;
        frame.rip -= 2;
    } else {
        frame.rax = (-i64::from(Errno::EINTR.number())) as u64;
    }
}

/// Handles what is due before the running thread returns to the program, from a system call or
/// from a trap.
pub fn deliver(mut from_call: bool) {
    let mut handled = false;
    let thread = task::current();
    let process = thread.process().clone();
    loop {
        if thread.is_killed() || process.life() != Life::Alive {
            return;
        }
        let stopped = matches!(*process.stop.lock(), Stop::Stopped(..));
        if stopped {
            wait_until_continued(&process, &thread);
            continue;
        }
        let Some(info) = next(&thread) else { break };
        let signal = info.signal();
        let action = process.actions.lock().get(signal);
        match action.handler {
            IGNORE => {}
            DEFAULT => match default_of(signal) {
                DefaultAction::End => return end_by(&process, signal),
                // Nobody would ever let it go on.
                DefaultAction::Stop
                    if signal != SIGSTOP && group::is_orphaned(process.group(), None) => {}
                DefaultAction::Stop => stop(&process, signal),
                DefaultAction::Ignore | DefaultAction::Continue => {}
            },
            _ => {
                if call_handler(&thread, &action, &info, from_call).is_err() {
                    // No room for the frame: as Linux, SIGSEGV that cannot be handled.
                    return end_by(&process, SIGSEGV);
                }
                // What else is due interrupts the handler before its first instruction.
                (from_call, handled) = (false, true);
            }
        }
    }
    if handled {
        return;
    }
    // No handler: the call goes on as if nothing had happened, with the mask as it was.
    let saved = thread.signals.lock().saved_mask.take();
    if let Some(mask) = saved {
        thread.signals.lock().mask = mask;
    }
    thread
        .context()
        .with_frame(|frame| settle_call(frame, from_call, None));
}

fn next(thread: &Thread) -> Option<Info> {
    let allowed = Set(u64::MAX).without(thread.signals.lock().mask);
    super::take_awaited(thread, allowed)
}

fn stop(process: &Arc<Process>, signal: u32) {
    *process.stop.lock() = Stop::Stopped(signal, false);
    if let Some(parent) = process.parent() {
        child_stopped(&parent, process, signal);
    }
}

fn wait_until_continued(process: &Arc<Process>, thread: &Arc<Thread>) {
    task::wait_uninterrupted(&[&process.continued], || {
        let stopped = matches!(*process.stop.lock(), Stop::Stopped(..));
        let over = !stopped || thread.is_killed() || process.pending.lock().set().has(SIGKILL);
        over.then_some(())
    });
}

/// Makes the thread run a handler when it returns to the program.
fn call_handler(thread: &Arc<Thread>, action: &Action, info: &Info, from_call: bool) -> Result<()> {
    let signal = info.signal();
    let state = thread.context().current_state();
    thread.resume_at(None);
    thread.context().with_frame(|frame| {
        settle_call(frame, from_call, Some(action.flags));
    });
    let frame = thread.context().frame();
    let (mask, stack) = {
        let mut signals = thread.signals.lock();
        let mask = signals.saved_mask.take().unwrap_or(signals.mask);
        (mask, signals.stack)
    };
    let on_stack = action.flags & SA_ONSTACK != 0 && stack.size > 0 && !stack.is_used(frame.rsp);
    let top = if on_stack {
        stack.base.wrapping_add(stack.size)
    } else {
        frame.rsp.wrapping_sub(RED_ZONE)
    };

    // From the top: extended state, siginfo, ucontext, return address.
    let fp = top
        .checked_sub(xstate::shown_size() as u64 + 4)
        .ok_or(Errno::EFAULT)?
        & !63;
    let base = fp
        .checked_sub((SIGINFO + UCONTEXT) as u64)
        .ok_or(Errno::EFAULT)?
        & !15;
    let base = base.checked_sub(8).ok_or(Errno::EFAULT)?;
    if action.flags & SA_RESTORER == 0 || on_stack && base <= stack.base {
        return Err(Errno::EFAULT);
    }
    user::copy_out(fp, &with_software_bytes(state.shown()))?;
    let ucontext = ucontext(&frame, mask, &stack, fp);
    user::write(base, &action.restorer)?;
    user::copy_out(base + 8, &ucontext)?;
    user::copy_out(base + 8 + UCONTEXT as u64, info.bytes())?;

    // A handler begins with the extended state that programs begin with.
    thread
        .context()
        .set_current_state(&xstate::State::initial());
    thread.context().with_frame(|frame| {
        frame.rip = action.handler;
        frame.rsp = base;
        frame.rdi = signal.into();
        frame.rsi = base + 8 + UCONTEXT as u64;
        frame.rdx = base + 8;
        frame.rax = 0;
        // The handler starts with DF, TF and RF clear, as the ABI has it.
        frame.set_rflags(frame.rflags & !(0x400 | 0x100 | 0x1_0000));
    });
    let mut signals = thread.signals.lock();
    signals.mask = mask.with(action.mask);
    if action.flags & SA_NODEFER == 0 {
        signals.mask = signals.mask.with(Set::of(signal));
    }
    signals.mask = signals.mask.without(Set::UNBLOCKABLE);
    if stack.flags & SS_AUTODISARM != 0 {
        signals.stack = Stack::disabled();
    }
    drop(signals);
    if action.flags & SA_RESETHAND != 0 {
        thread
            .process()
            .actions
            .lock()
            .set(signal, Action::default());
    }
    Ok(())
}

/// The extended state as Linux marks it for programs.
fn with_software_bytes(mut bytes: Vec<u8>) -> Vec<u8> {
    let size = bytes.len() as u32;
    let software: [u32; 5] = [
        FP_MAGIC_1,
        size + 4,
        xstate::shown_mask() as u32,
        (xstate::shown_mask() >> 32) as u32,
        size,
    ];
    for (at, word) in software.iter().enumerate() {
        let start = SOFTWARE_BYTES + 4 * at;
        bytes[start..start + 4].copy_from_slice(&word.to_le_bytes());
    }
    bytes.extend(FP_MAGIC_2.to_le_bytes());
    bytes
}

fn ucontext(frame: &Frame, mask: Set, stack: &Stack, fp: u64) -> Vec<u8> {
    let selectors = frame.cs & 0xffff | (frame.ss & 0xffff) << 48;
    let words: [u64; 38] = [
        UC_FLAGS,
        0,
        stack.base,
        stack.flags.into(),
        stack.size,
        frame.r8,
        frame.r9,
        frame.r10,
        frame.r11,
        frame.r12,
        frame.r13,
        frame.r14,
        frame.r15,
        frame.rdi,
        frame.rsi,
        frame.rbp,
        frame.rbx,
        frame.rdx,
        frame.rax,
        frame.rcx,
        frame.rsp,
        frame.rip,
        frame.rflags,
        selectors,
        frame.error,
        frame.number,
        mask.0,
        arch::fault_address(),
        fp,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        mask.0,
    ];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

const _: () = assert!(UCONTEXT == 38 * 8);

/// Puts back what a handler's frame says. The stack pointer is just above the return address.
///
/// # Errors
///
/// EFAULT or EINVAL if there is no frame that can be restored.
pub fn return_from_handler() -> Result<()> {
    let thread = task::current();
    let base = thread.context().frame().rsp;
    let words: [u64; 38] = user::read(base)?;
    let fp = words[28];
    if fp != 0 {
        let mut head = [0; 512];
        user::copy_in(fp, &mut head)?;
        let word =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let marked = word(SOFTWARE_BYTES) == FP_MAGIC_1;
        let len = if marked {
            (word(SOFTWARE_BYTES + 16) as usize).clamp(512, xstate::shown_size())
        } else {
            512
        };
        let mut bytes = alloc::vec![0; len];
        user::copy_in(fp, &mut bytes)?;
        let mut state = thread.context().current_state();
        state.set(&bytes)?;
        thread.context().set_current_state(&state);
    }
    if words[21] >= USER_END {
        return Err(Errno::EFAULT);
    }
    thread
        .context()
        .with_frame(|frame| restore_registers(frame, &words));
    let mut signals = thread.signals.lock();
    signals.mask = Set(words[37]).without(Set::UNBLOCKABLE);
    // As Linux: a stack that cannot be set is not.
    if let Ok(stack) = signals
        .stack
        .change(words[20], [words[2], words[3], words[4]])
    {
        signals.stack = stack;
    }
    Ok(())
}

fn restore_registers(frame: &mut Frame, words: &[u64; 38]) {
    frame.r8 = words[5];
    frame.r9 = words[6];
    frame.r10 = words[7];
    frame.r11 = words[8];
    frame.r12 = words[9];
    frame.r13 = words[10];
    frame.r14 = words[11];
    frame.r15 = words[12];
    frame.rdi = words[13];
    frame.rsi = words[14];
    frame.rbp = words[15];
    frame.rbx = words[16];
    frame.rdx = words[17];
    frame.rax = words[18];
    frame.rcx = words[19];
    frame.rsp = words[20];
    frame.rip = words[21];
    frame.set_rflags(words[22]);
}
