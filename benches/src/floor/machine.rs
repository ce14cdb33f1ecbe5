//! The least virtual machine: one slot of memory and one vCPU, entered straight in ring 3.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io::{Error, Result};
use std::ptr::null_mut;

use kvm_bindings::{
    CpuId, KVM_MAX_CPUID_ENTRIES, Msrs, kvm_msr_entry, kvm_regs, kvm_segment, kvm_sregs,
    kvm_userspace_memory_region,
};
use kvm_ioctls::{IoEventAddress, Kvm, NoDatamatch, VcpuExit, VcpuFd, VmFd};
use rustix::mm::{Advice, MapFlags, ProtFlags};
use unicell_guest_abi::cpu;
use unicell_vmm::hardware_virtualisation;
use vmm_sys_util::eventfd::EventFd;

use crate::guest::{self, DEVICE, DOORBELL, Entry};

pub(crate) struct Machine {
    vcpu: VcpuFd,
    vm: VmFd,
    kvm: Kvm,
}

impl Machine {
    /// A machine whose fresh memory is mapped by pages of `fresh_page` bytes, 0 for none.
    pub(crate) fn new(fresh_page: u64) -> Result<Self> {
        let kvm = Kvm::new()?;
        let vm = kvm.create_vm()?;
        let vcpu = vm.create_vcpu(0)?;
        let len = guest::memory_len(fresh_page);
        let memory = map(len as usize, fresh_page)?;
        let region = kvm_userspace_memory_region {
            memory_size: len,
            userspace_addr: memory.as_ptr() as u64,
            ..Default::default()
        };
        guest::load(memory, fresh_page);
        // SAFETY: the mapping is never undone, and used by the guest alone from here on.
        unsafe { vm.set_user_memory_region(region) }?;
        vcpu.set_sregs(&special_registers())?;
        Ok(Self { vcpu, vm, kvm })
    }

    /// Makes system calls possible, which come back at once.
    pub(crate) fn allow_system_calls(&self) -> Result<()> {
        const STAR: u32 = 0xc000_0081;
        const LSTAR: u32 = 0xc000_0082;
        const FMASK: u32 = 0xc000_0084;
        if hardware_virtualisation() {
            let cpuid: CpuId = self.kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)?;
            self.vcpu.set_cpuid2(&cpuid)?;
        }
        let back = if hardware_virtualisation() {
            Entry::Sysret
        } else {
            Entry::Jump
        };
        let values = [
            (STAR, cpu::STAR),
            (LSTAR, back.address()),
            (FMASK, cpu::FMASK),
        ];
        let entries = values.map(|(index, data)| kvm_msr_entry {
            index,
            data,
            ..Default::default()
        });
        let msrs = Msrs::from_entries(&entries).map_err(|_| Error::other("too many MSRs"))?;
        match self.vcpu.set_msrs(&msrs)? {
            3 => Ok(()),
            _ => Err(Error::other("KVM accepts no MSR for system calls")),
        }
    }

    /// Lets stores to the doorbell wake an eventfd instead of this process.
    pub(crate) fn doorbell(&self) -> Result<EventFd> {
        let event = EventFd::new(libc::EFD_NONBLOCK)?;
        self.vm
            .register_ioevent(&event, &IoEventAddress::Mmio(DOORBELL), NoDatamatch)?;
        Ok(event)
    }

    /// Starts something, `count` times, and returns at the exit that follows.
    pub(crate) fn start(&mut self, entry: Entry, count: u64, at: u64, apart: u64) -> Result<()> {
        self.vcpu.set_regs(&kvm_regs {
            rip: entry.address(),
            rdi: at,
            rsi: count,
            rdx: apart,
            rflags: cpu::RFLAGS,
            ..Default::default()
        })?;
        self.next_exit()
    }

    /// Goes on until the guest has exited once more.
    pub(crate) fn next_exit(&mut self) -> Result<()> {
        match self.vcpu.run()? {
            VcpuExit::MmioWrite(DEVICE, _) => Ok(()),
            other => Err(Error::other(format!("an unexpected exit: {other:?}"))),
        }
    }
}

/// Anonymous memory, aligned and advised for the pages that the guest will use.
fn map(len: usize, fresh_page: u64) -> Result<&'static mut [u8]> {
    const HUGE: usize = 2 << 20;
    // SAFETY: a fresh mapping replaces nothing and is never undone; the part that is returned lies
    // within it, and nobody else knows it.
    unsafe {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        let start: *mut c_void = rustix::mm::mmap_anonymous(null_mut(), len + HUGE, access, flags)?;
        let start = start.cast::<u8>();
        let start = start.add(start.align_offset(HUGE));
        let advice = if fresh_page > 4096 {
            Advice::LinuxHugepage
        } else {
            Advice::LinuxNoHugepage
        };
        // A host without huge pages refuses, and has none to advise about.
        let _ = rustix::mm::madvise(start.cast(), len, advice);
        Ok(std::slice::from_raw_parts_mut(start, len))
    }
}

/// 64-bit mode, ring 3, paging on, and no table that would be looked at.
fn special_registers() -> kvm_sregs {
    let segment = |selector, type_, l| kvm_segment {
        limit: u32::MAX,
        selector,
        type_,
        present: 1,
        dpl: 3,
        db: 1 - l,
        s: 1,
        l,
        g: 1,
        ..Default::default()
    };
    let data = segment(cpu::USER_DS, 0x3, 0);
    kvm_sregs {
        cs: segment(cpu::USER_CS, 0xb, 1),
        ds: data,
        es: data,
        fs: data,
        gs: data,
        ss: data,
        // A busy 64-bit TSS, which VMX demands.
        tr: kvm_segment {
            limit: 103,
            selector: cpu::TSS_SELECTOR,
            type_: 0xb,
            present: 1,
            ..Default::default()
        },
        ldt: kvm_segment {
            unusable: 1,
            ..Default::default()
        },
        cr0: cpu::CR0,
        cr3: guest::TABLES,
        cr4: 0x20, // PAE
        efer: cpu::EFER,
        apic_base: 0xfee0_0900,
        ..Default::default()
    }
}
