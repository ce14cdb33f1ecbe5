//! timerfd_create(2): a timer that can be waited for. Nothing runs when it expires; whoever looks
//! compares it with the clock.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::anonymous;
use super::file::{Events, File};
use super::stat::Stat;
use crate::errno::{Errno, Result};
use crate::io::Sink;
use crate::sync::Mutex;
use crate::task::WaitQueue;
use crate::time;

const SIZE: usize = 8;

/// A timer.
pub struct TimerFd {
    state: Mutex<State>,
    /// Whether its clock is CLOCK_REALTIME.
    realtime: bool,
    changed: WaitQueue,
}

/// When it expires.
#[derive(Clone, Copy, Default)]
struct State {
    /// The next expiry that was not read: monotonic ns; none if it is not armed.
    next: Option<u64>,
    /// 0 for once.
    interval: u64,
    /// How often it was armed.
    armed: u64,
}

impl State {
    /// Expiries that were not read.
    fn expired(&self) -> u64 {
        let now = time::monotonic();
        match self.next {
            Some(next) if next <= now => {
                1 + (now - next).checked_div(self.interval).unwrap_or_default()
            }
            _ => 0,
        }
    }
}

impl TimerFd {
    /// A timer that is not armed.
    #[must_use]
    pub fn new(realtime: bool) -> Self {
        Self {
            state: Mutex::default(),
            realtime,
            changed: WaitQueue::new(),
        }
    }

    /// Arms it (with `first` ns from now, or at that time of its clock if `absolute`), or disarms
    /// it if `first` is 0.
    pub fn set(&self, first: u64, interval: u64, absolute: bool) {
        let now = time::monotonic();
        let next = match (first, absolute, self.realtime) {
            (0, _, _) => None,
            (first, false, _) => Some(now.saturating_add(first)),
            (first, true, false) => Some(first),
            (first, true, true) => {
                let offset = time::realtime().saturating_sub(now);
                Some(first.saturating_sub(offset))
            }
        };
        {
            let mut state = self.state.lock();
            *state = State {
                next,
                interval,
                armed: state.armed + 1,
            };
        }
        self.changed.wake_all();
    }

    /// Nanoseconds to the next expiry (0 if it is not armed), and the interval.
    #[must_use]
    pub fn get(&self) -> (u64, u64) {
        let state = *self.state.lock();
        let now = time::monotonic();
        let left = match state.next {
            None => 0,
            Some(next) if next > now => next - now,
            Some(_) if state.interval == 0 => 0,
            Some(next) => next + state.expired() * state.interval - now,
        };
        (left, state.interval)
    }
}

impl File for TimerFd {
    fn details(&self) -> String {
        let ticks = self.state.lock().expired();
        let (left, interval) = self.get();
        let shown = |ns: u64| format!("({}, {})", ns / time::SECOND, ns % time::SECOND);
        format!(
            "clockid: {}\nticks: {ticks}\nsettime flags: 00\nit_value: {}\nit_interval: {}\n",
            u32::from(!self.realtime),
            shown(left),
            shown(interval)
        )
    }

    fn stat(&self) -> Stat {
        anonymous::stat(0, 0o600)
    }

    fn read(&self, _: u64, sink: &mut Sink<'_>) -> Result<usize> {
        if sink.remaining() < SIZE {
            return Err(Errno::EINVAL);
        }
        let expired = {
            let mut state = self.state.lock();
            let expired = state.expired();
            if expired == 0 {
                return Err(Errno::EAGAIN);
            }
            let repeats = state.interval > 0;
            state.next = state
                .next
                .filter(|_| repeats)
                .map(|next| next.saturating_add(expired.saturating_mul(state.interval)));
            expired
        };
        sink.write(&expired.to_le_bytes())
    }

    fn poll(&self) -> Events {
        if self.state.lock().expired() > 0 {
            Events::IN
        } else {
            Events::empty()
        }
    }

    fn queue(&self) -> Option<&WaitQueue> {
        Some(&self.changed)
    }

    fn deadline(&self) -> Option<u64> {
        let state = *self.state.lock();
        let next = state.next?;
        match state.expired() {
            0 => Some(next),
            // It is ready until it is read; it becomes so anew at the next expiry.
            expired if state.interval > 0 => Some(next + expired * state.interval),
            _ => None,
        }
    }

    fn generation(&self) -> u64 {
        let state = *self.state.lock();
        let from_start = state.next.unwrap_or_default().checked_div(state.interval);
        state.armed + state.expired() + from_start.unwrap_or_default()
    }

    fn ignores_seeks(&self) -> bool {
        true
    }

    fn name(&self) -> Vec<u8> {
        b"anon_inode:[timerfd]".to_vec()
    }
}
