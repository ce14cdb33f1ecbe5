//! Timers that send signals: alarm, setitimer, timer_create.
//!
//! Those of real time expire with the scheduler's sleepers. Those of processor time are looked at
//! whenever the host has the program left, which it does often while there are any.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};

use super::process::Process;
use super::thread::Thread;
use crate::signal::{self, Info};
use crate::sync::Mutex;
use crate::time;

/// What a timer counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clock {
    /// Time that passes, monotonic.
    Real,
    /// Processor time of its process.
    Cpu,
}

/// Whom a timer tells.
#[derive(Clone)]
pub enum Target {
    /// Nobody; it is only asked.
    Nobody,
    /// The process, with this signal.
    Process(Info),
    /// One thread, with this signal.
    Thread(Info, Weak<Thread>),
    /// The process, about its limit on processor time.
    CpuLimit,
}

struct State {
    /// When it expires next, in its clock's nanoseconds.
    deadline: Option<u64>,
    interval: u64,
    /// Expiries since its signal was sent, which waits to be taken.
    waiting: u32,
    /// Expiries before its last signal was taken.
    overrun: u32,
}

/// A timer.
pub struct Timer {
    number: u64,
    process: Weak<Process>,
    clock: Clock,
    wall: bool,
    target: Target,
    state: Mutex<State>,
}

/// Timers that are set, by clock and deadline.
static SET: Mutex<BTreeMap<(Clock, u64, u64), Arc<Timer>>> = Mutex::new(BTreeMap::new());
static NEXT: Mutex<u64> = Mutex::new(0);

/// The deadline of the next timer of real time.
pub(super) fn next_deadline() -> Option<u64> {
    let set = SET.lock();
    set.first_key_value()
        .filter(|((clock, ..), _)| *clock == Clock::Real)
        .map(|(key, _)| key.1)
}

/// Whether a timer of processor time is set.
pub(super) fn counts_cpu() -> bool {
    SET.lock()
        .last_key_value()
        .is_some_and(|((clock, ..), _)| *clock == Clock::Cpu)
}

/// Sends the signals of the timers that have expired.
pub(super) fn expire(clock: Clock) {
    loop {
        let due = {
            let mut set = SET.lock();
            let from = (clock, 0, 0);
            let due = set
                .range(from..)
                .take_while(|(key, _)| key.0 == clock)
                .find(|(key, timer)| key.1 <= timer.now());
            let due = due.map(|(key, _)| *key);
            due.and_then(|key| set.remove(&key))
        };
        match due {
            Some(timer) => timer.fire(),
            None => return,
        }
    }
}

impl Timer {
    /// A timer that is not set. With `wall`, absolute times that it is given are of the wall clock.
    #[must_use]
    pub fn new(process: &Arc<Process>, clock: Clock, wall: bool, target: Target) -> Arc<Self> {
        let number = {
            let mut next = NEXT.lock();
            *next += 1;
            *next
        };
        let state = Mutex::new(State {
            deadline: None,
            interval: 0,
            waiting: 0,
            overrun: 0,
        });
        Arc::new(Self {
            number,
            process: Arc::downgrade(process),
            clock,
            wall,
            target,
            state,
        })
    }

    /// Whether absolute times that it is given are of the wall clock.
    #[must_use]
    pub fn is_wall_clock(&self) -> bool {
        self.wall
    }

    /// Its clock, in nanoseconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        match self.clock {
            Clock::Real => time::monotonic(),
            Clock::Cpu => self.process.upgrade().map_or(0, |process| process.time()),
        }
    }

    /// Time left until it expires (0 if it is not set), and its interval.
    #[must_use]
    pub fn remaining(&self) -> (u64, u64) {
        let now = self.now();
        let state = self.state.lock();
        // One that is about to expire has a little left: 0 would say that it is not set.
        let left = state
            .deadline
            .map_or(0, |deadline| deadline.saturating_sub(now).max(1));
        (left, state.interval)
    }

    /// Its signal is taken: tells how often it expired meanwhile.
    pub fn taken(&self) -> u32 {
        let mut state = self.state.lock();
        state.overrun = core::mem::take(&mut state.waiting);
        state.overrun
    }

    /// How often it expired before its last signal was taken.
    #[must_use]
    pub fn overrun(&self) -> u32 {
        self.state.lock().overrun
    }

    /// Sets it to a moment of its clock and to be set again after an interval; no moment unsets it.
    pub fn set(self: &Arc<Self>, deadline: Option<u64>, interval: u64) {
        let old = {
            let mut state = self.state.lock();
            state.interval = interval;
            (state.waiting, state.overrun) = (0, 0);
            core::mem::replace(&mut state.deadline, deadline)
        };
        let mut set = SET.lock();
        if let Some(old) = old {
            set.remove(&(self.clock, old, self.number));
        }
        if let Some(deadline) = deadline {
            set.insert((self.clock, deadline, self.number), self.clone());
        }
    }

    fn fire(self: &Arc<Self>) {
        let now = self.now();
        let (again, missed) = {
            let mut state = self.state.lock();
            let expired = state.deadline.take().unwrap_or(now);
            let missed = now
                .saturating_sub(expired)
                .checked_div(state.interval)
                .unwrap_or(0);
            let next = expired.saturating_add((missed + 1).saturating_mul(state.interval));
            ((state.interval > 0).then_some(next), missed)
        };
        let Some(process) = self.process.upgrade() else {
            return;
        };
        if let Some(deadline) = again {
            self.state.lock().deadline = Some(deadline);
            SET.lock()
                .insert((self.clock, deadline, self.number), self.clone());
        }
        let waits = match &self.target {
            Target::Process(info) => process.pending.lock().has_timer(info),
            Target::Thread(info, thread) => thread
                .upgrade()
                .is_some_and(|thread| thread.signals.lock().pending.has_timer(info)),
            Target::Nobody | Target::CpuLimit => false,
        };
        {
            let missed = u32::try_from(missed).unwrap_or(u32::MAX);
            let mut state = self.state.lock();
            // As DELAYTIMER_MAX of Linux.
            let before = if waits { state.waiting + 1 } else { 0 };
            state.waiting = before.saturating_add(missed).min(i32::MAX as u32 - 1);
        }
        if waits {
            return;
        }
        // A full queue means that such a signal waits already.
        let _ = match &self.target {
            Target::Nobody => Ok(()),
            Target::Process(info) => signal::send_to_process(&process, *info),
            Target::Thread(info, thread) => match thread.upgrade() {
                Some(thread) => signal::send_to_thread(&thread, *info),
                None => Ok(()),
            },
            Target::CpuLimit => {
                process.enforce_cpu_limit();
                Ok(())
            }
        };
    }
}

/// The timers of a process.
#[derive(Default)]
pub struct Timers {
    /// ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF, made when they are first set.
    pub interval: [Option<Arc<Timer>>; 3],
    /// That of RLIMIT_CPU, while there is a limit.
    pub cpu_limit: Option<Arc<Timer>>,
    /// Those of timer_create, by number.
    pub created: BTreeMap<u32, Arc<Timer>>,
}

impl Timers {
    /// Unsets and forgets all that timer_create has made: what exec does.
    pub fn forget_created(&mut self) {
        for timer in core::mem::take(&mut self.created).values() {
            timer.set(None, 0);
        }
    }

    /// Unsets and forgets everything: what the end of a process does.
    pub fn forget_all(&mut self) {
        self.forget_created();
        let own = self.interval.iter_mut().chain([&mut self.cpu_limit]);
        for timer in own.filter_map(Option::take) {
            timer.set(None, 0);
        }
    }
}
