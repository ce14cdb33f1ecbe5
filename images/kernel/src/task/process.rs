//! A process: what its threads share, and its place among the others.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicI16, AtomicU32, AtomicU64, Ordering};

use linux_raw_sys::general as linux;

use super::accounts::{Accounts, Used};
use super::limits::{INFINITY, Limits};
use super::numbers;
use super::settings::Settings;
use super::thread::Thread;
use super::timer::Timers;
use super::timer::{Clock, Target, Timer};
use super::{Credentials, WaitQueue};
use crate::fs::{FdTable, FsContext};
use crate::mm::Space;
use crate::signal::{self, Actions, Info, Pending, SI_KERNEL, SIGCHLD, SIGKILL, SIGXCPU};
use crate::sync::Mutex;
use crate::time::{self, SECOND};
use crate::tty::Terminal;

/// Where a process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It has threads that run.
    Alive,
    /// It ends with this status (as wait(2) gives it); its threads are on their way out.
    Ending(u32),
    /// It has ended and waits to be asked how.
    Zombie(u32),
}

/// What the parent is told of besides an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stop {
    /// It runs.
    #[default]
    No,
    /// It was stopped by this signal; `true` once the parent has been told.
    Stopped(u32, bool),
    /// It was continued, and the parent has not been told.
    Continued,
}

/// A process.
pub struct Process {
    id: u32,
    group: AtomicU32,
    session: AtomicU32,
    parent: Mutex<Weak<Process>>,
    /// Alive and zombies.
    pub children: Mutex<Vec<Arc<Process>>>,
    space: Mutex<Arc<Space>>,
    files: Mutex<Arc<FdTable>>,
    context: Mutex<Arc<FsContext>>,
    /// Its threads that have not ended.
    pub threads: Mutex<Vec<Arc<Thread>>>,
    /// What it does with signals.
    pub actions: Mutex<Actions>,
    /// Signals sent to the process as a whole.
    pub pending: Mutex<Pending>,
    /// Timers that send signals.
    pub timers: Mutex<Timers>,
    /// Where it is in its life.
    pub life: Mutex<Life>,
    /// Whether it is stopped.
    pub stop: Mutex<Stop>,
    /// Woken when a child ends, stops or goes on.
    pub child_events: WaitQueue,
    /// Woken when this process ends, or (for a parent in vfork) no longer uses its parent's memory.
    pub ended: WaitQueue,
    /// Woken when it is continued.
    pub continued: WaitQueue,
    /// What the parent is sent at the end; 0 for nothing.
    exit_signal: AtomicU32,
    /// User and group numbers.
    pub credentials: Mutex<Credentials>,
    /// The controlling terminal.
    pub terminal: Mutex<Option<Arc<Terminal>>>,
    /// For a session's leader that has lost its terminal: the group that was in the foreground.
    pub lost_foreground: Mutex<Option<u32>>,
    /// What it says of itself.
    pub settings: Mutex<Settings>,
    /// Whether it has run a program of its own since it was forked.
    pub has_run: AtomicBool,
    /// Resource limits.
    pub limits: Mutex<Limits>,
    /// The program's path, for `/proc/self/exe`.
    pub executable: Mutex<Arc<[u8]>>,
    /// The name of a thread that has ended, for a zombie.
    pub(super) last_name: Mutex<[u8; 16]>,
    /// `oom_score_adj` of `/proc`.
    pub oom_preference: AtomicI16,
    /// When it began, monotonic ns.
    pub started: u64,
    /// What its threads have used, those that have ended included.
    pub accounts: Accounts,
    /// The same of children that were waited for, and of theirs.
    pub children_accounts: Accounts,
    /// KiB of memory that it is known to have had at most.
    pub peak: AtomicU64,
    /// The most of its children that were waited for.
    pub children_peak: AtomicU64,
}

impl Process {
    /// The first process.
    #[must_use]
    pub fn first(id: u32, files: FdTable, context: FsContext) -> Arc<Self> {
        let process = Self {
            id,
            group: AtomicU32::new(id),
            session: AtomicU32::new(id),
            parent: Mutex::new(Weak::new()),
            children: Mutex::default(),
            space: Mutex::new(Arc::new(Space::boot())),
            files: Mutex::new(Arc::new(files)),
            context: Mutex::new(Arc::new(context)),
            threads: Mutex::default(),
            actions: Mutex::default(),
            pending: Mutex::default(),
            timers: Mutex::default(),
            life: Mutex::new(Life::Alive),
            stop: Mutex::default(),
            child_events: WaitQueue::new(),
            ended: WaitQueue::new(),
            continued: WaitQueue::new(),
            exit_signal: AtomicU32::new(0),
            credentials: Mutex::default(),
            terminal: Mutex::default(),
            lost_foreground: Mutex::default(),
            settings: Mutex::default(),
            has_run: AtomicBool::new(true),
            limits: Mutex::default(),
            executable: Mutex::new(Arc::from(&b""[..])),
            last_name: Mutex::default(),
            oom_preference: AtomicI16::new(0),
            started: time::monotonic(),
            accounts: Accounts::default(),
            children_accounts: Accounts::default(),
            peak: AtomicU64::new(0),
            children_peak: AtomicU64::new(0),
        };
        numbers::register(process)
    }

    /// A child of `parent` with the given memory, descriptors and directories, and copies of
    /// everything else that `self` has.
    #[must_use]
    pub fn child(
        &self,
        parent: &Arc<Self>,
        id: u32,
        space: Arc<Space>,
        files: Arc<FdTable>,
        context: Arc<FsContext>,
        exit_signal: u32,
    ) -> Arc<Self> {
        let process = Self {
            id,
            group: AtomicU32::new(self.group()),
            session: AtomicU32::new(self.session()),
            parent: Mutex::new(Arc::downgrade(parent)),
            children: Mutex::default(),
            space: Mutex::new(space),
            files: Mutex::new(files),
            context: Mutex::new(context),
            threads: Mutex::default(),
            actions: Mutex::new(self.actions.lock().fork()),
            pending: Mutex::default(),
            timers: Mutex::default(),
            life: Mutex::new(Life::Alive),
            stop: Mutex::default(),
            child_events: WaitQueue::new(),
            ended: WaitQueue::new(),
            continued: WaitQueue::new(),
            exit_signal: AtomicU32::new(exit_signal),
            credentials: Mutex::new(self.credentials.lock().clone()),
            terminal: Mutex::new(self.terminal.lock().clone()),
            lost_foreground: Mutex::default(),
            settings: Mutex::new(self.settings.lock().inherited()),
            has_run: AtomicBool::new(false),
            limits: Mutex::new(self.limits.lock().clone()),
            executable: Mutex::new(self.executable.lock().clone()),
            last_name: Mutex::default(),
            oom_preference: AtomicI16::new(self.oom_preference.load(Ordering::Relaxed)),
            started: time::monotonic(),
            accounts: Accounts::default(),
            children_accounts: Accounts::default(),
            peak: AtomicU64::new(0),
            children_peak: AtomicU64::new(0),
        };
        let process = numbers::register(process);
        parent.children.lock().push(process.clone());
        if process.limits.lock().of(linux::RLIMIT_CPU).0 != INFINITY {
            process.watch_cpu_limit();
        }
        process
    }

    /// Takes back a child that has got no thread.
    pub fn forget_stillborn(&self) {
        if self.threads.lock().is_empty()
            && let Some(parent) = self.parent()
        {
            parent.children.lock().retain(|child| child.id != self.id);
        }
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The number of its process group.
    pub fn group(&self) -> u32 {
        self.group.load(Ordering::Relaxed)
    }

    /// Moves it to another process group.
    pub fn set_group(&self, group: u32) {
        self.group.store(group, Ordering::Relaxed);
    }

    /// The number of its session.
    pub fn session(&self) -> u32 {
        self.session.load(Ordering::Relaxed)
    }

    /// Whether it is the leader of its session.
    pub fn leads_session(&self) -> bool {
        self.session() == self.id
    }

    /// Makes it the leader of a session of its own, without a terminal.
    pub fn lead_session(&self) {
        *self.terminal.lock() = None;
        self.session.store(self.id, Ordering::Relaxed);
        self.set_group(self.id);
    }

    /// Its parent, unless the kernel has adopted it.
    pub fn parent(&self) -> Option<Arc<Self>> {
        self.parent.lock().upgrade()
    }

    /// The parent's number.
    pub fn parent_id(&self) -> u32 {
        self.parent().map_or(1, |parent| parent.id)
    }

    /// Gives it another parent, or the kernel for one. Its end is then told by SIGCHLD.
    pub(super) fn set_parent(&self, parent: Weak<Self>) {
        *self.parent.lock() = parent;
        self.set_exit_signal(SIGCHLD);
    }

    /// Its nearest ancestor that adopts orphans (PR_SET_CHILD_SUBREAPER).
    pub(super) fn subreaper(&self) -> Option<Arc<Self>> {
        let mut next = self.parent();
        while let Some(process) = next {
            if process.settings.lock().subreaper && process.life() == Life::Alive {
                return Some(process);
            }
            next = process.parent();
        }
        None
    }

    /// Its memory.
    pub fn space(&self) -> Arc<Space> {
        self.space.lock().clone()
    }

    /// The most memory that it is known to have had, in KiB.
    pub fn peak(&self) -> u64 {
        let now = self.space().usage().1 >> 10;
        self.peak.fetch_max(now, Ordering::Relaxed).max(now)
    }

    /// Gives it other memory (exec). Who waits for it to stop using its parent's is woken.
    pub fn set_space(&self, space: Arc<Space>) {
        let old = core::mem::replace(&mut *self.space.lock(), space);
        drop(old);
        self.ended.wake_all();
    }

    pub(super) fn activate_space(&self) {
        self.space.lock().activate();
    }

    /// Whether it runs in the memory of `other`.
    pub fn shares_space_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.space(), &other.space())
    }

    /// Its descriptors.
    pub fn files(&self) -> Arc<FdTable> {
        self.files.lock().clone()
    }

    /// Gives it a descriptor table of its own or another one.
    pub fn set_files(&self, files: Arc<FdTable>) {
        let old = core::mem::replace(&mut *self.files.lock(), files);
        drop(old);
    }

    /// Its root, working directory and umask.
    pub fn context(&self) -> Arc<FsContext> {
        self.context.lock().clone()
    }

    /// Gives it a root, working directory and umask of its own.
    pub fn set_context(&self, context: Arc<FsContext>) {
        *self.context.lock() = context;
    }

    /// User and group numbers.
    pub fn credentials(&self) -> Credentials {
        self.credentials.lock().clone()
    }

    /// Gives it other ones. Who becomes somebody else, or gains something, is not to be looked into
    /// by those who could before (as commit_creds of Linux).
    pub fn set_credentials(&self, new: Credentials) {
        let mut own = self.credentials.lock();
        let same = [new.euid, new.egid, new.fsuid, new.fsgid]
            == [own.euid, own.egid, own.fsuid, own.fsgid];
        if !same || new.permitted & !own.permitted != 0 {
            let mut settings = self.settings.lock();
            settings.dumpable = false;
            settings.death_signal = 0;
        }
        *own = new;
    }

    /// Begins to watch its limit on processor time, as it is now.
    pub fn watch_cpu_limit(self: &Arc<Self>) {
        let (soft, hard) = self.limits.lock().of(linux::RLIMIT_CPU);
        let limit = soft.min(hard);
        let new = (limit != INFINITY).then(|| {
            let timer = Timer::new(self, Clock::Cpu, false, Target::CpuLimit);
            timer.set(Some(limit.saturating_mul(SECOND).max(1)), 0);
            timer
        });
        let old = core::mem::replace(&mut self.timers.lock().cpu_limit, new);
        if let Some(old) = old {
            old.set(None, 0);
        }
    }

    /// It has run as long as it may: SIGXCPU every second from the soft limit on, SIGKILL at the
    /// hard one.
    pub(super) fn enforce_cpu_limit(self: &Arc<Self>) {
        let ran = self.time() / SECOND;
        let (soft, hard) = self.limits.lock().of(linux::RLIMIT_CPU);
        let signal = if ran >= hard { SIGKILL } else { SIGXCPU };
        // A full queue means that such a signal waits already.
        let _ = signal::send_to_process(self, Info::new(signal, SI_KERNEL));
        if signal == SIGXCPU {
            let next = soft.max(ran).saturating_add(1);
            self.limits
                .lock()
                .set(linux::RLIMIT_CPU as usize, (next, hard));
            self.watch_cpu_limit();
        }
    }

    /// What its parent is sent at its end; 0 for nothing.
    pub fn exit_signal(&self) -> u32 {
        self.exit_signal.load(Ordering::Relaxed)
    }

    /// Its end is told by SIGCHLD from now on: what exec does.
    pub fn set_exit_signal(&self, signal: u32) {
        self.exit_signal.store(signal, Ordering::Relaxed);
    }

    /// Gives it a descriptor table of its own, if it shares one: what exec does.
    pub fn unshare_files(&self) {
        let mut files = self.files.lock();
        if Arc::strong_count(&files) > 1 {
            let own = Arc::new(files.fork());
            let shared = core::mem::replace(&mut *files, own);
            drop((files, shared));
        }
    }

    /// The path of the program it runs.
    pub fn executable(&self) -> Arc<[u8]> {
        self.executable.lock().clone()
    }

    /// Where it is in its life.
    pub fn life(&self) -> Life {
        *self.life.lock()
    }

    /// The name of its first thread, or of the last one that it had.
    pub fn name(&self) -> [u8; 16] {
        let first = self.threads.lock().first().cloned();
        first.map_or(*self.last_name.lock(), |thread| *thread.name.lock())
    }

    /// Nanoseconds that its threads have run, those that have ended included.
    pub fn time(&self) -> u64 {
        let current = super::current();
        let running = if core::ptr::eq(&raw const **current.process(), self) {
            current.running_time()
        } else {
            0
        };
        self.accounts.get(Used::Time) + running
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        numbers::release(self);
    }
}

/// Ends every thread of the process but one, and waits until they are gone: what exec does.
pub fn end_other_threads(process: &Arc<Process>, thread: &Arc<Thread>) {
    let others = process.threads.lock().clone();
    for other in others.iter().filter(|other| !Arc::ptr_eq(other, thread)) {
        other.kill();
    }
    drop(others);
    super::wait_uninterrupted(&[&process.ended], || {
        (process.threads.lock().len() == 1 || thread.is_killed()).then_some(())
    });
}
