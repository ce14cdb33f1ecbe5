//! Process groups: whether anybody is left who could let one go on, and what follows if not.

use alloc::sync::Arc;

use super::Process;
use super::numbers::all_in_group;
use super::process::Stop;
use crate::signal::{self, Info, SIGCONT, SIGHUP};

/// The session of a group; none if there is no such group.
#[must_use]
pub fn session(group: u32) -> Option<u32> {
    super::processes()
        .iter()
        .find(|process| process.group() == group)
        .map(|process| process.session())
}

/// Whether no member has a parent in another group of the same session: nobody then knows of its
/// jobs, and stopping it would be for ever. A member that is about to end is left out.
#[must_use]
pub fn is_orphaned(group: u32, ending: Option<&Arc<Process>>) -> bool {
    let members = all_in_group(group);
    let mut others = members
        .iter()
        .filter(|member| ending.is_none_or(|ending| !Arc::ptr_eq(member, ending)));
    !others.any(|member| {
        let parent = member.parent();
        parent.is_some_and(|parent| is_connection(member, &parent))
    })
}

/// Whether a parent keeps its child's group from being orphaned.
fn is_connection(child: &Process, parent: &Process) -> bool {
    parent.group() != child.group() && parent.session() == child.session()
}

/// A process is about to end, or (with its former parent) has lost its parent. If its group became
/// orphaned by that and has stopped members, they are told and go on.
pub(super) fn connection_lost(process: &Arc<Process>, former: Option<&Arc<Process>>) {
    let Some(parent) = former.cloned().or_else(|| process.parent()) else {
        return;
    };
    let ending = former.is_none().then_some(process);
    let group = process.group();
    if !is_connection(process, &parent) || !is_orphaned(group, ending) {
        return;
    }
    let stopped = |member: &Arc<Process>| matches!(*member.stop.lock(), Stop::Stopped(..));
    if all_in_group(group).iter().any(stopped) {
        signal::send_to_group(group, Info::from_kernel(SIGHUP));
        signal::send_to_group(group, Info::from_kernel(SIGCONT));
    }
}
