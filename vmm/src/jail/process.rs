//! The node's side: a process is started, told its jail, and adopted when it is in it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, getpid, pidfd_open,
    pidfd_send_signal, set_child_subreaper, waitid,
};

use super::{Plan, Report};
use crate::link::{LinkError, NodeEnd};

/// The process of an instance, which is not mistaken for another that gets its number later.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    pidfd: OwnedFd,
}

impl Process {
    fn of(pid: u32) -> io::Result<Self> {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let number = number.ok_or_else(|| io::Error::other("no process has this number"))?;
        let pidfd = pidfd_open(number, PidfdFlags::empty())?;
        Ok(Self { pid, pidfd })
    }

    /// A child that was started by other means than [`spawn`], and is not waited for elsewhere.
    ///
    /// # Errors
    ///
    /// It has ended and was waited for.
    pub fn of_child(child: &Child) -> io::Result<Self> {
        Self::of(child.id())
    }

    /// Processor time that it has used, all threads together, in nanoseconds, as the host's kernel
    /// counts it; none if it is gone.
    #[must_use]
    pub fn cpu_ns(&self) -> Option<u64> {
        crate::clock::process_cpu_ns(self.pid)
    }

    /// Memory of its own that it holds, in bytes, as the host's kernel counts it: a guest's RAM is
    /// most of it. None if it is gone.
    #[must_use]
    pub fn own_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))?;
        let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kilobytes * 1024)
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Kills it. That it is gone already is as well.
    pub fn kill(&self) {
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
    }

    /// Waits until it has ended, and takes its status: once. The descriptor (`AsFd`) is readable
    /// when this does not wait.
    ///
    /// # Errors
    ///
    /// It is no child of this process, or its status was taken.
    pub fn wait(&self) -> io::Result<WaitIdStatus> {
        loop {
            let fd = WaitId::PidFd(self.pidfd.as_fd());
            match waitid(fd, WaitIdOptions::EXITED) {
                Err(rustix::io::Errno::INTR) => {}
                Ok(Some(status)) => return Ok(status),
                Ok(None) => return Err(io::Error::other("it has not ended")),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl AsFd for Process {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// A process that enters its jail.
pub struct Spawned {
    node: NodeEnd,
    child: Child,
}

/// A process that waits to become an instance ([`NodeEnd::start`]).
#[derive(Debug)]
pub struct Waiting {
    /// The link to it.
    pub node: NodeEnd,
    /// Its process, a child of this one.
    pub process: Process,
    /// Its jail.
    pub report: Report,
}

/// Starts the process of an instance, and tells it its jail. `command` names the program and its
/// environment; its standard input becomes the link.
///
/// This process adopts the orphans of its children from now on: the process of an instance is one,
/// if it has a namespace of processes.
///
/// # Errors
///
/// The process cannot be started.
pub fn spawn(command: Command, plan: &Plan) -> Result<Spawned, LinkError> {
    set_child_subreaper(Some(getpid()))?;
    let (node, child) = NodeEnd::spawn(command)?;
    let mut spawned = Spawned { node, child };
    match spawned.node.plan(plan) {
        Ok(()) => Ok(spawned),
        Err(error) => {
            spawned.end();
            Err(error)
        }
    }
}

impl Spawned {
    /// Waits until the process is in its jail.
    ///
    /// # Errors
    ///
    /// A layer failed, or the process ended.
    pub fn ready(mut self) -> Result<Waiting, LinkError> {
        let ready = self.node.ready();
        let (report, pid) = match ready {
            Ok(ready) => ready,
            Err(error) => {
                self.end();
                return Err(error);
            }
        };
        let process = Process::of(pid).map_err(LinkError::Spawn)?;
        if pid != self.child.id() {
            // It has handed over, and its child is ours when it is gone.
            self.child.wait().map_err(LinkError::Spawn)?;
        }
        Ok(Waiting {
            node: self.node,
            process,
            report,
        })
    }

    /// Ends a process that is of no use. A child of it ends by itself, when its link is closed.
    fn end(&mut self) {
        // That it is gone already is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
