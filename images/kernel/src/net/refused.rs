//! What the node is told of connections that the guest refuses by itself: of each, as long as they
//! are few, then of some, with how many there were.

/// Of so many in a second.
const EACH: u32 = 32;
const SECOND_NS: u64 = 1_000_000_000;

/// Counts refusals.
pub(super) struct Refused {
    /// When this second began.
    since: u64,
    /// Of how many it was told in it.
    told: u32,
    /// How many it has not been told of.
    untold: u32,
}

impl Refused {
    pub(super) const fn new() -> Self {
        Self {
            since: 0,
            told: 0,
            untold: 0,
        }
    }

    /// One more. If the node is to be told now: how many there were since it was told last.
    pub(super) fn count(&mut self, now: u64) -> Option<u32> {
        self.untold = self.untold.saturating_add(1);
        if now.saturating_sub(self.since) >= SECOND_NS {
            (self.since, self.told) = (now, 0);
        }
        if self.told >= EACH {
            return None;
        }
        self.told += 1;
        Some(core::mem::take(&mut self.untold))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn each_of_a_few_is_told_and_none_of_many_is_forgotten() {
        let mut refused = Refused::new();
        let mut told = Vec::new();
        for at in 0..100 {
            told.extend(refused.count(5 * SECOND_NS + at));
        }
        assert_eq!(told, [1; EACH as usize]);
        // The next that is told brings those that were not.
        assert_eq!(refused.count(6 * SECOND_NS), Some(100 - EACH + 1));
        assert_eq!(refused.count(6 * SECOND_NS), Some(1));
    }
}
