//! One thread of a program.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use super::accounts::{Accounts, Used};
use super::process::Process;
use super::scheduling::Scheduling;
use crate::arch::Context;
use crate::signal::{Pending, Set, Stack};
use crate::sync::Mutex;
use crate::time;

/// What a thread is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Run {
    /// In the queue of those that can run.
    Ready,
    /// On the vCPU.
    Running,
    /// For a queue or a deadline.
    Waiting,
    /// Gone.
    Ended,
}

/// The signals of one thread.
#[derive(Default)]
pub struct Signals {
    /// Blocked.
    pub mask: Set,
    /// To be put back after the next handler: sigsuspend, ppoll and their like.
    pub saved_mask: Option<Set>,
    /// Sent to this thread and not delivered yet.
    pub pending: Pending,
    /// Those that sigtimedwait waits for.
    pub awaited: Set,
    /// Where handlers run, if not on the thread's own stack.
    pub stack: Stack,
}

/// One thread.
pub struct Thread {
    /// Changes only where it takes the first thread's place in exec.
    id: AtomicU32,
    process: Arc<Process>,
    context: Context,
    run: AtomicU8,
    interruptible: AtomicBool,
    /// The process ends and this thread with it.
    killed: AtomicBool,
    /// For `/proc` and PR_SET_NAME.
    pub name: Mutex<[u8; 16]>,
    /// Its claim to the processor.
    pub scheduling: Mutex<Scheduling>,
    /// Its signals.
    pub signals: Mutex<Signals>,
    /// Set to zero and woken when the thread ends (CLONE_CHILD_CLEARTID); 0 for none.
    pub clear_at_end: AtomicU64,
    /// The head of the list of robust futexes; 0 for none.
    pub robust_list: AtomicU64,
    /// The deadline of a call that was interrupted and is made again; 0 for none.
    resume: AtomicU64,
    /// PR_SET_TIMERSLACK, nanoseconds. It is told, and no timer is late by it.
    pub timer_slack: AtomicU64,
    /// What it goes back to.
    pub default_slack: AtomicU64,
    /// When it began to run, monotonic ns.
    running_since: AtomicU64,
    accounts: Accounts,
}

impl Thread {
    /// The timer slack that the first thread begins with, nanoseconds.
    pub const SLACK: u64 = 50_000;

    /// A thread that is ready to be started.
    #[must_use]
    pub fn new(id: u32, process: Arc<Process>, context: Context, name: [u8; 16]) -> Arc<Self> {
        Arc::new(Self {
            id: AtomicU32::new(id),
            process,
            context,
            run: AtomicU8::new(Run::Ready as u8),
            interruptible: AtomicBool::new(false),
            killed: AtomicBool::new(false),
            name: Mutex::new(name),
            scheduling: Mutex::default(),
            signals: Mutex::new(Signals::default()),
            clear_at_end: AtomicU64::new(0),
            robust_list: AtomicU64::new(0),
            resume: AtomicU64::new(0),
            timer_slack: AtomicU64::new(Self::SLACK),
            default_slack: AtomicU64::new(Self::SLACK),
            running_since: AtomicU64::new(time::monotonic()),
            accounts: Accounts::default(),
        })
    }

    /// Its number; the first thread's is the process's.
    pub fn id(&self) -> u32 {
        self.id.load(Ordering::Relaxed)
    }

    /// Gives it the number of its process: what exec does.
    pub fn become_first(&self) {
        self.id.store(self.process.id(), Ordering::Relaxed);
    }

    /// Its process.
    pub fn process(&self) -> &Arc<Process> {
        &self.process
    }

    /// Registers and kernel stack.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The context without a hold on the thread.
    #[allow(unsafe_code)]
    pub(super) fn context_pointer(&self) -> &'static Context {
        // SAFETY: the scheduler keeps a thread alive (as the current, ready or ended one, or in
        // whatever it waits for and the process's list) until its stack is left for the last time.
        unsafe { &*core::ptr::from_ref(&self.context) }
    }

    /// Changes the state from one to another; false if it was not that one.
    pub(super) fn set_run(&self, from: Run, to: Run) -> bool {
        let order = Ordering::Relaxed;
        self.run
            .compare_exchange(from as u8, to as u8, order, order)
            .is_ok()
    }

    /// What it is doing.
    pub fn run(&self) -> Run {
        match self.run.load(Ordering::Relaxed) {
            0 => Run::Ready,
            1 => Run::Running,
            2 => Run::Waiting,
            _ => Run::Ended,
        }
    }

    pub(super) fn set_interruptible(&self, interruptible: bool) {
        self.interruptible.store(interruptible, Ordering::Relaxed);
    }

    /// Notes when a call that is broken off now would have come to its end, or that none was.
    pub fn resume_at(&self, deadline: Option<u64>) {
        self.resume.store(deadline.unwrap_or(0), Ordering::Relaxed);
    }

    /// The deadline that a call has had before it was broken off, if it is made again.
    pub fn resumed(&self) -> Option<u64> {
        Some(self.resume.swap(0, Ordering::Relaxed)).filter(|deadline| *deadline != 0)
    }

    /// Wakes the thread if it waits for something that a signal may interrupt.
    pub fn interrupt(self: &Arc<Self>) {
        if self.interruptible.load(Ordering::Relaxed) {
            super::scheduler::wake(self);
        }
    }

    /// Makes the thread end as soon as it would return to the program.
    pub fn kill(self: &Arc<Self>) {
        self.killed.store(true, Ordering::Relaxed);
        self.interrupt();
    }

    /// Whether it is to end.
    pub fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }

    /// Whether a wait has to be broken off: a signal is to be handled, or the thread is to end.
    pub fn is_interrupted(&self) -> bool {
        self.is_killed() || crate::signal::is_due(self)
    }

    /// Counts what it has used, for its process too.
    pub fn account(&self, what: Used, count: u64) {
        self.accounts.add(what, count);
        self.process.accounts.add(what, count);
    }

    /// What it has used, but for the time since it was last switched to.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    pub(super) fn start_clock(&self, now: u64) {
        self.running_since.store(now, Ordering::Relaxed);
    }

    pub(super) fn stop_clock(&self, now: u64) {
        let ran = now.saturating_sub(self.running_since.load(Ordering::Relaxed));
        self.account(Used::Time, ran);
    }

    /// Its stack was slept on for so many ns, while nobody could run.
    pub(super) fn idled(&self, ns: u64) {
        self.running_since.fetch_add(ns, Ordering::Relaxed);
    }

    /// Nanoseconds since it was last switched to, if it is the running thread.
    pub(super) fn running_time(&self) -> u64 {
        match self.run() {
            Run::Running => {
                time::monotonic().saturating_sub(self.running_since.load(Ordering::Relaxed))
            }
            _ => 0,
        }
    }

    /// Nanoseconds that it has run so far.
    pub fn time(&self) -> u64 {
        self.accounts.get(Used::Time) + self.running_time()
    }
}
