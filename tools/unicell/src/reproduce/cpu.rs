//! The processor that the program of a reproducible run finds: the host's own, or a baseline, which
//! is the same everywhere.

use clap::ValueEnum;
use unicell_gateway_api::instance::Cpu;
use unicell_vmm::probe;
use unicell_vmm::reproducible::{Baseline, Level, NotOffered};

use crate::failure::{Failure, Result};

/// A processor, as it is written on the command line.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum CpuName {
    /// The host's own: the run is the same on hosts of its CPU class
    #[value(name = "host")]
    Host,
    /// The same on every host: SSE4.2, no AVX
    #[value(name = "x86-64-v2")]
    V2,
    /// The same on every host that offers it: AVX2 and FMA
    #[value(name = "x86-64-v3")]
    V3,
}

impl From<CpuName> for Cpu {
    fn from(name: CpuName) -> Self {
        match name {
            CpuName::Host => Self::Host,
            CpuName::V2 => Self::V2,
            CpuName::V3 => Self::V3,
        }
    }
}

/// The processor of a run at this level, of which this was said. Without a word the program of a
/// reproducible run finds the baseline that most hosts offer.
pub(crate) fn processor(level: Level, said: Option<Cpu>) -> Result<Option<Baseline>, String> {
    let baseline = match said {
        Some(Cpu::Host) => None,
        None if !level.is_reproducible() => None,
        None | Some(Cpu::V2) => Some(Baseline::V2),
        Some(Cpu::V3) => Some(Baseline::V3),
    };
    match baseline {
        Some(baseline) if !level.is_reproducible() => Err(format!(
            "{baseline} in the processor's place can be had from level D1 on: at {} programs see \
             the processor itself",
            level.name()
        )),
        baseline => Ok(baseline),
    }
}

/// The baselines, and why this host does not offer one.
pub(crate) struct Offers(pub(super) Vec<(Baseline, Option<NotOffered>)>);

impl Offers {
    /// Finds out.
    pub(crate) fn of_host() -> Result<Self> {
        probe::baselines().map(Self).map_err(Failure::internal)
    }

    /// Why a run cannot have this processor here.
    pub(crate) fn lacks(&self, baseline: Option<Baseline>) -> Option<&NotOffered> {
        let offers = self.0.iter();
        let mut wanted = offers.filter(|(offered, _)| Some(*offered) == baseline);
        wanted.find_map(|(_, refused)| refused.as_ref())
    }

    /// Refuses a processor that cannot be had here, for somebody at the command line.
    pub(crate) fn check(&self, baseline: Option<Baseline>) -> Result<()> {
        match self.lacks(baseline) {
            None => Ok(()),
            Some(why) => Err(Failure::failed(why).hint(
                "the host's own processor can be had, and compared with others of its class: `--cpu \
                 host`",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_nothing_gets_the_host_at_d0_and_a_baseline_from_d1_on() {
        assert_eq!(processor(Level::D0, None), Ok(None));
        assert_eq!(processor(Level::D1, None), Ok(Some(Baseline::V2)));
        assert_eq!(processor(Level::D2, None), Ok(Some(Baseline::V2)));
    }

    #[test]
    fn what_is_said_holds_where_it_can() {
        assert_eq!(processor(Level::D0, Some(Cpu::Host)), Ok(None));
        assert_eq!(processor(Level::D1, Some(Cpu::Host)), Ok(None));
        assert_eq!(processor(Level::D1, Some(Cpu::V3)), Ok(Some(Baseline::V3)));
        let refused = processor(Level::D0, Some(Cpu::V2)).unwrap_err();
        assert!(refused.contains("x86-64-v2"), "{refused}");
    }
}
