//! How often instances are started.
//!
//! A start costs the host more than the resources say that it gives out: a
//! process, its jail, its machine, and the end of all these. Whoever starts in
//! a loop what ends at once holds no resources, and keeps the host busy. So
//! there is a token bucket for each client and each instance that starts
//! others, and a start draws on the buckets of all who are above it: what a
//! tree does together is bounded by what its root may do.
//!
//! The operator's own starts are not counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use unicell_gateway_api::instance::Owner;

/// A size of buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Starts at once, after a time without any; at least 1.
    pub burst: u32,
    /// The time from one to the next from then on.
    pub each: Duration,
}

/// What the operator sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartBounds {
    /// Of one client: what it starts itself, and what is started below.
    pub client: Rate,
    /// Of one instance: its children, and what is started below.
    pub instance: Rate,
    /// How long a start waits for its turn. One that would wait longer is refused.
    pub patience: Duration,
}

impl StartBounds {
    fn rate(&self, owner: &Owner) -> Option<Rate> {
        match owner {
            Owner::Operator => None,
            Owner::Client(_) => Some(self.client),
            Owner::Instance(_) => Some(self.instance),
        }
    }
}

/// The buckets that are not full.
#[derive(Debug)]
pub(crate) struct Starts {
    bounds: StartBounds,
    /// When each is full again.
    full: BTreeMap<Owner, Instant>,
}

impl Starts {
    pub(crate) const fn new(bounds: StartBounds) -> Self {
        Self {
            bounds,
            full: BTreeMap::new(),
        }
    }

    /// Draws for a start on the buckets of `payers`: how long it has to wait
    /// for its turn.
    ///
    /// # Errors
    ///
    /// That is too long, and nothing was drawn: after this time it need not wait.
    pub(crate) fn draw<'a>(
        &mut self,
        payers: impl Iterator<Item = &'a Owner>,
        now: Instant,
    ) -> Result<Duration, Duration> {
        self.full.retain(|_, full| *full > now);
        let drawn: Vec<_> = payers
            .filter_map(|owner| {
                let rate = self.bounds.rate(owner)?;
                let full = self.full.get(owner).copied().unwrap_or(now) + rate.each;
                // A bucket that is empty is full after so many times as its burst is large.
                let wait = full.saturating_duration_since(now + rate.each * rate.burst.max(1));
                Some((owner, full, wait))
            })
            .collect();
        let waits = drawn.iter().map(|(_, _, wait)| *wait);
        let wait = waits.max().unwrap_or_default();
        if wait > self.bounds.patience {
            return Err(wait);
        }
        for (owner, full, _) in drawn {
            self.full.insert(owner.clone(), full);
        }
        Ok(wait)
    }
}

#[cfg(test)]
mod tests {
    use unicell_gateway_api::id::InstanceId;

    use super::*;

    const BOUNDS: StartBounds = StartBounds {
        client: Rate {
            burst: 4,
            each: Duration::from_millis(100),
        },
        instance: Rate {
            burst: 2,
            each: Duration::from_millis(200),
        },
        patience: Duration::from_millis(300),
    };

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn instance(number: u8) -> Owner {
        Owner::Instance(InstanceId::new([number; 6]))
    }

    #[test]
    fn a_burst_is_free_then_each_waits_for_its_turn_and_then_is_refused() {
        let (mut starts, now) = (Starts::new(BOUNDS), Instant::now());
        let payers = [instance(1), Owner::Operator];
        let mut draw = |at| starts.draw(payers.iter(), now + at);
        let waits = [draw(ms(0)), draw(ms(0)), draw(ms(0)), draw(ms(0))];
        assert_eq!(waits, [Ok(ms(0)), Ok(ms(0)), Ok(ms(200)), Err(ms(400))]);
        // A refusal has cost nothing, and says when there is no wait.
        assert_eq!(draw(ms(400)), Ok(ms(0)));
        assert_eq!(draw(ms(400)), Ok(ms(200)));
        // Long after, the bucket is full and no fuller.
        let waits = [draw(ms(9000)), draw(ms(9000)), draw(ms(9000))];
        assert_eq!(waits, [Ok(ms(0)), Ok(ms(0)), Ok(ms(200))]);
    }

    #[test]
    fn a_tree_has_together_what_its_root_has() {
        let (mut starts, now) = (Starts::new(BOUNDS), Instant::now());
        let alice = Owner::Client("alice".to_owned());
        let mut draw = |number| {
            let payers = [instance(number), alice.clone()];
            starts.draw(payers.iter(), now)
        };
        let waits: Vec<_> = (1..=8).map(&mut draw).collect();
        assert_eq!(waits[..4], [Ok(ms(0)); 4]);
        let late = [Ok(ms(100)), Ok(ms(200)), Ok(ms(300)), Err(ms(400))];
        assert_eq!(waits[4..], late);
        // Another tree, and the operator, have nothing to do with it.
        let other = Owner::Client("bob".to_owned());
        assert_eq!(starts.draw([&other].into_iter(), now), Ok(ms(0)));
        for _ in 0..1000 {
            let operator = [&Owner::Operator].into_iter();
            assert_eq!(starts.draw(operator, now), Ok(ms(0)));
        }
    }

    #[test]
    fn only_buckets_that_are_not_full_are_kept() {
        let (mut starts, now) = (Starts::new(BOUNDS), Instant::now());
        for number in 0..200 {
            starts.draw([&instance(number)].into_iter(), now).unwrap();
        }
        starts
            .draw([&instance(0)].into_iter(), now + ms(200))
            .unwrap();
        assert_eq!(starts.full.len(), 1);
    }
}
