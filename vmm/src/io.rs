//! The I/O thread: serves the device, keeps time, ends the instance when it must.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use unicell_guest_abi::layout::SHARED_GPA;
use unicell_guest_abi::platform::{NEVER, Shared};
use vm_memory::{Bytes, GuestAddress};

use crate::backend::{Backend, Watch};
use crate::clock::{ClockWriter, monotonic_ns};
use crate::device::{Device, Pass, Violation};
use crate::governor::Governor;
use crate::memory::Memory;
use crate::monitor::{Monitor, Stop};
use crate::reproducible::{Level, Promise};
use crate::spin::Spinning;

/// How long a running program may go on before the I/O thread looks whether it should be
/// interrupted.
const TICK_NS: u64 = 4_000_000;
/// How soon after a look the next may follow, when the guest names a deadline: it may name one that
/// is always past.
const GAP_NS: u64 = 500_000;

/// What the threads of an instance share.
pub(crate) struct Instance {
    pub(crate) memory: Arc<Memory>,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) governor: Arc<Governor>,
    pub(crate) service: Mutex<Service>,
    pub(crate) clock: Mutex<ClockWriter>,
    pub(crate) promise: Promise,
}

/// The device and what it is connected to.
pub(crate) struct Service {
    pub(crate) device: Device,
    pub(crate) backend: Box<dyn Backend>,
    /// Chains used so far.
    pub(crate) chains: u64,
    /// Wake-ups of the I/O thread so far.
    pub(crate) wakeups: u64,
    /// Why the I/O thread has ended the instance.
    pub(crate) failure: Option<Failure>,
}

/// Why the device cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Violation(#[from] Violation),
    #[error("the I/O thread cannot wait: {0}")]
    Poll(Errno),
}

/// What a panic of the other thread left is still sound: the instance ends in order.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service {
    pub(crate) fn new(backend: Box<dyn Backend>) -> Self {
        Self {
            device: Device::new(),
            backend,
            chains: 0,
            wakeups: 0,
            failure: None,
        }
    }

    /// Serves the device once.
    pub(crate) fn pass(&mut self, memory: &Memory) -> Result<Pass, Violation> {
        let pass = self.device.serve(memory, &mut *self.backend)?;
        self.chains += pass.chains;
        Ok(pass)
    }

    /// Whether all that the guest wrote and sent is delivered. Of meaning after a pass without more
    /// to do.
    pub(crate) fn is_delivered(&self) -> bool {
        self.device.console_is_empty() && self.backend.is_flushed()
    }
}

/// What a look at everything came to.
struct Turn {
    /// There is more to do at once.
    more: bool,
    /// All that the guest wrote and sent is delivered.
    delivered: bool,
    /// When to look again at the latest, monotonic ns.
    again: u64,
}

/// Ends the instance if the I/O thread panics: nobody else would.
struct Guard<'a>(&'a Monitor);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop(Stop::Io);
            self.0.news();
        }
    }
}

/// The I/O thread's own.
pub(crate) struct Io {
    pub(crate) instance: Arc<Instance>,
    pub(crate) doorbell: OwnedFd,
    /// When the instance's time is up, monotonic ns.
    pub(crate) deadline: u64,
}

impl Io {
    /// Runs until the instance has ended and its text is delivered, or it must be ended.
    pub(crate) fn run(self) {
        let monitor = &*self.instance.monitor;
        let _guard = Guard(monitor);
        self.instance.governor.serves_device();
        if let Err(failure) = self.serve() {
            let why = match &failure {
                Failure::Violation(_) => Stop::Violation,
                Failure::Poll(_) => Stop::Io,
            };
            lock(&self.instance.service).failure = Some(failure);
            monitor.stop(why);
        }
        self.instance.governor.has_served();
        if monitor.stopped().is_some() {
            // Takes the vCPU out of the guest or its sleep: it sees the order and ends.
            monitor.news();
        }
    }

    fn serve(&self) -> Result<(), Failure> {
        let monitor = &*self.instance.monitor;
        let mut looked = monotonic_ns();
        let mut spinning = Spinning::default();
        let mut watched = Vec::new();
        let mut events = Vec::new();
        loop {
            // Before the pass: what the guest wrote before it ended is then seen by the pass.
            let finishing = monitor.is_finishing();
            let now = monotonic_ns();
            let Turn {
                more,
                delivered,
                again,
            } = self.pass(now, &events, &mut watched)?;
            if now >= self.deadline {
                monitor.stop(Stop::TimedOut);
            }
            let again = again.min(
                self.instance
                    .governor
                    .look(now, &self.instance.memory, monitor),
            );
            if monitor.stopped().is_some() || (finishing && delivered) {
                return Ok(());
            }
            if now >= self.next_look(looked) {
                if self.instance.promise.level().is_reproducible() {
                    spinning.look(&self.instance);
                } else {
                    self.look(now);
                }
                looked = now;
            }
            let until = if more {
                0
            } else {
                self.next_look(looked).min(again)
            };
            let ns = until.min(self.deadline).saturating_sub(now);
            events = self.wait(ns, &watched).map_err(Failure::Poll)?;
        }
    }

    /// Serves the device after `events` on what was watched, and says what to watch next.
    fn pass(
        &self,
        now: u64,
        events: &[PollFlags],
        watched: &mut Vec<Watch>,
    ) -> Result<Turn, Violation> {
        let mut service = lock(&self.instance.service);
        service.wakeups += 1;
        let again = service.backend.tick(now).unwrap_or(u64::MAX);
        if events.iter().any(|event| !event.is_empty()) {
            service.backend.ready(events);
        }
        let pass = service.pass(&self.instance.memory)?;
        watched.clear();
        service.backend.watch(service.device.has_room(), watched);
        let delivered = !pass.more && service.is_delivered();
        drop(service);
        if pass.news {
            self.instance.monitor.news();
        }
        Ok(Turn {
            more: pass.more,
            delivered,
            again,
        })
    }

    /// When to look at the guest next, the last time having been at `looked`.
    ///
    /// A parked guest wakes by itself at its deadline, or by news that this thread brings: until
    /// then nothing can want to be interrupted.
    fn next_look(&self, looked: u64) -> u64 {
        match self.instance.monitor.parked_until() {
            Some(until) => until.saturating_add(TICK_NS),
            // Nobody is interrupted; and the guest's deadlines are of another clock.
            None if self.instance.promise.begun().is_reproducible() => looked + TICK_NS,
            None => self
                .guest_deadline()
                .clamp(looked + GAP_NS, looked + TICK_NS),
        }
    }

    /// When the guest wants to be woken or interrupted, as it says.
    fn guest_deadline(&self) -> u64 {
        let at = GuestAddress(SHARED_GPA + std::mem::offset_of!(Shared, deadline) as u64);
        let ram = self.instance.memory.ram();
        ram.load(at, Ordering::Relaxed).unwrap_or(NEVER)
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
        let contended = memory.ram().load::<u32>(at, Ordering::Relaxed).unwrap_or(0) != 0;
        // Its time was virtual, if it comes here after having spun: then it is interrupted whenever
        // somebody waits.
        let due = match self.instance.promise.begun() {
            Level::D0 => self.guest_deadline() <= now,
            _ => self.guest_deadline() != NEVER,
        };
        if contended || monitor.has_news() || due {
            monitor.preempt();
        }
    }

    /// Sleeps until something happens, at most `ns`. Returns what happened to what is watched.
    fn wait(&self, ns: u64, watched: &[Watch]) -> Result<Vec<PollFlags>, Errno> {
        let timeout = Timespec {
            tv_sec: (ns / 1_000_000_000) as i64,
            tv_nsec: (ns % 1_000_000_000) as i64,
        };
        let own = [&self.doorbell, self.instance.monitor.wake_fd()];
        let mut fds: Vec<_> = own.map(|fd| PollFd::new(fd, PollFlags::IN)).into();
        fds.extend(
            watched
                .iter()
                .map(|watch| PollFd::new(&*watch.fd, watch.events)),
        );
        match rustix::event::poll(&mut fds, Some(&timeout)) {
            Ok(_) => {}
            Err(Errno::INTR) => return Ok(Vec::new()),
            Err(errno) => return Err(errno),
        }
        for (fd, polled) in own.iter().zip(&fds) {
            if !polled.revents().is_empty() {
                // Resets the event; that it was reset already is as good.
                let _ = rustix::io::read(fd, &mut [0; 8]);
            }
        }
        Ok(fds[own.len()..].iter().map(PollFd::revents).collect())
    }
}
