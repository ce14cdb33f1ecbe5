//! The I/O thread: serves the device, keeps time, ends the instance when it must.

use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use unicell_guest_abi::layout::SHARED_GPA;
use unicell_guest_abi::platform::{NEVER, Shared};
use vm_memory::{Bytes, GuestAddress};

use crate::backend::Backend;
use crate::clock::{ClockWriter, monotonic_ns};
use crate::device::{Device, Violation};
use crate::memory::Memory;
use crate::monitor::{Monitor, Stop};

/// How long a running program may go on before the I/O thread looks whether it should be
/// interrupted.
const TICK_NS: u64 = 4_000_000;
/// How soon after a look the next may follow, when the guest names a deadline: it may name one that
/// is always past.
const GAP_NS: u64 = 500_000;

/// What the threads of an instance share.
pub(crate) struct Instance {
    pub(crate) memory: Memory,
    pub(crate) monitor: Monitor,
    pub(crate) device: Mutex<Device>,
    pub(crate) clock: Mutex<ClockWriter>,
}

/// A panic of the other thread ends the process or the run; what it held is still sound.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why the I/O thread could not go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IoError {
    #[error(transparent)]
    Violation(#[from] Violation),
    #[error("the I/O thread cannot wait: {0}")]
    Poll(Errno),
    #[error("the I/O thread panicked")]
    Panicked,
}

/// What the I/O thread did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Served {
    pub(crate) wakeups: u64,
    pub(crate) chains: u64,
}

/// The I/O thread's own.
pub(crate) struct Io<'a> {
    instance: Arc<Instance>,
    backend: Box<dyn Backend + 'a>,
    doorbell: OwnedFd,
    /// When the instance's time is up, monotonic ns.
    deadline: u64,
    served: Served,
}

impl<'a> Io<'a> {
    pub(crate) fn new(
        instance: Arc<Instance>,
        backend: Box<dyn Backend + 'a>,
        doorbell: OwnedFd,
        deadline: u64,
    ) -> Self {
        Self {
            instance,
            backend,
            doorbell,
            deadline,
            served: Served::default(),
        }
    }

    /// Runs until the instance has ended and its text is delivered, or it must be ended.
    pub(crate) fn run(mut self) -> (Served, Result<(), IoError>) {
        let result = self.serve();
        let monitor = &self.instance.monitor;
        match &result {
            Err(IoError::Violation(_)) => monitor.stop(Stop::Violation),
            Err(IoError::Poll(_) | IoError::Panicked) => monitor.stop(Stop::Io),
            Ok(()) => {}
        }
        if monitor.stopped().is_some() {
            // Takes the vCPU out of the guest or its sleep: it sees the order and ends.
            monitor.news();
        }
        (self.served, result)
    }

    fn serve(&mut self) -> Result<(), IoError> {
        let mut looked = monotonic_ns();
        loop {
            // Before the pass: what the guest wrote before it ended is then seen by the pass.
            let finishing = self.instance.monitor.is_finishing();
            let (more, room, delivered) = self.pass()?;
            let now = monotonic_ns();
            if now >= self.deadline {
                self.instance.monitor.stop(Stop::TimedOut);
            }
            if self.instance.monitor.stopped().is_some() || (finishing && delivered) {
                return Ok(());
            }
            if now >= self.next_look(looked) {
                self.look(now);
                looked = now;
            }
            let until = if more { 0 } else { self.next_look(looked) };
            self.wait(until.min(self.deadline).saturating_sub(now), room)?;
        }
    }

    /// Serves the device once. Returns whether there is more to do at once, whether the guest has
    /// room for messages, and whether its text is all delivered.
    fn pass(&mut self) -> Result<(bool, bool, bool), Violation> {
        let instance = &*self.instance;
        let mut device = lock(&instance.device);
        let pass = device.serve(&instance.memory, &mut *self.backend)?;
        let (room, empty) = (device.has_room(), device.console_is_empty());
        drop(device);
        self.served.chains += pass.chains;
        if pass.news {
            instance.monitor.news();
        }
        Ok((pass.more, room, empty && !pass.more))
    }

    /// When to look at the guest next, the last time having been at `looked`.
    ///
    /// A parked guest wakes by itself at its deadline, or by news that this thread brings: until
    /// then nothing can want to be interrupted.
    fn next_look(&self, looked: u64) -> u64 {
        match self.instance.monitor.parked_until() {
            Some(until) => until.saturating_add(TICK_NS),
            None => self
                .guest_deadline()
                .clamp(looked + GAP_NS, looked + TICK_NS),
        }
    }

    /// When the guest wants to be woken or interrupted, as it says.
    fn guest_deadline(&self) -> u64 {
        let at = GuestAddress(SHARED_GPA + std::mem::offset_of!(Shared, deadline) as u64);
        let order = std::sync::atomic::Ordering::Relaxed;
        self.instance.memory.ram().load(at, order).unwrap_or(NEVER)
    }

    /// Interrupts the program if somebody else wants its place.
    fn look(&self, now: u64) {
        let Instance {
            memory,
            monitor,
            clock,
            ..
        } = &*self.instance;
        if monitor.parked_until().is_some() {
            return;
        }
        lock(clock).refresh(memory);
        let at = GuestAddress(SHARED_GPA + std::mem::offset_of!(Shared, contended) as u64);
        let order = std::sync::atomic::Ordering::Relaxed;
        let contended = memory.ram().load::<u32>(at, order).unwrap_or(0) != 0;
        if contended || monitor.has_news() || self.guest_deadline() <= now {
            monitor.preempt();
        }
    }

    /// Sleeps until something happens, at most `ns`.
    fn wait(&mut self, ns: u64, room: bool) -> Result<(), IoError> {
        let timeout = Timespec {
            tv_sec: (ns / 1_000_000_000) as i64,
            tv_nsec: (ns % 1_000_000_000) as i64,
        };
        let own = [&self.doorbell, self.instance.monitor.wake_fd()];
        let mut watched: Vec<_> = own.map(|fd| PollFd::new(fd, PollFlags::IN)).into();
        self.backend.watch(room, &mut watched);
        match rustix::event::poll(&mut watched, Some(&timeout)) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(()),
            Err(errno) => return Err(IoError::Poll(errno)),
        }
        self.served.wakeups += 1;
        let events: Vec<_> = watched.iter().map(PollFd::revents).collect();
        for (fd, event) in own.iter().zip(&events) {
            if !event.is_empty() {
                // Resets the event; that it was reset already is as good.
                let _ = rustix::io::read(fd, &mut [0; 8]);
            }
        }
        let events = &events[own.len()..];
        if events.iter().any(|event| !event.is_empty()) {
            self.backend.ready(events);
        }
        Ok(())
    }
}
