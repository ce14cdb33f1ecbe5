//! A thread of the program as the processor sees it: kernel stack, frame, segment bases, extended
//! state; and switching from one to another.
#![allow(unsafe_code)]

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};

use super::xstate::State;
use super::{Frame, cpu};
use crate::errno::Result;
use crate::memory::PAGE_SIZE;
use crate::memory::frames::Run;

/// Pages of a kernel stack: 32 KiB, of which few are ever touched.
const STACK_PAGES: u64 = 8;
/// At the far end of each stack; gone if the stack was too small.
const CANARY: u64 = 0x756e_6963_656c_6c21;

/// One thread's side of the processor.
pub struct Context {
    stack: Run,
    stack_pointer: AtomicU64,
    state: UnsafeCell<State>,
    fs_base: AtomicU64,
    gs_base: AtomicU64,
}

// SAFETY: a context is used by the one vCPU: by its own thread while it runs, or by the scheduler
// and the thread's creator while it does not.
unsafe impl Sync for Context {}
// SAFETY: owns what it holds.
unsafe impl Send for Context {}

#[cfg(feature = "image")]
mod assembly {
    //! What `entry.s` has.
    use super::AtomicU64;

    unsafe extern "C" {
        pub(super) fn unicell_switch(from: *mut u64, to: u64);
        pub(super) fn unicell_thread_start();
        static unicell_stack_top: AtomicU64;
    }

    /// Where traps and system calls of the program begin to push.
    pub(super) fn stack_top() -> &'static AtomicU64 {
        // SAFETY: a word that is only read on entry from the program.
        unsafe { &unicell_stack_top }
    }
}

#[cfg(not(feature = "image"))]
mod assembly {
    //! What `entry.s` has, for the library on the host, where nothing is ever entered.
    use super::AtomicU64;

    pub(super) fn stack_top() -> &'static AtomicU64 {
        unreachable!("only the image has threads");
    }

    pub(super) unsafe extern "C" fn unicell_switch(_: *mut u64, _: u64) {
        unreachable!("only the image has threads");
    }

    pub(super) unsafe extern "C" fn unicell_thread_start() {
        unreachable!("only the image has threads");
    }
}
use assembly::{stack_top, unicell_switch, unicell_thread_start};

impl Context {
    /// A thread that will start in the program with these registers.
    ///
    /// # Errors
    ///
    /// ENOMEM if there is none for a stack.
    pub fn new(frame: &Frame, state: State, fs_base: u64, gs_base: u64) -> Result<Self> {
        let context = Self {
            stack: Run::new(STACK_PAGES)?,
            stack_pointer: AtomicU64::new(0),
            state: UnsafeCell::new(state),
            fs_base: AtomicU64::new(fs_base),
            gs_base: AtomicU64::new(gs_base),
        };
        // SAFETY: the stack is this context's and nobody runs on it yet. What `unicell_switch`
        // pops lies just below the frame: six registers and where it returns to.
        unsafe {
            context.canary().write(CANARY);
            context.frame_pointer().write(frame.clone());
            let words = context.frame_pointer().cast::<u64>();
            let start: unsafe extern "C" fn() = unicell_thread_start;
            words.sub(1).write(start as usize as u64);
            words.sub(7).write_bytes(0, 6);
            context
                .stack_pointer
                .store(words.sub(7) as u64, Ordering::Relaxed);
        }
        Ok(context)
    }

    fn canary(&self) -> *mut u64 {
        self.stack.pointer().cast()
    }

    fn top(&self) -> u64 {
        self.stack.pointer() as u64 + STACK_PAGES * PAGE_SIZE
    }

    fn frame_pointer(&self) -> *mut Frame {
        (self.top() - size_of::<Frame>() as u64) as *mut Frame
    }

    /// The program's registers. The thread is not in the program now.
    #[must_use]
    pub fn frame(&self) -> Frame {
        // SAFETY: the frame is complete whenever the kernel runs.
        unsafe { (*self.frame_pointer()).clone() }
    }

    /// Changes the program's registers. The thread is not in the program now.
    pub fn with_frame<R>(&self, change: impl FnOnce(&mut Frame) -> R) -> R {
        // SAFETY: the frame is complete whenever the kernel runs, which is the one vCPU; `change`
        // cannot reach it in another way, since the entry code passes no reference on.
        change(unsafe { &mut *self.frame_pointer() })
    }

    /// The running thread's extended state, XMM included.
    #[must_use]
    pub fn current_state(&self) -> State {
        let mut state = State::initial();
        state.save();
        self.with_frame(|frame| state.take_xmm(frame));
        state
    }

    /// Sets the running thread's extended state, XMM included.
    pub fn set_current_state(&self, state: &State) {
        state.restore();
        self.with_frame(|frame| state.give_xmm(frame));
    }

    /// Makes traps and system calls of the program arrive on this stack.
    pub fn make_current(&self) {
        stack_top().store(self.top(), Ordering::Relaxed);
    }

    /// Loads what the processor has to hold for this thread: used once, for the first thread.
    pub fn load(&self) {
        self.make_current();
        cpu::set_fs_base(self.fs_base.load(Ordering::Relaxed));
        cpu::set_gs_base(self.gs_base.load(Ordering::Relaxed));
        // SAFETY: see `Sync`.
        unsafe { (*self.state.get()).restore() }
    }

    /// Leaves the running thread `self` for `next`; returns when `self` is switched to again.
    pub fn switch_to(&self, next: &Self) {
        self.check();
        self.fs_base.store(cpu::fs_base(), Ordering::Relaxed);
        self.gs_base.store(cpu::gs_base(), Ordering::Relaxed);
        // SAFETY: see `Sync`; `next` has been left by this very function or never run.
        unsafe {
            (*self.state.get()).save();
            next.load();
            unicell_switch(
                self.stack_pointer.as_ptr(),
                next.stack_pointer.load(Ordering::Relaxed),
            );
        }
    }

    /// Enters the program for the first time; `self` is the first thread.
    pub fn enter_first(&self) -> ! {
        self.load();
        let mut unused = 0;
        // SAFETY: a new context; the boot stack is left for ever.
        unsafe { unicell_switch(&raw mut unused, self.stack_pointer.load(Ordering::Relaxed)) }
        unreachable!("the boot stack is never switched to");
    }

    fn check(&self) {
        // SAFETY: see `Sync`.
        let canary = unsafe { self.canary().read() };
        assert_eq!(canary, CANARY, "a kernel stack was too small");
    }
}
