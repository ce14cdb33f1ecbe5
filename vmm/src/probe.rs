//! What a guest of this host can see, and what a change of world costs here: asked of a guest.
//!
//! **For**: whoever says what this host offers (levels of reproducibility, the CPU class, speed).
//! **Not for**: an instance's own machine, which is the builder's.
//!
//! A [`Machine`] is entered once for each question, in ring 3 as every guest of ours, and leaves
//! with an answer or a trap.

mod guest;
mod machine;

use kvm_bindings::CpuId;
use kvm_ioctls::Kvm;
use vm_memory::GuestMemoryError;

use crate::builder::BuildError;
use crate::clock::monotonic_ns;
use crate::cpu::baseline::{Baseline, NotOffered};
use crate::cpu::cpuid;
pub use crate::cpu::cpuid::PROGRAM_LEAVES;
use crate::{kvm, tsc};
use guest::Question;
use machine::{Answer, Machine};

/// Why this host could not be probed.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The probe's machine could not be made or run.
    #[error(transparent)]
    Machine(#[from] BuildError),
    /// The probe's memory.
    #[error("the probe's memory: {0}")]
    Memory(#[from] GuestMemoryError),
    /// The guest neither answered nor trapped.
    #[error("the probe's guest was lost at {question}: {exit}")]
    Lost {
        /// What it was to do.
        question: String,
        /// How KVM_RUN returned instead.
        exit: String,
    },
    /// The thread on which the time stamp counter is forbidden could not be had.
    #[error("a thread of the probe failed: {0}")]
    Thread(std::io::Error),
}

/// An instruction by which a program can see the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// Time.
    Rdtsc,
    /// Time, and the processor's number.
    Rdtscp,
    /// The processor's number.
    Rdpid,
    /// The processor's kind and features.
    Cpuid,
    /// Randomness.
    Rdrand,
    /// Randomness.
    Rdseed,
    /// The extended state that the host has turned on.
    Xgetbv,
}

impl Instruction {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Rdtsc,
        Self::Rdtscp,
        Self::Rdpid,
        Self::Cpuid,
        Self::Rdrand,
        Self::Rdseed,
        Self::Xgetbv,
    ];

    /// Its mnemonic.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rdtsc => "RDTSC",
            Self::Rdtscp => "RDTSCP",
            Self::Rdpid => "RDPID",
            Self::Cpuid => "CPUID",
            Self::Rdrand => "RDRAND",
            Self::Rdseed => "RDSEED",
            Self::Xgetbv => "XGETBV",
        }
    }
}

/// What becomes of such an instruction in a guest that must not see the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It traps, so that the kernel answers in the host's place.
    Trapped,
    /// It traps if the vCPU's thread has forbidden itself the time stamp counter (PR_SET_TSC).
    TrappedByThread,
    /// It shows what the VMM has set.
    Masked,
    /// It shows the host.
    Shown,
}

/// What a guest of this host can see, and what a change of world costs.
#[derive(Clone, Debug)]
pub struct Probe {
    /// What hides each instruction, where it can be hidden.
    pub sights: Vec<(Instruction, Sight)>,
    /// CPUID as the program of an ordinary instance sees it.
    pub cpuid: Vec<Leaf>,
    /// XCR0 as such a program sees it; `None` if it cannot.
    pub xcr0: Option<u64>,
    /// The baselines, and why one is not offered.
    pub baselines: Vec<(Baseline, Option<NotOffered>)>,
    /// Nanoseconds of an exit to the VMM and back.
    pub exit_ns: u64,
    /// Nanoseconds of a system call that does nothing.
    pub syscall_ns: u64,
}

/// One part of one leaf of CPUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The leaf, in EAX.
    pub leaf: u32,
    /// The part, in ECX.
    pub part: u32,
    /// EAX, EBX, ECX and EDX.
    pub values: [u32; 4],
}

/// Probes this host with guests of a few instructions, which takes some milliseconds.
///
/// # Errors
///
/// There is no KVM, or its guests do not behave.
pub fn probe(leaves: &[(u32, u32)]) -> Result<Probe, ProbeError> {
    let kvm = kvm::open()?;
    let features = kvm::features(&kvm)?;
    let mut ordinary = Machine::new(&kvm, &features, false)?;
    let shown = ordinary.cpuid(leaves)?.unwrap_or_default();
    let cpuid = leaves.iter().zip(shown);
    let cpuid = cpuid
        .map(|(&(leaf, part), values)| Leaf { leaf, part, values })
        .collect();
    let xcr0 = match ordinary.ask(Question::Xgetbv)? {
        Answer::Value(value) => Some(value),
        Answer::Trap(_) => None,
    };
    Ok(Probe {
        sights: sights(&kvm, &masked(&features))?,
        cpuid,
        xcr0,
        baselines: kvm::baselines(&features),
        exit_ns: exit_ns(&mut ordinary)?,
        syscall_ns: syscall_ns(&mut ordinary)?,
    })
}

/// The baselines, and why this host does not offer one: without a guest, which takes less.
///
/// # Errors
///
/// There is no KVM.
pub fn baselines() -> Result<Vec<(Baseline, Option<NotOffered>)>, BuildError> {
    let kvm = kvm::open()?;
    Ok(kvm::baselines(&kvm::features(&kvm)?))
}

/// The median of single exits.
fn exit_ns(machine: &mut Machine) -> Result<u64, ProbeError> {
    const TIMES: usize = 101;
    machine.ask(Question::Exits)?;
    let mut took = Vec::with_capacity(TIMES);
    let mut before = monotonic_ns();
    for _ in 0..TIMES {
        machine.run(Question::Exits)?;
        let now = monotonic_ns();
        took.push(now - before);
        before = now;
    }
    Ok(median(took))
}

/// The median of series of calls, each long enough that the exit at its end counts for little.
fn syscall_ns(machine: &mut Machine) -> Result<u64, ProbeError> {
    const TIMES: usize = 5;
    const SERIES_NS: u64 = 5_000_000;
    const FEW: u64 = 16;
    let mut series = |count| {
        let start = monotonic_ns();
        machine.system_calls(count)?;
        Ok::<_, ProbeError>(monotonic_ns() - start)
    };
    let few = series(FEW)?.max(1);
    let count = (FEW * SERIES_NS / few).clamp(FEW, 1 << 16);
    let took: Result<Vec<_>, _> = (0..TIMES).map(|_| series(count)).collect();
    Ok(median(took?) / count)
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

/// XCR0 with x87 and SSE only, which every processor accepts.
const LITTLE_STATE: u64 = 0b11;

/// `features` without the instructions that show the host, as far as CPUID has a word for them, and
/// with little extended state.
fn masked(features: &CpuId) -> CpuId {
    let mut hidden = features.clone();
    cpuid::hide_host(&mut hidden);
    cpuid::restrict_state(&mut hidden, LITTLE_STATE);
    hidden
}

/// What becomes of each instruction in a guest from which it should be hidden.
fn sights(kvm: &Kvm, masked: &CpuId) -> Result<Vec<(Instruction, Sight)>, ProbeError> {
    let mut machine = Machine::new(kvm, masked, true)?;
    let mut sights = Vec::new();
    for instruction in Instruction::ALL {
        let sight = match instruction {
            Instruction::Rdtsc => time(&mut machine, Question::Rdtsc)?,
            Instruction::Rdtscp => time(&mut machine, Question::Rdtscp)?,
            Instruction::Rdpid => trapped_or_shown(machine.ask(Question::Rdpid)?),
            Instruction::Rdrand => trapped_or_shown(machine.ask(Question::Rdrand)?),
            Instruction::Rdseed => trapped_or_shown(machine.ask(Question::Rdseed)?),
            // Where it does not trap, page-table KVM is not to be trusted with what is shown.
            Instruction::Cpuid => match machine.cpuid(&[(0, 0)])? {
                None => Sight::Trapped,
                Some(_) => Sight::Shown,
            },
            Instruction::Xgetbv => match machine.ask(Question::Xgetbv)? {
                Answer::Trap(_) => Sight::Trapped,
                Answer::Value(value) if value == LITTLE_STATE => Sight::Masked,
                Answer::Value(_) => Sight::Shown,
            },
        };
        sights.push((instruction, sight));
    }
    Ok(sights)
}

fn trapped_or_shown(answer: Answer) -> Sight {
    match answer {
        Answer::Trap(_) => Sight::Trapped,
        Answer::Value(_) => Sight::Shown,
    }
}

/// What becomes of a read of the time stamp counter, which a thread can be forbidden.
fn time(machine: &mut Machine, question: Question) -> Result<Sight, ProbeError> {
    if let Answer::Trap(_) = machine.ask(question)? {
        return Ok(Sight::Trapped);
    }
    let answer = std::thread::scope(|scope| {
        let forbidden = || tsc::without_tsc(|| machine.ask(question));
        let thread = std::thread::Builder::new().spawn_scoped(scope, forbidden);
        let thread = thread.map_err(ProbeError::Thread)?;
        let panicked = |_| ProbeError::Thread(std::io::Error::other("it panicked"));
        thread
            .join()
            .map_err(panicked)?
            .map_err(ProbeError::Thread)?
    })?;
    Ok(match answer {
        Answer::Trap(_) => Sight::TrappedByThread,
        Answer::Value(_) => Sight::Shown,
    })
}
