//! What a jail is to be, and what it came to.

use std::fmt;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// A layer of the jail. Each holds by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// A control group: memory, processor time and threads are bounded by the host.
    Cgroup,
    /// A user namespace: no capability reaches beyond it.
    UserNamespace,
    /// Namespaces of mounts, processes, IPC and host name: nobody else is in sight.
    Namespaces,
    /// A network namespace without any way out.
    Network,
    /// An empty root that cannot be written to.
    Root,
    /// A user that nobody else is.
    User,
    /// Bounds on descriptors, threads, files and dumps (`setrlimit(2)`).
    Limits,
    /// No capabilities, none to be had by executing a file, and no tracer.
    Privileges,
    /// No path can be opened, no port bound, no process signalled (Landlock).
    Landlock,
    /// The system calls that are needed, and no others, for each thread (seccomp).
    Seccomp,
}

impl Layer {
    /// All, in the order in which they are entered by a privileged process.
    pub const ALL: [Self; 10] = [
        Self::Cgroup,
        Self::UserNamespace,
        Self::Namespaces,
        Self::Network,
        Self::Root,
        Self::User,
        Self::Limits,
        Self::Privileges,
        Self::Landlock,
        Self::Seccomp,
    ];

    /// Its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::UserNamespace => "user-namespace",
            Self::Namespaces => "namespaces",
            Self::Network => "network",
            Self::Root => "root",
            Self::User => "user",
            Self::Limits => "limits",
            Self::Privileges => "privileges",
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a process is to give up before it becomes an instance.
#[derive(Debug)]
pub struct Plan {
    /// The layers to be entered: all of them, except in tests of one by itself.
    pub layers: Vec<Layer>,
    /// The number of the user and of the group that it is to be. None for the user that it is: only
    /// a privileged process can change.
    pub user: Option<u32>,
    /// The network namespace to enter ([`super::empty_network`]). None for one of its own, which
    /// costs more.
    pub network: Option<OwnedFd>,
    /// Its control groups: their `cgroup.procs`, open for writing.
    pub cgroups: Vec<OwnedFd>,
    /// The largest file that it may write, in bytes. None where its output goes to files.
    pub file_size: Option<u64>,
}

impl Plan {
    /// All layers that need nothing prepared.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            layers: Layer::ALL.into(),
            user: None,
            network: None,
            cgroups: Vec::new(),
            file_size: None,
        }
    }
}

/// Which layers hold, and why others do not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Those that hold.
    pub holds: Vec<Layer>,
    /// Those that this host or this user cannot have: why, in a few words.
    pub lacks: Vec<(Layer, String)>,
}

impl Report {
    /// Whether a layer holds.
    #[must_use]
    pub fn has(&self, layer: Layer) -> bool {
        self.holds.contains(&layer)
    }

    /// Removes from the reasons what a terminal would obey.
    pub(crate) fn make_printable(&mut self) {
        for (_, reason) in &mut self.lacks {
            *reason = crate::outcome::printable(reason);
        }
    }
}

/// A layer that the host offers could not be entered.
#[derive(Debug, thiserror::Error)]
#[error("the jail's layer `{layer}` failed: {what}: {source}")]
pub struct JailError {
    /// Which.
    pub layer: Layer,
    /// What was done.
    pub what: &'static str,
    /// Why it failed.
    #[source]
    pub source: std::io::Error,
}

/// Why a layer is not entered.
pub(super) enum Obstacle {
    /// The host does not have it, or not for this user.
    Lacking(String),
    /// It should work, and does not.
    Failed(&'static str, std::io::Error),
}

impl Obstacle {
    /// This as an error of a layer that has to hold.
    pub(super) fn error(self, layer: Layer) -> JailError {
        let (what, source) = match self {
            Self::Lacking(why) => ("it is lacking", std::io::Error::other(why)),
            Self::Failed(what, source) => (what, source),
        };
        JailError {
            layer,
            what,
            source,
        }
    }
}

/// Names what failed.
pub(super) fn failed<E: Into<std::io::Error>>(what: &'static str) -> impl FnOnce(E) -> Obstacle {
    move |error| Obstacle::Failed(what, error.into())
}

/// The answers of a host to what it does not have, or does not let this user have.
pub(super) fn denied(what: &'static str) -> impl FnOnce(Errno) -> Obstacle {
    move |errno| match errno {
        Errno::PERM | Errno::ACCESS | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP => {
            Obstacle::Lacking(format!("{what}: {errno}"))
        }
        errno => Obstacle::Failed(what, errno.into()),
    }
}
