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
use crate::device::{Device, Doorbells, Pass, Violation};
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
/// How long a guest may run without having seen news before it is interrupted: most find them at their
/// next system call, and an interruption costs more than one. It is processor time of the vCPU: a guest
/// that waits for a processor would see nothing sooner.
const GRACE_NS: u64 = 200_000;
/// How soon to look again at one that has not run that long; then after twice as long each time, up to
/// a tick.
const WAITING_NS: u64 = 50_000;
/// While the guest runs and has lately had the device work: how long the I/O thread sleeps before it
/// looks again, by how many looks in a row have found nothing. After the last it asks for doorbells.
/// A doorbell costs the guest as much as a system call.
const DOZES_NS: [u64; 3] = [50_000, 100_000, 200_000];
/// How long it sleeps after a look that has found large messages: who moves many bytes waits for none
/// of them, and the guest has buffers for about as long. Where threads share processors, a look less is
/// a turn more for who does the work.
const BULK_DOZE_NS: u64 = 300_000;

/// What the threads of an instance share.
pub(crate) struct Instance {
    pub(crate) memory: Arc<Memory>,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) governor: Arc<Governor>,
    pub(crate) service: Mutex<Service>,
    pub(crate) clock: Mutex<ClockWriter>,
    pub(crate) promise: Promise,
}

impl Instance {
    /// Leaves word for the guest's kernel that it should look around before it returns to the
    /// program.
    pub(crate) fn leave_word(&self) {
        let at = SHARED_GPA + std::mem::offset_of!(Shared, preempt) as u64;
        // The page lies in every RAM.
        let _ = self
            .memory
            .ram()
            .store(1u32, GuestAddress(at), Ordering::SeqCst);
    }
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
    pub(crate) fn pass(
        &mut self,
        memory: &Memory,
        doorbells: Doorbells,
    ) -> Result<Pass, Violation> {
        let pass = self.device.serve(memory, &mut *self.backend, doorbells)?;
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
    /// Chains were used.
    worked: bool,
    /// Most of them were large.
    bulk: bool,
    /// The guest was left word of news.
    told: bool,
    /// All that the guest wrote and sent is delivered.
    delivered: bool,
    /// When to look again at the latest, monotonic ns.
    again: u64,
}

/// News of which a running guest was left word.
#[derive(Clone, Copy)]
struct Word {
    /// When to look whether it has seen them, monotonic ns.
    look_at: u64,
    /// How long to wait, at least, until the look after that.
    wait: u64,
    /// The vCPU's processor time by which it is to have.
    due: u64,
}

/// Ends the instance if the I/O thread panics: nobody else would.
struct Guard<'a>(&'a Monitor);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop(Stop::Io);
            self.0.rouse();
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
            // It sees the order and ends.
            monitor.rouse();
        }
    }

    fn serve(&self) -> Result<(), Failure> {
        let monitor = &*self.instance.monitor;
        let mut looked = monotonic_ns();
        let mut spinning = Spinning::default();
        let mut watched = Vec::new();
        let mut events = Vec::new();
        // Looks in a row that have found nothing.
        let mut idle = DOZES_NS.len();
        // The last that it may not have seen.
        let mut word: Option<Word> = None;
        loop {
            // Before the pass: what the guest wrote before it ended is then seen by the pass.
            let finishing = monitor.is_finishing();
            let now = monotonic_ns();
            let doorbells = match idle < DOZES_NS.len() && monitor.parked_until().is_none() {
                true => Doorbells::Unwanted,
                false => Doorbells::Wanted,
            };
            let turn = self.pass(now, &events, &mut watched, doorbells)?;
            if now >= self.deadline {
                monitor.stop(Stop::TimedOut);
            }
            let governor = &self.instance.governor;
            let again = turn
                .again
                .min(governor.look(now, &self.instance.memory, monitor));
            if monitor.stopped().is_some() || (finishing && turn.delivered) {
                return Ok(());
            }
            if turn.told {
                // It has seen what came before, or it would not have been told.
                word = Some(Word {
                    look_at: now + GRACE_NS,
                    wait: WAITING_NS,
                    due: governor.vcpu_ns() + GRACE_NS,
                });
            }
            if let Some(unseen) = word.take_if(|word| now >= word.look_at) {
                word = self.insist(now, unseen);
            }
            if now >= self.next_look(looked) {
                if self.instance.promise.level().is_reproducible() {
                    spinning.look(&self.instance);
                } else {
                    self.look(now);
                }
                looked = now;
            }
            idle = if turn.worked {
                0
            } else {
                idle.saturating_add(1)
            };
            let until = if turn.more {
                now
            } else {
                let look_at = word.as_ref().map_or(u64::MAX, |word| word.look_at);
                let until = self.next_look(looked).min(again).min(look_at);
                until.min(self.deadline)
            };
            let ns = until.saturating_sub(now);
            let doze = match DOZES_NS.get(idle) {
                Some(_) if turn.more => None,
                Some(_) if turn.bulk => Some(BULK_DOZE_NS),
                doze => doze.copied(),
            };
            events = match doze {
                Some(doze) if monitor.doze() => {
                    let slept = self.wait(ns.min(doze), &[]);
                    monitor.awake();
                    slept.and_then(|_| self.wait(0, &watched))
                }
                // Parked since: only whoever is going to wait needs doorbells.
                _ if doorbells == Doorbells::Unwanted => self.wait(0, &watched),
                _ => self.wait(ns, &watched),
            }
            .map_err(Failure::Poll)?;
        }
    }

    /// Serves the device after `events` on what was watched, and says what to watch next.
    fn pass(
        &self,
        now: u64,
        events: &[PollFlags],
        watched: &mut Vec<Watch>,
        doorbells: Doorbells,
    ) -> Result<Turn, Violation> {
        let mut service = lock(&self.instance.service);
        service.wakeups += 1;
        let again = service.backend.tick(now).unwrap_or(u64::MAX);
        if events.iter().any(|event| !event.is_empty()) {
            service.backend.ready(events);
        }
        let pass = service.pass(&self.instance.memory, doorbells)?;
        watched.clear();
        service.backend.watch(service.device.has_room(), watched);
        let delivered = !pass.more && service.is_delivered();
        drop(service);
        let told = pass.news && !self.instance.monitor.news();
        // In a reproducible run the guest looks when it asks, and at no other moment.
        if told && !self.instance.promise.level().is_reproducible() {
            self.instance.leave_word();
        }
        Ok(Turn {
            more: pass.more,
            worked: pass.chains > 0,
            bulk: pass.is_bulk(),
            told,
            delivered,
            again,
        })
    }

    /// Interrupts a guest that was left `word` of news and has run since without having seen them.
    /// Returns the word, to look again, if it has not run long enough.
    fn insist(&self, now: u64, word: Word) -> Option<Word> {
        let Instance {
            memory,
            monitor,
            governor,
            service,
            ..
        } = &*self.instance;
        if !monitor.has_news() {
            return None;
        }
        if !lock(service).device.has_unseen(memory) {
            monitor.seen();
            return None;
        }
        let left = word.due.saturating_sub(governor.vcpu_ns());
        if left == 0 {
            monitor.interrupt();
            return None;
        }
        Some(Word {
            look_at: now + left.max(word.wait),
            wait: (2 * word.wait).min(TICK_NS),
            ..word
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
        if contended || due {
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
