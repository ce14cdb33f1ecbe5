//! Users, groups and capabilities. They mean something between the programs of a box, and nothing
//! outside.

use alloc::sync::Arc;
use alloc::vec::Vec;

use linux_raw_sys::general as linux;

use super::{Address, Answer};
use crate::errno::{Errno, Result};
use crate::memory::{plain, user};
use crate::task::identity::{ALL, Capabilities};
use crate::task::{self, Credentials, numbers};

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
    process.set_credentials(new);
    Ok(0)
}

/// The numbers that are wanted, those to be kept filled in. Without the capability each has to be
/// among some that the process has already.
fn three(can: bool, old: [u32; 3], wanted: [u32; 3], allowed: [&[u32]; 3]) -> Result<[u32; 3]> {
    let is_allowed = |(id, among): (&u32, &[u32])| *id == KEEP || among.contains(id);
    if !can && !wanted.iter().zip(allowed).all(is_allowed) {
        return Err(Errno::EPERM);
    }
    let mut new = old;
    for (slot, id) in new.iter_mut().zip(wanted) {
        if id != KEEP {
            *slot = id;
        }
    }
    Ok(new)
}

fn users(c: &Credentials) -> [u32; 3] {
    [c.uid, c.euid, c.suid]
}

fn groups(c: &Credentials) -> [u32; 3] {
    [c.gid, c.egid, c.sgid]
}

/// setresuid(2).
pub fn setresuid(real: u32, effective: u32, saved: u32) -> Answer {
    change(|c| {
        let old = users(c);
        let can = c.can(linux::CAP_SETUID);
        c.set_users(three(can, old, [real, effective, saved], [&old; 3])?);
        Ok(())
    })
}

/// setresgid(2).
pub fn setresgid(real: u32, effective: u32, saved: u32) -> Answer {
    change(|c| {
        let old = groups(c);
        let can = c.can(linux::CAP_SETGID);
        c.set_groups(three(can, old, [real, effective, saved], [&old; 3])?);
        Ok(())
    })
}

/// What setuid and setgid want: with the capability all three, otherwise the effective one, from
/// the real or the saved one.
fn one(can: bool, old: [u32; 3], id: u32) -> Result<[u32; 3]> {
    if id == KEEP {
        return Err(Errno::EINVAL);
    }
    if can {
        return Ok([id; 3]);
    }
    three(can, old, [KEEP, id, KEEP], [&[], &[old[0], old[2]], &[]])
}

/// setuid(2).
pub fn setuid(id: u32) -> Answer {
    change(|c| {
        c.set_users(one(c.can(linux::CAP_SETUID), users(c), id)?);
        Ok(())
    })
}

/// setgid(2).
pub fn setgid(id: u32) -> Answer {
    change(|c| {
        c.set_groups(one(c.can(linux::CAP_SETGID), groups(c), id)?);
        Ok(())
    })
}

/// What setreuid and setregid want. The saved number follows the effective one if the real one is
/// set, or the effective one is set to something else than the real one was.
fn two(can: bool, old: [u32; 3], real: u32, effective: u32) -> Result<[u32; 3]> {
    let mut new = three(can, old, [real, effective, KEEP], [&old[..2], &old, &[]])?;
    if real != KEEP || effective != KEEP && effective != old[0] {
        new[2] = new[1];
    }
    Ok(new)
}

/// setreuid(2).
pub fn setreuid(real: u32, effective: u32) -> Answer {
    change(|c| {
        c.set_users(two(c.can(linux::CAP_SETUID), users(c), real, effective)?);
        Ok(())
    })
}

/// setregid(2).
pub fn setregid(real: u32, effective: u32) -> Answer {
    change(|c| {
        c.set_groups(two(c.can(linux::CAP_SETGID), groups(c), real, effective)?);
        Ok(())
    })
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

/// setfsuid(2): the number before. It never fails.
pub fn setfsuid(id: u32) -> Answer {
    let process = task::process();
    let mut c = process.credentials();
    let before = c.fsuid;
    let own = users(&c).contains(&id) || id == before;
    if id != KEEP && (own || c.can(linux::CAP_SETUID)) {
        c.set_file_user(id);
        process.set_credentials(c);
    }
    Ok(before.into())
}

/// setfsgid(2): the number before. It never fails.
pub fn setfsgid(id: u32) -> Answer {
    let process = task::process();
    let mut c = process.credentials();
    let before = c.fsgid;
    let own = groups(&c).contains(&id) || id == before;
    if id != KEEP && (own || c.can(linux::CAP_SETGID)) {
        c.fsgid = id;
        process.set_credentials(c);
    }
    Ok(before.into())
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

/// setgroups(2). They are kept in order, as Linux does.
pub fn setgroups(count: usize, from: Address) -> Answer {
    if !task::process().credentials().can(linux::CAP_SETGID) {
        return Err(Errno::EPERM);
    }
    if count > GROUPS_MAX {
        return Err(Errno::EINVAL);
    }
    let mut groups: Vec<u32> = user::read_many(from.0, count)?;
    groups.sort_unstable();
    change(|c| {
        c.groups = Arc::from(groups);
        Ok(())
    })
}

/// The head of capget's and capset's structures: how many words a set has there, and the process.
/// A version that is not known is told which one is.
fn header(header: Address) -> Result<(usize, i32)> {
    const VERSION_1: u32 = 0x1998_0330;
    const VERSION_2: u32 = 0x2007_1026;
    const VERSION_3: u32 = 0x2008_0522;
    let words = match user::read::<u32>(header.0)? {
        VERSION_1 => 1,
        VERSION_2 | VERSION_3 => 2,
        _ => {
            user::write(header.0, &VERSION_3)?;
            return Err(Errno::EINVAL);
        }
    };
    Ok((words, user::read(header.0.wrapping_add(4))?))
}

/// capget(2).
pub fn capget(head: Address, data: Address) -> Answer {
    let (words, id) = match header(head) {
        // Asking for the version.
        Err(Errno::EINVAL) if data.is_null() => return Ok(0),
        other => other?,
    };
    let id = u32::try_from(id).map_err(|_| Errno::EINVAL)?;
    let who = match id {
        0 => task::process().credentials(),
        id => {
            let thread = numbers::thread_by_id(id).ok_or(Errno::ESRCH)?;
            thread.process().credentials()
        }
    };
    if data.is_null() {
        return Ok(0);
    }
    for word in 0..words {
        let part = |set: Capabilities| (set >> (32 * word)) as u32;
        let parts = [who.effective, who.permitted, who.inheritable].map(part);
        user::copy_out(data.0.wrapping_add(12 * word as u64), plain::bytes(&parts))?;
    }
    Ok(0)
}

/// capset(2).
pub fn capset(head: Address, data: Address) -> Answer {
    let (words, id) = header(head)?;
    if id != 0 && u32::try_from(id) != Ok(task::thread_id()) {
        return Err(Errno::EPERM);
    }
    let mut sets: [Capabilities; 3] = [0; 3];
    for word in 0..words {
        let parts: [u32; 3] = user::read(data.0.wrapping_add(12 * word as u64))?;
        for (set, part) in sets.iter_mut().zip(parts) {
            *set |= u64::from(part) << (32 * word);
        }
    }
    let [effective, permitted, inheritable] = sets.map(|set| set & ALL);
    let within = |set: Capabilities, of: Capabilities| set & !of == 0;
    change(|c| {
        let more = if c.can(linux::CAP_SETPCAP) {
            c.bounding
        } else {
            c.permitted
        };
        let allowed = within(inheritable, c.inheritable | more)
            && within(inheritable, c.inheritable | c.bounding)
            && within(permitted, c.permitted)
            && within(effective, permitted);
        if !allowed {
            return Err(Errno::EPERM);
        }
        (c.effective, c.permitted, c.inheritable) = (effective, permitted, inheritable);
        c.ambient &= permitted & inheritable;
        Ok(())
    })
}
