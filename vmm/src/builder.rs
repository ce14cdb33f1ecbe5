//! Putting an instance together.

use std::sync::Arc;

use kvm_bindings::CpuId;
use kvm_ioctls::Kvm;
use unicell_guest_abi::{init, layout};

use crate::clock::ClockWriter;
use crate::content::Content;
use crate::cpu::{self, cpuid};
use crate::governor::Governor;
use crate::helper::Helper;
use crate::jail::{Guarded, JailError};
use crate::kernel::{Kernel, KernelError};
use crate::kvm::{self, KvmError, Machine};
use crate::memory::{BoxImage, Memory, MemoryError};
use crate::monitor::Monitor;
use crate::outcome::End;
use crate::reproducible::{Baseline, Level, NotOffered, Promise, Spin};
use crate::run::Vm;
use crate::symbols::Symbols;
use crate::timeline::Timeline;
use crate::window::Window;

/// Why an instance cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The kernel is none for this VMM.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// There is no KVM, or this process may not use it.
    #[error("/dev/kvm cannot be opened: {0}")]
    NoKvm(std::io::Error),
    /// KVM refused something.
    #[error(transparent)]
    Kvm(#[from] KvmError),
    /// The host does not offer the processor that is wanted.
    #[error(transparent)]
    Cpu(#[from] NotOffered),
    /// The init block is too long.
    #[error("an init block of {0} bytes: the most is {max}", max = init::MAX)]
    InitSize(usize),
    /// A thread cannot be restricted.
    #[error(transparent)]
    Jail(#[from] JailError),
    /// There is no second thread.
    #[error("the host cannot give a thread: {0}")]
    Thread(std::io::Error),
    /// The host has no randomness, or no descriptor left.
    #[error("the host cannot give {what}: {source}")]
    Host {
        /// What it was asked for.
        what: &'static str,
        /// Why not.
        source: rustix::io::Errno,
    },
}

impl BuildError {
    /// This error as the end of an instance that did not begin.
    #[must_use]
    pub fn end(&self) -> End {
        match self {
            Self::NoKvm(_) => End::NoKvm,
            _ => End::Host,
        }
    }
}

/// What an instance is made of.
pub struct Builder {
    kernel: Kernel,
    ram: u64,
    image: Option<BoxImage>,
    init: Vec<u8>,
    flags: u32,
    seed: Option<[u8; 32]>,
    window: Option<Window>,
    level: Level,
    spin: Spin,
    cpu: Option<Baseline>,
    timeline: Timeline,
}

impl Builder {
    /// An instance of this kernel with the least memory, no box and an empty init block.
    #[must_use]
    pub fn new(kernel: Kernel) -> Self {
        Self {
            kernel,
            ram: layout::RAM_MIN,
            image: None,
            init: Vec::new(),
            flags: 0,
            seed: None,
            window: None,
            level: Level::D0,
            spin: Spin::default(),
            cpu: None,
            timeline: Timeline::now(),
        }
    }

    /// RAM in bytes: a multiple of 2 MiB, at least 8 MiB.
    #[must_use]
    pub fn ram(mut self, bytes: u64) -> Self {
        self.ram = bytes;
        self
    }

    /// The box image.
    #[must_use]
    pub fn image(mut self, image: BoxImage) -> Self {
        self.image = Some(image);
        self
    }

    /// The init block (`unicell_guest_abi::init`), at most 256 KiB.
    #[must_use]
    pub fn init(mut self, block: Vec<u8>) -> Self {
        self.init = block;
        self
    }

    /// Bits of `unicell_guest_abi::boot::flags`.
    #[must_use]
    pub fn flags(mut self, flags: u32) -> Self {
        self.flags = flags;
        self
    }

    /// What the guest's random generator starts from, instead of the host's randomness.
    #[must_use]
    pub fn seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Gives the program a terminal of this size; the backend is its other side.
    #[must_use]
    pub fn terminal(mut self, window: Window) -> Self {
        self.window = Some(window);
        self
    }

    /// Promises a level of reproducible execution. The backend then brings input only when it is
    /// asked ([`crate::Backend::ask`]).
    #[must_use]
    pub fn level(mut self, level: Level, spin: Spin) -> Self {
        (self.level, self.spin) = (level, spin);
        self
    }

    /// The processor that the program of a reproducible run finds, if not the host's own.
    #[must_use]
    pub fn cpu(mut self, baseline: Option<Baseline>) -> Self {
        self.cpu = baseline;
        self
    }

    /// Where the timeline begins, if not with this builder.
    #[must_use]
    pub fn timeline(mut self, timeline: Timeline) -> Self {
        self.timeline = timeline;
        self
    }

    /// Makes the virtual machine, ready to run its first instruction.
    ///
    /// # Errors
    ///
    /// The host refuses, or what was given does not fit.
    pub fn build(mut self) -> Result<Vm, BuildError> {
        let kvm = kvm::open()?;
        let (guarded, timeline) = (Guarded::unguarded(), &mut self.timeline);
        let blank = Blank::new(&kvm, &self.kernel, guarded, timeline)?;
        self.build_on(blank)
    }

    /// Makes it of a machine that was made before, for the same kernel.
    pub(crate) fn build_on(self, blank: Blank) -> Result<Vm, BuildError> {
        let mut timeline = self.timeline;
        if self.init.len() as u64 > init::MAX {
            return Err(BuildError::InitSize(self.init.len()));
        }
        let seed = match self.seed {
            Some(seed) => seed,
            None => random()?,
        };
        let Blank {
            mut machine,
            helper,
            mut cpuid,
            mut clock,
            monitor,
        } = blank;
        helper.ready()?;
        if self.level.is_reproducible() {
            if let Some(baseline) = self.cpu {
                pretend(baseline, &machine, &mut cpuid)?;
            }
            cpuid::hide_host(&mut cpuid);
            machine.hide_host()?;
            clock.make_virtual();
        }
        let box_size = self.image.as_ref().map_or(0, |image| image.len);
        let memory = Memory::new(self.ram, self.kernel.mapped(), self.image)?;
        let memory = Arc::new(memory);
        timeline.mark("memory mapped");
        let content = Content {
            kernel: self.kernel.clone(),
            cpuid,
            ram: self.ram,
            box_size,
            init: self.init,
            flags: self.flags,
            seed,
            window: self.window,
            level: self.level,
            baseline: self.cpu,
        };
        helper.fill(content, Arc::clone(&memory));
        machine.set_memory(memory.slots(), self.ram)?;
        timeline.mark("memory slots");
        helper.filled()?;
        timeline.mark("memory filled");
        Ok(Vm {
            machine,
            helper,
            memory,
            monitor: Arc::new(monitor),
            governor: Arc::new(Governor::new()),
            clock,
            promise: Promise::new(self.level, self.spin),
            symbols: Symbols::of(self.kernel.bytes()),
            timeline,
            deadline: u64::MAX,
        })
    }
}

/// A machine without memory, and the threads to go with it: all that can be made before it is known
/// what is to be run.
pub(crate) struct Blank {
    machine: Machine,
    helper: Helper,
    cpuid: CpuId,
    clock: ClockWriter,
    monitor: Monitor,
}

impl Blank {
    /// Makes it, in the state in which `kernel` is entered.
    pub(crate) fn new(
        kvm: &Kvm,
        kernel: &Kernel,
        guarded: Guarded,
        timeline: &mut Timeline,
    ) -> Result<Self, BuildError> {
        let mut machine = Machine::new(kvm, timeline)?;
        let cpuid = kvm::features(kvm)?;
        let header = kernel.header();
        let state = cpu::initial(header, layout::TABLES_GPA);
        debug_assert_eq!(cpu::vmx::violation(&state.0, &state.1), None);
        let clock = machine.set_state(header, &cpuid, &state)?;
        let monitor = Monitor::new().map_err(|source| BuildError::Host {
            what: "an event descriptor",
            source,
        })?;
        timeline.mark("vCPU state");
        Ok(Self {
            machine,
            helper: Helper::spawn(guarded)?,
            cpuid,
            clock,
            monitor,
        })
    }
}

/// Prepares a machine with these features to be taken for a baseline. Where the guest's extended
/// state cannot be restricted, its kernel keeps all of it, and shows the baseline's.
fn pretend(baseline: Baseline, machine: &Machine, cpuid: &mut CpuId) -> Result<(), BuildError> {
    let restricts = kvm::restricts_state();
    baseline.offered_by(cpuid, restricts)?;
    if restricts {
        cpuid::restrict_state(cpuid, baseline.xcr0());
        machine.restrict_state(baseline.xcr0())?;
    }
    Ok(())
}

fn random() -> Result<[u8; 32], BuildError> {
    let mut seed = [0; 32];
    // Up to 256 bytes come whole (getrandom(2)).
    let flags = rustix::rand::GetRandomFlags::empty();
    match rustix::rand::getrandom(&mut seed, flags) {
        Ok(_) => Ok(seed),
        Err(source) => Err(BuildError::Host {
            what: "randomness",
            source,
        }),
    }
}
