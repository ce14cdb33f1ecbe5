//! Programs that spin: in a reproducible run nobody interrupts them, so whoever waits for them would
//! wait for ever.

use std::sync::atomic::Ordering;

use unicell_guest_abi::layout::SHARED_GPA;
use unicell_guest_abi::platform::{Counters, NEVER, Shared};
use vm_memory::{Bytes, GuestAddress};

use crate::io::Instance;
use crate::monitor::Stop;

/// What was seen of the program last.
#[derive(Default)]
pub(crate) struct Spinning {
    /// System calls that it had made.
    calls: u64,
    /// Processor time of the vCPU when it was first seen with these, or with nobody waiting.
    since: u64,
}

impl Spinning {
    /// Looks at a program that runs, and does something about it if it spins.
    pub(crate) fn look(&mut self, instance: &Instance) {
        let calls = word(instance, calls_offset());
        let used = instance.governor.vcpu_ns();
        if calls != self.calls || !is_waited_for(instance) {
            (self.calls, self.since) = (calls, used);
        } else if used.saturating_sub(self.since) >= instance.promise.spin.limit_ns {
            if instance.promise.spin.lowers {
                instance.promise.lower();
            } else {
                instance.monitor.stop(Stop::Spinning);
            }
        }
    }
}

/// Whether another thread is ready, or waits for a moment. The guest's words: it deceives itself.
fn is_waited_for(instance: &Instance) -> bool {
    let contended = std::mem::offset_of!(Shared, contended);
    let at = GuestAddress(SHARED_GPA + contended as u64);
    let ram = instance.memory.ram();
    let contended = ram.load::<u32>(at, Ordering::Relaxed).unwrap_or(0) != 0;
    contended || word(instance, std::mem::offset_of!(Shared, deadline)) != NEVER
}

/// System calls that the guest says it has made.
pub(crate) fn calls(instance: &Instance) -> u64 {
    word(instance, calls_offset())
}

const fn calls_offset() -> usize {
    std::mem::offset_of!(Shared, counters) + std::mem::offset_of!(Counters, syscalls)
}

fn word(instance: &Instance, offset: usize) -> u64 {
    let at = GuestAddress(SHARED_GPA + offset as u64);
    // The page lies in every RAM.
    let ram = instance.memory.ram();
    ram.load(at, Ordering::Relaxed).unwrap_or(0)
}
