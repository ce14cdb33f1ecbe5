//! How many refusals are told of.

use std::time::{Duration, Instant};

/// How fast one instance makes events of refusals: so many at once, then one
/// in each interval.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    recent: Vec<Instant>,
    left_out: u64,
}

impl Refusals {
    const BURST: usize = 32;
    const WINDOW: Duration = Duration::from_secs(1);

    /// Whether to tell of one now, and how many were left out before it.
    pub(super) fn tell(&mut self, now: Instant) -> Option<u64> {
        self.tell_of(1, now)
    }

    /// The same for the last of so many.
    pub(super) fn tell_of(&mut self, times: u32, now: Instant) -> Option<u64> {
        let earlier = u64::from(times.saturating_sub(1));
        self.left_out = self.left_out.saturating_add(earlier);
        self.recent
            .retain(|at| now.duration_since(*at) < Self::WINDOW);
        if self.recent.len() >= Self::BURST {
            self.left_out = self.left_out.saturating_add(1);
            return None;
        }
        self.recent.push(now);
        Some(std::mem::take(&mut self.left_out))
    }
}
