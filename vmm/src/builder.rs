//! Putting an instance together.

use std::sync::Arc;

use unicell_guest_abi::{init, layout};

use crate::content::Content;
use crate::cpu;
use crate::governor::Governor;
use crate::helper::Helper;
use crate::kernel::{Kernel, KernelError};
use crate::kvm::{self, KvmError, Machine};
use crate::memory::{BoxImage, Memory, MemoryError};
use crate::monitor::Monitor;
use crate::outcome::End;
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
    /// The init block is too long.
    #[error("an init block of {0} bytes: the most is {max}", max = init::MAX)]
    InitSize(usize),
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
    pub fn build(self) -> Result<Vm, BuildError> {
        let mut timeline = self.timeline;
        if self.init.len() as u64 > init::MAX {
            return Err(BuildError::InitSize(self.init.len()));
        }
        let kvm = Arc::new(kvm::open()?);
        let seed = match self.seed {
            Some(seed) => seed,
            None => random()?,
        };
        let box_size = self.image.as_ref().map_or(0, |image| image.len);
        let memory = Memory::new(self.ram, self.kernel.mapped(), self.image)?;
        let memory = Arc::new(memory);
        timeline.mark("memory mapped");
        let content = Content {
            kernel: self.kernel.clone(),
            ram: self.ram,
            box_size,
            init: self.init,
            flags: self.flags,
            seed,
            window: self.window,
        };
        let helper = Helper::spawn(Arc::clone(&kvm), content, Arc::clone(&memory))?;
        let mut machine = Machine::new(&kvm, memory.slots(), &mut timeline)?;
        let cpuid = helper.prepared()?;
        timeline.mark("memory filled");
        let header = self.kernel.header();
        let state = cpu::initial(header, layout::TABLES_GPA);
        debug_assert_eq!(cpu::vmx::violation(&state.0, &state.1), None);
        let clock = machine.set_state(header, &cpuid, &state)?;
        timeline.mark("vCPU state");
        let monitor = Monitor::new().map_err(|source| BuildError::Host {
            what: "an event descriptor",
            source,
        })?;
        Ok(Vm {
            machine,
            helper,
            memory,
            monitor: Arc::new(monitor),
            governor: Arc::new(Governor::new()),
            clock,
            symbols: Symbols::of(self.kernel.bytes()),
            timeline,
            deadline: u64::MAX,
        })
    }
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
