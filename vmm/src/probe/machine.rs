//! The machine in which the probe's guest runs: as an instance's, without a device.

use kvm_bindings::{CpuId, kvm_regs, kvm_sregs};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use unicell_guest_abi::layout::{self, DEVICE_GPA, HUGE_PAGE_SIZE, KERNEL_BASE, PAGE_SIZE};
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};

use super::ProbeError;
use super::guest::{ANSWER, Question, STUBS, TRAPPED, code, header};
use crate::builder::BuildError;
use crate::cpu::{self, direct};
use crate::kvm::{self, KvmError};
use crate::memory::Memory;
use crate::tables::{Access, Tables};

/// Rows of `Question::Cpuid`: above the page tables, below the end of what is mapped.
const ROWS_GPA: u64 = 1 << 20;
/// The guest's stack ends here; it is used by nobody but traps in ring 3, of which there are none.
const STACK_GPA: u64 = ROWS_GPA;

/// What an instruction of the guest came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Value(u64),
    Trap(u64),
}

pub(super) struct Machine {
    vcpu: VcpuFd,
    regs: kvm_regs,
    sregs: kvm_sregs,
    memory: Memory,
    _vm: VmFd,
}

impl Machine {
    /// A machine with these features; `hidden` if its guest must not see the host: then the time
    /// stamp counter and CPUID trap, where they can.
    pub(super) fn new(kvm: &Kvm, cpuid: &CpuId, hidden: bool) -> Result<Self, ProbeError> {
        /// Time-stamp disable (SDM vol. 3, 2.5).
        const CR4_TSD: u64 = 1 << 2;
        let header = header();
        let memory = Memory::new(layout::RAM_MIN, Some(code()), None).map_err(BuildError::from)?;
        load(&memory)?;
        let vm = kvm.create_vm().map_err(kvm::failed("KVM_CREATE_VM"))?;
        let vcpu = vm.create_vcpu(0).map_err(kvm::failed("KVM_CREATE_VCPU"))?;
        for (number, slot) in memory.slots().iter().enumerate() {
            kvm::add_slot(&vm, number as u32, slot)?;
        }
        kvm::set_features(&vcpu, cpuid)?;
        kvm::set_msrs(&vcpu, &header)?;
        let (regs, mut sregs) = cpu::initial(&header, layout::TABLES_GPA);
        if hidden {
            sregs.cr4 |= CR4_TSD;
            // Whether it does is what the guest finds out.
            let _ = kvm::trap_cpuid(&vcpu);
        }
        Ok(Self {
            vcpu,
            regs,
            sregs,
            memory,
            _vm: vm,
        })
    }

    /// Asks one question.
    pub(super) fn ask(&mut self, question: Question) -> Result<Answer, ProbeError> {
        self.ask_with(question, 0, 0)
    }

    /// Asks with RDI and RSI.
    fn ask_with(&mut self, question: Question, rdi: u64, rsi: u64) -> Result<Answer, ProbeError> {
        let regs = kvm_regs {
            rip: question.entry(),
            rsp: direct(STACK_GPA),
            rdi,
            rsi,
            ..self.regs
        };
        self.vcpu
            .set_sregs(&self.sregs)
            .map_err(kvm::failed("KVM_SET_SREGS"))?;
        self.vcpu
            .set_regs(&regs)
            .map_err(kvm::failed("KVM_SET_REGS"))?;
        self.run(question)
    }

    /// Lets the guest run until it has answered.
    pub(super) fn run(&mut self, question: Question) -> Result<Answer, ProbeError> {
        let exit = match self.vcpu.run() {
            Ok(exit) => exit,
            Err(error) => return Err(kvm::failed("KVM_RUN")(error).into()),
        };
        if let VcpuExit::MmioWrite(gpa, data) = &exit
            && let Ok(value) = <[u8; 8]>::try_from(&**data).map(u64::from_le_bytes)
        {
            match gpa.wrapping_sub(DEVICE_GPA) {
                ANSWER => return Ok(Answer::Value(value)),
                TRAPPED => return Ok(Answer::Trap(value)),
                _ => {}
            }
        }
        Err(ProbeError::Lost {
            question: format!("{question:?}"),
            exit: format!("{exit:?}"),
        })
    }

    /// Makes `count` system calls, for the kernel's part of which there is nothing to do.
    pub(super) fn system_calls(&mut self, count: u64) -> Result<(), ProbeError> {
        self.ask_with(Question::Syscalls, 0, count).map(drop)
    }

    /// EAX, EBX, ECX and EDX of these leaves and parts, as a program sees them; `None` if CPUID
    /// traps.
    pub(super) fn cpuid(
        &mut self,
        wanted: &[(u32, u32)],
    ) -> Result<Option<Vec<[u32; 4]>>, ProbeError> {
        let row = |n: usize| ROWS_GPA + 24 * n as u64;
        for (n, (leaf, part)) in wanted.iter().enumerate() {
            let question = [leaf.to_le_bytes(), part.to_le_bytes()].concat();
            self.memory.write_bytes(row(n), &question)?;
        }
        match self.ask_with(Question::Cpuid, direct(ROWS_GPA), wanted.len() as u64)? {
            Answer::Trap(_) => Ok(None),
            Answer::Value(_) => {
                let rows: Result<_, _> =
                    (0..wanted.len()).map(|n| self.words(row(n) + 8)).collect();
                Ok(Some(rows?))
            }
        }
    }

    fn words(&self, gpa: u64) -> Result<[u32; 4], GuestMemoryError> {
        let mut words = [0; 4];
        for (word, at) in words.iter_mut().zip((gpa..).step_by(4)) {
            *word = self.memory.ram().read_obj(GuestAddress(at))?;
        }
        Ok(words)
    }
}

/// Descriptors and page tables, in which all that the guest touches is present.
fn load(memory: &Memory) -> Result<(), GuestMemoryError> {
    memory.write_bytes(layout::DESCRIPTORS_GPA, &cpu::gdt())?;
    let idt = cpu::idt(&header());
    memory.write_bytes(layout::DESCRIPTORS_GPA + layout::IDT_OFFSET, &idt)?;
    memory.write_bytes(layout::TRAP_GPA, &cpu::tss())?;
    let mut tables = Tables::new();
    tables.map(direct(0), 0, HUGE_PAGE_SIZE, Access::WRITE);
    tables.map(KERNEL_BASE, layout::KERNEL_GPA, PAGE_SIZE, Access::EXECUTE);
    let stubs = layout::KERNEL_GPA + (STUBS - KERNEL_BASE);
    tables.map(STUBS, stubs, PAGE_SIZE, Access::EXECUTE.supervisor());
    tables.map(layout::DEVICE_VA, DEVICE_GPA, PAGE_SIZE, Access::WRITE);
    for (gpa, table) in tables.iter() {
        memory.write_table(gpa, table)?;
    }
    Ok(())
}

impl From<KvmError> for ProbeError {
    fn from(error: KvmError) -> Self {
        Self::Machine(error.into())
    }
}
