//! Who may do what: the mode's bits, for those without a capability that overrides them.

use linux_raw_sys::general as linux;

use super::inode::Inode;
use super::stat::{Kind, Stat};
use crate::errno::{Errno, Result};
use crate::task::Credentials;

/// To read.
pub const READ: u32 = 4;
/// To write.
pub const WRITE: u32 = 2;
/// To execute, or to search a directory.
pub const EXECUTE: u32 = 1;

const STICKY: u32 = 0o1000;

/// The bits of a mode that lend the rights of the file's owner or group to whoever runs it.
#[must_use]
pub fn lent(mode: u32) -> u32 {
    const SET_UID: u32 = 0o4000;
    const SET_GID: u32 = 0o2000;
    const GROUP_EXECUTES: u32 = 0o0010;
    let group = if mode & GROUP_EXECUTES != 0 {
        SET_GID
    } else {
        0
    };
    mode & (SET_UID | group)
}

/// Checks that a file of these attributes may be used so (any of [`READ`], [`WRITE`],
/// [`EXECUTE`]).
///
/// # Errors
///
/// EACCES.
pub fn check(stat: &Stat, wanted: u32, who: &Credentials) -> Result<()> {
    let granted = if who.fsuid == stat.uid {
        stat.mode >> 6 & 7
    } else if who.in_group(stat.gid) {
        stat.mode >> 3 & 7
    } else {
        stat.mode & 7
    };
    if wanted & !(granted | overridden(stat, who)) == 0 {
        Ok(())
    } else {
        Err(Errno::EACCES)
    }
}

/// What the capabilities grant, whatever the mode says.
fn overridden(stat: &Stat, who: &Credentials) -> u32 {
    let directory = stat.kind() == Kind::Directory;
    if who.can(linux::CAP_DAC_OVERRIDE) {
        let executable = stat.kind() != Kind::Regular || stat.mode & 0o111 != 0;
        READ | WRITE | if executable { EXECUTE } else { 0 }
    } else if who.can(linux::CAP_DAC_READ_SEARCH) {
        READ | if directory { EXECUTE } else { 0 }
    } else {
        0
    }
}

/// As [`check`], for an inode.
///
/// # Errors
///
/// EACCES.
pub fn check_inode(inode: &dyn Inode, wanted: u32, who: &Credentials) -> Result<()> {
    // Whoever overrides modes may search and write wherever it wants.
    if who.can(linux::CAP_DAC_OVERRIDE) && wanted & EXECUTE == 0 {
        return Ok(());
    }
    check(&inode.stat(), wanted, who)
}

/// Checks that a directory may be searched.
///
/// # Errors
///
/// EACCES.
pub fn search(directory: &dyn Inode, who: &Credentials) -> Result<()> {
    if who.can(linux::CAP_DAC_OVERRIDE) {
        Ok(())
    } else {
        check(&directory.stat(), EXECUTE, who)
    }
}

/// Checks that names may be added to a directory.
///
/// # Errors
///
/// EACCES.
pub fn add(directory: &dyn Inode, who: &Credentials) -> Result<()> {
    if who.can(linux::CAP_DAC_OVERRIDE) {
        Ok(())
    } else {
        check(&directory.stat(), WRITE | EXECUTE, who)
    }
}

/// Checks that a name may be taken out of a directory, in which only owners may if it is sticky.
///
/// # Errors
///
/// EACCES, EPERM.
pub fn remove(directory: &dyn Inode, inode: &dyn Inode, who: &Credentials) -> Result<()> {
    let stat = directory.stat();
    check(&stat, WRITE | EXECUTE, who)?;
    let owns = || stat.uid == who.fsuid || inode.stat().uid == who.fsuid;
    if stat.mode & STICKY != 0 && !who.can(linux::CAP_FOWNER) && !owns() {
        Err(Errno::EPERM)
    } else {
        Ok(())
    }
}

/// Checks that a file may be given another name: by its owner, or by whoever could do with it what
/// a new name lets others do (Linux's `fs.protected_hardlinks`, as distributions set it).
///
/// # Errors
///
/// EPERM.
pub fn link(inode: &dyn Inode, who: &Credentials) -> Result<()> {
    let stat = inode.stat();
    let plain = stat.kind() == Kind::Regular && lent(stat.mode) == 0;
    if own(inode, who).is_ok() || plain && check(&stat, READ | WRITE, who).is_ok() {
        Ok(())
    } else {
        Err(Errno::EPERM)
    }
}

/// Checks that attributes may be changed: by the owner.
///
/// # Errors
///
/// EPERM.
pub fn own(inode: &dyn Inode, who: &Credentials) -> Result<()> {
    if who.can(linux::CAP_FOWNER) || inode.stat().uid == who.fsuid {
        Ok(())
    } else {
        Err(Errno::EPERM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(uid: u32, gid: u32) -> Credentials {
        let mut who = Credentials::default();
        who.set_groups([gid; 3]);
        who.set_users([uid; 3]);
        who
    }

    fn file(mode: u32) -> Stat {
        let mut stat = Stat::new(1, 1, Kind::Regular.mode() | mode);
        (stat.uid, stat.gid) = (10, 20);
        stat
    }

    #[test]
    fn owner_bits_decide_for_the_owner_even_where_others_have_more() {
        assert_eq!(check(&file(0o077), READ, &user(10, 20)), Err(Errno::EACCES));
        assert_eq!(check(&file(0o070), READ | WRITE, &user(11, 20)), Ok(()));
        assert_eq!(
            check(&file(0o074), WRITE, &user(11, 21)),
            Err(Errno::EACCES)
        );
    }

    #[test]
    fn superuser_needs_an_execute_bit_to_execute() {
        assert_eq!(check(&file(0), READ | WRITE, &user(0, 0)), Ok(()));
        assert_eq!(
            check(&file(0o666), EXECUTE, &user(0, 0)),
            Err(Errno::EACCES)
        );
        assert_eq!(check(&file(0o601), EXECUTE, &user(0, 0)), Ok(()));
    }
}
