//! What an instance uses, and that it uses no more than it may.
//!
//! The I/O thread measures and decides; the vCPU thread sleeps when it is told to. Figures come
//! from the host's kernel, none from the guest.

use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::clock;
use crate::io::lock;
use crate::link::{CpuQuota, Limits};
use crate::memory::Memory;
use crate::monitor::{Monitor, Stop};
use crate::stride::{Seen, Stride};

/// How often the resident memory is looked at while it is limited, and the least time between two
/// looks at the processor time.
const MEMORY_LOOK_NS: u64 = 20_000_000;
const CPU_LOOK_NS: u64 = 500_000;

/// Enforces limits.
pub(crate) struct Governor {
    limits: Mutex<Limits>,
    /// Until when the vCPU may not run, monotonic ns.
    paused_until: AtomicU64,
    peak: AtomicU64,
    /// The clocks of the vCPU thread's and the I/O thread's processor time.
    clocks: [AtomicI32; 2],
    /// What the I/O thread had used when it ended, and its clock with it.
    served_ns: AtomicU64,
    /// How long the vCPU was parked so far, and since when it is, monotonic ns; 0 while it runs.
    parked_ns: AtomicU64,
    parked_since: AtomicU64,
    period: Mutex<Period>,
    stride: Mutex<Stride>,
}

/// The period of the quota that runs.
#[derive(Default)]
struct Period {
    end: u64,
    /// Processor time when it began.
    cpu: u64,
    /// When memory is looked at next.
    memory: u64,
}

impl Governor {
    pub(crate) fn new() -> Self {
        Self {
            limits: Mutex::new(Limits::default()),
            paused_until: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            clocks: [const { AtomicI32::new(0) }; 2],
            served_ns: AtomicU64::new(0),
            parked_ns: AtomicU64::new(0),
            parked_since: AtomicU64::new(0),
            period: Mutex::new(Period::default()),
            stride: Mutex::default(),
        }
    }

    /// This thread runs the vCPU.
    pub(crate) fn runs_vcpu(&self) {
        self.clocks[0].store(clock::own_cpu_clock(), Ordering::Relaxed);
    }

    /// The vCPU parks from now on.
    pub(crate) fn parks(&self, now: u64) {
        self.parked_since.store(now, Ordering::Relaxed);
    }

    /// It has parked until now.
    pub(crate) fn has_parked(&self, now: u64) {
        let since = self.parked_since.swap(0, Ordering::Relaxed);
        self.parked_ns
            .fetch_add(now.saturating_sub(since), Ordering::Relaxed);
    }

    /// Whether the instance is to let others go before it, if that is another than it was.
    fn gives_way(&self, now: u64) -> Option<bool> {
        let mut stride = lock(&self.stride);
        if !stride.is_due(now) {
            return None;
        }
        let since = self.parked_since.load(Ordering::Relaxed);
        let parks = if since == 0 {
            0
        } else {
            now.saturating_sub(since)
        };
        stride.look(Seen {
            at: now,
            computed: self.vcpu_ns(),
            slept: self.parked_ns.load(Ordering::Relaxed) + parks,
            sleeps: since != 0,
        })
    }

    /// This thread serves the device.
    pub(crate) fn serves_device(&self) {
        self.clocks[1].store(clock::own_cpu_clock(), Ordering::Relaxed);
    }

    /// This thread, which served the device, ends.
    pub(crate) fn has_served(&self) {
        self.served_ns.store(self.times()[1], Ordering::Relaxed);
    }

    /// Processor time of the vCPU thread and of the I/O thread.
    fn times(&self) -> [u64; 2] {
        let read = |clock: &AtomicI32| clock::cpu_ns(clock.load(Ordering::Relaxed));
        let served = self.served_ns.load(Ordering::Relaxed);
        [read(&self.clocks[0]), read(&self.clocks[1]).max(served)]
    }

    /// Processor time of the vCPU thread.
    pub(crate) fn vcpu_ns(&self) -> u64 {
        self.times()[0]
    }

    /// Until when the vCPU has to wait; a time in the past if it need not.
    pub(crate) fn paused_until(&self) -> u64 {
        self.paused_until.load(Ordering::Relaxed)
    }

    fn resident(&self, memory: &Memory) -> u64 {
        let resident = memory.resident();
        self.peak.fetch_max(resident, Ordering::Relaxed);
        resident
    }

    /// Enforces the limits. Called by the I/O thread; returns when it is to be called again.
    pub(crate) fn look(&self, now: u64, memory: &Memory, monitor: &Monitor) -> u64 {
        let limits = *lock(&self.limits);
        let mut period = lock(&self.period);
        let mut again = u64::MAX;
        if let Some(cpu) = limits.cpu {
            again = self.look_at_cpu(now, cpu, &mut period, monitor);
        }
        // What is not less than all of RAM is no limit, and looking costs time.
        let ram = memory.ram_size();
        if let Some(most) = limits.memory.filter(|most| *most < ram) {
            // A guest that is parked touches nothing more, but may have before it parked.
            let touches = monitor.parked_until().is_none();
            let looks = now >= period.memory;
            if looks {
                period.memory = now + MEMORY_LOOK_NS;
                if self.resident(memory) > most {
                    monitor.stop(Stop::Memory);
                }
            }
            if touches || !looks {
                again = again.min(period.memory);
            }
        }
        again
    }

    fn look_at_cpu(
        &self,
        now: u64,
        quota: CpuQuota,
        period: &mut Period,
        monitor: &Monitor,
    ) -> u64 {
        let [cpu, _] = self.times();
        if now >= period.end {
            (period.end, period.cpu) = (now + quota.period_ns, cpu);
        }
        let used = cpu.saturating_sub(period.cpu);
        let left = quota.quota_ns.saturating_sub(used);
        if left == 0 {
            self.paused_until.store(period.end, Ordering::Relaxed);
            monitor.interrupt();
            return period.end;
        }
        // Parked, it uses none; and no sooner than this can it have used up what is left.
        match monitor.parked_until() {
            Some(until) => until,
            None => (now + left.max(CPU_LOOK_NS)).min(period.end),
        }
    }
}

/// A hold on an instance from its own process: what it uses, and what it may.
#[derive(Clone)]
pub struct Hold {
    pub(crate) governor: Arc<Governor>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) monitor: Arc<Monitor>,
}

/// What the threads of an instance have used.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Used {
    pub(crate) cpu_ns: u64,
    pub(crate) io_ns: u64,
    pub(crate) memory: u64,
    pub(crate) memory_peak: u64,
    pub(crate) exits: u64,
}

impl Hold {
    /// Orders the end of the instance.
    pub fn stop(&self) {
        self.monitor.stop(Stop::Asked);
    }

    /// Changes what the instance may use.
    pub fn limit(&self, limits: Limits) {
        *lock(&self.governor.limits) = limits;
        self.governor.paused_until.store(0, Ordering::Relaxed);
        self.monitor.resume();
        self.monitor.wake_io();
    }

    /// Whether the node is to let others go before the instance, if that is another than it was.
    pub(crate) fn gives_way(&self, now: u64) -> Option<bool> {
        self.governor.gives_way(now)
    }

    /// What was used so far.
    pub(crate) fn used(&self) -> Used {
        let [cpu_ns, io_ns] = self.governor.times();
        let memory = self.governor.resident(&self.memory);
        Used {
            cpu_ns,
            io_ns,
            memory,
            memory_peak: self.governor.peak.load(Ordering::Relaxed),
            exits: self.monitor.exits(),
        }
    }
}

#[cfg(test)]
mod tests {
    use unicell_guest_abi::layout;
    use unicell_guest_abi::platform::NEVER;
    use vm_memory::{Bytes, GuestAddress};

    use super::*;

    #[test]
    fn what_was_touched_just_before_a_pause_is_looked_at_in_it() {
        let memory = Memory::new(layout::RAM_MIN, None, None).unwrap();
        let monitor = Monitor::new().unwrap();
        let governor = Governor::new();
        lock(&governor.limits).memory = Some(layout::PAGE_SIZE);
        assert_eq!(governor.look(0, &memory, &monitor), MEMORY_LOOK_NS);
        let two = vec![1; 2 * layout::PAGE_SIZE as usize];
        memory.ram().write_slice(&two, GuestAddress(0)).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| monitor.park(NEVER, || false));
            while monitor.parked_until().is_none() {
                std::thread::yield_now();
            }
            assert_eq!(governor.look(1, &memory, &monitor), MEMORY_LOOK_NS);
            assert_eq!(governor.look(MEMORY_LOOK_NS, &memory, &monitor), u64::MAX);
            monitor.rouse();
        });
        assert!(matches!(monitor.stopped(), Some(Stop::Memory)));
    }

    #[test]
    fn what_the_io_thread_has_used_is_not_forgotten_with_it() {
        let governor = Governor::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                governor.serves_device();
                while governor.times()[1] == 0 {}
                governor.has_served();
            });
        });
        assert!(governor.times()[1] > 0);
    }
}
