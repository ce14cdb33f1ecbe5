//! KVM: making the virtual machine and its one vCPU.
#![allow(unsafe_code)]

use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};

use kvm_bindings::{
    CpuId, KVM_MAX_CPUID_ENTRIES, KVM_MEM_READONLY, Msrs, kvm_msr_entry, kvm_regs, kvm_sregs,
    kvm_userspace_memory_region, kvm_xcrs,
};
use kvm_ioctls::{IoEventAddress, Kvm, NoDatamatch, SyncReg, VcpuFd, VmFd};
use rustix::event::{EventfdFlags, eventfd};
use unicell_guest_abi::boot::KernelHeader;
use unicell_guest_abi::{cpu, device, layout};
use vmm_sys_util::eventfd::EventFd;

use crate::builder::BuildError;
use crate::clock::{self, ClockWriter};
use crate::cpu::baseline::{Baseline, NotOffered};
use crate::cpu::cpuid;
use crate::memory::Slot;
use crate::monitor::Monitor;
use crate::timeline::Timeline;

const MSR_STAR: u32 = 0xc000_0081;
const MSR_LSTAR: u32 = 0xc000_0082;
const MSR_FMASK: u32 = 0xc000_0084;
const MSR_TSC: u32 = 0x10;

/// What the host's KVM refused.
#[derive(Debug, thiserror::Error)]
#[error("{what} failed: {source}")]
pub struct KvmError {
    /// The operation, as KVM's documentation calls it.
    pub what: &'static str,
    /// Why.
    #[source]
    pub source: std::io::Error,
}

pub(crate) fn failed(what: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> KvmError {
    move |error| KvmError {
        what,
        source: error.into(),
    }
}

/// A virtual machine with its memory and its vCPU.
pub(crate) struct Machine {
    pub(crate) vcpu: VcpuFd,
    /// Written by KVM when the guest rings the device's doorbell.
    pub(crate) doorbell: OwnedFd,
    /// Keeps the slots and doorbells alive; dropped after the vCPU.
    pub(crate) vm: VmFd,
}

impl Machine {
    /// Makes a machine without memory.
    pub(crate) fn new(kvm: &Kvm, timeline: &mut Timeline) -> Result<Self, KvmError> {
        let vm = kvm.create_vm().map_err(failed("KVM_CREATE_VM"))?;
        timeline.mark("create VM");
        let vcpu = vm.create_vcpu(0).map_err(failed("KVM_CREATE_VCPU"))?;
        timeline.mark("create vCPU");
        let doorbell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let doorbell = doorbell.map_err(|errno| KvmError {
            what: "eventfd",
            source: errno.into(),
        })?;
        Ok(Self { vcpu, doorbell, vm })
    }

    /// Gives it live memory of this process that outlives it, and bounds what KVM may use for
    /// `ram` bytes of it.
    pub(crate) fn set_memory(&self, slots: &[Slot], ram: u64) -> Result<(), KvmError> {
        for (number, slot) in slots.iter().enumerate() {
            add_slot(&self.vm, number as u32, slot)?;
        }
        // After the slots: KVM gives up the bus that this replaces when a tick or two have passed,
        // and a slot that comes meanwhile waits for that.
        self.connect_doorbell()?;
        cap_shadow_pages(&self.vm, ram)
    }

    /// One event for all queues: who is woken looks at all of them, which costs less than
    /// registering an event for each.
    fn connect_doorbell(&self) -> Result<(), KvmError> {
        let at = IoEventAddress::Mmio(layout::DEVICE_GPA + device::QUEUE_NOTIFY);
        // SAFETY: an event that is never dropped leaves the descriptor to this machine.
        let event = unsafe { EventFd::from_raw_fd(self.doorbell.as_raw_fd()) };
        let event = ManuallyDrop::new(event);
        let registered = self.vm.register_ioevent(&event, &at, NoDatamatch);
        registered.map_err(failed("KVM_IOEVENTFD"))
    }

    /// Sets the state in which the vCPU is entered first. Returns who keeps its time.
    pub(crate) fn set_state(
        &mut self,
        kernel: &KernelHeader,
        cpuid: &CpuId,
        (regs, sregs): &(kvm_regs, kvm_sregs),
    ) -> Result<ClockWriter, KvmError> {
        // Before the registers: it says which of their bits are legal.
        set_features(&self.vcpu, cpuid)?;
        set_msrs(&self.vcpu, kernel)?;
        set_registers(&mut self.vcpu, regs, sregs);
        let tsc_offset = tsc_offset(&self.vcpu)?;
        let tsc_khz = self.vcpu.get_tsc_khz();
        let tsc_khz = tsc_khz.map_err(failed("KVM_GET_TSC_KHZ"))?;
        Ok(ClockWriter::new(tsc_khz, tsc_offset))
    }

    /// Has the instructions trap that show the host's time and the processor's features. Before the
    /// first entry.
    pub(crate) fn hide_host(&mut self) -> Result<(), KvmError> {
        trap_cpuid(&self.vcpu)?;
        self.vcpu.sync_regs_mut().sregs.cr4 |= unicell_guest_abi::cpu::CR4_TSD;
        self.vcpu.set_sync_dirty_reg(SyncReg::SystemRegister);
        Ok(())
    }

    /// Leaves the guest no more extended state than this, where that is possible. Before the first
    /// entry.
    pub(crate) fn restrict_state(&self, xcr0: u64) -> Result<(), KvmError> {
        set_state_components(&self.vcpu, xcr0)
    }
}

/// Bounds the pages of page tables that KVM keeps for a guest (KVM_SET_NR_MMU_PAGES): a guest can
/// make any number of them, and KVM makes a page or two for each. It counts them where the processor
/// has no page tables of its own for guests.
fn cap_shadow_pages(vm: &VmFd, ram: u64) -> Result<(), KvmError> {
    /// _IO(KVMIO, 0x44).
    const KVM_SET_NR_MMU_PAGES: libc::c_ulong = 0xae44;
    /// A page of tables maps 512; programs that lie scattered need several times as many.
    const PAGES_EACH: u64 = 32;
    const LEAST: u64 = 1024;
    let most = (ram / layout::PAGE_SIZE / PAGES_EACH).max(LEAST);
    // SAFETY: the call takes a number.
    match unsafe { libc::ioctl(vm.as_raw_fd(), KVM_SET_NR_MMU_PAGES as _, most) } {
        0 => Ok(()),
        _ => Err(KvmError {
            what: "KVM_SET_NR_MMU_PAGES",
            source: std::io::Error::last_os_error(),
        }),
    }
}

/// Opens `/dev/kvm` and checks its version.
pub(crate) fn open() -> Result<Kvm, BuildError> {
    const VERSION: i32 = 12;
    let kvm = Kvm::new().map_err(|error| BuildError::NoKvm(error.into()))?;
    let version = kvm.get_api_version();
    if version != VERSION {
        let text = format!("it is no KVM, or one of version {version} where {VERSION} is known");
        return Err(BuildError::NoKvm(std::io::Error::other(text)));
    }
    Ok(kvm)
}

pub(crate) fn add_slot(vm: &VmFd, number: u32, slot: &Slot) -> Result<(), KvmError> {
    let region = kvm_userspace_memory_region {
        slot: number,
        flags: if slot.read_only { KVM_MEM_READONLY } else { 0 },
        guest_phys_addr: slot.gpa,
        memory_size: slot.len,
        userspace_addr: slot.host,
    };
    // SAFETY: the slot describes a mapping that the caller keeps until the machine is gone, made
    // for the guest alone (RAM) or never written through (the images).
    unsafe { vm.set_user_memory_region(region) }.map_err(failed("KVM_SET_USER_MEMORY_REGION"))
}

/// The CPU features that the host can give a guest.
///
/// KVM without hardware virtualisation runs guests with the host's features and XCR0, whatever it
/// says that it supports.
pub(crate) fn features(kvm: &Kvm) -> Result<CpuId, KvmError> {
    if hardware_virtualisation() {
        kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
            .map_err(failed("KVM_GET_SUPPORTED_CPUID"))
    } else {
        Ok(cpuid::of_host())
    }
}

/// Gives the guest these CPU features, and the extended state to go with them.
pub(crate) fn set_features(vcpu: &VcpuFd, cpuid: &CpuId) -> Result<(), KvmError> {
    vcpu.set_cpuid2(cpuid).map_err(failed("KVM_SET_CPUID2"))?;
    set_state_components(vcpu, cpuid::xcr0(cpuid))
}

/// Turns on so much of the extended state, unless it is none.
fn set_state_components(vcpu: &VcpuFd, xcr0: u64) -> Result<(), KvmError> {
    if xcr0 == 0 {
        return Ok(());
    }
    let mut xcrs = kvm_xcrs {
        nr_xcrs: 1,
        ..Default::default()
    };
    xcrs.xcrs[0].value = xcr0;
    vcpu.set_xcrs(&xcrs).map_err(failed("KVM_SET_XCRS"))
}

/// Whether the guests of this host can be given less extended state than the processor has. KVM
/// without hardware virtualisation takes another XCR0, and runs them with the host's.
pub(crate) fn restricts_state() -> bool {
    hardware_virtualisation()
}

/// The baselines, and why a host that can give its guests these features does not offer one.
pub(crate) fn baselines(features: &CpuId) -> Vec<(Baseline, Option<NotOffered>)> {
    let restricts = restricts_state();
    let offered = |baseline: Baseline| baseline.offered_by(features, restricts);
    let offered = |baseline| (baseline, offered(baseline).err());
    Baseline::ALL.map(offered).into()
}

/// Whether this CPU offers VMX or SVM (SDM vol. 2, CPUID leaf 1; APM vol. 3, leaf 0x8000_0001).
pub fn hardware_virtualisation() -> bool {
    use core::arch::x86_64::__cpuid;
    __cpuid(1).ecx & 1 << 5 != 0 || __cpuid(0x8000_0001).ecx & 1 << 2 != 0
}

pub(crate) fn set_msrs(vcpu: &VcpuFd, kernel: &KernelHeader) -> Result<(), KvmError> {
    let values = [
        (MSR_STAR, cpu::STAR),
        (MSR_LSTAR, kernel.syscall),
        (MSR_FMASK, cpu::FMASK),
    ];
    write_msrs(vcpu, &values, "a system call MSR was not accepted")
}

/// Has CPUID trap in ring 3 (SDM vol. 3, MSR_MISC_FEATURES_ENABLES). What KVM would answer in the
/// guest's place is no use: page-table KVM puts back the features that it cannot keep from running.
pub(crate) fn trap_cpuid(vcpu: &VcpuFd) -> Result<(), KvmError> {
    const MSR_MISC_FEATURES_ENABLES: u32 = 0x140;
    const CPUID_FAULT: u64 = 1;
    let values = [(MSR_MISC_FEATURES_ENABLES, CPUID_FAULT)];
    write_msrs(vcpu, &values, "CPUID cannot be had to trap")
}

/// Sets MSRs, by number; `refusal` is what it means that not all were accepted.
fn write_msrs(vcpu: &VcpuFd, values: &[(u32, u64)], refusal: &str) -> Result<(), KvmError> {
    let entry = |&(index, data)| kvm_msr_entry {
        index,
        data,
        ..Default::default()
    };
    let refused = |text: &str| KvmError {
        what: "KVM_SET_MSRS",
        source: std::io::Error::other(text.to_owned()),
    };
    let entries: Vec<_> = values.iter().map(entry).collect();
    let msrs = Msrs::from_entries(&entries).map_err(|_| refused("too many"))?;
    match vcpu.set_msrs(&msrs).map_err(failed("KVM_SET_MSRS"))? {
        accepted if accepted == values.len() => Ok(()),
        _ => Err(refused(refusal)),
    }
}

/// Leaves the registers where the first KVM_RUN takes them from, which spares two calls.
fn set_registers(vcpu: &mut VcpuFd, regs: &kvm_regs, sregs: &kvm_sregs) {
    vcpu.set_sync_valid_reg(SyncReg::Register);
    let sync = vcpu.sync_regs_mut();
    sync.regs = *regs;
    sync.sregs = *sregs;
    vcpu.set_sync_dirty_reg(SyncReg::Register);
    vcpu.set_sync_dirty_reg(SyncReg::SystemRegister);
}

/// Makes the guest's time stamp counter the host's, or learns by how much it is ahead.
fn tsc_offset(vcpu: &VcpuFd) -> Result<u64, KvmError> {
    // KVM_SET_DEVICE_ATTR; Documentation/virt/kvm/devices/vcpu.rst: KVM_VCPU_TSC_CTRL is group 0,
    // KVM_VCPU_TSC_OFFSET its attribute 0, an u64.
    const KVM_SET_DEVICE_ATTR: libc::c_ulong = 0x4018_aee1;
    let offset = 0u64;
    let attr = kvm_bindings::kvm_device_attr {
        flags: 0,
        group: 0,
        attr: 0,
        addr: (&raw const offset) as u64,
    };
    // SAFETY: the call reads `attr` and the eight bytes it points at, which live until it returns.
    let result =
        unsafe { libc::ioctl(vcpu.as_raw_fd(), KVM_SET_DEVICE_ATTR as _, &raw const attr) };
    if result == 0 {
        return Ok(0);
    }
    let entry = kvm_msr_entry {
        index: MSR_TSC,
        ..Default::default()
    };
    let mut msrs = Msrs::from_entries(&[entry]).map_err(|_| KvmError {
        what: "KVM_GET_MSRS",
        source: std::io::Error::other("too many"),
    })?;
    let before = clock::tsc();
    vcpu.get_msrs(&mut msrs).map_err(failed("KVM_GET_MSRS"))?;
    let between = before.wrapping_add(clock::tsc().wrapping_sub(before) / 2);
    Ok(msrs.as_slice()[0].data.wrapping_sub(between))
}

/// A way to make the vCPU thread leave KVM_RUN.
pub(crate) struct Kick {
    thread: libc::pid_t,
    immediate_exit: *const AtomicU8,
}

// SAFETY: the pointer is used for atomic stores only, while the vCPU is attached.
unsafe impl Send for Kick {}
// SAFETY: as above.
unsafe impl Sync for Kick {}

impl Kick {
    /// Makes the thread's current or next KVM_RUN return EINTR.
    pub(crate) fn send(&self) {
        self.set(1);
        // SAFETY: a signal with an empty handler to a thread of this process.
        unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), self.thread, signal()) };
    }

    /// Lets KVM_RUN enter the guest again.
    pub(crate) fn disarm(&self) {
        self.set(0);
    }

    fn set(&self, value: u8) {
        // SAFETY: the byte lies in the vCPU's shared page, which is mapped for as long as the
        // vCPU is attached; KVM reads it once when it is entered.
        unsafe { &*self.immediate_exit }.store(value, Ordering::SeqCst);
    }
}

/// A vCPU that this thread runs and others can kick through its monitor.
pub(crate) struct Attached<'a> {
    pub(crate) fd: &'a mut VcpuFd,
    monitor: &'a Monitor,
}

impl<'a> Attached<'a> {
    /// Attaches the vCPU to the calling thread.
    pub(crate) fn new(fd: &'a mut VcpuFd, monitor: &'a Monitor) -> Result<Self, KvmError> {
        extern "C" fn nothing(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}
        vmm_sys_util::signal::register_signal_handler(signal(), nothing)
            .map_err(failed("sigaction"))?;
        monitor.attach(Some(Kick {
            thread: rustix::thread::gettid().as_raw_nonzero().get(),
            immediate_exit: (&raw const fd.get_kvm_run().immediate_exit).cast(),
        }));
        Ok(Self { fd, monitor })
    }
}

impl Drop for Attached<'_> {
    fn drop(&mut self) {
        self.monitor.attach(None);
    }
}

/// The signal of a kick.
pub(crate) fn signal() -> libc::c_int {
    vmm_sys_util::signal::SIGRTMIN()
}

/// Injects an external interrupt (KVM_INTERRUPT), which is delivered at the next entry.
pub(crate) fn inject(vcpu: &VcpuFd, vector: u8) -> Result<(), KvmError> {
    // _IOW(KVMIO, 0x86, struct kvm_interrupt).
    const KVM_INTERRUPT: libc::c_ulong = 0x4004_ae86;
    let interrupt = kvm_bindings::kvm_interrupt { irq: vector.into() };
    // SAFETY: the call reads the structure, which lives until it returns.
    let result = unsafe { libc::ioctl(vcpu.as_raw_fd(), KVM_INTERRUPT as _, &raw const interrupt) };
    if result == 0 {
        Ok(())
    } else {
        Err(KvmError {
            what: "KVM_INTERRUPT",
            source: std::io::Error::last_os_error(),
        })
    }
}

/// The suberror of the last exit, which was KVM_EXIT_INTERNAL_ERROR.
pub(crate) fn internal_suberror(vcpu: &mut VcpuFd) -> u32 {
    // SAFETY: every member of the union is plain bytes of the shared page.
    unsafe { vcpu.get_kvm_run().__bindgen_anon_1.internal.suberror }
}
