//! Putting an instance together.

use std::sync::Arc;

use unicell_guest_abi::boot::{BOOT_MAGIC, BootInfo};
use unicell_guest_abi::layout::{self, HUGE_PAGE_SIZE, PAGE_SIZE};
use unicell_guest_abi::platform::{NEVER, Shared};
use unicell_guest_abi::{ABI_VERSION, init};
use vm_memory::GuestMemoryError;

use crate::clock::ClockWriter;
use crate::cpu;
use crate::kernel::{Kernel, KernelError};
use crate::kvm::{self, KvmError, Machine};
use crate::memory::{BoxImage, Memory, MemoryError};
use crate::monitor::Monitor;
use crate::outcome::End;
use crate::run::Vm;
use crate::symbols::Symbols;
use crate::tables::{Access, Tables};
use crate::timeline::Timeline;

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
        if self.init.len() as u64 > init::MAX {
            return Err(BuildError::InitSize(self.init.len()));
        }
        let kvm = kvm::open()?;
        let seed = match self.seed {
            Some(seed) => seed,
            None => random()?,
        };
        let box_size = self.image.as_ref().map_or(0, |image| image.len);
        let memory = Memory::new(self.ram, self.kernel.bytes(), self.image.take())?;
        self.load(&memory, box_size, seed)?;
        self.timeline.mark("memory");
        let state = cpu::initial(self.kernel.header(), layout::TABLES_GPA);
        debug_assert_eq!(cpu::vmx::violation(&state.0, &state.1), None);
        let header = self.kernel.header();
        let machine = Machine::new(&kvm, memory.slots(), header, &state, &mut self.timeline)?;
        let monitor = Monitor::new().map_err(|source| BuildError::Host {
            what: "an event descriptor",
            source,
        })?;
        let clock = ClockWriter::new(machine.tsc_khz, machine.tsc_offset);
        Ok(Vm {
            machine,
            memory,
            monitor: Arc::new(monitor),
            clock,
            symbols: Symbols::of(self.kernel.bytes()),
            timeline: self.timeline,
            deadline: u64::MAX,
        })
    }

    /// Puts into RAM what the kernel finds there.
    fn load(&self, memory: &Memory, box_size: u64, seed: [u8; 32]) -> Result<(), MemoryError> {
        let small = |_: GuestMemoryError| MemoryError::TooSmall(self.ram);
        let header = self.kernel.header();
        let at_descriptors = layout::DESCRIPTORS_GPA;
        memory
            .write_bytes(at_descriptors, &cpu::gdt())
            .map_err(small)?;
        let at_idt = at_descriptors + layout::IDT_OFFSET;
        memory
            .write_bytes(at_idt, &cpu::idt(header))
            .map_err(small)?;
        memory
            .write_bytes(layout::TRAP_GPA, &cpu::tss())
            .map_err(small)?;

        let (tables, data) = tables(&self.kernel, self.ram, box_size);
        for (gpa, table) in tables.iter() {
            memory.write_table(gpa, table).map_err(small)?;
        }
        let mut free = data;
        for segment in self.kernel.segments().iter().filter(|s| s.writable) {
            memory
                .write_bytes(free, self.kernel.content(segment))
                .map_err(small)?;
            free += segment.pages_size();
        }
        let init_gpa = free;
        memory.write_bytes(init_gpa, &self.init).map_err(small)?;
        free += (self.init.len() as u64).next_multiple_of(PAGE_SIZE);
        if free >= self.ram {
            return Err(MemoryError::TooSmall(self.ram));
        }
        // Until the kernel knows better, nobody waits for a moment that is always past.
        let deadline = layout::SHARED_GPA + std::mem::offset_of!(Shared, deadline) as u64;
        memory
            .write_bytes(deadline, &NEVER.to_le_bytes())
            .map_err(small)?;
        let boot = BootInfo {
            magic: BOOT_MAGIC,
            abi: ABI_VERSION,
            flags: self.flags,
            ram_size: self.ram,
            free_start: free,
            root_table: layout::TABLES_GPA,
            box_size,
            init_gpa,
            init_size: self.init.len() as u64,
            seed,
        };
        memory.write(layout::BOOT_GPA, boot).map_err(small)
    }
}

fn random() -> Result<[u8; 32], BuildError> {
    let mut seed = [0; 32];
    // Up to 256 bytes come whole (getrandom(2)).
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty()).map_err(
        |source| BuildError::Host {
            what: "randomness",
            source,
        },
    )?;
    Ok(seed)
}

/// The first page tables, and the GPA after them: there the kernel's writable segments begin.
fn tables(kernel: &Kernel, ram: u64, box_size: u64) -> (Tables, u64) {
    let mut tables = Tables::new();
    let direct = cpu::direct;
    tables.map(direct(0), 0, HUGE_PAGE_SIZE, Access::WRITE);
    let descriptors = layout::DESCRIPTORS_GPA;
    let hidden = Access::WRITE.supervisor();
    tables.map(direct(descriptors), descriptors, PAGE_SIZE, hidden);
    let (rest, rest_size) = (HUGE_PAGE_SIZE, ram - HUGE_PAGE_SIZE);
    tables.map_huge(direct(rest), rest, rest_size, Access::WRITE);
    let image = layout::BOX_GPA;
    let image_size = box_size.next_multiple_of(HUGE_PAGE_SIZE);
    tables.map_huge(direct(image), image, image_size, Access::READ);
    tables.map(
        layout::DEVICE_VA,
        layout::DEVICE_GPA,
        2 * PAGE_SIZE,
        Access::WRITE,
    );

    let [ring0, ring0_end] = kernel.header().ring0;
    for segment in kernel.segments() {
        tables.reserve(segment.vaddr, segment.pages_size());
    }
    let data = layout::TABLES_GPA + tables.size();
    let mut next = data;
    for segment in kernel.segments() {
        let (va, size) = (segment.vaddr, segment.pages_size());
        if segment.writable {
            tables.map(va, next, size, Access::WRITE);
            next += size;
            continue;
        }
        let gpa = layout::KERNEL_GPA + segment.offset;
        let access = if segment.executable {
            Access::EXECUTE
        } else {
            Access::READ
        };
        tables.map(va, gpa, size, access);
        if segment.contains(ring0) {
            let stubs = layout::KERNEL_GPA + segment.offset + (ring0 - va);
            tables.map(ring0, stubs, ring0_end - ring0, access.supervisor());
        }
    }
    debug_assert_eq!(data, layout::TABLES_GPA + tables.size());
    (tables, data)
}
