//! Processes that wait to become instances, each in its jail: made ahead of need, so that a start
//! waits for neither.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::{debug, info, warn};
use unicell_vmm::jail::cgroup::{Bounds, Group, Groups};
use unicell_vmm::jail::{self, Layer, Plan, Process, Report, Waiting};

use crate::instance::{Executable, disorder};

/// What the operator sets about jails.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// How many processes wait.
    pub(super) waiting: usize,
    /// Numbers of users and groups that are given to instances.
    pub(super) users: std::ops::Range<u32>,
}

/// Makes them.
pub(super) struct Nursery {
    executable: Executable,
    /// How many should wait.
    enough: AtomicUsize,
    /// None without the privilege to give users out.
    users: Option<Users>,
    network: Option<OwnedFd>,
    groups: Result<Groups, String>,
    waiting: Mutex<VecDeque<Ward>>,
    wanted: Notify,
    /// Held while some are made to wait.
    making: tokio::sync::Mutex<()>,
    /// The layers that the first was in: what held once holds for all.
    jail: OnceLock<Report>,
}

/// A process in its jail, and what was made on the host for it.
pub(super) struct Ward {
    pub(super) waiting: Waiting,
    pub(super) bed: Bed,
}

/// When a process is made.
#[derive(Clone, Copy)]
enum Made {
    /// While nobody waits for it: others go first.
    AheadOfNeed,
    /// For somebody who waits.
    Now,
}

/// What a process holds of its node's.
pub(super) struct Bed {
    nursery: Arc<Nursery>,
    group: Option<Group>,
    user: Option<u32>,
}

/// Users that are given out, each to one process at a time.
struct Users {
    range: std::ops::Range<u32>,
    given: Mutex<(u32, BTreeSet<u32>)>,
}

impl Users {
    fn take(&self) -> io::Result<u32> {
        let mut given = self.given.lock();
        let (next, taken) = &mut *given;
        // One after the other, so that a number rests for long before it is given out again.
        for _ in self.range.clone() {
            let user = *next;
            *next = if user + 1 < self.range.end {
                user + 1
            } else {
                self.range.start
            };
            if taken.insert(user) {
                return Ok(user);
            }
        }
        Err(io::Error::other(
            "every user number for instances is in use",
        ))
    }
}

impl Nursery {
    /// Finds out what there is for jails.
    pub(super) fn new(executable: Executable, settings: Settings) -> Arc<Self> {
        let users = settings.users;
        let privileged = jail::is_privileged();
        let network = privileged.then(jail::empty_network).and_then(|made| {
            made.inspect_err(|error| warn!(%error, "instances have a network namespace each"))
                .ok()
        });
        Arc::new(Self {
            executable,
            enough: AtomicUsize::new(settings.waiting),
            users: privileged.then(|| Users {
                given: Mutex::new((users.start, BTreeSet::new())),
                range: users,
            }),
            network,
            groups: Groups::find(),
            waiting: Mutex::default(),
            wanted: Notify::new(),
            making: tokio::sync::Mutex::default(),
            jail: OnceLock::new(),
        })
    }

    /// Makes the first, to see that it can be done, and from then on one for each that is taken.
    pub(super) async fn open(self: &Arc<Self>) -> io::Result<()> {
        let first = self.make(Made::AheadOfNeed).await?;
        for (layer, why) in &first.waiting.report.lacks {
            let why = match (layer, &self.groups) {
                (Layer::Cgroup, Err(why)) => why,
                _ => why,
            };
            info!(%layer, %why, "a layer of the jail is lacking");
        }
        self.waiting.lock().push_back(first);
        tokio::spawn(keep(Arc::downgrade(self)));
        Ok(())
    }

    /// Ends those that wait, and one that is just being made. No more are made.
    pub(super) async fn close(&self) {
        self.enough.store(0, Ordering::Relaxed);
        let _making = self.making.lock().await;
        let waiting = std::mem::take(&mut *self.waiting.lock());
        for ward in waiting {
            ward.dismiss().await;
        }
    }

    fn is_short(&self) -> bool {
        self.waiting.lock().len() < self.enough.load(Ordering::Relaxed)
    }

    /// One that waits, or else one that is made now.
    pub(super) async fn take(self: &Arc<Self>) -> io::Result<Ward> {
        let ready = self.waiting.lock().pop_front();
        self.wanted.notify_one();
        match ready {
            Some(ward) => Ok(ward),
            None => self.make(Made::Now).await,
        }
    }

    async fn make(self: &Arc<Self>, when: Made) -> io::Result<Ward> {
        let nursery = Arc::clone(self);
        let made = tokio::task::spawn_blocking(move || nursery.make_waiting(when)).await;
        let ward = made.map_err(io::Error::other)??;
        let held = self.jail.get_or_init(|| ward.waiting.report.clone());
        let lost = held
            .holds
            .iter()
            .find(|layer| !ward.waiting.report.has(**layer));
        if let Some(layer) = lost.copied() {
            let report = ward.waiting.report.clone();
            ward.dismiss().await;
            let why = report.lacks.iter().find(|(lacking, _)| *lacking == layer);
            let why = why.map_or("no word of it", |(_, why)| why);
            let text = format!("the jail's layer `{layer}`, which held before, does not: {why}");
            return Err(io::Error::other(text));
        }
        Ok(ward)
    }

    fn make_waiting(self: &Arc<Self>, when: Made) -> io::Result<Ward> {
        let bed = self.make_bed()?;
        bed.give_way(matches!(when, Made::AheadOfNeed));
        let group = bed.group.as_ref();
        let plan = Plan {
            user: bed.user,
            network: self.network.as_ref().map(OwnedFd::try_clone).transpose()?,
            cgroups: group.map_or(Ok(Vec::new()), Group::doors)?,
            // Its output goes to pipes.
            file_size: Some(0),
            ..Plan::plain()
        };
        let spawned = jail::spawn(self.executable.command(), &plan).map_err(io::Error::other)?;
        let mut waiting = spawned.ready().map_err(io::Error::other)?;
        if let Err(why) = &self.groups {
            let lacks = &mut waiting.report.lacks;
            if let Some(cgroup) = lacks.iter_mut().find(|(layer, _)| *layer == Layer::Cgroup) {
                cgroup.1.clone_from(why);
            }
        }
        Ok(Ward { waiting, bed })
    }

    fn make_bed(self: &Arc<Self>) -> io::Result<Bed> {
        let mut bed = Bed {
            nursery: Arc::clone(self),
            group: None,
            user: None,
        };
        bed.user = self.users.as_ref().map(Users::take).transpose()?;
        bed.group = self.groups.as_ref().ok().map(Groups::make).transpose()?;
        Ok(bed)
    }
}

/// Keeps as many waiting as should be, for as long as there is a node.
async fn keep(nursery: std::sync::Weak<Nursery>) {
    while let Some(nursery) = nursery.upgrade() {
        let making = nursery.making.lock().await;
        while nursery.is_short() {
            match nursery.make(Made::AheadOfNeed).await {
                Ok(ward) => nursery.waiting.lock().push_back(ward),
                Err(error) => {
                    // Whoever wants one is told why; then it is tried again.
                    warn!(%error, "no process can be made to wait for an instance");
                    break;
                }
            }
        }
        drop(making);
        nursery.wanted.notified().await;
    }
}

impl Ward {
    /// Ends a process that will be no instance.
    async fn dismiss(self) {
        let Ward { waiting, bed } = self;
        waiting.process.kill();
        gone(Arc::new(waiting.process), Some(bed)).await;
    }
}

impl Bed {
    /// Its control groups, deepest first.
    pub(super) fn cgroups(&self) -> Vec<PathBuf> {
        self.group
            .as_ref()
            .map_or(Vec::new(), |group| group.directories().to_vec())
    }

    /// Bounds what the process may use by the host's means, where there are any.
    pub(super) fn bound(&self, bounds: &Bounds) -> io::Result<()> {
        self.group
            .as_ref()
            .map_or(Ok(()), |group| group.bound(bounds))
    }
}

impl Bed {
    /// Lets the host's other threads go before those of the process, or not any more. A host that does
    /// not know of that shares its processors as ever.
    pub(super) fn give_way(&self, gives_way: bool) {
        if let Some(group) = &self.group
            && let Err(error) = group.give_way(gives_way)
        {
            debug!(%error, "an instance's turns stay as they are");
        }
    }
}

/// The process is gone.
impl Drop for Bed {
    fn drop(&mut self) {
        if let Some(group) = &self.group {
            group.remove();
        }
        if let (Some(users), Some(user)) = (&self.nursery.users, self.user) {
            users.given.lock().1.remove(&user);
        }
    }
}

/// Waits until a process is gone that was killed or ends by itself, and takes its bed away: that
/// waits too, so both are done where waiting holds nobody up. Says how it ended, unless that was in
/// order.
pub(super) async fn gone(process: Arc<Process>, bed: Option<Bed>) -> Option<String> {
    let pid = process.pid();
    let waited = tokio::task::spawn_blocking(move || {
        let waited = process.wait();
        drop(bed);
        waited
    })
    .await;
    match waited.ok()? {
        Ok(status) => disorder(&status),
        Err(error) => {
            warn!(pid, %error, "an instance's process cannot be reaped");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_user_is_given_out_twice_at_once() {
        let users = Users {
            range: 7..10,
            given: Mutex::new((7, BTreeSet::new())),
        };
        let take = || users.take().ok();
        assert_eq!(
            [take(), take(), take(), take()],
            [Some(7), Some(8), Some(9), None]
        );
        users.given.lock().1.remove(&8);
        assert_eq!(users.take().ok(), Some(8));
    }
}
