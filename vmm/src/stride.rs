//! Whether the guest computes without a pause, and has enough of a processor to be modest.
//!
//! Who sleeps now and then is waited for by somebody; who computes without a pause is in nobody's way
//! as long as it gives way. So an instance of the second kind is told of to the node, which lets all
//! others of the host's threads go before its own. It is told of again as soon as it sleeps, or gets
//! less than a quarter of a processor: it does not starve.
//!
//! It begins as one that gives way: a start is work for the host, and who ends at once has no other.
//!
//! A guest can look like one that sleeps, and then has its turns as everybody has.

/// How long is looked back at one that has its turns, and at one that gives way.
const WINDOW_NS: u64 = 20_000_000;
const MODEST_NS: u64 = 100_000_000;
/// Of a window, as a divisor and a dividend: what it has slept at most, and computed at least, that
/// computes without a pause; and what who is modest must have computed.
const SLEPT: (u64, u64) = (1, 8);
const COMPUTED: (u64, u64) = (3, 8);
const STARVED: (u64, u64) = (1, 4);

/// What is seen of the vCPU.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// When, monotonic ns.
    pub(crate) at: u64,
    /// Its processor time so far, in nanoseconds.
    pub(crate) computed: u64,
    /// How long it has slept so far, by its own wish, in nanoseconds.
    pub(crate) slept: u64,
    /// It sleeps.
    pub(crate) sleeps: bool,
}

/// What was found so far.
#[derive(Debug)]
pub(crate) struct Stride {
    began: Option<Seen>,
    modest: bool,
}

/// Of one that is about to begin: it gives way until it first sleeps.
impl Default for Stride {
    fn default() -> Self {
        Self {
            began: None,
            modest: true,
        }
    }
}

impl Stride {
    /// Whether a look is worth it.
    pub(crate) fn is_due(&self, now: u64) -> bool {
        self.modest || self.began.is_none_or(|began| now >= began.at + WINDOW_NS)
    }

    /// Whether the instance is to give way from now on, if that is another than before.
    pub(crate) fn look(&mut self, now: Seen) -> Option<bool> {
        let began = *self.began.get_or_insert(now);
        let passed = now.at.saturating_sub(began.at);
        let window = if self.modest { MODEST_NS } else { WINDOW_NS };
        let rests = self.modest && now.sleeps;
        if passed < window && !rests {
            return None;
        }
        let computed = now.computed.saturating_sub(began.computed);
        let slept = now.slept.saturating_sub(began.slept);
        self.began = Some(now);
        let is = |part: u64, (of, whole): (u64, u64)| {
            part.saturating_mul(whole) >= passed.saturating_mul(of)
        };
        let least = if self.modest { STARVED } else { COMPUTED };
        let modest = !now.sleeps && !is(slept, SLEPT) && is(computed, least);
        (std::mem::replace(&mut self.modest, modest) != modest).then_some(modest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// A guest that computes so much, and sleeps so much, of each of so many milliseconds.
    fn pass(
        stride: &mut Stride,
        seen: &mut Seen,
        ms: u64,
        [computed, slept]: [u64; 2],
    ) -> Vec<bool> {
        let mut told = Vec::new();
        for _ in 0..ms {
            seen.at += MS;
            seen.computed += computed * MS / 100;
            seen.slept += slept * MS / 100;
            told.extend(stride.look(*seen));
        }
        told
    }

    /// One that has slept.
    fn awake() -> (Stride, Seen) {
        let (mut stride, mut seen) = (Stride::default(), Seen::default());
        assert_eq!(stride.look(seen), None);
        seen.sleeps = true;
        assert_eq!(pass(&mut stride, &mut seen, 1, [0, 100]), [false]);
        seen.sleeps = false;
        (stride, seen)
    }

    #[test]
    fn who_begins_gives_way_until_it_sleeps_or_starves() {
        awake();
        let (mut stride, mut seen) = (Stride::default(), Seen::default());
        assert_eq!(pass(&mut stride, &mut seen, 1000, [50, 0]), []);
        assert_eq!(pass(&mut stride, &mut seen, 200, [1, 0]), [false]);
    }

    #[test]
    fn who_computes_without_a_pause_gives_way_until_it_sleeps() {
        let (mut stride, mut seen) = awake();
        assert_eq!(pass(&mut stride, &mut seen, 19, [100, 0]), []);
        assert_eq!(pass(&mut stride, &mut seen, 1, [100, 0]), [true]);
        assert_eq!(pass(&mut stride, &mut seen, 1000, [100, 0]), []);
        seen.sleeps = true;
        assert_eq!(pass(&mut stride, &mut seen, 1, [0, 100]), [false]);
        assert_eq!(pass(&mut stride, &mut seen, 100, [0, 100]), []);
    }

    #[test]
    fn who_answers_requests_one_after_the_other_does_not() {
        let (mut stride, mut seen) = awake();
        assert_eq!(pass(&mut stride, &mut seen, 1000, [70, 30]), []);
    }

    #[test]
    fn who_gives_way_gets_its_turns_again_before_it_starves() {
        let (mut stride, mut seen) = awake();
        assert_eq!(pass(&mut stride, &mut seen, 20, [90, 0]), [true]);
        // Others take most of the processor, then all.
        assert_eq!(pass(&mut stride, &mut seen, 300, [30, 0]), []);
        assert_eq!(pass(&mut stride, &mut seen, 100, [5, 0]), [false]);
        // Three that compute take turns; then one of them ends.
        assert_eq!(pass(&mut stride, &mut seen, 200, [33, 0]), []);
        assert_eq!(pass(&mut stride, &mut seen, 20, [50, 0]), [true]);
    }
}
