//! Who runs: one vCPU, round robin, time slices only where more than one thread is ready.
//!
//! There is no idle thread. A thread with nothing to switch to sleeps in the VMM on its own stack
//! and goes on as soon as it, or another, is ready.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use unicell_guest_abi::platform::NEVER;

use super::accounts::Used;
use super::thread::{Run, Thread};
use super::timer::{self, Clock};
use super::wait_queue::WaitQueue;
use crate::device::{self, Outside, platform};
use crate::errno::{Errno, Result};
use crate::mm::Space;
use crate::reproducible;
use crate::sync::Mutex;
use crate::time;
use crate::tty;

struct Scheduler {
    current: Option<Arc<Thread>>,
    ready: VecDeque<Arc<Thread>>,
    /// Sleepers by deadline; the number tells two with the same deadline apart.
    sleepers: BTreeMap<(u64, u32), Arc<Thread>>,
    /// A thread that has ended, kept until its stack is no longer run on, and the space that was
    /// seen then.
    ended: Option<(Arc<Thread>, Option<Arc<Space>>)>,
    announced: (bool, u64),
    /// In a reproducible run, when the running thread has had its turn.
    turn_ends: u64,
}

/// How often another thread was switched to, and how often the host has asked for the program to
/// be left.
static SWITCHES: AtomicU64 = AtomicU64::new(0);
static INTERRUPTS: AtomicU64 = AtomicU64::new(0);

/// Switches from one thread to another so far.
pub fn switches() -> u64 {
    SWITCHES.load(Ordering::Relaxed)
}

/// How often the host has asked for the program to be left so far.
pub fn interrupts() -> u64 {
    INTERRUPTS.load(Ordering::Relaxed)
}

static SCHEDULER: Mutex<Scheduler> = Mutex::new(Scheduler {
    current: None,
    ready: VecDeque::new(),
    sleepers: BTreeMap::new(),
    ended: None,
    announced: (false, NEVER),
    turn_ends: 0,
});

impl Scheduler {
    fn next_deadline(&self) -> u64 {
        let sleeper = self
            .sleepers
            .first_key_value()
            .map_or(NEVER, |((deadline, _), _)| *deadline);
        timer::next_deadline().map_or(sleeper, |timer| timer.min(sleeper))
    }

    fn wake_sleepers(&mut self) {
        if self.sleepers.is_empty() {
            return;
        }
        let now = time::monotonic();
        while let Some(entry) = self.sleepers.first_entry() {
            if entry.key().0 > now {
                break;
            }
            let thread = entry.remove();
            if thread.set_run(Run::Waiting, Run::Ready) {
                self.ready.push_back(thread);
            }
        }
    }
}

/// The running thread.
///
/// # Panics
///
/// Before the first thread runs.
pub fn current() -> Arc<Thread> {
    let current = SCHEDULER.lock().current.clone();
    let Some(current) = current else {
        unreachable!("no thread runs yet")
    };
    current
}

/// Makes a new thread ready to run.
pub fn start(thread: Arc<Thread>) {
    SCHEDULER.lock().ready.push_back(thread);
}

/// Makes the first thread the running one, before it runs.
#[cfg(feature = "image")]
pub(super) fn set_first(thread: Arc<Thread>) {
    thread.set_run(Run::Ready, Run::Running);
    SCHEDULER.lock().current = Some(thread);
}

/// Runs the first thread; the boot stack is never returned to.
#[cfg(feature = "image")]
pub(super) fn run_first() -> ! {
    let context = current().context_pointer();
    context.enter_first()
}

/// Makes a waiting thread ready. Returns whether it was waiting.
pub(super) fn wake(thread: &Arc<Thread>) -> bool {
    let woken = thread.set_run(Run::Waiting, Run::Ready);
    if woken {
        SCHEDULER.lock().ready.push_back(thread.clone());
    }
    woken
}

/// Lets another ready thread run, if there is one.
pub fn yield_now() {
    {
        let mut scheduler = SCHEDULER.lock();
        scheduler.wake_sleepers();
        if scheduler.ready.is_empty() {
            return;
        }
        if let Some(current) = scheduler.current.clone() {
            current.set_run(Run::Running, Run::Ready);
            current.account(Used::Preemptions, 1);
            scheduler.ready.push_back(current);
        }
    }
    reschedule();
}

/// What happens at each return to the program: news of the device, expired slices, and what the
/// host has to know.
pub(super) fn before_program(from_call: bool) {
    if platform::take_preempt() {
        look_around();
    } else if from_call && reproducible::is_on() {
        take_turns();
    }
    let mut scheduler = SCHEDULER.lock();
    let sliced = !scheduler.ready.is_empty() || timer::counts_cpu();
    let announcement = (sliced, scheduler.next_deadline());
    if scheduler.announced != announcement {
        scheduler.announced = announcement;
        platform::announce(announcement.0, announcement.1);
    }
}

/// The host has asked for the program to be left: news, a deadline, or the end of a slice.
pub(super) fn look_around() {
    INTERRUPTS.fetch_add(1, Ordering::Relaxed);
    take_news();
    expire_timers();
    timer::expire(Clock::Cpu);
    yield_now();
}

/// In a reproducible run, what an interruption by the host does in an ordinary one: other threads
/// and timers get their turn when the virtual clock says so.
fn take_turns() {
    let now = time::monotonic();
    {
        let mut scheduler = SCHEDULER.lock();
        if now < scheduler.turn_ends && now < scheduler.next_deadline() {
            return;
        }
        scheduler.turn_ends = now + reproducible::SLICE_NS;
    }
    if reproducible::is_impatient(now) && device::outside() > Outside::Unawaited {
        take_input(0);
    }
    expire_timers();
    timer::expire(Clock::Cpu);
    yield_now();
}

/// In a reproducible run, asks for input and waits for it so many nanoseconds of the host. Returns
/// whether there was any.
fn take_input(wait: u64) -> bool {
    reproducible::rested(time::monotonic());
    platform::ask_for_input(wait);
    let came = device::poll();
    tty::console::poll();
    came
}

/// In a reproducible run, takes the input that is there now: a program has looked for it and not
/// found it. Returns whether there was any.
pub fn look_outside() -> bool {
    reproducible::is_on() && device::outside() != Outside::Nothing && take_input(0)
}

/// In a reproducible run, what to do when all threads sleep: take input if some is waited for, else
/// go on at the next deadline.
fn rest(deadline: u64) {
    let now = time::monotonic();
    reproducible::rested(now);
    tty::console::poll();
    let came = match device::outside() {
        Outside::Nothing | Outside::Unawaited if deadline == NEVER => {
            // Nothing will ever happen here: it is the host's to end this.
            platform::park(NEVER);
            true
        }
        Outside::Nothing | Outside::Unawaited => false,
        // An answer is outstanding, and time stands still until it is there.
        Outside::Awaited => take_input(NEVER),
        Outside::Possible if deadline == NEVER => take_input(NEVER),
        Outside::Possible => take_input(deadline.saturating_sub(now)),
    };
    if !came && deadline != NEVER {
        let passed = deadline.saturating_sub(now);
        platform::advance(passed);
        current().idled(passed);
    }
}

/// Takes what the device has brought.
fn take_news() {
    device::poll();
    tty::console::poll();
}

/// Sends the signals of timers that are due. Asked before each sleep and at each preemption; never
/// with anything locked.
fn expire_timers() {
    if timer::next_deadline().is_some_and(|deadline| deadline <= time::monotonic()) {
        timer::expire(Clock::Real);
    }
}

/// Ends the running thread. The space is kept for as long as it is seen.
pub(super) fn end_current(space: Option<Arc<Space>>) -> ! {
    {
        let mut scheduler = SCHEDULER.lock();
        let Some(current) = scheduler.current.clone() else {
            unreachable!("no thread runs yet")
        };
        current.set_run(Run::Running, Run::Ended);
        scheduler.ended = Some((current, space));
    }
    reschedule();
    unreachable!("a thread that has ended is never switched to");
}

/// Runs the next ready thread, whoever it is. The caller has put the running thread where it
/// belongs: among the ready, waiting for something, or ended.
fn reschedule() {
    let next = loop {
        expire_timers();
        {
            let mut scheduler = SCHEDULER.lock();
            scheduler.wake_sleepers();
            if let Some(next) = scheduler.ready.pop_front() {
                break next;
            }
        }
        if !reproducible::is_on() {
            take_news();
        }
        let deadline = {
            let scheduler = SCHEDULER.lock();
            if !scheduler.ready.is_empty() {
                continue;
            }
            scheduler.next_deadline()
        };
        if reproducible::is_on() {
            rest(deadline);
        } else {
            park(deadline);
        }
    };
    next.set_run(Run::Ready, Run::Running);
    let now = time::monotonic();
    let previous = {
        let mut scheduler = SCHEDULER.lock();
        scheduler.turn_ends = now + reproducible::SLICE_NS;
        match scheduler.current.replace(next.clone()) {
            Some(previous) if Arc::ptr_eq(&previous, &next) => return,
            Some(previous) => previous,
            None => unreachable!("no thread runs yet"),
        }
    };
    platform::count(|counters| counters.switches += 1);
    SWITCHES.fetch_add(1, Ordering::Relaxed);
    previous.stop_clock(now);
    next.start_clock(now);
    // The address space first: both stacks are the kernel's and seen in each.
    next.process().activate_space();
    // Raw, so that no reference is counted on a stack that may never be returned to.
    let (from, to) = (previous.context_pointer(), next.context_pointer());
    drop((previous, next));
    from.switch_to(to);
    after_switch();
}

/// The first thing on a stack that was switched to.
pub(super) fn after_switch() {
    let ended = SCHEDULER.lock().ended.take();
    drop(ended);
}

/// Sleeps until `ready` gives something. It is asked first, and again after each wake of one of
/// the queues.
///
/// # Errors
///
/// ETIMEDOUT past the deadline (monotonic ns), RESTART if a signal has to be handled first.
pub fn wait<T>(
    queues: &[&WaitQueue],
    deadline: Option<u64>,
    ready: impl FnMut() -> Option<T>,
) -> Result<T> {
    wait_for(queues, deadline, true, ready)
}

/// As [`wait`], without an end and without signals: for what is certain to come.
pub fn wait_uninterrupted<T>(queues: &[&WaitQueue], mut ready: impl FnMut() -> Option<T>) -> T {
    loop {
        // Neither a deadline nor a signal ends it, so it is an error only in type.
        if let Ok(value) = wait_for(queues, None, false, &mut ready) {
            return value;
        }
    }
}

fn wait_for<T>(
    queues: &[&WaitQueue],
    deadline: Option<u64>,
    interruptible: bool,
    mut ready: impl FnMut() -> Option<T>,
) -> Result<T> {
    loop {
        if let Some(value) = ready() {
            return Ok(value);
        }
        let thread = current();
        if interruptible && thread.is_interrupted() {
            thread.resume_at(deadline);
            return Err(Errno::RESTART);
        }
        if deadline.is_some_and(|deadline| deadline <= time::monotonic()) {
            return Err(Errno::ETIMEDOUT);
        }
        thread.set_run(Run::Running, Run::Waiting);
        thread.account(Used::Waits, 1);
        thread.set_interruptible(interruptible);
        for queue in queues {
            queue.add(&thread);
        }
        if let Some(deadline) = deadline {
            SCHEDULER
                .lock()
                .sleepers
                .insert((deadline, thread.id()), thread.clone());
        }
        reschedule();
        if let Some(deadline) = deadline {
            SCHEDULER.lock().sleepers.remove(&(deadline, thread.id()));
        }
        for queue in queues {
            queue.remove(&thread);
        }
    }
}

/// Sleeps until the device has news, whatever it is.
pub fn wait_for_device() {
    take_news();
    park(NEVER);
    take_news();
}

/// Sleeps in the VMM, which is no time of the thread on whose stack that happens.
fn park(deadline: u64) {
    let from = time::monotonic();
    platform::park(deadline);
    current().idled(time::monotonic().saturating_sub(from));
}
