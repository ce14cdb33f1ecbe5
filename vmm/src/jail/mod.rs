//! The jail around an instance's process: what it gives up before the first guest instruction runs.
//!
//! **For**: a process that has been taken over by its guest. It finds no file, no other process, no
//! network, no privilege, few system calls, and a bound on everything that it can use up. Each layer
//! holds without the others.
//!
//! **How it fits**: the node starts the process and tells it the [`Plan`]; the process opens KVM,
//! enters it, makes its virtual machine, puts the last filter on each thread, and tells the
//! [`Report`]. All this happens before it is known what is to be run, so a start waits for none of
//! it. A process id in a namespace of its own takes a fork: the process that the node started ends,
//! and its child becomes the node's ([`Process`]).
//!
//! A layer that the host lacks, or does not let this user have, is reported. One that the host has
//! and that fails is an error: then there is no instance.
//!
//! **Invariants**
//!
//! - The virtual machine is made after the last fork: it belongs to the address space that made it.
//! - Descriptors that came by inheritance, other than the link, are closed first.
//! - What a thread is allowed is decided before it reads the first byte that a guest can choose.

pub mod cgroup;
mod descriptors;
mod landlock;
mod limits;
mod namespaces;
mod plan;
mod privileges;
mod process;
mod root;
mod seccomp;
mod turn;
mod user;

pub use descriptors::{close_inherited, hush};
pub use limits::bound_memory;
pub use namespaces::empty_network;
pub use plan::{JailError, Layer, Plan, Report};
pub use process::{Process, Spawned, Waiting, spawn};
pub use user::is_privileged;

use plan::Obstacle;
use seccomp::Role;

/// A process that is in all layers but the last, which is for each of its threads.
pub struct Entered {
    layers: Vec<Layer>,
    report: Report,
}

/// Enters the layers of `plan`, except seccomp. If a namespace of processes is among them, this
/// returns in a child of the process that called it, which ends.
///
/// The process must have one thread.
///
/// # Errors
///
/// The host has a layer that cannot be entered.
pub fn enter(plan: &Plan) -> Result<Entered, JailError> {
    let mut entered = Entered {
        layers: plan.layers.clone(),
        report: Report::default(),
    };
    turn::shorten();
    entered.layer(Layer::Cgroup, || cgroup::join(&plan.cgroups))?;
    if plan.user.is_none() {
        entered.layer(Layer::UserNamespace, user::namespace_with_self)?;
    }
    entered.layer(Layer::Namespaces, namespaces::leave)?;
    entered.layer(Layer::Network, || {
        namespaces::network(plan.network.as_ref())
    })?;
    if entered.report.has(Layer::Namespaces) {
        namespaces::fork().map_err(|source| JailError {
            layer: Layer::Namespaces,
            what: "fork",
            source,
        })?;
        entered.layer(Layer::Root, root::empty)?;
    } else {
        let why = || Obstacle::Lacking("it needs a namespace of mounts".to_owned());
        entered.layer(Layer::Root, || Err(why()))?;
    }
    entered.layer(Layer::User, || user::become_other(plan.user))?;
    if plan.user.is_some() {
        entered.layer(Layer::UserNamespace, user::namespace_of_nobody)?;
    }
    entered.layer(Layer::Limits, || limits::set(plan.file_size))?;
    entered.layer(Layer::Privileges, privileges::drop_all)?;
    entered.layer(Layer::Landlock, landlock::restrict)?;
    Ok(entered)
}

impl Entered {
    /// What the threads that are started from now on have to do.
    #[must_use]
    pub fn guarded(&self) -> Guarded {
        Guarded(self.layers.contains(&Layer::Seccomp))
    }

    /// What is for a process that has all its threads: a bound on their number, and the calling
    /// one's filter, after all others have theirs.
    ///
    /// # Errors
    ///
    /// The host has a layer that cannot be entered.
    pub fn close(&mut self) -> Result<(), JailError> {
        let alone = [Layer::User, Layer::UserNamespace];
        if self.report.has(Layer::Limits) && alone.iter().any(|layer| self.report.has(*layer)) {
            limits::bound_threads().map_err(|obstacle| obstacle.error(Layer::Limits))?;
        }
        self.layer(Layer::Seccomp, || seccomp::install(Role::Vcpu))
    }

    /// What came of it.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    fn layer(
        &mut self,
        layer: Layer,
        enter: impl FnOnce() -> Result<(), Obstacle>,
    ) -> Result<(), JailError> {
        if !self.layers.contains(&layer) {
            return Ok(());
        }
        match enter() {
            Ok(()) => self.report.holds.push(layer),
            Err(Obstacle::Lacking(why)) => self.report.lacks.push((layer, why)),
            Err(failed) => return Err(failed.error(layer)),
        }
        Ok(())
    }
}

/// Whether a thread puts a filter on itself before anything else.
#[derive(Clone, Copy, Debug)]
pub struct Guarded(bool);

impl Guarded {
    /// For a machine in a process that is in no jail.
    pub(crate) fn unguarded() -> Self {
        Self(false)
    }

    /// Puts the filter of the I/O thread on the calling one. Whether the host has filters is reported
    /// by the thread that has its own last.
    ///
    /// # Errors
    ///
    /// The host has filters, and takes none.
    pub fn guard_io(self) -> Result<(), JailError> {
        if !self.0 {
            return Ok(());
        }
        match seccomp::install(Role::Io) {
            Ok(()) | Err(Obstacle::Lacking(_)) => Ok(()),
            Err(failed) => Err(failed.error(Layer::Seccomp)),
        }
    }
}
