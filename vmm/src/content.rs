//! What lies in RAM when the kernel is entered.

use kvm_bindings::CpuId;
use unicell_guest_abi::ABI_VERSION;
use unicell_guest_abi::boot::{BOOT_MAGIC, BootInfo, CPUID_MAX, CpuidPart, flags};
use unicell_guest_abi::layout::{self, HUGE_PAGE_SIZE, PAGE_SIZE};
use unicell_guest_abi::platform::{NEVER, Shared};
use vm_memory::GuestMemoryError;

use crate::cpu::{self, cpuid};
use crate::kernel::{Kernel, Segment};
use crate::memory::{Memory, MemoryError};
use crate::reproducible::{Baseline, Level};
use crate::tables::{Access, Tables};
use crate::window::Window;

/// Free memory that is made present before the kernel takes it: about as much as the kernel and a
/// small program take before the program's first instruction.
const PRESENT: u64 = 448 << 10;

/// What the kernel finds in RAM.
pub(crate) struct Content {
    pub(crate) kernel: Kernel,
    /// What the processor can do.
    pub(crate) cpuid: CpuId,
    /// RAM in bytes.
    pub(crate) ram: u64,
    /// Bytes of the box image.
    pub(crate) box_size: u64,
    pub(crate) init: Vec<u8>,
    pub(crate) flags: u32,
    pub(crate) seed: [u8; 32],
    pub(crate) level: Level,
    /// The processor that a reproducible run finds, if not this one.
    pub(crate) baseline: Option<Baseline>,
    /// The size of the terminal, if the program has one.
    pub(crate) window: Option<Window>,
}

impl Content {
    /// Puts everything in its place.
    pub(crate) fn put(&self, memory: &Memory) -> Result<(), MemoryError> {
        let cpuid = &self.cpuid;
        let (tables, data) = tables(&self.kernel, self.ram, self.box_size);
        let segments = self.kernel.segments().iter().filter(|s| s.in_ram);
        let init = data + segments.map(Segment::pages_size).sum::<u64>();
        let init_size = self.init.len() as u64;
        let free = init + init_size.next_multiple_of(PAGE_SIZE);
        if free >= self.ram {
            return Err(MemoryError::TooSmall(self.ram));
        }
        memory.make_present((free + PRESENT).min(self.ram));
        let mut boot = BootInfo {
            magic: BOOT_MAGIC,
            abi: ABI_VERSION,
            flags: self.flags | self.window.map_or(0, |_| flags::TERMINAL),
            ram_size: self.ram,
            free_start: free,
            root_table: layout::TABLES_GPA,
            box_size: self.box_size,
            init_gpa: init,
            init_size,
            xstate_mask: cpuid::xcr0(cpuid),
            xstate_size: cpuid::xstate_size(cpuid),
            features: self.features(),
            seed: self.seed,
            window: self.window.map_or(0, Window::to_abi),
            level: self.level.number(),
            cpuid_count: 0,
            reserved: 0,
            cpuid: [CpuidPart::default(); CPUID_MAX],
        };
        if self.level.is_reproducible() {
            boot.cpuid_count = match self.shown_baseline() {
                Some(baseline) => baseline.answers(&mut boot.cpuid),
                None => cpuid::answers(cpuid, &mut boot.cpuid),
            };
        }
        let put = || {
            memory.write(layout::BOOT_GPA, boot)?;
            memory.write_bytes(init, &self.init)?;
            self.put_descriptors(memory)?;
            for (gpa, table) in tables.iter() {
                memory.write_table(gpa, table)?;
            }
            self.put_segments(memory, data)
        };
        put().map_err(|_: GuestMemoryError| MemoryError::TooSmall(self.ram))
    }

    /// The processor that the program finds in this one's place. In an ordinary run CPUID does not
    /// trap, and shows this one.
    fn shown_baseline(&self) -> Option<Baseline> {
        self.baseline.filter(|_| self.level.is_reproducible())
    }

    /// CPUID leaf 1, EDX, as the program finds it.
    fn features(&self) -> u32 {
        match self.shown_baseline() {
            Some(baseline) => baseline.features(),
            None => cpuid::leaf(&self.cpuid, 1, 0).map_or(0, |leaf| leaf.edx),
        }
    }

    fn put_descriptors(&self, memory: &Memory) -> Result<(), GuestMemoryError> {
        let idt = cpu::idt(self.kernel.header());
        memory.write_bytes(layout::DESCRIPTORS_GPA, &cpu::gdt())?;
        memory.write_bytes(layout::DESCRIPTORS_GPA + layout::IDT_OFFSET, &idt)?;
        memory.write_bytes(layout::TRAP_GPA, &cpu::tss())?;
        // Until the kernel knows better, nobody waits for a moment that is always past.
        let deadline = layout::SHARED_GPA + std::mem::offset_of!(Shared, deadline) as u64;
        memory.write_bytes(deadline, &NEVER.to_le_bytes())
    }

    fn put_segments(&self, memory: &Memory, data: u64) -> Result<(), GuestMemoryError> {
        let mut gpa = data;
        for segment in self.kernel.segments().iter().filter(|s| s.in_ram) {
            memory.write_bytes(gpa, self.kernel.content(segment))?;
            gpa += segment.pages_size();
        }
        Ok(())
    }
}

/// The first page tables, and the GPA after them: there the segments begin that are copied to RAM.
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
    for segment in kernel.segments() {
        tables.reserve(segment.vaddr, segment.pages_size());
    }
    let data = layout::TABLES_GPA + tables.size();
    map_kernel(&mut tables, kernel, data);
    debug_assert_eq!(data, layout::TABLES_GPA + tables.size());
    (tables, data)
}

fn map_kernel(tables: &mut Tables, kernel: &Kernel, data: u64) {
    let [ring0, ring0_end] = kernel.header().ring0;
    let mut next = data;
    for segment in kernel.segments() {
        let (va, size) = (segment.vaddr, segment.pages_size());
        let gpa = if segment.in_ram {
            next += size;
            next - size
        } else {
            layout::KERNEL_GPA + segment.offset
        };
        let access = Access {
            writable: segment.writable,
            executable: segment.executable,
            user: true,
        };
        tables.map(va, gpa, size, access);
        if segment.contains(ring0) {
            let (stubs, stubs_size) = (gpa + (ring0 - va), ring0_end - ring0);
            tables.map(ring0, stubs, stubs_size, access.supervisor());
        }
    }
}
