//! Putting an instance together, and running it.

use std::sync::{Arc, Mutex};

use unicell_guest_abi::boot::{BOOT_MAGIC, BootInfo};
use unicell_guest_abi::exit::{ExitKind, REPORT_FRAMES, REPORT_TEXT, Report};
use unicell_guest_abi::layout::{self, HUGE_PAGE_SIZE, PAGE_SIZE};
use unicell_guest_abi::platform::{Counters, Shared};
use unicell_guest_abi::{ABI_VERSION, init};
use vm_memory::GuestMemoryError;

use crate::backend::Backend;
use crate::clock::ClockWriter;
use crate::cpu;
use crate::device::Device;
use crate::io::{Instance, Io, IoError, Served, lock};
use crate::kernel::Kernel;
use crate::kvm::{self, KvmError, Machine};
use crate::memory::{BoxImage, Memory, MemoryError};
use crate::monitor::{Monitor, Stop};
use crate::outcome::{End, Exits, Outcome, Stats};
use crate::report::CrashReport;
use crate::symbols::Symbols;
use crate::tables::{Access, Tables};
use crate::timeline::Timeline;
use crate::vcpu::{Halt, Vcpu};

/// Why an instance cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// KVM.
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
            instance: Arc::new(Instance {
                memory,
                monitor,
                device: Mutex::new(Device::new()),
                clock: Mutex::new(clock),
            }),
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

/// A virtual machine that has not run yet.
pub struct Vm {
    // Dropped first: the slots of the machine map the memory of the instance.
    machine: Machine,
    instance: Arc<Instance>,
    symbols: Symbols,
    timeline: Timeline,
    deadline: u64,
}

/// Ends an instance from outside.
#[derive(Clone)]
pub struct StopHandle(Arc<Instance>);

impl StopHandle {
    /// Orders the end of the instance, whether it runs already or not. Safe in a signal handler.
    pub fn stop(&self) {
        self.0.monitor.stop(Stop::Asked);
    }
}

impl Vm {
    /// A handle that ends the instance, from any thread.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(Arc::clone(&self.instance))
    }

    /// Ends the instance when the monotonic clock shows this many nanoseconds.
    pub fn set_deadline(&mut self, monotonic_ns: u64) {
        self.deadline = monotonic_ns;
    }

    /// Runs the instance to its end, its vCPU on this thread and the device on another.
    pub fn run(self, backend: Box<dyn Backend + '_>) -> Outcome {
        let Self {
            mut machine,
            instance,
            symbols,
            mut timeline,
            deadline,
        } = self;
        let io = Io::new(Arc::clone(&instance), backend, machine.doorbell, deadline);
        let mut vcpu = match Vcpu::new(&mut machine.vcpu, &instance) {
            Ok(vcpu) => vcpu,
            Err(error) => return Outcome::failed(error.to_string(), timeline),
        };
        let (halt, (served, io_result)) = std::thread::scope(|scope| {
            let thread = scope.spawn(move || io.run());
            lock(&instance.clock).refresh(&instance.memory);
            timeline.mark("threads");
            let halt = vcpu.run();
            timeline.mark("guest ended");
            match halt {
                Halt::Exit(..) => instance.monitor.finish(),
                _ => instance.monitor.stop(Stop::Halted),
            }
            let served = thread.join().unwrap_or_else(|_| {
                let panicked = IoError::Panicked;
                (Served::default(), Err(panicked))
            });
            (halt, served)
        });
        timeline.mark("I/O ended");
        let exits = Exits {
            io_wakeups: served.wakeups,
            chains: served.chains,
            ..vcpu.exits
        };
        let (regs, sregs) = vcpu.registers();
        let said = Said::of(&instance.memory);
        let (end, text) = ending(halt, io_result.err());
        let (text, frames) = match end {
            End::Guest { kind, .. } if kind != ExitKind::Exited => (said.text, said.frames),
            _ => (text, Vec::new()),
        };
        let crash = CrashReport {
            regs,
            sregs,
            frames,
            symbols,
        };
        Outcome {
            end,
            text,
            report: end.deserves_report().then(|| Box::new(crash)),
            stats: Stats {
                timeline,
                exits,
                guest: counters(&instance.memory),
            },
        }
    }
}

/// What ended the instance, and the sentence about it that is the host's to say.
fn ending(halt: Halt, io: Option<IoError>) -> (End, String) {
    match (halt, io) {
        (Halt::Stop(Stop::Violation), Some(error)) => (End::Violation, error.to_string()),
        // Text that could not be delivered for a broken protocol is the guest's own doing; the
        // order of the two threads must not decide which of its sins is told.
        (Halt::Exit(..), Some(error @ IoError::Violation(_))) => {
            (End::Violation, error.to_string())
        }
        (Halt::Stop(Stop::Io), error) | (Halt::Exit(..), error @ Some(_)) => (
            End::Host,
            error.map(|error| error.to_string()).unwrap_or_default(),
        ),
        (Halt::Exit(kind, status), None) => (End::Guest { kind, status }, String::new()),
        (Halt::Stop(Stop::Asked), _) => (End::Stopped, String::new()),
        (Halt::Stop(_), _) => (End::TimedOut, String::new()),
        (Halt::Violation(text), _) => (End::Violation, text),
        (Halt::Crash(text), _) => (End::Crash, text),
        (Halt::Host(text), _) => (End::Host, text),
    }
}

/// What the guest left in its report page.
struct Said {
    text: String,
    frames: Vec<u64>,
}

impl Said {
    fn of(memory: &Memory) -> Self {
        // The page lies in every RAM.
        let Ok(report) = memory.read::<Report>(layout::REPORT_GPA) else {
            return Self {
                text: String::new(),
                frames: Vec::new(),
            };
        };
        let text = &report.text[..(report.text_len as usize).min(REPORT_TEXT)];
        let frames = &report.frames[..(report.frame_count as usize).min(REPORT_FRAMES)];
        let printable = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
        Self {
            text: String::from_utf8_lossy(text)
                .trim_end()
                .chars()
                .map(printable)
                .collect(),
            frames: frames.to_vec(),
        }
    }
}

fn counters(memory: &Memory) -> Counters {
    let at = layout::SHARED_GPA + std::mem::offset_of!(Shared, counters) as u64;
    memory.read(at).unwrap_or_default()
}
