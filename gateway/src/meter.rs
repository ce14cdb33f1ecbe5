//! What instances cost here, measured: the source of estimates.

use std::collections::BTreeMap;

use unicell_gateway_api::id::ServiceId;
use unicell_gateway_api::instance::{Measured, Usage};

/// Most services that are told apart. Of others only the sum is kept.
const SERVICES: usize = 4096;

/// Mean and deviation of a number, by Welford's method.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moments {
    samples: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, sample: f64) {
        self.samples += 1;
        let before = sample - self.mean;
        self.mean += before / self.samples as f64;
        self.squares += before * (sample - self.mean);
    }
}

impl From<Moments> for Measured {
    fn from(moments: Moments) -> Self {
        let degrees = moments.samples.saturating_sub(1).max(1);
        Self {
            mean: moments.mean,
            deviation: (moments.squares / degrees as f64).sqrt(),
            samples: moments.samples,
        }
    }
}

/// What was measured of one service, or of all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Costs {
    pub(crate) start_ns: Moments,
    pub(crate) cpu_milli: Moments,
    pub(crate) memory_peak: Moments,
}

/// What was measured in this life of the node.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    services: BTreeMap<ServiceId, Costs>,
    all: Costs,
}

impl Meter {
    /// A program ran so long after its start was asked for.
    pub(crate) fn started(&mut self, service: ServiceId, after_ns: u64) {
        self.each(service, |costs| costs.start_ns.add(after_ns as f64));
    }

    /// An instance has ended.
    pub(crate) fn ended(&mut self, service: ServiceId, usage: &Usage) {
        self.each(service, |costs| {
            let share = usage.cpu_ns as f64 * 1000.0 / usage.wall_ns.max(1) as f64;
            costs.cpu_milli.add(share);
            costs.memory_peak.add(usage.memory_peak as f64);
        });
    }

    fn each(&mut self, service: ServiceId, mut add: impl FnMut(&mut Costs)) {
        add(&mut self.all);
        if self.services.len() < SERVICES || self.services.contains_key(&service) {
            add(self.services.entry(service).or_default());
        }
    }

    /// What was measured of a service, and true; if nothing was, of all.
    pub(crate) fn of(&self, service: ServiceId) -> (Costs, bool) {
        match self.services.get(&service) {
            Some(costs) => (*costs, true),
            None => (self.all, false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_deviation_are_those_of_the_samples() {
        let mut moments = Moments::default();
        for sample in [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0] {
            moments.add(sample);
        }
        let measured = Measured::from(moments);
        assert_eq!((measured.mean, measured.samples), (5.0, 8));
        assert!((measured.deviation - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12);
        assert_eq!(Measured::from(Moments::default()), Measured::default());
    }
}
