//! Reproducible runs: what they are started with, their receipts, and what becomes of those.

mod cpu;
mod receipt;
mod verify;

use clap::{Args, ValueEnum};
use std::time::Duration;
use unicell_gateway_api::instance::Determinism;
use unicell_vmm::probe::probe;
use unicell_vmm::reproducible::{Baseline, Level, Reproduction, Spin};

use crate::cli::duration;
use crate::doctor;
use crate::failure::{Failure, Result};
pub(crate) use cpu::{CpuName, Offers, processor};
pub(crate) use receipt::{Begun, Wish, check_nonce, digest, transcript_path};
pub(crate) use verify::{ReplayArguments, VerifyArguments, replay, verify};

/// How reproducible a run is to be.
#[derive(Args)]
pub(crate) struct LevelArguments {
    /// What is promised: D0 nothing, D1 the same output for the same input, D2 also where the
    /// processor's own instructions would show the host (default: D0, with --receipt the highest
    /// that this host can give)
    #[arg(long, value_name = "LEVEL", ignore_case = true)]
    level: Option<LevelName>,
    /// With D1 and D2: the processor that the program finds (default: x86-64-v2, so that others can
    /// verify the receipt whatever their processor)
    #[arg(long, value_name = "CPU")]
    cpu: Option<CpuName>,
    /// With D1 and D2: how much processor time a program may use without a system call while
    /// others wait for it
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s")]
    spin_limit: Duration,
    /// What becomes of a program beyond --spin-limit
    #[arg(long, value_name = "WHAT", default_value = "end")]
    when_spinning: WhenSpinning,
}

/// A level, as it is written on the command line.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum LevelName {
    #[value(name = "D0")]
    D0,
    #[value(name = "D1")]
    D1,
    #[value(name = "D2")]
    D2,
}

impl From<LevelName> for Determinism {
    fn from(name: LevelName) -> Self {
        match name {
            LevelName::D0 => Self::D0,
            LevelName::D1 => Self::D1,
            LevelName::D2 => Self::D2,
        }
    }
}

/// What becomes of a program that spins.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WhenSpinning {
    /// It is ended (exit code 212)
    End,
    /// It is interrupted, and nothing is promised any more: the level is D0
    Lower,
}

/// What this host can give.
pub(crate) struct Host {
    /// The highest level.
    level: Level,
    /// Instructions that would show the host.
    leaks: Vec<&'static str>,
    /// The class of its own processor.
    cpu_class: String,
    /// What else a program can be given in its place.
    pub(crate) offers: Offers,
}

impl Host {
    /// Finds out, by guests of a few instructions.
    pub(crate) fn probe() -> Result<Self> {
        let probe = probe(&doctor::class::wanted()).map_err(Failure::internal)?;
        let leaks = doctor::leaks(&probe);
        Ok(Self {
            level: if leaks.is_empty() {
                Level::D2
            } else {
                Level::D1
            },
            cpu_class: doctor::class::class(&probe),
            leaks,
            offers: Offers(probe.baselines),
        })
    }
}

impl LevelArguments {
    /// The terms of a run. `host` is asked only where it matters.
    pub(crate) fn terms(&self, host: Option<&Host>) -> Result<Reproduction> {
        let level = self.level(host)?;
        let cpu = processor(level, self.cpu.map(Into::into)).map_err(Failure::failed)?;
        match (cpu, host) {
            (None, _) => {}
            (_, Some(host)) => host.offers.check(cpu)?,
            (_, None) => Offers::of_host()?.check(cpu)?,
        }
        Ok(Reproduction {
            level,
            spin: self.spin(),
            cpu,
            log: None,
        })
    }

    fn spin(&self) -> Spin {
        Spin {
            limit_ns: self.spin_limit.as_nanos().try_into().unwrap_or(u64::MAX),
            lowers: self.when_spinning == WhenSpinning::Lower,
        }
    }

    fn level(&self, host: Option<&Host>) -> Result<Level> {
        match (self.level, host) {
            (Some(LevelName::D0), _) | (None, None) => Ok(Level::D0),
            (Some(LevelName::D1), _) => Ok(Level::D1),
            (None, Some(host)) => Ok(host.level),
            (Some(LevelName::D2), None) => d2(&Host::probe()?),
            (Some(LevelName::D2), Some(host)) => d2(host),
        }
    }
}

impl Host {
    /// The CPU class of runs here that find this processor.
    pub(crate) fn class(&self, cpu: Option<Baseline>) -> String {
        cpu.map_or_else(|| self.cpu_class.clone(), Baseline::class)
    }

    /// Why it cannot give D2, if it cannot.
    pub(crate) fn lacks_d2(&self) -> Option<String> {
        (!self.leaks.is_empty()).then(|| {
            let leaks = self.leaks.join(", ");
            format!("this host cannot give D2: {leaks} would show it")
        })
    }
}

fn d2(host: &Host) -> Result<Level> {
    match host.lacks_d2() {
        None => Ok(Level::D2),
        Some(why) => Err(Failure::failed(why).hint("D1 can be had: `--level D1`")),
    }
}
