//! Users and groups. They mean something between the programs of a box, and nothing outside.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Address, Answer};
use crate::errno::{Errno, Result};
use crate::memory::{plain, user};
use crate::task::{self, Credentials};

/// Groups of a process, as in Linux.
const GROUPS_MAX: usize = 65_536;
/// Leave as it is.
const KEEP: u32 = u32::MAX;

/// getuid(2).
pub fn getuid() -> Answer {
    Ok(task::process().credentials().uid.into())
}

/// geteuid(2).
pub fn geteuid() -> Answer {
    Ok(task::process().credentials().euid.into())
}

/// getgid(2).
pub fn getgid() -> Answer {
    Ok(task::process().credentials().gid.into())
}

/// getegid(2).
pub fn getegid() -> Answer {
    Ok(task::process().credentials().egid.into())
}

fn change(change: impl FnOnce(&mut Credentials) -> Result<()>) -> Answer {
    let process = task::process();
    let mut new = process.credentials();
    change(&mut new)?;
    *process.credentials.lock() = new;
    Ok(0)
}

/// Sets the numbers that are given, if the caller may: root to anything, others among their own.
fn set_three(root: bool, [real, effective, saved]: [&mut u32; 3], wanted: [u32; 3]) -> Result<()> {
    let own = [*real, *effective, *saved];
    let allowed = wanted
        .iter()
        .all(|id| *id == KEEP || root || own.contains(id));
    if !allowed {
        return Err(Errno::EPERM);
    }
    for (slot, id) in [real, effective, saved].into_iter().zip(wanted) {
        if id != KEEP {
            *slot = id;
        }
    }
    Ok(())
}

/// setresuid(2).
pub fn setresuid(real: u32, effective: u32, saved: u32) -> Answer {
    change(|c| {
        let root = c.is_root();
        set_three(
            root,
            [&mut c.uid, &mut c.euid, &mut c.suid],
            [real, effective, saved],
        )
    })
}

/// setresgid(2).
pub fn setresgid(real: u32, effective: u32, saved: u32) -> Answer {
    change(|c| {
        let root = c.is_root();
        set_three(
            root,
            [&mut c.gid, &mut c.egid, &mut c.sgid],
            [real, effective, saved],
        )
    })
}

/// setuid(2).
pub fn setuid(id: u32) -> Answer {
    if task::process().credentials().is_root() {
        setresuid(id, id, id)
    } else {
        setresuid(KEEP, id, KEEP)
    }
}

/// setgid(2).
pub fn setgid(id: u32) -> Answer {
    if task::process().credentials().is_root() {
        setresgid(id, id, id)
    } else {
        setresgid(KEEP, id, KEEP)
    }
}

/// The saved number follows the effective one if the real one is set, or the effective one is set
/// to something else.
fn saved(real: u32, effective: u32, old_real: u32) -> u32 {
    if real != KEEP || effective != KEEP && effective != old_real {
        effective
    } else {
        KEEP
    }
}

/// setreuid(2).
pub fn setreuid(real: u32, effective: u32) -> Answer {
    let old = task::process().credentials();
    setresuid(real, effective, saved(real, effective, old.uid))
}

/// setregid(2).
pub fn setregid(real: u32, effective: u32) -> Answer {
    let old = task::process().credentials();
    setresgid(real, effective, saved(real, effective, old.gid))
}

/// getresuid(2).
pub fn getresuid(real: Address, effective: Address, saved: Address) -> Answer {
    let c = task::process().credentials();
    for (into, id) in [(real, c.uid), (effective, c.euid), (saved, c.suid)] {
        user::write(into.0, &id)?;
    }
    Ok(0)
}

/// getresgid(2).
pub fn getresgid(real: Address, effective: Address, saved: Address) -> Answer {
    let c = task::process().credentials();
    for (into, id) in [(real, c.gid), (effective, c.egid), (saved, c.sgid)] {
        user::write(into.0, &id)?;
    }
    Ok(0)
}

/// setfsuid(2) and setfsgid(2): the number before, which is the effective one.
pub fn setfsuid(_: u32) -> Answer {
    geteuid()
}

/// See [`setfsuid`].
pub fn setfsgid(_: u32) -> Answer {
    getegid()
}

/// getgroups(2).
pub fn getgroups(count: i32, into: Address) -> Answer {
    let groups = task::process().credentials().groups;
    match usize::try_from(count) {
        Ok(0) => {}
        Ok(room) if room >= groups.len() => {
            for (at, group) in groups.iter().enumerate() {
                user::write(into.0.wrapping_add(4 * at as u64), group)?;
            }
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(groups.len() as u64)
}

/// setgroups(2).
pub fn setgroups(count: usize, from: Address) -> Answer {
    if count > GROUPS_MAX {
        return Err(Errno::EINVAL);
    }
    if !task::process().credentials().is_root() {
        return Err(Errno::EPERM);
    }
    let groups: Vec<u32> = user::read_many(from.0, count)?;
    change(|c| {
        c.groups = Arc::from(groups);
        Ok(())
    })
}

/// capget(2): root has everything, others nothing.
pub fn capget(header: Address, data: Address) -> Answer {
    const VERSION_1: u32 = 0x1998_0330;
    const VERSION_2: u32 = 0x2007_1026;
    const VERSION_3: u32 = 0x2008_0522;
    /// Capabilities 0 to 40.
    const ALL: u64 = (1 << 41) - 1;
    let words = match user::read::<u32>(header.0)? {
        VERSION_1 => 1,
        VERSION_2 | VERSION_3 => 2,
        _ => {
            user::write(header.0, &VERSION_3)?;
            return if data.is_null() {
                Ok(0)
            } else {
                Err(Errno::EINVAL)
            };
        }
    };
    if data.is_null() {
        return Ok(0);
    }
    let held = if task::process().credentials().is_root() {
        ALL
    } else {
        0
    };
    for word in 0..words {
        let part = (held >> (32 * word)) as u32;
        // Effective, permitted, inheritable.
        user::copy_out(
            data.0.wrapping_add(12 * word),
            plain::bytes(&[part, part, 0]),
        )?;
    }
    Ok(0)
}

/// capset(2): taken and not kept; the instance is the only principal.
pub fn capset(_: Address, _: Address) -> Answer {
    Ok(0)
}
