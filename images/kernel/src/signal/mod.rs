//! Signals: numbers, sets, what is sent, what is done about it.

mod deliver;
mod info;
mod send;

pub use deliver::{deliver, return_from_handler, settle_call};
pub use info::{Info, SI_KERNEL};
pub use send::{
    child_ended, child_stopped, is_due, last_fault, raise_fault, raise_on_current, send_to_group,
    send_to_process, send_to_thread, take_awaited,
};

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general::{SS_AUTODISARM, SS_DISABLE, SS_ONSTACK};

use crate::errno::{Errno, Result};
use crate::sync::Mutex;

/// The highest signal number.
pub const MAX: u32 = 64;

#[allow(missing_docs, reason = "the names are those of signal(7)")]
mod numbers {
    pub const SIGHUP: u32 = 1;
    pub const SIGINT: u32 = 2;
    pub const SIGQUIT: u32 = 3;
    pub const SIGILL: u32 = 4;
    pub const SIGTRAP: u32 = 5;
    pub const SIGABRT: u32 = 6;
    pub const SIGBUS: u32 = 7;
    pub const SIGFPE: u32 = 8;
    pub const SIGKILL: u32 = 9;
    pub const SIGSEGV: u32 = 11;
    pub const SIGPIPE: u32 = 13;
    pub const SIGALRM: u32 = 14;
    pub const SIGTERM: u32 = 15;
    pub const SIGXCPU: u32 = 24;
    pub const SIGXFSZ: u32 = 25;
    pub const SIGVTALRM: u32 = 26;
    pub const SIGPROF: u32 = 27;
    pub const SIGCHLD: u32 = 17;
    pub const SIGCONT: u32 = 18;
    pub const SIGSTOP: u32 = 19;
    pub const SIGTSTP: u32 = 20;
    pub const SIGTTIN: u32 = 21;
    pub const SIGTTOU: u32 = 22;
    pub const SIGURG: u32 = 23;
    pub const SIGWINCH: u32 = 28;
    pub const SIGSYS: u32 = 31;
}
pub use numbers::*;

/// A set of signals; bit n is signal n + 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Set(pub u64);

impl Set {
    /// What can never be blocked, caught or ignored.
    pub const UNBLOCKABLE: Self = Self(1 << (SIGKILL - 1) | 1 << (SIGSTOP - 1));

    /// A set of one signal.
    #[must_use]
    pub const fn of(signal: u32) -> Self {
        Self(1 << (signal - 1))
    }

    /// Whether a signal is in the set.
    #[must_use]
    pub const fn has(self, signal: u32) -> bool {
        self.0 & Self::of(signal).0 != 0
    }

    /// In either.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// In this and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// In both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The signal to deliver first: faults before all, then the lowest.
    #[must_use]
    pub fn first(self) -> Option<u32> {
        let synchronous = [SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS];
        let fault = synchronous.into_iter().find(|signal| self.has(*signal));
        fault.or_else(|| (self.0 != 0).then(|| self.0.trailing_zeros() + 1))
    }
}

/// What a process does about one signal.
#[derive(Clone, Copy, Debug, Default)]
pub struct Action {
    /// 0 = default, 1 = ignore, else the address of the handler.
    pub handler: u64,
    /// SA_ flags.
    pub flags: u64,
    /// Where the handler returns to.
    pub restorer: u64,
    /// Blocked while the handler runs.
    pub mask: Set,
}

/// SIG_DFL.
pub const DEFAULT: u64 = 0;
/// SIG_IGN.
pub const IGNORE: u64 = 1;

type Table = [Action; MAX as usize];

/// What a process does about each signal. Processes may share it (CLONE_SIGHAND).
pub struct Actions(Arc<Mutex<Table>>);

impl Default for Actions {
    fn default() -> Self {
        Self::of([Action::default(); MAX as usize])
    }
}

impl Actions {
    fn of(table: Table) -> Self {
        Self(Arc::new(Mutex::new(table)))
    }

    /// A copy, as a fork gets it.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::of(*self.0.lock())
    }

    /// The same ones.
    #[must_use]
    pub fn share(&self) -> Self {
        Self(self.0.clone())
    }

    /// The action for a signal.
    #[must_use]
    pub fn get(&self, signal: u32) -> Action {
        self.0.lock()[signal as usize - 1]
    }

    /// Sets the action for a signal and returns the old one.
    pub fn set(&mut self, signal: u32, action: Action) -> Action {
        core::mem::replace(&mut self.0.lock()[signal as usize - 1], action)
    }

    /// What exec does: handlers are gone, what is ignored stays so, and nothing is shared.
    pub fn reset_handlers(&mut self) {
        let mut table = *self.0.lock();
        for action in &mut table {
            if action.handler != IGNORE {
                *action = Action::default();
            }
        }
        *self = Self::of(table);
    }

    /// Whether a signal has no effect when it comes.
    #[must_use]
    pub fn ignores(&self, signal: u32) -> bool {
        match self.get(signal).handler {
            IGNORE => true,
            DEFAULT => default_of(signal) == DefaultAction::Ignore,
            _ => false,
        }
    }
}

/// What happens if nothing else was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultAction {
    /// The process ends.
    End,
    /// Nothing.
    Ignore,
    /// The process stops.
    Stop,
    /// The process goes on, if it was stopped.
    Continue,
}

/// The default action of a signal.
#[must_use]
pub fn default_of(signal: u32) -> DefaultAction {
    match signal {
        SIGCHLD | SIGURG | SIGWINCH => DefaultAction::Ignore,
        SIGCONT => DefaultAction::Continue,
        SIGSTOP | SIGTSTP | SIGTTIN | SIGTTOU => DefaultAction::Stop,
        _ => DefaultAction::End,
    }
}

/// Signals from this one on are queued, each as often as it was sent.
pub const REAL_TIME: u32 = 32;

/// Signals that were sent and not delivered yet.
#[derive(Default)]
pub struct Pending {
    queue: Vec<Info>,
}

impl Pending {
    /// The set of them.
    #[must_use]
    pub fn set(&self) -> Set {
        self.queue
            .iter()
            .fold(Set::default(), |set, info| set.with(Set::of(info.signal())))
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.queue.len()
    }

    /// Adds one. Of those that are not of real time, one of a kind is enough.
    pub fn add(&mut self, info: Info) {
        let signal = info.signal();
        if signal >= REAL_TIME || !self.set().has(signal) {
            self.queue.push(info);
        }
    }

    /// Whether the signal of the same timer of timer_create waits.
    #[must_use]
    pub fn has_timer(&self, info: &Info) -> bool {
        let same = |other: &&Info| other.is_of_timer() && other.sender() == info.sender();
        info.is_of_timer() && self.queue.iter().any(|other| same(&other))
    }

    /// Takes the first one of a set.
    pub fn take(&mut self, of: Set) -> Option<Info> {
        let signal = self.set().and(of).first()?;
        let at = self.queue.iter().position(|info| info.signal() == signal)?;
        Some(self.queue.remove(at))
    }

    /// Forgets those of a set.
    pub fn discard(&mut self, of: Set) {
        self.queue.retain(|info| !of.has(info.signal()));
    }
}

/// An alternative stack for handlers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stack {
    /// Its lowest address.
    pub base: u64,
    /// Its size; 0 for none.
    pub size: u64,
    /// As it was set: SS_DISABLE, SS_ONSTACK or 0, with SS_AUTODISARM.
    pub flags: u32,
}

impl Stack {
    /// The least size (MINSIGSTKSZ of the architecture's first days).
    const MIN: u64 = 2048;

    /// None, as for a new thread.
    #[must_use]
    pub fn disabled() -> Self {
        Self {
            base: 0,
            size: 0,
            flags: SS_DISABLE,
        }
    }

    /// Whether an address lies on it.
    #[must_use]
    pub fn holds(&self, address: u64) -> bool {
        self.size > 0 && address > self.base && address - self.base <= self.size
    }

    /// Whether a thread with this stack pointer runs on it. Of one that disarms itself, nobody
    /// knows.
    #[must_use]
    pub fn is_used(&self, pointer: u64) -> bool {
        self.flags & SS_AUTODISARM == 0 && self.holds(pointer)
    }

    /// The one that a thread may change it to, given with these words of a `stack_t`.
    ///
    /// # Errors
    ///
    /// EPERM if it runs on it, EINVAL for unknown flags, ENOMEM if the new one is too small.
    pub fn change(&self, pointer: u64, [base, flags, size]: [u64; 3]) -> Result<Self> {
        let flags = flags as u32;
        if self.is_used(pointer) {
            return Err(Errno::EPERM);
        }
        match flags & !SS_AUTODISARM {
            SS_DISABLE => Ok(Self {
                base: 0,
                size: 0,
                flags,
            }),
            0 | SS_ONSTACK if size < Self::MIN => Err(Errno::ENOMEM),
            0 | SS_ONSTACK => Ok(Self { base, size, flags }),
            _ => Err(Errno::EINVAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_first_and_then_the_lowest_number() {
        let set = Set::of(SIGHUP).with(Set::of(SIGSEGV)).with(Set::of(40));
        assert_eq!(set.first(), Some(SIGSEGV));
        assert_eq!(set.without(Set::of(SIGSEGV)).first(), Some(SIGHUP));
        assert_eq!(Set::of(64).first(), Some(64));
        assert_eq!(Set::default().first(), None);
    }

    #[test]
    fn only_real_time_signals_are_queued_more_than_once() {
        let mut pending = Pending::default();
        for signal in [SIGHUP, SIGHUP, 40, 40] {
            pending.add(Info::new(signal, 0));
        }
        let all = Set(u64::MAX);
        let taken: Vec<u32> = core::iter::from_fn(|| pending.take(all))
            .map(|i| i.signal())
            .collect();
        assert_eq!(taken, [SIGHUP, 40, 40]);
    }
}
