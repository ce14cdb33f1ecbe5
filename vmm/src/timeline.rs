//! When each phase of a start was reached.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::clock::monotonic_ns;
use crate::outcome::printable;

/// Named moments since a beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeline {
    start: u64,
    marks: Vec<(Cow<'static, str>, u64)>,
}

impl Timeline {
    /// Begins at `start`, nanoseconds of the monotonic clock.
    #[must_use]
    pub fn since(start: u64) -> Self {
        Self {
            start,
            marks: Vec::with_capacity(16),
        }
    }

    /// Begins now.
    #[must_use]
    pub fn now() -> Self {
        Self::since(monotonic_ns())
    }

    /// Notes that a phase has ended.
    pub fn mark(&mut self, phase: &'static str) {
        self.marks.push((Cow::Borrowed(phase), monotonic_ns()));
    }

    /// Notes that a phase ended at `ns` of the monotonic clock.
    pub(crate) fn mark_at(&mut self, phase: &'static str, ns: u64) {
        self.marks.push((Cow::Borrowed(phase), ns));
    }

    /// Each phase and the nanoseconds from the beginning to its end.
    pub fn marks(&self) -> impl Iterator<Item = (&str, u64)> {
        let start = self.start;
        self.marks
            .iter()
            .map(move |(phase, ns)| (&**phase, ns.saturating_sub(start)))
    }

    /// Removes from the names what a terminal would obey.
    pub(crate) fn make_printable(&mut self) {
        for (phase, _) in &mut self.marks {
            *phase = Cow::Owned(printable(phase));
        }
    }
}
