//! Namespaces of mounts, processes, IPC, host name and network (namespaces(7)).
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

use super::plan::{Obstacle, denied};

/// Leaves the namespaces of the node, for new ones. That of processes is for children.
pub(super) fn leave() -> Result<(), Obstacle> {
    let flags =
        UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    unshare(flags).map_err(denied("unshare"))
}

/// Enters an empty network, or makes one.
pub(super) fn network(shared: Option<&OwnedFd>) -> Result<(), Obstacle> {
    match shared {
        Some(network) => {
            let kind = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(network.as_fd(), kind).map_err(denied("setns"))
        }
        None => unshare(UnshareFlags::NEWNET).map_err(denied("unshare(CLONE_NEWNET)")),
    }
}

/// A network in which there is nothing, for any number of instances: none can make a socket in it.
///
/// # Errors
///
/// This process may not make one, or the host has none.
pub fn empty_network() -> io::Result<OwnedFd> {
    let make = || {
        unshare(UnshareFlags::NEWNET)?;
        Ok(File::open("/proc/thread-self/ns/net")?.into())
    };
    // A thread of its own is in it, and then gone.
    let made = thread::spawn(make).join();
    made.unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
}

pub(super) fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    // SAFETY: none of the flags that are used here concern descriptors, which would then be others
    // than this thread believes.
    unsafe { rustix::thread::unshare_unsafe(flags) }
}

/// Goes on in a child, the first process of its namespace. This one ends.
pub(super) fn fork() -> io::Result<()> {
    // SAFETY: this process has one thread, so the child has all of it.
    match unsafe { libc::fork() } {
        0 => Ok(()),
        // SAFETY: ends the process, without running what the child is to run.
        child if child > 0 => unsafe { libc::_exit(0) },
        _ => Err(io::Error::last_os_error()),
    }
}
