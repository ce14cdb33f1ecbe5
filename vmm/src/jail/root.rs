//! An empty root, in a namespace of mounts of its own.

use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, mount_move, unmount,
};
use rustix::process::{chdir, chroot, pivot_root};

use super::plan::{Obstacle, failed};

/// A directory that is there where `/dev/kvm` is: the new root is mounted on it for a moment.
const PLACE: &str = "/dev";

/// Replaces the root by an empty one that cannot be written to. Every other mount is gone from this
/// namespace.
pub(super) fn empty() -> Result<(), Obstacle> {
    // Else what is mounted here would be mounted on the host too.
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(failed("mount --make-rprivate"))?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount(
        "none",
        PLACE,
        "tmpfs",
        flags,
        c"size=4k,nr_inodes=1,mode=0555",
    )
    .map_err(failed("mount"))?;
    chdir(PLACE).map_err(failed("chdir"))?;
    // The old root lies on top of the new one, until it is gone.
    match pivot_root(".", ".") {
        Ok(()) => unmount(".", UnmountFlags::DETACH).map_err(failed("umount"))?,
        // A host that runs from its initramfs, which cannot be moved (pivot_root(2), notes): it is
        // covered instead, and nobody here can take the cover away.
        Err(Errno::INVAL) => {
            mount_move(".", "/").map_err(failed("mount --move"))?;
            chroot(".").map_err(failed("chroot"))?;
        }
        Err(errno) => return Err(failed("pivot_root")(errno)),
    }
    chdir("/").map_err(failed("chdir"))
}
