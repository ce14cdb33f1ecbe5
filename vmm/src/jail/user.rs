//! Whose process it is: a user of its own, and a user namespace.

use std::fs;

use rustix::io::Errno;
use rustix::process::{getegid, geteuid};
use rustix::thread::{
    CapabilitySet, UnshareFlags, capabilities, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};
use rustix::{fs::Gid, fs::Uid};

use super::namespaces::unshare;
use super::plan::{Obstacle, failed};

/// Whether this process can give others a user of their own, and make them namespaces.
#[must_use]
pub fn is_privileged() -> bool {
    const NEEDED: CapabilitySet = CapabilitySet::SETUID
        .union(CapabilitySet::SETGID)
        .union(CapabilitySet::SYS_ADMIN);
    capabilities(None).is_ok_and(|sets| sets.effective.contains(NEEDED))
}

/// Becomes a user and a group that nobody else is. There is one thread: the calls are those that
/// change a thread.
pub(super) fn become_other(user: Option<u32>) -> Result<(), Obstacle> {
    let Some(number) = user else {
        return Err(Obstacle::Lacking(
            "only a privileged node gives out users".to_owned(),
        ));
    };
    let (uid, gid) = (Uid::from_raw(number), Gid::from_raw(number));
    set_thread_groups(&[]).map_err(failed("setgroups"))?;
    set_thread_res_gid(gid, gid, gid).map_err(failed("setresgid"))?;
    set_thread_res_uid(uid, uid, uid).map_err(failed("setresuid"))
}

/// A user namespace in which this user has itself for its only user: for the namespaces that are
/// then this one's, where nobody privileged makes them.
pub(super) fn namespace_with_self() -> Result<(), Obstacle> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    namespace()?;
    let files = [
        ("/proc/self/setgroups", "deny".to_owned()),
        ("/proc/self/gid_map", format!("{gid} {gid} 1")),
        ("/proc/self/uid_map", format!("{uid} {uid} 1")),
    ];
    for (file, text) in files {
        fs::write(file, text).map_err(failed(file))?;
    }
    Ok(())
}

/// A user namespace without users: whoever is in it is nobody.
pub(super) fn namespace_of_nobody() -> Result<(), Obstacle> {
    namespace()
}

fn namespace() -> Result<(), Obstacle> {
    const WHAT: &str = "unshare(CLONE_NEWUSER)";
    match unshare(UnshareFlags::NEWUSER) {
        Ok(()) => Ok(()),
        // With a bound of zero there are none for this user; with another they are used up.
        Err(Errno::NOSPC) if none_allowed() => Err(Obstacle::Lacking(
            "user.max_user_namespaces is 0".to_owned(),
        )),
        Err(errno) => Err(super::plan::denied(WHAT)(errno)),
    }
}

fn none_allowed() -> bool {
    let most = fs::read_to_string("/proc/sys/user/max_user_namespaces");
    // Where /proc is not there any more, a privileged process is about to be nobody.
    most.map_or(true, |most| most.trim() == "0")
}
