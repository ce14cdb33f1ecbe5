//! Bounds of `setrlimit(2)`.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use unicell_guest_abi::message::STREAMS_MAX;

use super::plan::{Obstacle, failed};

/// Descriptors beside those of streams: the machine's, the link, the output, what is on its way.
const DESCRIPTORS: u64 = 64;
/// Threads: the two of an instance, and what KVM starts in its name (since Linux 6.13, a worker that
/// recovers huge pages).
const THREADS: u64 = 8;
/// Address space beside the guest's RAM and box: what streams keep, of all of them 282 MiB at most;
/// code, stacks, and what allocators reserve.
const SLACK: u64 = 384 << 20;

/// Sets them all, except that on memory, which is not known yet.
pub(super) fn set(file_size: Option<u64>) -> Result<(), Obstacle> {
    let bounds = [
        (Resource::Nofile, Some(STREAMS_MAX as u64 + DESCRIPTORS)),
        (Resource::Core, Some(0)),
        (Resource::Fsize, file_size),
        (Resource::Memlock, Some(0)),
        (Resource::Msgqueue, Some(0)),
        (Resource::Sigpending, Some(64)),
    ];
    for (resource, most) in bounds {
        let Some(most) = most else { continue };
        bound(resource, most).map_err(failed("setrlimit"))?;
    }
    Ok(())
}

/// Bounds the threads of this process' user, once all are there. For a user that has no other
/// processes.
pub(super) fn bound_threads() -> Result<(), Obstacle> {
    bound(Resource::Nproc, THREADS).map_err(failed("setrlimit"))
}

/// Bounds the address space of a process that is to have a guest of so much RAM and such a box, in
/// bytes.
///
/// # Errors
///
/// The host refuses.
pub fn bound_memory(ram: u64, box_size: u64) -> rustix::io::Result<()> {
    bound(
        Resource::As,
        ram.saturating_add(box_size).saturating_add(SLACK),
    )
}

/// Both bounds, the one that holds and the one up to which it could be raised, and neither above
/// what it is.
fn bound(resource: Resource, most: u64) -> rustix::io::Result<()> {
    let now = getrlimit(resource);
    let lower = |now: Option<u64>| Some(now.map_or(most, |now| now.min(most)));
    setrlimit(
        resource,
        Rlimit {
            current: lower(now.current),
            maximum: lower(now.maximum),
        },
    )
}
