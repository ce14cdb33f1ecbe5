//! What the two threads of an instance say to each other: news for the guest, a wish to preempt
//! it, and the order to end.
//!
//! **Parking.** `state` is one word. The vCPU thread moves it from RUNNING to PARKED before it
//! sleeps, whoever has news moves it to NEWS. If PARKED came first, the one with news wakes the
//! sleeper. If NEWS came first, the guest may have found the news by itself since: parking returns
//! at once if its rings say that it has not. NEWS stays until the guest parks, is interrupted inside
//! the program, or has seen it.
//!
//! **Dozing.** While the guest runs and keeps the I/O thread busy, that thread asks for no doorbells
//! and looks at the device now and then. A guest that parks wakes it: `dozing` is set before the I/O
//! thread looks whether the guest is parked, and read after the guest is.
//!
//! **Kicks.** A kick makes KVM_RUN return. `immediate_exit` is set before the signal is sent, and
//! the vCPU thread clears it before it reads the wishes: a wish made after that reading finds the
//! byte set again, so that the following KVM_RUN returns without entering the guest.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use rustix::event::EventfdFlags;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::thread::futex;

use crate::clock;
use crate::io::lock;
use crate::kvm::Kick;

const RUNNING: u32 = 0;
const PARKED: u32 = 1;
const NEWS: u32 = 2;

/// Why an instance is ended by its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// By a stop handle.
    Asked = 1,
    /// Its time was up.
    TimedOut = 2,
    /// The guest broke the device's protocol; the I/O thread knows how.
    Violation = 3,
    /// The I/O thread cannot go on.
    Io = 4,
    /// The vCPU cannot go on, or must not; its thread knows why.
    Halted = 5,
    /// It uses more memory than it may.
    Memory = 6,
    /// It makes no system call for too long, in a reproducible run.
    Spinning = 7,
}

/// State shared by the vCPU thread, the I/O thread and stop handles.
pub(crate) struct Monitor {
    state: AtomicU32,
    /// Until when the vCPU is parked, monotonic ns; of meaning while it is.
    parked_until: AtomicU64,
    /// The guest should look around, if it is inside the program.
    preempt: AtomicBool,
    /// A kick is under way that the vCPU thread has not yet noticed.
    kicked: AtomicBool,
    /// The I/O thread looks at the device in a while, and nobody rings for it.
    dozing: AtomicBool,
    /// A [`Stop`], or 0.
    stop: AtomicU32,
    /// The guest has said that it ends: deliver what it wrote, then return.
    finish: AtomicBool,
    /// Exits of the vCPU to this process so far.
    exits: AtomicU64,
    /// Wakes the I/O thread.
    wake: OwnedFd,
    kick: Mutex<Option<Kick>>,
}

impl Monitor {
    pub(crate) fn new() -> Result<Self, Errno> {
        Ok(Self {
            state: AtomicU32::new(RUNNING),
            parked_until: AtomicU64::new(0),
            preempt: AtomicBool::new(false),
            kicked: AtomicBool::new(false),
            dozing: AtomicBool::new(false),
            stop: AtomicU32::new(0),
            finish: AtomicBool::new(false),
            exits: AtomicU64::new(0),
            wake: rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            kick: Mutex::new(None),
        })
    }

    // What the vCPU thread does.

    /// Names the thread that runs the vCPU, or forgets it.
    pub(crate) fn attach(&self, kick: Option<Kick>) {
        *lock(&self.kick) = kick;
    }

    /// Forgets earlier kicks. Wishes must be read after this and before KVM_RUN.
    pub(crate) fn rearm(&self) {
        if let Some(kick) = &*lock(&self.kick) {
            kick.disarm();
        }
        self.kicked.store(false, Ordering::SeqCst);
    }

    /// Whether the guest should be interrupted or told to look around.
    pub(crate) fn wants_preemption(&self) -> bool {
        self.preempt.load(Ordering::SeqCst) || self.state.load(Ordering::SeqCst) == NEWS
    }

    /// The program was interrupted: its kernel looks at everything now.
    pub(crate) fn interrupted(&self) {
        self.preempt.store(false, Ordering::SeqCst);
        self.seen();
    }

    /// The kernel was told to look around before it returns to the program.
    pub(crate) fn told(&self) {
        self.preempt.store(false, Ordering::SeqCst);
    }

    /// Sleeps until there is news or the monotonic clock shows `deadline` ns. Returns whether that
    /// has come. `unseen` says whether the guest has not seen the news that came before.
    pub(crate) fn park(&self, deadline: u64, unseen: impl FnOnce() -> bool) -> bool {
        let mut is_over = false;
        self.parked_until.store(deadline, Ordering::Relaxed);
        let had_news = self.state.swap(PARKED, Ordering::SeqCst) == NEWS;
        if self.dozing.swap(false, Ordering::SeqCst) {
            self.wake_io();
        }
        // An order to stop that comes after this look finds the guest parked.
        let stays = self.stopped().is_none() && !(had_news && unseen());
        if stays {
            let until = clock::timespec(deadline);
            while self.state.load(Ordering::SeqCst) == PARKED {
                let flags = futex::Flags::PRIVATE;
                let any = std::num::NonZeroU32::MAX;
                match futex::wait_bitset(&self.state, flags, PARKED, until.as_ref(), any) {
                    Err(Errno::TIMEDOUT) => {
                        is_over = true;
                        break;
                    }
                    // Woken, changed before it slept, or a signal: look again.
                    _ => continue,
                }
            }
        }
        self.state.store(RUNNING, Ordering::SeqCst);
        is_over
    }

    /// Sleeps until the monotonic clock shows `until` ns, or the instance is to end.
    pub(crate) fn pause(&self, until: u64) {
        let flags = futex::Flags::PRIVATE;
        let any = std::num::NonZeroU32::MAX;
        let until = clock::timespec(until);
        // Whatever ends the wait, the caller looks again.
        let _ = futex::wait_bitset(&self.stop, flags, 0, until.as_ref(), any);
    }

    /// The vCPU has left the guest.
    pub(crate) fn count_exit(&self) {
        self.exits.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells the I/O thread to deliver what is left and to return.
    pub(crate) fn finish(&self) {
        self.finish.store(true, Ordering::SeqCst);
        self.wake_io();
    }

    // What the I/O thread does.

    pub(crate) fn wake_fd(&self) -> &OwnedFd {
        &self.wake
    }

    pub(crate) fn is_finishing(&self) -> bool {
        self.finish.load(Ordering::SeqCst)
    }

    /// There is news for the guest, already visible in its memory: wakes it if it is parked.
    /// Returns whether it was.
    pub(crate) fn news(&self) -> bool {
        let parked = self.state.swap(NEWS, Ordering::SeqCst) == PARKED;
        if parked {
            // A wake-up of nobody is no error.
            let _ = futex::wake(&self.state, futex::Flags::PRIVATE, 1);
        }
        parked
    }

    /// The guest has seen all news.
    pub(crate) fn seen(&self) {
        let _ = self
            .state
            .compare_exchange(NEWS, RUNNING, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Takes the vCPU out of the guest or its sleep.
    pub(crate) fn rouse(&self) {
        if !self.news() {
            self.kick();
        }
    }

    /// The I/O thread is going to sleep for a while, without doorbells. Returns whether it should:
    /// not while the guest is parked.
    pub(crate) fn doze(&self) -> bool {
        self.dozing.store(true, Ordering::SeqCst);
        let running = self.state.load(Ordering::SeqCst) != PARKED;
        if !running {
            self.awake();
        }
        running
    }

    /// The I/O thread looks at the device.
    pub(crate) fn awake(&self) {
        self.dozing.store(false, Ordering::SeqCst);
    }

    /// The program should be interrupted, if it is running.
    pub(crate) fn preempt(&self) {
        self.preempt.store(true, Ordering::SeqCst);
        self.kick();
    }

    /// Until when the vCPU is parked, if it is.
    pub(crate) fn parked_until(&self) -> Option<u64> {
        (self.state.load(Ordering::SeqCst) == PARKED)
            .then(|| self.parked_until.load(Ordering::Relaxed))
    }

    /// Whether news waits for a guest that is not parked.
    pub(crate) fn has_news(&self) -> bool {
        self.state.load(Ordering::SeqCst) == NEWS
    }

    /// Makes the vCPU leave the guest and look what is wanted of it.
    pub(crate) fn interrupt(&self) {
        self.kick();
    }

    /// Ends a pause.
    pub(crate) fn resume(&self) {
        // Nobody, most often.
        let _ = futex::wake(&self.stop, futex::Flags::PRIVATE, 1);
    }

    /// How often the vCPU has left the guest.
    pub(crate) fn exits(&self) -> u64 {
        self.exits.load(Ordering::Relaxed)
    }

    fn kick(&self) {
        if !self.kicked.swap(true, Ordering::SeqCst)
            && let Some(kick) = &*lock(&self.kick)
        {
            kick.send();
        }
    }

    // What anyone does.

    /// Orders the end; the first reason given stays. Safe in a signal handler.
    pub(crate) fn stop(&self, why: Stop) {
        let (order, none) = (Ordering::SeqCst, 0);
        let _ = self.stop.compare_exchange(none, why as u32, order, order);
        self.resume();
        self.wake_io();
    }

    pub(crate) fn stopped(&self) -> Option<Stop> {
        match self.stop.load(Ordering::SeqCst) {
            1 => Some(Stop::Asked),
            2 => Some(Stop::TimedOut),
            3 => Some(Stop::Violation),
            4 => Some(Stop::Io),
            5 => Some(Stop::Halted),
            6 => Some(Stop::Memory),
            7 => Some(Stop::Spinning),
            _ => None,
        }
    }

    /// Makes the I/O thread look at everything again.
    pub(crate) fn wake_io(&self) {
        // A full counter wakes just as well.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;
    use unicell_guest_abi::platform::NEVER;

    #[test]
    fn news_that_comes_first_makes_the_park_short() {
        let monitor = Monitor::new().unwrap();
        monitor.news();
        monitor.park(NEVER, || true);
        assert!(!monitor.has_news(), "it was delivered");
    }

    #[test]
    fn news_that_the_guest_has_found_by_itself_does_not_make_the_park_short() {
        let monitor = Monitor::new().unwrap();
        monitor.news();
        let soon = crate::clock::monotonic_ns() + 1_000_000;
        assert!(monitor.park(soon, || false), "it slept to its deadline");
    }

    #[test]
    fn whoever_is_to_stop_does_not_park() {
        let monitor = Monitor::new().unwrap();
        monitor.stop(Stop::Violation);
        monitor.rouse();
        monitor.park(NEVER, || false);
    }

    #[test]
    fn whoever_parks_wakes_an_io_thread_that_dozes() {
        let monitor = Monitor::new().unwrap();
        assert!(monitor.doze(), "the guest runs");
        monitor.park(crate::clock::monotonic_ns(), || true);
        let woken = rustix::io::read(monitor.wake_fd(), &mut [0; 8]);
        assert_eq!(woken, Ok(8));
        monitor.park(crate::clock::monotonic_ns(), || true);
        let woken = rustix::io::read(monitor.wake_fd(), &mut [0; 8]);
        assert_eq!(woken, Err(Errno::AGAIN), "nobody dozes");
    }

    #[test]
    fn news_that_the_kernel_was_only_told_of_makes_the_park_short() {
        let monitor = Monitor::new().unwrap();
        monitor.news();
        assert!(monitor.wants_preemption());
        // The kernel may have looked at its rings already, and miss them when it parks.
        monitor.told();
        monitor.park(NEVER, || true);
    }

    #[test]
    fn news_that_interrupted_the_program_is_delivered() {
        let monitor = Monitor::new().unwrap();
        monitor.news();
        monitor.interrupted();
        assert!(!monitor.wants_preemption());
        let soon = crate::clock::monotonic_ns() + 1_000_000;
        monitor.park(soon, || true);
        assert!(crate::clock::monotonic_ns() >= soon);
    }

    #[test]
    fn whoever_parks_is_woken_by_each_of_many() {
        // Each round is a race between one who parks and one who has news.
        const ROUNDS: u64 = 2_000;
        let monitor = Arc::new(Monitor::new().unwrap());
        let rounds = Arc::new(AtomicU64::new(0));
        let sender = {
            let (monitor, rounds) = (Arc::clone(&monitor), Arc::clone(&rounds));
            thread::spawn(move || {
                for round in 1..=ROUNDS {
                    rounds.store(round, Ordering::SeqCst);
                    monitor.news();
                    while rounds.load(Ordering::SeqCst) == round {
                        thread::yield_now();
                    }
                }
            })
        };
        let mut seen = 0;
        while seen < ROUNDS {
            let round = rounds.load(Ordering::SeqCst);
            if round == seen || round == u64::MAX {
                monitor.park(NEVER, || true);
                continue;
            }
            seen = round;
            rounds.store(u64::MAX, Ordering::SeqCst);
        }
        sender.join().unwrap();
    }

    #[test]
    fn the_first_order_to_stop_stays() {
        let monitor = Monitor::new().unwrap();
        assert_eq!(monitor.stopped(), None);
        monitor.stop(Stop::TimedOut);
        monitor.stop(Stop::Asked);
        assert_eq!(monitor.stopped(), Some(Stop::TimedOut));
    }
}
