//! When each phase of a start was reached.

use crate::clock::monotonic_ns;

/// Named moments since a beginning.
#[derive(Clone, Debug)]
pub struct Timeline {
    start: u64,
    marks: Vec<(&'static str, u64)>,
}

impl Timeline {
    /// Begins at `start`, nanoseconds of the monotonic clock.
    pub fn since(start: u64) -> Self {
        Self {
            start,
            marks: Vec::with_capacity(16),
        }
    }

    /// Begins now.
    pub fn now() -> Self {
        Self::since(monotonic_ns())
    }

    /// Notes that a phase has ended.
    pub fn mark(&mut self, phase: &'static str) {
        self.mark_at(phase, monotonic_ns());
    }

    /// Notes that a phase ended at `ns` of the monotonic clock.
    pub fn mark_at(&mut self, phase: &'static str, ns: u64) {
        self.marks.push((phase, ns));
    }

    /// Each phase and the nanoseconds from the beginning to its end.
    pub fn marks(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let start = self.start;
        let since = move |&(phase, ns): &(_, u64)| (phase, ns.saturating_sub(start));
        self.marks.iter().map(since)
    }
}
