//! The vCPU thread: runs the guest, serves its exits.

use kvm_bindings::{KVM_SYNC_X86_REGS, kvm_regs, kvm_sregs};
use kvm_ioctls::{VcpuExit, VcpuFd};
use unicell_guest_abi::layout::{DEVICE_GPA, KERNEL_HALF, PAGE_SIZE};
use unicell_guest_abi::platform::{self, NEVER};
use unicell_guest_abi::{cpu, exit, layout};

use crate::backend::Ask;
use crate::clock::{monotonic_coarse_ns, monotonic_ns};
use crate::device::Doorbells;
use crate::io::{Instance, lock};
use crate::kvm::{Attached, KvmError};
use crate::monitor::Stop;
use crate::outcome::Exits;
use crate::{spin, tsc};

/// Why the vCPU does not run any more.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The guest said that it ends.
    Exit(exit::ExitKind, u32),
    /// It was told to.
    Stop(Stop),
    /// The guest did what it must not do.
    Violation(String),
    /// The vCPU cannot go on.
    Crash(String),
    /// KVM failed.
    Host(String),
    /// A replay went another way than its transcript.
    Diverged,
}

/// The vCPU and what it counted.
pub(crate) struct Vcpu<'a> {
    vcpu: Attached<'a>,
    instance: &'a Instance,
    pub(crate) exits: Exits,
}

impl<'a> Vcpu<'a> {
    /// A vCPU that will run on this thread.
    pub(crate) fn new(fd: &'a mut VcpuFd, instance: &'a Instance) -> Result<Self, KvmError> {
        Ok(Self {
            vcpu: Attached::new(fd, &instance.monitor)?,
            instance,
            exits: Exits::default(),
        })
    }

    /// Runs the guest until it ends.
    pub(crate) fn run(&mut self) -> Halt {
        self.instance.governor.runs_vcpu();
        if !self.instance.promise.begun().is_reproducible() {
            return self.run_on();
        }
        match tsc::without_tsc(|| self.run_on()) {
            Ok(halt) => halt,
            Err(error) => Halt::Host(format!("this thread keeps the time stamp counter: {error}")),
        }
    }

    fn run_on(&mut self) -> Halt {
        let promise = &self.instance.promise;
        loop {
            self.instance.monitor.rearm();
            if let Some(stop) = self.instance.monitor.stopped() {
                return Halt::Stop(stop);
            }
            let paused = self.instance.governor.paused_until();
            if paused > 0 && paused > monotonic_coarse_ns() {
                self.instance.monitor.pause(paused);
                continue;
            }
            if !promise.level().is_reproducible()
                && self.instance.monitor.wants_preemption()
                && let Err(halt) = self.preempt()
            {
                return halt;
            }
            if let Err(halt) = self.enter() {
                return halt;
            }
        }
    }

    /// Enters the guest once and serves the exit.
    fn enter(&mut self) -> Result<(), Halt> {
        self.instance.monitor.count_exit();
        match self.vcpu.fd.run() {
            Ok(VcpuExit::MmioWrite(gpa, data)) => {
                let mut value = [0; 8];
                let len = data.len().min(8);
                value[..len].copy_from_slice(&data[..len]);
                self.store(gpa, &value[..len])
            }
            Ok(VcpuExit::MmioRead(gpa, data)) => {
                self.exits.registers += 1;
                load(self.instance, gpa, data)
            }
            Ok(VcpuExit::Intr) => Ok(()),
            Ok(VcpuExit::Shutdown) => Err(Halt::Crash("triple fault".into())),
            Ok(VcpuExit::FailEntry(reason, _)) => Err(Halt::Crash(format!(
                "the CPU refused to enter the guest, reason {reason:#x}"
            ))),
            Ok(VcpuExit::InternalError) => Err(Halt::Crash(internal_error(self.vcpu.fd))),
            Ok(VcpuExit::IoIn(port, _) | VcpuExit::IoOut(port, _)) => {
                Err(Halt::Violation(format!("an access to I/O port {port:#x}")))
            }
            Ok(other) => Err(Halt::Crash(format!("an unexpected exit: {other:?}"))),
            Err(error) => match error.errno() {
                libc::EINTR | libc::EAGAIN => {
                    self.exits.kicks += 1;
                    Ok(())
                }
                libc::EFAULT => Err(Halt::Host(
                    "memory of the guest is not there (a box cut short?)".into(),
                )),
                _ => Err(Halt::Host(format!("KVM_RUN failed: {error}"))),
            },
        }
    }

    /// The guest stored `data` where there is no memory that it may write.
    fn store(&mut self, gpa: u64, data: &[u8]) -> Result<(), Halt> {
        const PLATFORM: u64 = DEVICE_GPA + platform::REGISTERS;
        const PLATFORM_LAST: u64 = PLATFORM + PAGE_SIZE - 1;
        match gpa {
            DEVICE_GPA..PLATFORM => {
                self.exits.registers += 1;
                let written = lock(&self.instance.service).device.write(
                    gpa - DEVICE_GPA,
                    data,
                    &self.instance.memory,
                );
                let look = written.map_err(|violation| Halt::Violation(violation.to_string()))?;
                if look {
                    self.instance.monitor.wake_io();
                }
                Ok(())
            }
            PLATFORM..=PLATFORM_LAST => self.platform(gpa - PLATFORM, data),
            _ => Err(Halt::Violation(format!("a write to {}", place(gpa)))),
        }
    }

    fn platform(&mut self, offset: u64, data: &[u8]) -> Result<(), Halt> {
        let Ok(value) = <[u8; 8]>::try_from(data).map(u64::from_le_bytes) else {
            let len = data.len();
            return Err(Halt::Violation(format!(
                "a {len}-byte write to platform register {offset:#x}"
            )));
        };
        match offset {
            platform::PARK => {
                self.exits.parks += 1;
                let Instance {
                    monitor,
                    memory,
                    service,
                    governor,
                    promise,
                    ..
                } = self.instance;
                // In a reproducible run this thread may not read that clock.
                let timed = !promise.begun().is_reproducible();
                if timed {
                    governor.parks(monotonic_ns());
                }
                monitor.park(value, || lock(service).device.has_unseen(memory));
                if timed {
                    governor.has_parked(monotonic_ns());
                }
                lock(&self.instance.clock).refresh(&self.instance.memory);
                Ok(())
            }
            platform::INPUT if self.instance.promise.begun().is_reproducible() => self.ask(value),
            platform::EXIT => Err(match exit::decode(value) {
                Some((kind, status)) => Halt::Exit(kind, status),
                None => Halt::Violation(format!("an end of unknown kind {:#x}", value >> 32)),
            }),
            _ => Err(Halt::Violation(format!(
                "a write to platform register {offset:#x}"
            ))),
        }
    }

    /// The guest asks for input, and waits for it for so many nanoseconds.
    fn ask(&mut self, wait: u64) -> Result<(), Halt> {
        let ask = Ask {
            call: spin::calls(self.instance),
            waits: wait == NEVER,
        };
        self.exits.parks += 1;
        let until = match wait {
            NEVER => NEVER,
            wait => monotonic_coarse_ns().saturating_add(wait),
        };
        if self.look_for_input(ask)? && wait > 0 {
            self.instance.monitor.wake_io();
            // What else the device has news of is none of its business.
            while lock(&self.instance.service).backend.is_asked()
                && self.instance.monitor.stopped().is_none()
                && !self.instance.monitor.park(until, || true)
            {}
        }
        lock(&self.instance.service).backend.asked();
        Ok(())
    }

    /// Looks at the device on this thread. Returns whether it has brought nothing yet.
    fn look_for_input(&mut self, ask: Ask) -> Result<bool, Halt> {
        let mut service = lock(&self.instance.service);
        service.backend.ask(ask).map_err(|_| Halt::Diverged)?;
        let pass = service.pass(&self.instance.memory, Doorbells::Wanted);
        pass.map_err(|violation| Halt::Violation(violation.to_string()))?;
        Ok(service.backend.is_asked())
    }

    /// Interrupts the program; inside the kernel, leaves word that it should look around.
    fn preempt(&mut self) -> Result<(), Halt> {
        let monitor = &self.instance.monitor;
        let run = self.vcpu.fd.get_kvm_run();
        debug_assert!(run.kvm_valid_regs & u64::from(KVM_SYNC_X86_REGS) != 0);
        let ready = run.ready_for_interrupt_injection != 0;
        if ready && self.vcpu.fd.sync_regs().regs.rip < KERNEL_HALF {
            crate::kvm::inject(self.vcpu.fd, cpu::PREEMPT_VECTOR)
                .map_err(|error| Halt::Host(error.to_string()))?;
            self.exits.injections += 1;
            monitor.interrupted();
        } else {
            self.instance.leave_word();
            monitor.told();
        }
        Ok(())
    }

    /// General registers as of the last exit, and system registers as of now.
    pub(crate) fn registers(&self) -> (kvm_regs, Option<kvm_sregs>) {
        (self.vcpu.fd.sync_regs().regs, self.vcpu.fd.get_sregs().ok())
    }
}

/// The guest loads `data` from where there is no memory.
fn load(instance: &Instance, gpa: u64, data: &mut [u8]) -> Result<(), Halt> {
    let offset = gpa.wrapping_sub(DEVICE_GPA);
    if offset >= platform::REGISTERS {
        return Err(Halt::Violation(format!("a read from {}", place(gpa))));
    }
    lock(&instance.service)
        .device
        .read(offset, data)
        .map_err(|violation| Halt::Violation(violation.to_string()))
}

/// What lies at a guest-physical address, in words.
fn place(gpa: u64) -> String {
    let what = match gpa {
        DEVICE_GPA..layout::KERNEL_GPA => "the platform page",
        layout::KERNEL_GPA..layout::BOX_GPA => "the kernel image, which is read-only",
        layout::BOX_GPA.. if gpa < layout::BOX_GPA + layout::BOX_MAX => {
            "the box image, which is read-only"
        }
        _ => "an address without memory",
    };
    format!("guest-physical {gpa:#x}: {what}")
}

fn internal_error(fd: &mut VcpuFd) -> String {
    let suberror = crate::kvm::internal_suberror(fd);
    // Documentation/virt/kvm/api.rst, KVM_EXIT_INTERNAL_ERROR.
    let what = match suberror {
        1 => "an instruction that KVM cannot emulate",
        2 => "simultaneous exceptions",
        3 => "an exit while an event was delivered",
        4 => "an exit for an unknown reason",
        _ => "an internal error of KVM",
    };
    format!("{what} (suberror {suberror})")
}
